"""Batches that a bunch gets on its way are the same under every strategy."""

from __future__ import annotations

import pytest
import torch

import sc_bridge as scb
from cases import ADJOINT_CASES
from channels import PROTON, fodo_channel
from sc_bridge.lattice import Lattice, Record

# The same operations in another order, over 4 kicks.
AGREEMENT = 1e-10
FACTORS = torch.tensor([1.0, 1.01, 0.99], dtype=torch.float64)


@pytest.fixture(scope="module")
def lossy():
    sequence, bunch = fodo_channel(1, n_particles=50)
    radius = 2.0 * bunch.sigma_x.item()
    records = sequence.lattice.elements | {
        "hole": Record("hole", "LimitEllipse", {"a": radius, "b": radius})
    }
    names = ("qf", "hole", "d", "qd", "d", "hole")
    return Lattice("lossy", "xsuite-json", "", dict(records), names, reference=PROTON), bunch


def found(lattice, bunch, batched, adjoint):
    """Outgoing coordinates and living particles, and gradients of the sizes of all bunches."""
    sequence = scb.KickedSequence(
        lattice, slicing=scb.KicksPerElement(1), space_charge=scb.SpaceCharge(grid=(8, 8, 8))
    )
    reference, start = sequence.reference, bunch.coordinates.clone().requires_grad_()
    wanted = [start, sequence["qd"].k1.requires_grad_()]
    if batched == "k1":
        sequence["qf"].k1 = torch.nn.Parameter(4.0 * FACTORS)
        wanted.append(sequence["qf"].k1)
    else:
        wanted.append((getattr(reference, batched) * FACTORS).detach().requires_grad_())
        reference = reference.replace(**{batched: wanted[-1]})
    out = scb.track(sequence, scb.Bunch(start, reference, bunch.weight), adjoint=adjoint)
    assert out.coordinates.shape == (3, 6, 50)
    gradients = torch.autograd.grad(out.sigma_x.sum(), wanted)
    return [out.coordinates.detach(), out.alive.double(), *gradients]


@pytest.mark.parametrize("batched", ["k1", "p0c"])
def test_batches_of_fields_and_references_are_those_of_recording_everything(lossy, batched):
    expected = found(*lossy, batched, scb.RecordAll())
    assert 0 < expected[1].sum() < 150
    for adjoint in ADJOINT_CASES.values():
        for ours, theirs in zip(found(*lossy, batched, adjoint), expected, strict=True):
            assert (ours - theirs).abs().max() <= AGREEMENT * theirs.abs().max()
