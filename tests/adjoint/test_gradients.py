"""Derivatives through maps and kicks against finite differences of the same run."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

import sc_bridge as scb
from oracles import central_difference

PSB = Path(__file__).parents[2] / "examples" / "psb" / "psb.json"
# Steps of a millionth: cloud-in-cell's kinks and rounding stay below this.
FINITE_DIFFERENCE = 1e-5
RELATIVE_STEP = 1e-6

START = {
    "kbrqf": 0.7691427338,
    "kbrqd": -0.7775055976,
    "intensity": 1.6e12,
    "kinetic_energy": 160e6,
    "nemitt_x": 2e-6,
    "nemitt_y": 2e-6,
}
OUTPUTS = ("sigma_x", "sigma_y", "sigma_zeta", "nemitt_x", "nemitt_y")


@pytest.fixture(scope="module")
def run():
    """One and a half periods of the PS Booster and its cavity, 21 kicks, grids frozen."""
    lattice = scb.read_lattice(PSB)
    twiss = scb.periodic_twiss(scb.KickedSequence(lattice, bend_model="exact"))
    names = (*lattice.element_names[:16], lattice.element_names[-1])
    part = dataclasses.replace(lattice, element_names=names, labels=names)
    sequence = scb.KickedSequence(
        part,
        slicing=scb.MaxSpacing("1 m"),
        space_charge=scb.SpaceCharge(grid=(16, 16, 16)),
        bend_model="exact",
    )

    def make_bunch(values):
        return scb.gaussian(
            sequence,
            n_particles=500,
            intensity=values["intensity"],
            nemitt_x=values["nemitt_x"],
            nemitt_y=values["nemitt_y"],
            sigma_z="15 m",
            sigma_delta=1e-3,
            twiss=twiss,
            reference=scb.reference("proton", kinetic_energy=values["kinetic_energy"]),
            seed=5,
        )

    sequence.freeze_grids(make_bunch(START))

    def run(values, adjoint=None):
        for name in ("kbrqf", "kbrqd"):
            if not isinstance(values[name], torch.Tensor):
                sequence.knobs[name] = values[name]
        return scb.track(sequence, make_bunch(values), adjoint or scb.RecordAll())

    run.sequence = sequence
    return run


@pytest.fixture(scope="module")
def derivatives(run):
    """Every output with respect to every input, from one batched backward pass."""
    leaves = {
        name: torch.tensor(value, dtype=torch.float64, requires_grad=True)
        for name, value in START.items()
    }
    for name in ("kbrqf", "kbrqd"):
        leaves[name] = run.sequence.knobs[name].requires_grad_()
    out = run(leaves)
    results = torch.stack([getattr(out, name) for name in OUTPUTS])
    rows = torch.autograd.grad(
        results, list(leaves.values()), torch.eye(len(OUTPUTS)).double(), is_grads_batched=True
    )
    for name in ("kbrqf", "kbrqd"):
        run.sequence.knobs[name].requires_grad_(False)
    return {
        (output, name): rows[column][row].item()
        for column, name in enumerate(leaves)
        for row, output in enumerate(OUTPUTS)
    }


@pytest.mark.parametrize("name", START)
def test_derivative_equals_a_finite_difference(run, derivatives, name):
    at = START[name]

    def outputs_at(value):
        with torch.no_grad():
            out = run({**START, name: value})
        return torch.stack([getattr(out, output) for output in OUTPUTS])

    slopes = central_difference(outputs_at, at, abs(at) * RELATIVE_STEP)
    values = outputs_at(at)
    for output, slope, value in zip(OUTPUTS, slopes.tolist(), values.tolist(), strict=True):
        # relative to how strongly this output depends on anything at all
        scale = max(abs(slope), 1e-3 * abs(value / at))
        assert abs(derivatives[output, name] - slope) < FINITE_DIFFERENCE * scale


def test_backward_fills_the_gradient_of_a_knob(run):
    knob = run.sequence.knobs["kbrqf"].requires_grad_()
    run({**START, "kbrqf": knob}).sigma_x.backward()
    assert knob.grad is not None
    assert knob.grad.abs().item() > 0
    knob.requires_grad_(False)
