"""Memory on a GPU: what a plan predicts is what torch's allocator counts."""

from __future__ import annotations

import pytest
import torch

import sc_bridge as scb
from sc_bridge.memory import measure, plan

# Of the measured peak; blocks above a megabyte are rounded up by as much.
WITHIN = 0.05


def make_sequence(root, grid, spacing="0.5 m"):
    return scb.KickedSequence(
        scb.read_lattice(root / "examples/fodo/fodo.madx"),
        slicing=scb.MaxSpacing(spacing),
        space_charge=scb.SpaceCharge(grid=(grid, grid, grid)),
    )


def make_bunch(sequence, n, dtype, gpu):
    bunch = scb.gaussian(
        sequence, n, 1e12, nemitt_x="1 um", nemitt_y="1 um", sigma_z="1 m", sigma_delta=0.0
    )
    return bunch.to(dtype).to(gpu)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("n", "grid"), [(1_000_000, 32), (100_000, 64), (300_000, 64)])
@pytest.mark.parametrize(
    "adjoint",
    [scb.StoreStates(), scb.Reversible(tolerance=0.01), scb.Checkpoint(every=5), scb.RecordAll()],
    ids=lambda adjoint: type(adjoint).__name__,
)
def test_prediction_is_within_five_percent(root, dtype, n, grid, adjoint, gpu):
    sequence = make_sequence(root, grid, "2 m" if n == 1_000_000 else "0.5 m")
    bunch = make_bunch(sequence, n, dtype, gpu)
    measured = measure(sequence, bunch, adjoint)
    predicted = plan(sequence, bunch, adjoint=adjoint)
    choice = next(c for c in predicted.choices if c.dtype == dtype)
    assert choice.tensors == pytest.approx(measured.peak, rel=WITHIN)


def test_measure_counts_as_the_allocator_does(root, gpu):
    sequence = make_sequence(root, 32)
    bunch = make_bunch(sequence, 100_000, torch.float32, gpu)
    measured = measure(sequence, bunch)
    start = bunch.replace(coordinates=bunch.coordinates.clone().requires_grad_())
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    out = scb.track(sequence, start).coordinates
    torch.autograd.grad(out, start.coordinates, torch.ones_like(out))
    risen = torch.cuda.max_memory_allocated() - before
    assert measured.peak == pytest.approx(risen + 29 * 100_000, rel=0.02)


def test_a_plan_for_a_gpu_needs_no_bunch(root, gpu):
    sequence = make_sequence(root, 32)
    bunch = make_bunch(sequence, 100_000, torch.float64, gpu)
    given = plan(sequence, n_particles=100_000, device=gpu)
    assert given.peak == pytest.approx(plan(sequence, bunch).peak, rel=0.01)  # a weight each
