"""Bunch and reference: derived coordinates, moments, and what is refused."""

from __future__ import annotations

import pytest
import torch
import xtrack as xt

from cases import REFERENCES, make_reference, random_bunch
from sc_bridge.elements import Bunch, Quadrupole, Reference
from sc_bridge.elements.bunch import pzeta_of
from sc_bridge.elements.errors import BunchError

# Two evaluations of one formula.
ROUNDING = 1e-14
# Digits that float32 keeps in a difference form.
SINGLE = 1e-6


@pytest.mark.parametrize("species", REFERENCES)
def test_derived_coordinates_equal_xtrack(species):
    bunch = random_bunch(amplitude=0.05, reference=make_reference(species))
    particles = xt.Particles(
        mass0=bunch.reference.mass0.item(),
        q0=bunch.reference.q0.item(),
        p0c=bunch.reference.p0c.item(),
        zeta=bunch.zeta.numpy(),
        pzeta=bunch.pzeta.numpy(),
    )
    for name in ("delta", "ptau", "rvv"):
        ours = getattr(bunch, name).numpy()
        assert abs(ours - getattr(particles, name)).max() < ROUNDING
    assert abs(bunch.tau.numpy() - particles.zeta / particles.beta0).max() < ROUNDING


@pytest.mark.parametrize("species", REFERENCES)
def test_reference_quantities_equal_xtrack(species):
    reference = make_reference(species)
    particles = xt.Particles(
        mass0=reference.mass0.item(), q0=reference.q0.item(), p0c=reference.p0c.item()
    )
    assert reference.gamma0.item() == pytest.approx(particles.gamma0[0], rel=ROUNDING)
    assert reference.beta0.item() == pytest.approx(particles.beta0[0], rel=ROUNDING)
    assert reference.energy0.item() == pytest.approx(particles.energy0[0], rel=ROUNDING)
    assert reference.kinetic_energy0.item() == pytest.approx(REFERENCES[species][2], rel=1e-13)
    inverse = 1.0 / reference.gamma0.item() ** 2
    assert reference.inverse_gamma0_squared.item() == pytest.approx(inverse, rel=ROUNDING)


def test_delta_and_pzeta_are_inverse_and_keep_their_digits_in_float32():
    pzeta = torch.tensor([1e-9, -3e-6, 2e-3], dtype=torch.float64)
    coordinates = torch.zeros(6, 3, dtype=torch.float64)
    coordinates[5] = pzeta
    double = Bunch(coordinates, make_reference())
    assert torch.allclose(pzeta_of(double.delta, double.reference), pzeta, rtol=1e-13, atol=0)
    single = double.to(torch.float32)
    assert torch.allclose(single.delta.double(), double.delta, rtol=SINGLE, atol=0)
    assert single.delta.dtype == torch.float32


def test_moments_are_weighted_means_over_living_particles():
    bunch = random_bunch(6)
    weight = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 0.0], dtype=torch.float64)
    alive = torch.tensor([True, True, True, True, False, True])
    chosen = bunch.replace(weight=weight, alive=alive)
    share = (weight * alive) / 10.0
    mean = (bunch.x * share).sum()
    assert chosen.mean("x").item() == pytest.approx(mean.item(), rel=1e-12)
    variance = ((bunch.x - mean) ** 2 * share).sum()
    assert chosen.sigma_x.item() == pytest.approx(variance.sqrt().item(), rel=1e-12)
    assert chosen.intensity.item() == 10.0
    assert chosen.n_alive.item() == 5


def test_a_bunch_of_no_charge_has_the_moments_of_its_particles():
    bunch = random_bunch(50)
    assert bunch.intensity.item() == 0.0
    assert bunch.sigma_x.item() == pytest.approx(bunch.x.std(correction=0).item(), rel=1e-12)


def test_lost_particles_may_hold_anything():
    bunch = random_bunch(6)
    alive = torch.tensor([True] * 5 + [False])
    coordinates = torch.where(alive, bunch.coordinates, torch.nan).requires_grad_()
    spoilt = Bunch(coordinates, bunch.reference, 1.0, alive)
    quadrupole = Quadrupole(length=0.5, k1=0.7)
    quadrupole.k1.requires_grad_()
    out = quadrupole.track(spoilt)
    (out.sigma_x + out.nemitt_y + out.sigma_delta).backward()
    assert quadrupole.k1.grad.isfinite()
    assert coordinates.grad[:, alive].isfinite().all()
    clean = quadrupole.track(Bunch(bunch.coordinates, bunch.reference, 1.0, alive))
    assert out.sigma_x.item() == pytest.approx(clean.sigma_x.item(), rel=1e-14)


def test_emittances_are_those_of_numpy():
    import numpy as np

    bunch = random_bunch(200)
    covariance = np.cov(bunch.coordinates[:2].numpy(), bias=True)
    gemitt = np.sqrt(np.linalg.det(covariance))
    assert bunch.gemitt_x.item() == pytest.approx(gemitt, rel=1e-12)
    scale = bunch.reference.beta0_gamma0.item()
    assert bunch.nemitt_x.item() == pytest.approx(gemitt * scale, rel=1e-12)
    assert bunch.gemitt_y.item() > 0
    assert bunch.nemitt_zeta.item() == pytest.approx(bunch.gemitt_zeta.item() * scale, rel=1e-12)


@pytest.mark.parametrize("plane", [0, 2])
def test_dispersion_leaves_the_betatron_emittance(plane):
    """Adding D pzeta to a plane changes its projected emittance, not what is left without it."""
    bunch = random_bunch(200)
    names = ("gemitt_x", "nemitt_x") if plane == 0 else ("gemitt_y", "nemitt_y")
    coordinates = bunch.coordinates.clone()
    coordinates[plane] += 2.0 * coordinates[5]
    coordinates[plane + 1] -= 0.7 * coordinates[5]
    dispersed = bunch.replace(coordinates=coordinates.requires_grad_())
    for name in names:
        there, before = (getattr(b, f"{name}_betatron") for b in (dispersed, bunch))
        assert there.item() == pytest.approx(before.item(), rel=1e-12)
        assert abs(getattr(dispersed, name).item() / there.item() - 1.0) > 0.1
    # of what is free of dispersion, both are one
    flat = bunch.coordinates.clone()
    flat[5] = 0.0
    free = bunch.replace(coordinates=flat)
    assert getattr(free, f"{names[0]}_betatron").item() == getattr(free, names[0]).item()


def test_the_betatron_emittance_has_the_differences_as_gradient():
    coordinates = random_bunch(20).coordinates.requires_grad_()
    reference = make_reference()
    assert torch.autograd.gradcheck(
        lambda c: Bunch(c * 1.0, reference).gemitt_x_betatron * 1e3, coordinates
    )


def test_a_single_particle_has_finite_gradients_of_its_moments():
    coordinates = torch.zeros(6, 1, dtype=torch.float64, requires_grad=True)
    bunch = Bunch(coordinates, make_reference())
    (bunch.sigma_x + bunch.gemitt_x + bunch.gemitt_y_betatron + bunch.sigma_delta).backward()
    assert torch.equal(coordinates.grad, torch.zeros_like(coordinates))


def test_energy_gradient_of_a_reference_is_exact():
    energy = torch.tensor(160e6, dtype=torch.float64, requires_grad=True)
    reference = Reference.from_kinetic_energy(938272089.43, 1.0, energy)
    reference.gamma0.backward()
    assert energy.grad.item() == pytest.approx(1.0 / 938272089.43, rel=1e-12)


def test_wrong_shapes_and_types_are_refused():
    reference = make_reference()
    good = torch.zeros(6, 4, dtype=torch.float64)
    with pytest.raises(BunchError, match=r"shape \(5, 4\)"):
        Bunch(good[:5], reference)
    with pytest.raises(BunchError, match=r"torch.int64: must be torch.float32"):
        Bunch(good.long(), reference)
    with pytest.raises(BunchError, match="no particles"):
        Bunch(good[:, :0], reference)
    with pytest.raises(BunchError, match=r"weight of shape \(3,\): must broadcast to \(4,\)"):
        Bunch(good, reference, torch.ones(3))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ((0.0, 1.0, 1e9), "mass0 = 0.0 eV: must be positive"),
        ((1e9, 1.0, float("nan")), "p0c = nan eV"),
        ((1e9, float("inf"), 1e9), "q0 = inf e: must be finite"),
    ],
)
def test_an_unphysical_reference_is_refused(fields, message):
    with pytest.raises(BunchError, match=message):
        Reference(*fields)


def test_a_kinetic_energy_that_is_not_positive_is_refused():
    with pytest.raises(BunchError, match=r"kinetic energy 0.0 eV: must be positive"):
        Reference.from_kinetic_energy(1e9, 1.0, 0.0)


def test_moving_keeps_weights_and_lost_particles():
    bunch = random_bunch(3).replace(weight=2.0, alive=torch.tensor([True, False, True]))
    single = bunch.to(torch.float32)
    assert single.weight.dtype == torch.float32
    assert torch.equal(single.alive, bunch.alive)
    assert bunch.to("cpu").n_particles == 3
    assert "3 particles" in repr(bunch)
