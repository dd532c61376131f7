"""Bunches from and to live `xt.Particles`."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest
import torch
import xobjects as xo
import xtrack as xt

import sc_bridge as scb
from sc_bridge.elements import Bunch, Reference
from sc_bridge.errors import BunchError, ScBridgeError
from sc_bridge.xsuite import bunch_from, particles_from
from sc_bridge.xsuite.arrays import array_module

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


# ---- over the memory of particles ------------------------------------------------------------


def test_particles_of_a_bunch_are_shared_without_a_copy(bunch):
    particles = particles_from(bunch)
    shared = bunch_from(particles, copy=False)
    assert torch.equal(shared.coordinates, bunch.coordinates)
    for index, name in enumerate(NAMES):
        assert shared.coordinates[index].data_ptr() == address(particles, name)
    assert shared.weight.data_ptr() == address(particles, "weight")
    xt.Line(elements=[xt.Quadrupole(length=1.0, k1=0.3)]).track(particles)
    assert torch.equal(shared.coordinates, bunch_from(particles).coordinates)
    shared.coordinates[0, 3] = 7e-3
    assert particles.x[3] == 7e-3


def address(particles, name):
    return np.asarray(getattr(particles, name)).__array_interface__["data"][0]


def test_particles_in_the_order_of_a_bunch_are_tracked_as_any(bunch):
    line = xt.Line(
        elements=[
            xt.Bend(length=1.0, angle=0.1, k1=0.2),
            xt.Cavity(length=0.5, voltage=1e6, frequency=1e6),
            xt.LimitRect(max_x=1e-3),
            xt.ReferenceEnergyIncrease(Delta_p0c=1e6),
        ]
    )
    ours = particles_from(bunch)
    theirs = xt.Particles(
        mass0=bunch.reference.mass0.item(),
        q0=1.0,
        p0c=bunch.reference.p0c.item(),
        weight=bunch.weight.numpy(),
        **{name: getattr(bunch, name).numpy() for name in NAMES},
    )
    for particles in (ours, ours.copy(), xt.Particles.from_dict(ours.to_dict())):
        reference = theirs.copy()
        line.track(particles, num_turns=2)
        line.track(reference, num_turns=2)
        assert 0 < (particles.state > 0).sum() < 8
        for name in ("state", "particle_id", "s", "at_turn", "weight", "p0c"):
            assert np.array_equal(getattr(particles, name), getattr(reference, name)), name
        for name in (*NAMES, "delta", "rvv", "rpp"):  # delta is ours there, xtrack's here
            ours_, theirs_ = getattr(particles, name), getattr(reference, name)
            assert np.allclose(ours_, theirs_, rtol=0, atol=ROUNDOFF), name


def test_a_shared_bunch_leaves_out_unallocated_places_and_knows_who_is_lost(particles):
    particles.state[7] = 0
    mine = particles_from(bunch_from(particles))
    shared = bunch_from(mine, copy=False)
    assert shared.n_particles == 10
    assert shared.alive.tolist() == [True] * 9 + [False]


def test_particles_of_xtrack_cannot_be_shared(particles):
    with pytest.raises(BunchError, match=r"copy=False: xtrack keeps x, px.*copy=True copies them"):
        bunch_from(particles, copy=False)


def test_places_between_particles_cannot_be_shared(bunch):
    particles = particles_from(bunch)
    particles.state[2] = xt.particles.LAST_INVALID_STATE
    with pytest.raises(BunchError, match=r"unallocated places between them: call particles\.reorg"):
        bunch_from(particles, copy=False)


# ---- back into the particles that a bunch came from --------------------------------------------


def test_ids_turns_and_places_stay_where_a_bunch_goes_back(particles):
    line = xt.Line(elements=[xt.Drift(length=1.0), xt.LimitRect(min_x=-1.5e-3, max_x=1.5e-3)])
    particles.particle_id[:10] = np.arange(10)[::-1] + 100
    line.track(particles, num_turns=3)
    before = particles.copy()
    assert 0 < (before.state == 0).sum() < 9
    bunch = bunch_from(particles)
    alive = bunch.alive.clone()
    first = int(torch.where(alive)[0][0])
    alive[first] = False
    moved = bunch.replace(
        coordinates=bunch.coordinates + 1e-4, alive=alive, weight=bunch.weight * 2
    )
    after = particles_from(moved, out=particles)
    assert after is particles
    again = bunch_from(after)
    for name in ("coordinates", "weight", "alive"):
        assert torch.equal(getattr(again, name), getattr(moved, name)), name
    by_id = {int(i): k for k, i in enumerate(before.particle_id) if before.state[k] > -99}
    for place, identity in enumerate(after.particle_id[:10]):
        was = by_id[int(identity)]
        for name in ("at_turn", "at_element", "s", "parent_particle_id"):
            assert getattr(after, name)[place] == getattr(before, name)[was], name
    assert (after.state == 0).sum() == (before.state == 0).sum() + 1
    delta = np.asarray(after.delta)[:10]
    pzeta = np.asarray(after.pzeta)[:10]
    assert np.allclose(after.rpp[:10], 1 / (1 + delta), rtol=0, atol=ROUNDOFF)
    assert np.allclose(after.rvv[:10], again.rvv.numpy()[np.argsort(np.argsort(
        after.particle_id[:10]))], rtol=0, atol=ROUNDOFF)  # fmt: skip
    assert np.allclose(after.ptau[:10], pzeta * after.beta0[:10], rtol=1e-12)


@pytest.mark.parametrize("monitors", [{}, {"m": scb.MomentsMonitor(at=0.7)}], ids=["bare", "cut"])
def test_places_and_turns_of_losses_are_those_of_xtrack(particles, monitors):
    names = ["d", "ap", "q", "wide", "e"]
    elements = [
        xt.Drift(length=1.0),
        xt.LimitRect(min_x=-1.5e-3, max_x=1.5e-3),
        xt.Quadrupole(length=0.5, k1=-0.2),
        xt.LimitEllipse(a=4e-3, b=4e-3),
        xt.Drift(length=2.0),
    ]
    line = xt.Line(elements=elements, element_names=names)
    line.particle_ref = xt.Particles(mass0=particles.mass0, p0c=1.1e9)
    sequence = scb.KickedSequence.from_line(line)
    theirs = particles_from(bunch_from(particles))
    theirs.px *= 0.2
    theirs.at_turn[:] = 7
    ours = theirs.copy()
    for turns in (3, 2):  # who is lost stays where it was lost
        line.track(theirs, num_turns=turns)
        result = scb.track(sequence, bunch_from(ours), turns=turns, monitors=monitors)
        particles_from(result, out=ours)
        by_id = np.argsort(ours.particle_id), np.argsort(theirs.particle_id)
        for name in ("state", "at_turn", "at_element"):
            assert np.array_equal(getattr(ours, name)[by_id[0]], getattr(theirs, name)[by_id[1]])
        assert np.allclose(ours.s[by_id[0]], theirs.s[by_id[1]], rtol=0, atol=1e-12)
    assert len(set(theirs.at_turn)) > 2
    assert set(theirs.at_element) == {0, 1, 3}


def test_the_reference_goes_back_too(particles):
    bunch = bunch_from(particles)
    risen = bunch.replace(reference=bunch.reference.replace(p0c=1.3e9))
    after = particles_from(risen, out=particles)
    assert (after.p0c[:10] == 1.3e9).all()
    assert np.allclose(after.beta0[:10], risen.reference.beta0.item(), rtol=1e-15)
    assert np.allclose(after.gamma0[:10], risen.reference.gamma0.item(), rtol=1e-15)
    assert torch.equal(bunch_from(after).coordinates, risen.coordinates)


def test_particles_lost_before_an_acceleration_keep_their_reference(particles):
    elements = [
        xt.Drift(length=1.0),
        xt.LimitRect(min_x=-1e-3, max_x=1e-3),
        xt.ReferenceEnergyIncrease(Delta_p0c=1e7),
    ]
    line = xt.Line(elements=elements, element_names=["d", "ap", "up"])
    line.track(particles)
    lost = particles.state[:10] == 0
    assert 0 < lost.sum() < 10
    before = particles.copy()
    bunch = bunch_from(particles)
    assert bunch.reference.p0c.item() == 1.11e9
    after = particles_from(bunch.replace(reference=bunch.reference.replace(p0c=1.2e9)), particles)
    assert (after.p0c[:10] == np.where(lost, 1.1e9, 1.2e9)).all()
    assert (after.gamma0[:10][lost] == before.gamma0[:10][lost]).all()
    for name in (*NAMES, "delta", "rvv", "rpp"):
        assert np.array_equal(getattr(after, name)[:10][lost], getattr(before, name)[:10][lost])
    assert torch.equal(bunch_from(after).coordinates, bunch.coordinates)


def test_particles_of_another_number_or_species_take_no_bunch(particles, bunch):
    with pytest.raises(BunchError, match="out holds 10 particles and the bunch 8: must be as many"):
        particles_from(bunch, out=particles)
    ten = bunch_from(particles)
    proton = ten.replace(reference=Reference(938272089.43, 1.0, 1.1e9))
    with pytest.raises(BunchError, match=r"out has mass0 = 37.* and the bunch 938272089\.43: must"):
        particles_from(proton, out=particles)
    particles.state[4] = 0
    with pytest.raises(BunchError, match="particle 4 is lost in out and alive in the bunch: pass"):
        particles_from(ten, out=particles)
    with pytest.raises(BunchError, match=r"particles_from: dict: must be xtrack\.Particles"):
        particles_from(ten, out={})
    with pytest.raises(BunchError, match="particles_from: Particles: must be a Bunch"):
        particles_from(particles)  # pyright: ignore[reportArgumentType]


# ---- other contexts ------------------------------------------------------------------------------


def test_a_gpu_context_without_cupy_is_refused_with_the_way_out(bunch):
    if importlib.util.find_spec("cupy") is not None:
        pytest.skip("CuPy is installed")
    context = xo.ContextCupy()
    with pytest.raises(ScBridgeError, match=r"ContextCupy need CuPy, which is not installed: pip"):
        particles_from(bunch, context=context)


def test_an_openmp_context_is_a_cpu(bunch):
    particles = particles_from(bunch, context=xo.ContextCpu(omp_num_threads=2))
    assert particles._context.omp_num_threads == 2
    assert torch.equal(bunch_from(particles).coordinates, bunch.coordinates)


def test_a_context_of_another_kind_is_refused():
    class ContextAbacus:
        pass

    with pytest.raises(ScBridgeError, match="particles in a ContextAbacus: must be in a Con"):
        array_module(ContextAbacus())


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
