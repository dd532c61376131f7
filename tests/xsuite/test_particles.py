"""Bunches from and to live `xt.Particles`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import xtrack as xt

from sc_bridge.elements import Bunch, Reference
from sc_bridge.errors import BunchError
from sc_bridge.xsuite import bunch_from, particles_from

NAMES = ("x", "px", "y", "py", "zeta", "pzeta")
ROUNDOFF = 1e-14  # delta from pzeta and back, in two implementations


@pytest.fixture
def particles() -> xt.Particles:
    """Ten helium nuclei in a container of twenty places."""
    rng = np.random.default_rng(1)
    coordinates: dict[str, Any] = {
        name: 1e-3 * rng.normal(size=10) for name in ("x", "px", "y", "py", "zeta")
    }
    return xt.Particles(
        _capacity=20,
        mass0=3.7273794e9,
        q0=2.0,
        p0c=1.1e9,
        delta=1e-2 * rng.normal(size=10),
        weight=rng.uniform(1e5, 2e5, size=10),
        **coordinates,
    )


@pytest.fixture
def bunch() -> Bunch:
    generator = torch.Generator().manual_seed(2)
    coordinates = 1e-3 * torch.randn(6, 8, generator=generator, dtype=torch.float64)
    weight = torch.rand(8, generator=generator, dtype=torch.float64)
    return Bunch(coordinates, Reference(938272089.43, 1.0, 5.7e8), weight)


def test_a_bunch_has_the_numbers_of_the_particles(particles):
    bunch = bunch_from(particles)
    assert bunch.coordinates.dtype == torch.float64
    assert bunch.n_particles == 10
    for index, name in enumerate(NAMES):
        assert np.array_equal(bunch.coordinates[index].numpy(), getattr(particles, name)[:10])
    assert np.array_equal(bunch.weight.numpy(), particles.weight[:10])
    assert bunch.alive.all()
    reference = bunch.reference
    assert (reference.mass0.item(), reference.q0.item(), reference.p0c.item()) == (
        particles.mass0, particles.q0, particles.p0c[0],
    )  # fmt: skip
    assert np.allclose(bunch.delta.numpy(), particles.delta[:10], rtol=0, atol=ROUNDOFF)
    assert np.allclose(bunch.rvv.numpy(), particles.rvv[:10], rtol=0, atol=ROUNDOFF)


def test_a_bunch_is_a_copy(particles):
    bunch = bunch_from(particles)
    before = bunch.coordinates.clone()
    particles.x[:] = 7.0
    assert torch.equal(bunch.coordinates, before)


def test_lost_particles_keep_their_place_by_id(particles):
    before = bunch_from(particles)
    line = xt.Line(elements=[xt.LimitRect(min_x=-5e-4, max_x=5e-4)])
    line.build_tracker()
    line.track(particles)
    after = bunch_from(particles)
    assert not np.array_equal(particles.particle_id[:10], np.arange(10))  # xtrack moved them
    assert torch.equal(after.coordinates, before.coordinates)
    assert torch.equal(after.weight, before.weight)
    assert torch.equal(after.alive, before.x.abs() <= 5e-4)
    assert 0 < int(after.n_alive) < 10


def test_particles_have_the_numbers_of_the_bunch(bunch):
    particles = particles_from(bunch)
    for index, name in enumerate(NAMES):
        assert np.array_equal(getattr(particles, name), bunch.coordinates[index].numpy())
    assert np.array_equal(particles.weight, bunch.weight.numpy())
    assert np.array_equal(particles.particle_id, np.arange(8))
    assert (particles.state == 1).all()
    assert (particles.mass0, particles.q0) == (938272089.43, 1.0)
    assert (particles.p0c == 5.7e8).all()
    assert np.allclose(particles.delta, bunch.delta.numpy(), rtol=0, atol=ROUNDOFF)


def test_there_and_back_is_the_identity(bunch):
    lost = bunch.replace(alive=torch.tensor([True, False] * 4))
    particles = particles_from(lost)
    assert list(particles.state) == [1] * 4 + [0] * 4
    again = bunch_from(particles)
    for name in ("coordinates", "weight", "alive"):
        assert torch.equal(getattr(again, name), getattr(lost, name))


def test_xtrack_tracks_what_it_is_given(bunch):
    particles = particles_from(bunch.replace(alive=torch.tensor([True] * 6 + [False, True])))
    xt.Line(elements=[xt.Drift(length=2.0)]).track(particles)
    after = bunch_from(particles)
    moved = (after.x - bunch.x).abs() > 0
    assert torch.equal(moved, after.alive)


def test_a_float32_bunch_with_gradients_is_handed_over_in_float64(bunch):
    small = bunch.to(torch.float32)
    small = small.replace(coordinates=small.coordinates.requires_grad_())
    assert np.array_equal(particles_from(small).x, small.x.detach().double().numpy())


def test_a_batch_is_refused(bunch):
    batch = bunch.replace(coordinates=torch.stack([bunch.coordinates] * 3))
    with pytest.raises(BunchError, match=r"a batch of shape \(3,\): xtrack\.Particles holds one"):
        particles_from(batch)


@pytest.mark.parametrize("name", ["chi", "charge_ratio"])
def test_several_species_are_refused(particles, name):
    getattr(particles, name)[3] = 0.5
    with pytest.raises(BunchError, match=rf"1 of 10 particles are of another species \({name} = "):
        bunch_from(particles)


def test_several_reference_momenta_are_refused(particles):
    particles.p0c[3] = 1.2e9
    with pytest.raises(BunchError, match=r"reference momenta from .* to .*: a bunch has one p0c"):
        bunch_from(particles)


def test_anything_else_is_refused():
    with pytest.raises(BunchError, match=r"bunch_from: dict: must be xtrack\.Particles"):
        bunch_from({"x": [0.0]})


def test_a_container_without_particles_is_refused(particles):
    particles.state[:] = xt.particles.LAST_INVALID_STATE
    with pytest.raises(BunchError, match="no particles: every place is unallocated"):
        bunch_from(particles)
