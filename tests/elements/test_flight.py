"""The drift's gradient by hand, and maps over blocks of particles."""

from __future__ import annotations

import pytest
import torch

from sc_bridge.elements import (
    Bunch,
    Drift,
    Quadrupole,
    Reference,
    XYShift,
    blocks,
    buffers,
    flight,
    kernels,
)
from sc_bridge.elements.base import State
from sc_bridge.elements.drift import expanded_drift, expanded_flight
from sc_bridge.elements.energy import Energy

ROUNDOFF = 1e-13  # of terms of order one; two forms of the same map differ in the last bits
REFERENCE = Reference.from_kinetic_energy(938.272e6, 1.0, 160e6)
N = 1000


def coordinates(n: int = 7, scale: float = 0.05) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return scale * torch.randn(6, n, dtype=torch.float64, generator=generator)


def by_hand(rows: torch.Tensor) -> torch.Tensor:
    return torch.stack(expanded_drift(State(*rows.unbind(-2)), REFERENCE, 1.3), dim=-2)


def by_autograd(rows: torch.Tensor) -> torch.Tensor:
    state = State(*rows.unbind(-2))
    return torch.stack(expanded_flight(state, Energy.of(state.pzeta, REFERENCE), 1.3), dim=-2)


def test_the_gradient_by_hand_is_that_of_autograd_to_second_order():
    rows = coordinates().requires_grad_()
    first, second = coordinates(scale=1.0), coordinates(scale=1.0).flip(0)
    found = []
    for drift in (by_hand, by_autograd):
        out = drift(rows)
        (gradient,) = torch.autograd.grad(out, rows, first, create_graph=True)
        (curvature,) = torch.autograd.grad(gradient, rows, second)
        found.append((out, gradient, curvature))
    for mine, theirs in zip(*found, strict=True):
        assert (mine - theirs).abs().max() < ROUNDOFF


def test_the_gradient_by_hand_agrees_with_finite_differences():
    rows = coordinates().requires_grad_()
    assert torch.autograd.gradcheck(by_hand, rows)
    assert torch.autograd.gradgradcheck(by_hand, rows)


def test_a_drift_keeps_nothing_for_its_gradient_that_the_bunch_does_not_hold():
    bunch = Bunch(coordinates().requires_grad_(), REFERENCE)
    own = bunch.coordinates.untyped_storage().data_ptr()
    kept: set[int] = set()

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept.add(tensor.untyped_storage().data_ptr())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        Drift(length=1.0).track(bunch)
    assert kept == {own}


@pytest.mark.parametrize("recorded", [False, True])
def test_blocks_change_no_bit(monkeypatch, recorded):
    element, rows = Quadrupole(length=0.4, k1=0.7), coordinates(N)
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


# ---- the C kernels -------------------------------------------------------------------------

MANY = 5 * flight.FEW + 3  # more than a chunk of the kernels, and not a multiple of anything
KERNEL_ROUNDOFF = {torch.float64: 1e-15, torch.float32: 1e-6}  # relative to the largest
models = pytest.mark.parametrize("model", ["expanded", "exact"])


@pytest.fixture
def by_kernels():
    assert kernels.load() is not None, "this machine has a C compiler: the kernels must build"


def flown(model: str, rows: torch.Tensor, upstream: torch.Tensor) -> list[torch.Tensor]:
    """What comes out, and the gradient, by the whole bunch, by its rows, and through a slice."""
    drift, found = Drift(length=0.7, model=model), []
    half = drift.slices([0.5, 0.5])[1]
    for track in (drift.track, drift.inverse().track, half.track):
        wanted = rows.clone().requires_grad_()
        out = track(Bunch(wanted, REFERENCE)).coordinates
        (gradient,) = torch.autograd.grad(out, wanted, upstream)
        without = track(Bunch(rows, REFERENCE)).coordinates
        assert torch.equal(out.detach(), without)
        found += [without, gradient]
    return found


@models
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("batch", [(), (3,), (2, 2)])
def test_the_kernels_equal_operations_on_tensors(by_kernels, monkeypatch, model, dtype, batch):
    generator = torch.Generator().manual_seed(5)
    rows, upstream = (
        scale * torch.randn(*batch, 6, MANY, generator=generator, dtype=torch.float64).to(dtype)
        for scale in (0.1, 1.0)
    )
    found = flown(model, rows, upstream)
    monkeypatch.setattr(kernels, "load", lambda: None)
    expected = flown(model, rows, upstream)
    for mine, theirs in zip(found, expected, strict=True):
        error = (mine - theirs).abs().max() / theirs.abs().max()
        assert error < KERNEL_ROUNDOFF[dtype]


@models
def test_the_gradient_of_a_large_bunch_can_be_differentiated_again(by_kernels, model):
    drift, upstream = Drift(length=0.7, model=model), coordinates(MANY, scale=1.0)
    rows = coordinates(MANY).requires_grad_()
    out = drift.track(Bunch(rows, REFERENCE)).coordinates
    (gradient,) = torch.autograd.grad(out, rows, upstream, create_graph=True)
    (curvature,) = torch.autograd.grad(gradient.sum(), rows)
    few = rows[:, :9].detach().requires_grad_()
    out = drift.track(Bunch(few, REFERENCE)).coordinates
    (slope,) = torch.autograd.grad(out, few, upstream[:, :9], create_graph=True)
    (expected,) = torch.autograd.grad(slope.sum(), few)
    assert (curvature[:, :9] - expected).abs().max() < ROUNDOFF


@models
def test_many_gradients_at_a_time_equal_one_by_one(by_kernels, model):
    drift, rows = Drift(length=0.7, model=model), coordinates(MANY).requires_grad_()
    out = drift.track(Bunch(rows, REFERENCE)).coordinates
    several = torch.stack([coordinates(MANY, scale=1.0), torch.ones_like(out)])
    together = torch.autograd.grad(out, rows, several, is_grads_batched=True, retain_graph=True)[0]
    for index, upstream in enumerate(several):
        alone = torch.autograd.grad(out, rows, upstream, retain_graph=True)[0]
        assert (together[index] - alone).abs().max() < ROUNDOFF


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
@models
def test_forward_mode_and_transforms_take_operations_on_tensors(by_kernels, model):
    drift, rows, direction = (
        Drift(length=0.7, model=model),
        coordinates(MANY),
        coordinates(MANY, 1.0),
    )

    def out(rows: torch.Tensor) -> torch.Tensor:
        return drift.track(Bunch(rows, REFERENCE)).coordinates

    _, slope = torch.func.jvp(out, (rows,), (direction,))
    step = 1e-6
    difference = (out(rows + step * direction) - out(rows - step * direction)) / (2.0 * step)
    assert (slope - difference).abs().max() < 1e-8


@models
def test_a_gradient_that_comes_in_pieces_is_laid_out_first(by_kernels, model):
    drift, rows = Drift(length=0.7, model=model), coordinates(MANY).requires_grad_()
    drift.track(Bunch(rows, REFERENCE)).coordinates.sum().backward()  # one number, expanded
    few = rows[:, :9].detach().requires_grad_()
    drift.track(Bunch(few, REFERENCE)).coordinates.sum().backward()
    assert (rows.grad[:, :9] - few.grad).abs().max() < ROUNDOFF


@models
def test_a_particle_that_cannot_fly_is_no_number_on_either_path(by_kernels, monkeypatch, model):
    rows = coordinates(MANY)
    rows[1, 5] = 2.0  # across, if exact
    rows[5, 7] = -2.0  # less energy than its rest
    by_kernel = Drift(length=0.7, model=model).track(Bunch(rows, REFERENCE)).coordinates
    monkeypatch.setattr(kernels, "load", lambda: None)
    by_torch = Drift(length=0.7, model=model).track(Bunch(rows, REFERENCE)).coordinates
    assert torch.equal(by_kernel.isnan(), by_torch.isnan())
    assert by_kernel[0].isnan().any()


def test_a_small_bunch_compiles_nothing(monkeypatch):
    monkeypatch.setattr(kernels, "load", lambda: pytest.fail("kernels looked for"))
    bunch = Bunch(coordinates(flight.FEW - 1).requires_grad_(), REFERENCE)
    Drift(length=1.0).track(bunch).coordinates.sum().backward()


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
