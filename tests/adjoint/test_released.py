"""What a run keeps goes with its result at once, and does not wait for Python's collector."""

from __future__ import annotations

import pytest
import torch

import sc_bridge as scb
from cases import ADJOINT_CASES
from channels import fodo_channel
from sc_bridge.memory.footprint import SavedBytes, uncollected

STRATEGIES = [*ADJOINT_CASES.values(), scb.RecordAll()]


@pytest.mark.parametrize("adjoint", STRATEGIES, ids=str)
@pytest.mark.parametrize("backward", [True, False], ids=["after backward", "never differentiated"])
def test_what_is_kept_goes_with_the_result(adjoint, backward):
    sequence, bunch = fodo_channel(1, nodes=8)
    strength = sequence["qf"].k1.requires_grad_()
    monitors = {"screen": scb.BunchMonitor(at="qd")}
    with uncollected(), SavedBytes() as saved:
        out = scb.track(sequence, bunch, adjoint=adjoint, monitors=monitors)
        if backward:
            torch.autograd.grad(out.bunch.sigma_x, strength)
        del out
        assert saved.now == 0
    assert saved.count > 0
