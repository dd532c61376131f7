"""Ten thousand kicks: memory of Reversible does not grow, and its gradient stays right."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import pytest
import torch

import sc_bridge as scb
from channels import fodo_channel
from sc_bridge.memory import fit, measure

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
BENCHMARK = ROOT / "examples" / "benchmarks" / "memory.py"
# Core tune depression of 20 % at most: 12 % on the grid (see `depression`), 15 % in closed form.
INTENSITY = 1.2e11
# 4 bytes a kick, and what the interpreter keeps of freed objects.
GROWTH = 0.10
AGREEMENT = 1e-8


def gradient(sequence, bunch, adjoint):
    strength = sequence["qf"].k1.requires_grad_()
    start = bunch.coordinates.clone().requires_grad_()
    end = scb.track(sequence, bunch.replace(coordinates=start), adjoint=adjoint)
    return torch.autograd.grad(end.sigma_x, [strength, start])


def depression(sequence, bunch):
    """Share of the bare phase advance that the core of the beam loses to its field, in a cell.

    From two particles on either side of the middle of the beam, with and without the charges.
    """
    cell = fodo_channel(1)[0]
    coordinates = bunch.coordinates.clone()
    coordinates[:, :2] = coordinates.mean(1, keepdim=True)
    coordinates[0, :2] += 0.2 * bunch.sigma_x * coordinates.new_tensor([1.0, -1.0])
    advances = []
    for weight in (torch.zeros_like(bunch.weight), bunch.weight):
        turns = [bunch.replace(coordinates=coordinates, weight=weight)]
        for _ in range(2):
            turns.append(cell(turns[-1]))
        # x[n+1] = 2 cos(mu) x[n] - x[n-1] for a periodic linear map
        x = [(turn.x[0] - turn.x[1]).item() for turn in turns]
        advances.append(math.acos((x[2] + x[0]) / (2 * x[1])))
    return 1.0 - advances[1] / advances[0]


def test_core_tune_depression_is_at_most_a_fifth():
    sequence, bunch = fodo_channel(1, INTENSITY, n_particles=10_000)
    assert 0.05 < depression(sequence, bunch) < 0.2


def benchmark():
    spec = importlib.util.spec_from_file_location("memory_benchmark", BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_peak_of_ten_thousand_kicks_is_that_of_ten(monkeypatch):
    """Of all bytes that malloc has handed out, Python's objects included."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    memory = benchmark()
    rises = memory.in_a_process("long", "10000", **memory.EXACT)
    if not rises["few_in_use"]:
        pytest.skip("needs mallinfo2 of glibc 2.33")
    assert rises["few_in_use"] > 8 * 6 * 10_000 * 4  # start, end, and a gradient or two
    assert rises["many_in_use"] < (1 + GROWTH) * rises["few_in_use"]


def test_gradient_of_ten_thousand_kicks_is_that_of_checkpoint():
    sequence, bunch = fodo_channel(2500, INTENSITY, n_particles=10_000)
    assert sequence.n_kicks == 10_000
    expected = gradient(sequence, bunch, scb.Checkpoint(every=100))
    found = gradient(sequence, bunch, scb.Reversible())
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours - theirs).abs().max() < AGREEMENT * theirs.abs().max()


def test_store_states_takes_24_bytes_a_particle_and_4_a_cell_for_every_kick():
    found = [
        measure(*fodo_channel(cells, n_particles=n, nodes=nodes, dtype=torch.float32))
        for cells in (2, 5, 10)
        for n, nodes in ((1000, 16), (30_000, 16), (1000, 48), (100_000, 32))
    ]
    for quantity in ("kept", "peak"):
        law = fit(found, quantity)
        assert law.bytes_per_particle == pytest.approx(24.0, rel=0.01)
        assert law.bytes_per_cell == pytest.approx(4.0, rel=0.01)
        assert law.r2 > 0.999
