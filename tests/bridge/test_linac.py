"""A linac: cavities that accelerate the reference, with space charge at each energy."""

from __future__ import annotations

import math

import pytest
import torch

import sc_bridge as scb
from sc_bridge.elements import Bunch
from sc_bridge.lattice import Lattice, Record, ReferenceFields

ELECTRON = ReferenceFields(mass0=510998.95069, q0=-1.0, p0c=5e6)
VOLTAGE, PHASE = 20e6, -0.2
# Kicks at other places, or maps summed in another order, of values of the order of 1e-3.
ROUNDING = 1e-12


def linac() -> Lattice:
    records = {
        "d": Record("d", "Drift", {"length": 0.3}),
        "c": Record(
            "c",
            "LinacCavity",
            {"length": 1.5, "voltage": VOLTAGE, "phase": PHASE, "frequency": 2.856e9},
        ),
        "r": Record("r", "LimitRect", {"max_x": 0.02}),
    }
    order = ("d", "c", "r", "d", "c", "d")
    return Lattice("linac.json", "xsuite-json", "", records, order, reference=ELECTRON)


def bunch_of(sequence) -> Bunch:
    generator = torch.Generator().manual_seed(2)
    rows = torch.randn(6, 200, generator=generator, dtype=torch.float64)
    scale = torch.tensor([1e-3, 1e-4, 1e-3, 1e-4, 1e-3, 1e-3], dtype=torch.float64)
    return Bunch(rows * scale[:, None], sequence.reference, weight=1e7)


def test_the_reference_gains_what_the_cavities_give():
    sequence = scb.KickedSequence(
        linac(), slicing=scb.KicksPerElement(3), space_charge=scb.SpaceCharge(grid=(8, 8, 8))
    )
    out = scb.track(sequence, bunch_of(sequence))
    gained = out.reference.energy0 - sequence.reference.energy0
    assert gained.item() == pytest.approx(2 * VOLTAGE * math.cos(PHASE), rel=1e-12)


@pytest.mark.parametrize("adjoint", [scb.StoreStates(), scb.Checkpoint(every=3), scb.Reversible()])
def test_strategies_agree_on_gradients_of_voltage_and_phase(adjoint):
    def gradients(strategy):
        sequence = scb.KickedSequence(
            linac(), slicing=scb.KicksPerElement(2), space_charge=scb.SpaceCharge(grid=(8, 8, 8))
        )
        cavity = sequence["c"]
        fields = [cavity.voltage.requires_grad_(), cavity.phase.requires_grad_()]
        out = scb.track(sequence, bunch_of(sequence), adjoint=strategy)
        loss = out.sigma_x + out.sigma_pzeta + 1e-9 * out.reference.p0c
        return torch.stack(torch.autograd.grad(loss, fields)) * torch.tensor([VOLTAGE, 1.0])

    expected = gradients(scb.RecordAll())
    assert (expected.abs() > 1e-4).all()
    assert torch.allclose(gradients(adjoint), expected, rtol=1e-9, atol=ROUNDING)


def test_more_slices_converge_without_space_charge():
    def end(kicks: int) -> torch.Tensor:
        sequence = scb.KickedSequence(
            linac(),
            slicing=scb.KicksPerElement(kicks),
            space_charge=scb.SpaceCharge(grid=(8, 8, 8)),
        )
        bunch = bunch_of(sequence).replace(weight=0.0)
        return scb.track(sequence, bunch).coordinates

    four, eight, sixteen = (end(kicks) for kicks in (4, 8, 16))
    assert (eight - sixteen).abs().max() < (four - eight).abs().max() / 3.0
