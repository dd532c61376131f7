"""On a device that is not the CPU: every element and strategy, with how often it is waited for."""

from __future__ import annotations

import copy

import pytest
import torch

import sc_bridge as scb
from cases import ADJOINT_CASES, CASES, random_bunch
from pretended_gpu import DEVICE, PretendedGpu, fetched, waits

# The same operations in another order of sums.
ROUNDOFF = 1e-12
AGREEMENT = 1e-10
LINE = """
k := 1.2;
q: quadrupole, l=0.3, k1:=k; d: drift, l=0.5; b: sbend, l=0.4, angle=0.05;
sx: multipole, knl:={0, 0, 0.4*k};
cell: line=(q, d, b, sx, d);
beam, particle=proton, energy=1.2;
use, sequence=cell;
"""


@pytest.fixture
def gpu():
    with PretendedGpu():
        waits.clear()
        yield DEVICE


def result_and_gradients(element, bunch):
    fields = [] if "exact" in repr(getattr(element, "model", "")) else list(element.parameters())
    start = bunch.replace(coordinates=bunch.coordinates.clone().requires_grad_())
    out = element.track(start).coordinates
    wanted = [start.coordinates, *(field.requires_grad_() for field in fields)]
    gradients = torch.autograd.grad(out.sum(), wanted, allow_unused=True)
    return [fetched(value) for value in (out.detach(), *gradients) if value is not None]


# tests/gpu takes all of them, where there is one
LAST_OF_CLASS = {kind: kwargs for kind, _, kwargs in CASES}


@pytest.mark.parametrize("kind", LAST_OF_CLASS, ids=lambda kind: kind.__name__)
def test_elements_work_where_the_particles_are(kind, gpu):
    if kind.__name__ == "NonLinearLens":
        pytest.skip("complex logarithms near their cut: half of the digits, on any device")
    element, bunch = kind(**LAST_OF_CLASS[kind]), random_bunch(amplitude=5e-3)
    theirs = result_and_gradients(copy.deepcopy(element), bunch)
    ours = result_and_gradients(element.to(gpu), bunch.to(gpu))
    for own, their in zip(ours, theirs, strict=True):
        assert (own - their).abs().amax() <= ROUNDOFF * their.abs().amax().clamp(min=1.0)


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    path = tmp_path_factory.mktemp("line") / "line.madx"
    path.write_text(LINE)
    sequence = scb.KickedSequence(
        scb.read_lattice(path),
        slicing=scb.KicksPerElement(1),
        space_charge=scb.SpaceCharge(grid=(8, 8, 8)),
    )
    bunch = scb.gaussian(
        sequence, 100, 1e10, sigma_x="1 mm", sigma_px=1e-3, sigma_y="1 mm", sigma_py=1e-3,
        sigma_z="10 mm", sigma_delta=1e-3,
    )  # fmt: skip
    return sequence, bunch


STRATEGIES = [
    scb.Checkpoint(memory="20 kB") if name == "Checkpoint memory" else adjoint
    for name, adjoint in ADJOINT_CASES.items()
]


def loss_and_gradients(sequence, bunch, adjoint):
    start = bunch.replace(
        coordinates=bunch.coordinates.clone().requires_grad_(),
        weight=bunch.weight.clone().requires_grad_(),
        reference=bunch.reference.replace(p0c=bunch.reference.p0c.clone().requires_grad_()),
    )
    knobs = [value.requires_grad_() for value in sequence.knobs.values()]
    result = scb.track(sequence, start, adjoint, monitors={"m": scb.MomentsMonitor(at=1.0)})
    loss = 1e3 * result.bunch.sigma_x + 1e5 * result["m"].nemitt_x.sum()
    wanted = [start.coordinates, start.weight, start.reference.p0c, *knobs]
    return [fetched(value).detach() for value in (loss, *torch.autograd.grad(loss, wanted))]


@pytest.mark.parametrize("adjoint", [scb.RecordAll(), *STRATEGIES], ids=repr)
def test_strategies_agree_there(line, adjoint, gpu):
    sequence, bunch = line
    theirs = loss_and_gradients(copy.deepcopy(sequence), bunch, adjoint)
    ours = loss_and_gradients(copy.deepcopy(sequence).to(gpu), bunch.to(gpu), adjoint)
    for own, their in zip(ours, theirs, strict=True):
        assert (own - their).abs().amax() <= AGREEMENT * their.abs().amax()


def test_a_kick_waits_once_and_its_backward_pass_never(line, gpu):
    sequence, bunch = copy.deepcopy(line[0]).to(gpu), line[1].to(gpu)
    knobs = [value.requires_grad_() for value in sequence.knobs.values()]
    waits.clear()
    out = scb.track(sequence, bunch).sigma_x
    assert waits.total() == sequence.n_kicks
    waits.clear()
    torch.autograd.grad(out, knobs)
    assert waits.total() <= len(knobs)  # their sums come back to the CPU
