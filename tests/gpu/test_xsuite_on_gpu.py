"""Particles of a ContextCupy: over the same memory in both directions, and our kick in it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sc_bridge import xsuite
from sc_bridge.elements import Bunch, Reference
from sc_bridge.elements.space_charge import SpaceCharge, space_charge_kick

cupy = pytest.importorskip("cupy")
xo = pytest.importorskip("xobjects")
xt = pytest.importorskip("xtrack")
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


@pytest.fixture
def context():
    return xo.ContextCupy()


def make_bunch(n=2000):
    generator = torch.Generator().manual_seed(1)
    coordinates = 1e-3 * torch.randn(6, n, generator=generator, dtype=torch.float64)
    return Bunch(coordinates, Reference.from_kinetic_energy(938272088.16, 1.0, 160e6), 1e7)


def test_particles_and_bunch_share_memory(context, gpu):
    bunch = make_bunch().to(gpu)
    particles = xsuite.particles_from(bunch, context=context)
    assert isinstance(particles.x, cupy.ndarray) or hasattr(particles.x, "_as_cupy")
    back = xsuite.bunch_from(particles, copy=False)
    assert back.coordinates.device == gpu
    assert torch.equal(back.coordinates, bunch.coordinates)
    back.coordinates[0, :] = 7e-3  # seen by xtrack
    assert np.all(context.nparray_from_context_array(particles.x) == 7e-3)


def test_a_copy_is_exact_and_keeps_lost_particles(context, gpu):
    bunch = make_bunch().to(gpu)
    alive = torch.arange(bunch.n_particles, device=gpu) % 10 != 0
    bunch = bunch.replace(alive=alive)
    back = xsuite.bunch_from(xsuite.particles_from(bunch, context=context))
    assert torch.equal(back.coordinates, bunch.coordinates)
    assert torch.equal(back.alive, bunch.alive)
    assert back.reference.p0c == bunch.reference.p0c.cpu()


def test_our_kick_acts_on_particles_of_the_gpu(context, gpu):
    bunch = make_bunch()
    particles = xsuite.particles_from(bunch, context=context)
    xsuite.SpaceCharge3D(length=0.5, grid=(16, 16, 16)).track(particles)
    kicked = space_charge_kick(bunch, 0.5, SpaceCharge(grid=(16, 16, 16)))
    found = xsuite.bunch_from(particles)
    off = (found.coordinates.cpu() - kicked.coordinates).abs().amax()
    assert off < 1e-10 * (kicked.coordinates - bunch.coordinates).abs().amax()


def test_particles_that_xtrack_made_are_copied(context, gpu):
    particles = xt.Particles(_context=context, p0c=1e9, x=[1e-3, 2e-3], py=[0.0, 1e-4])
    bunch = xsuite.bunch_from(particles)
    assert bunch.coordinates.device == gpu
    assert bunch.x.tolist() == [1e-3, 2e-3] and bunch.py.tolist() == [0.0, 1e-4]
