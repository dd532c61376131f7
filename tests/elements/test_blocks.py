"""Maps over blocks of particles, and memory of results that is used again."""

from __future__ import annotations

import pytest
import torch

from sc_bridge.elements import Bunch, Cavity, Drift, Quadrupole, Reference, XYShift, blocks, buffers

pytestmark = pytest.mark.usefixtures("two_threads")

REFERENCE = Reference.from_kinetic_energy(938.272e6, 1.0, 160e6)
N = 1000


def coordinates(n: int = 7, scale: float = 0.05) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return scale * torch.randn(6, n, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("recorded", [False, True])
def test_blocks_change_no_bit(monkeypatch, recorded):
    element, rows = Cavity(voltage=1e5, frequency=2e6, length=1.0), coordinates(N)
    alive = torch.arange(N) % 5 > 0
    outs, gradients = [], []
    for share in (N, 100):  # whole, and in blocks of which the last is shorter
        monkeypatch.setattr(blocks, "_SHARE", share // torch.get_num_threads() + 1)
        bunch = Bunch(rows.clone().requires_grad_(recorded), REFERENCE, alive=alive)
        out = element.track(bunch).coordinates
        outs.append(out.detach())
        if recorded:
            gradients += torch.autograd.grad(out, bunch.coordinates, rows)
    assert torch.equal(*outs)
    assert torch.equal(outs[0][:, ~alive], rows[:, ~alive])
    assert not recorded or torch.equal(*gradients)


def test_a_batch_of_fields_is_tracked_in_blocks(monkeypatch):
    bunch = Bunch(coordinates(N), REFERENCE)
    element = Quadrupole(length=0.4, k1=torch.tensor([0.7, -0.7]))
    whole = element.track(bunch).coordinates
    monkeypatch.setattr(blocks, "_SHARE", 64)
    assert torch.equal(element.track(bunch).coordinates, whole)


def test_what_a_map_returns_shares_no_memory_with_what_it_took():
    bunch = Bunch(coordinates(), REFERENCE)
    before = bunch.coordinates.clone()
    XYShift(dx=0.0).track(bunch).coordinates.zero_()
    assert torch.equal(bunch.coordinates, before)


# ---- memory that is used again -------------------------------------------------------------


def test_memory_of_a_result_that_nobody_holds_is_used_again():
    first = buffers.empty((6, 2**16), torch.float64)
    address, view = first.data_ptr(), first[2]
    del first
    other = buffers.empty((6, 2**16), torch.float64)
    assert other.data_ptr() != address  # a view holds it
    del view
    assert buffers.empty((6, 2**16), torch.float64).data_ptr() == address


def test_two_idle_buffers_are_kept_and_none_of_another_size():
    several = [buffers.empty((6, 2**16), torch.float64) for _ in range(4)]
    several.clear()
    assert [memory.size for memory in buffers._idle] == [6 * 2**19] * 2
    kept = buffers.empty((6, 2**17), torch.float32)
    assert kept.shape == (6, 2**17) and kept.dtype == torch.float32
    assert len(buffers._idle) == 1  # of the same size in bytes
    buffers.empty((6, 2**18), torch.float64)
    assert [memory.size for memory in buffers._idle] == [6 * 2**21]


@pytest.mark.parametrize("size", [8, 2 * buffers.LARGEST])
def test_small_and_very_large_results_are_left_to_torch(monkeypatch, size):
    monkeypatch.setattr(buffers, "_take", lambda _: pytest.fail("kept"))
    assert buffers.empty((size,), torch.uint8).shape == (size,)


def test_results_of_a_row_of_maps_do_not_share_memory():
    bunch = Bunch(coordinates(2**16), REFERENCE)
    drift, results = Drift(length=1.0), [bunch]
    for _ in range(4):
        results.append(drift.track(results[-1]))
    assert len({result.coordinates.data_ptr() for result in results}) == 5
    again = bunch
    for result in results[1:]:
        again = drift.track(again)
        assert torch.equal(again.coordinates, result.coordinates)


def test_a_bunch_remembers_that_it_is_whole_until_that_changes():
    bunch = Bunch(coordinates(), REFERENCE)
    moved = Drift(length=1.0).track(bunch)
    assert bunch.is_whole and moved.is_whole and moved.alive is bunch.alive
    moved.alive[3] = False
    assert not bunch.is_whole and not moved.is_whole
    assert not bunch.replace(alive=torch.arange(7) < 3).is_whole
