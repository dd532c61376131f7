"""What a run keeps and needs, by hooks and allocators, against what can be counted by hand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import sc_bridge as scb
from channels import fodo_channel
from sc_bridge.memory import fit, measure
from sc_bridge.memory.footprint import ResidentRise, SavedBytes
from sc_bridge.memory.trace import AllocationTrace

MEBI = 2**20
# Scalars: factors, references, cell sizes.
SCALARS = 1e-3


@pytest.mark.parametrize(
    ("adjoint", "states", "fields"),
    [
        (scb.StoreStates(), 8, 8),  # besides the incoming one
        (scb.Checkpoint(every=3), 2, 0),
        (scb.Checkpoint(memory="200 kB"), 2, 0),
        (scb.Reversible(), 1, 0),
        (scb.Reversible(anchors=2), 3, 0),
    ],
    ids=repr,
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_strategy_keeps_the_states_that_it_says(adjoint, states, fields, dtype):
    sequence, bunch = fodo_channel(2, n_particles=2000, nodes=12, dtype=dtype)
    if getattr(adjoint, "memory", None):
        # two of the forward pass, and three more that the backward pass adds
        adjoint = scb.Checkpoint(memory=5.5 * 6 * 2000 * dtype.itemsize)
    found = measure(sequence, bunch, adjoint, warm_up=False)
    expected = dtype.itemsize * (states * 6 * 2000 + fields * 12**3)
    assert found.kept == pytest.approx(expected, rel=SCALARS)
    assert (found.n_particles, found.n_cells, found.n_kicks) == (2000, 12**3, 8)
    assert found.dtype == dtype
    assert found.peak == max(found.peak_forward, found.peak_backward) > found.kept


def test_turns_count_as_kicks():
    sequence, bunch = fodo_channel(1)
    once, twice = (measure(sequence, bunch, turns=turns, warm_up=False) for turns in (1, 2))
    assert twice.n_kicks == 2 * once.n_kicks == 8
    # the first stage of the second turn has a state and no kick
    assert twice.kept - once.kept == pytest.approx(5 * 48 * 500 + 4 * 8 * 16**3, rel=SCALARS)


def test_store_states_follows_the_law_of_24_and_4_bytes():
    """Per particle and per cell and kick, in float32."""
    found = [
        measure(
            *fodo_channel(cells, n_particles=n, nodes=nodes, dtype=torch.float32), warm_up=False
        )
        for cells in (1, 2)
        for n, nodes in ((500, 12), (3000, 12), (500, 20))
    ]
    law = fit(found)
    assert law.bytes_per_particle == pytest.approx(24.0, rel=1e-6)
    assert law.bytes_per_cell == pytest.approx(4.0, rel=1e-6)
    assert law.r2 > 0.999


def test_saved_storages_count_once_and_no_longer_than_they_are_kept():
    x = torch.ones(1000, dtype=torch.float64, requires_grad=True)
    with SavedBytes() as saved:
        y = x.exp()
        z = y.sin() + y.cos()  # all three keep y
        assert saved.count == 8000
        for _ in range(3):
            y.exp()  # released at once
        assert saved.count == 16000
        z.sum().backward()
    assert torch.allclose(x.grad, y * (y.cos() - y.sin()))
    with SavedBytes(held=[x]) as saved:
        x.sin()
    assert saved.count == 0


def test_trace_sees_what_an_operation_needs_inside():
    with AllocationTrace() as trace:
        x = torch.ones(MEBI // 8, dtype=torch.float64)
        trace.mark("made")
        y = x + x
        del x
        trace.mark("end")
        del y
    assert trace.at("made") == trace.at("end") == MEBI
    assert trace.peak() == trace.peak(since="made") == 2 * MEBI
    assert trace.peak(until="made") == MEBI
    assert trace.alive() == [MEBI, 2 * MEBI, MEBI, 0]
    assert len(trace.marks["end"]) == 1


def test_resident_memory_rises_by_what_is_written():
    with ResidentRise() as rise:
        x = torch.ones(64 * MEBI, dtype=torch.uint8)
        del x
    if rise.count is None:
        pytest.skip("needs Linux's /proc/self/clear_refs")
    assert rise.count == pytest.approx(64 * MEBI, rel=0.05)  # pages of the interpreter


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_peak_of_a_process_is_its_own_and_not_that_of_the_one_that_started_it():
    large = torch.ones(1024 * MEBI, dtype=torch.uint8)
    child = "from sc_bridge.memory.footprint import peak_resident; print(peak_resident())"
    done = subprocess.run([sys.executable, "-c", child], capture_output=True, text=True, check=True)
    assert int(done.stdout) < large.numel()
