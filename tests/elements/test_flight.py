"""The drift's gradient by hand, and maps over blocks of particles."""

from __future__ import annotations

import pytest
import torch

from sc_bridge.elements import Bunch, Drift, Quadrupole, Reference, XYShift, blocks
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
