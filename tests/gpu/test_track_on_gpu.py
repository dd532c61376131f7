"""Runs on a GPU: every strategy, losses, monitors, knobs, an optimiser, a study."""

from __future__ import annotations

import json

import pytest
import torch

import sc_bridge as scb
from cases import ADJOINT_CASES
from sc_bridge.cli import main

# Of gradients, relative: a few hundred kicks and maps whose sums come in another order.
AGREEMENT = 1e-8
MADX = """
kqf := 1.2; kqd := -1.1;
qf: quadrupole, l=0.3, k1:=kqf; qd: quadrupole, l=0.3, k1:=kqd;
col: ecollimator, xsize=6e-3, ysize=6e-3; d: drift, l=0.5;
b: sbend, l=0.4, angle=0.05, e1=0.02, e2=0.03, fint=0.4, hgap=0.01;
sx: multipole, knl:={0, 0, 0.4*kqf};
cell: line=(qf, d, b, col, sx, d, qd, d, b, d);
beam, particle=proton, energy=1.2;
use, sequence=cell;
"""


@pytest.fixture
def sequence(tmp_path):
    path = tmp_path / "line.madx"
    path.write_text(MADX)
    return scb.KickedSequence(
        scb.read_lattice(path),
        slicing=scb.KicksPerElement(2),
        space_charge=scb.SpaceCharge(grid=(16, 16, 16)),
    )


def make_bunch(sequence, n=3000):
    return scb.gaussian(
        sequence, n, 5e10, sigma_x="2 mm", sigma_px=1e-3, sigma_y="2 mm", sigma_py=1e-3,
        sigma_z="20 mm", sigma_delta=1e-3, seed=4,
    )  # fmt: skip


def run(sequence, bunch, adjoint):
    """Loss and gradients by coordinates, weight, momentum, knobs and a field."""
    p0c = bunch.reference.p0c.clone().requires_grad_()
    start = bunch.replace(
        coordinates=bunch.coordinates.clone().requires_grad_(),
        weight=bunch.weight.clone().requires_grad_(),
        reference=bunch.reference.replace(p0c=p0c),
    )
    knobs = [sequence.knobs[name].requires_grad_() for name in ("kqf", "kqd")]
    angle = sequence["b"].angle.requires_grad_()
    monitors = {
        "moments": scb.MomentsMonitor(at=1.0),
        "bunch": scb.BunchMonitor(at="qd"),
    }
    result = scb.track(sequence, start, adjoint=adjoint, monitors=monitors, turns=2)
    out = result.bunch
    loss = 1e3 * (out.sigma_x + out.sigma_y) + out.sigma_zeta
    loss = loss + 1e6 * result["moments"].nemitt_x.sum() + result["bunch"][0].sigma_x * 1e3
    wanted = [start.coordinates, start.weight, p0c, *knobs, angle]
    gradients = torch.autograd.grad(loss, wanted)
    return [loss.detach(), *gradients], result.losses


@pytest.mark.parametrize("adjoint", [scb.RecordAll(), *ADJOINT_CASES.values()], ids=repr)
def test_every_strategy_agrees_with_recording_on_the_cpu(sequence, adjoint, gpu):
    if "50 kB" in repr(adjoint) or "50000" in repr(adjoint):
        adjoint = scb.Checkpoint(memory="500 kB")
    bunch = make_bunch(sequence)
    theirs, lost = run(sequence, bunch, scb.RecordAll())
    assert sum(loss.n_particles for loss in lost) > 10
    ours, lost_here = run(sequence.to(gpu), bunch.to(gpu), adjoint)
    assert lost_here == lost
    for own, their in zip(ours, theirs, strict=True):
        assert own.device.type == (gpu.type if own.dim() > 0 else own.device.type)
        off = (own.cpu() - their).abs().amax() / their.abs().amax()
        assert off < AGREEMENT


def test_moments_of_single_precision_follow(sequence, gpu):
    bunch = make_bunch(sequence)
    theirs = scb.track(sequence, bunch)
    ours = scb.track(sequence.to(gpu), bunch.to(torch.float32).to(gpu))
    assert ours.coordinates.dtype == torch.float32
    assert ours.sigma_x.item() == pytest.approx(theirs.sigma_x.item(), rel=1e-5)
    assert ours.nemitt_y.item() == pytest.approx(theirs.nemitt_y.item(), rel=1e-5)


def test_knobs_may_hold_a_batch(sequence, gpu):
    values = torch.tensor([1.1, 1.2, 1.3], dtype=torch.float64)
    bunch = make_bunch(sequence, 500)
    sequence.knobs["kqf"] = values
    theirs = scb.track(sequence, bunch).sigma_x
    ours = scb.track(sequence.to(gpu), bunch.to(gpu)).sigma_x
    assert ours.shape == (3,) and ours.device == gpu
    assert torch.allclose(ours.cpu(), theirs, rtol=1e-9)


def test_an_optimiser_of_torch_moves_knobs(sequence, gpu):
    sequence = sequence.to(gpu)
    bunch = make_bunch(sequence, 500).to(gpu)
    knob = sequence.knobs["kqf"].requires_grad_()
    optimiser = torch.optim.Adam([knob], lr=1e-3)
    sizes = []
    for _ in range(3):
        optimiser.zero_grad()
        size = scb.track(sequence, bunch).sigma_x
        size.backward()
        optimiser.step()
        sizes.append(size.item())
    assert sizes[2] < sizes[0]


def test_runs_wait_once_a_kick_and_once_an_aperture(sequence, gpu, waits):
    sequence, bunch = sequence.to(gpu), make_bunch(sequence).to(gpu)
    bunch = bunch.replace(coordinates=0.1 * bunch.coordinates)  # nobody is lost
    gates = sum(stage.n_gates for stage in sequence.stages)
    with torch.no_grad():
        scb.track(sequence, bunch)
        assert waits(lambda: scb.track(sequence, bunch)) <= sequence.n_kicks + gates + 2
    knob = sequence.knobs["kqf"].requires_grad_()
    out = scb.track(sequence, bunch).sigma_x
    torch.autograd.grad(out, knob, retain_graph=True)
    assert waits(lambda: torch.autograd.grad(out, knob)) <= 2


def test_booster_with_gradients(root, gpu):
    sequence = scb.KickedSequence(
        scb.read_lattice(root / "examples/psb/psb.json"),
        slicing=scb.MaxSpacing("5 m"),
        space_charge=scb.SpaceCharge(grid=(16, 16, 16)),
    )
    bunch = scb.gaussian(sequence, 2000, 1.6e12, nemitt_x="2 um", nemitt_y="2 um", sigma_z="15 m")
    found = []
    for device in ("cpu", gpu):
        knob = sequence.to(device).knobs["kbrqf"].requires_grad_()
        out = scb.track(sequence, bunch.to(device))
        found.append((out.sigma_x.item(), torch.autograd.grad(out.sigma_x, knob)[0].item()))
    assert found[1] == pytest.approx(found[0], rel=AGREEMENT)


def test_study_on_a_gpu_gives_what_it_gives_on_the_cpu(tmp_path):
    (tmp_path / "line.madx").write_text(MADX)
    text = """
device = "{device}"
turns = 1
memory_limit = "8 GiB"
[lattice]
file = "line.madx"
[slicing]
max_spacing = "0.25 m"
[space_charge]
grid = [16, 16, 16]
[bunch]
n_particles = 2000
intensity = 5e10
sigma_x = "1 mm"
sigma_px = 1e-3
sigma_y = "1 mm"
sigma_py = 1e-3
sigma_z = "20 mm"
sigma_delta = 1e-3
[derivatives]
of = ["sigma_x", "nemitt_y"]
with_respect_to = ["kqf", "bunch.intensity"]
"""
    results = []
    for device in ("cpu", "cuda"):
        study = tmp_path / f"{device}.toml"
        study.write_text(text.format(device=device))
        assert main(["run", str(study), "--output", str(tmp_path / device), "--quiet"]) == 0
        found = json.loads((tmp_path / device / "results.json").read_text())["derivatives"]
        results.append([row["value"] for of in found.values() for row in of.values()])
    assert results[1] == pytest.approx(results[0], rel=AGREEMENT)
