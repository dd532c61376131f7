"""Matched bunches: sizes, the bucket, determinism, and what is refused."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
import xtrack as xt

import sc_bridge as scb
from sc_bridge.bucket import matched_sigma_delta
from sc_bridge.units import registry

N_PARTICLES = 20_000
# Standard error of an rms is 1/sqrt(2 n) = 0.5 %; five of them.
SAMPLING = 2.5e-2
COMMON = {"nemitt_x": "2 um", "nemitt_y": "1 um", "sigma_z": "15 m"}


@pytest.fixture(scope="module")
def bunch(psb_sequence):
    return scb.gaussian(psb_sequence, N_PARTICLES, 1.6e12, **COMMON, seed=1)


def test_intensity_is_shared_among_the_particles(bunch):
    assert bunch.intensity.item() == pytest.approx(1.6e12, rel=1e-12)
    assert bunch.weight.unique().numel() == 1


def test_sizes_are_those_of_the_optics(bunch, psb_sequence):
    twiss = scb.periodic_twiss(psb_sequence)
    scale = bunch.reference.beta0_gamma0.item()
    betatron = 2e-6 / scale * twiss.betx
    sigma_x = math.sqrt(betatron + (twiss.dx * bunch.sigma_delta.item()) ** 2)
    assert bunch.sigma_x.item() == pytest.approx(sigma_x, rel=SAMPLING)
    assert bunch.sigma_y.item() == pytest.approx(math.sqrt(1e-6 / scale * twiss.bety), rel=SAMPLING)
    assert bunch.nemitt_y.item() == pytest.approx(1e-6, rel=SAMPLING)
    assert bunch.sigma_zeta.item() == pytest.approx(15.0, rel=SAMPLING)


def test_momentum_spread_is_on_the_contour_that_xtrack_tracks(psb_sequence):
    """A particle started at (sigma_z, 0) reaches sigma_delta a quarter of a period later."""
    line = xt.Line(
        elements=[
            xt.LineSegmentMap(
                length=157.08,
                qx=4.4,
                qy=4.45,
                longitudinal_mode="nonlinear",
                voltage_rf=8e3,
                frequency_rf=psb_sequence.reference.beta0.item() * 299792458.0 / 157.08,
                phase_rf=0.0,
                momentum_compaction_factor=scb.periodic_twiss(psb_sequence).slip_factor
                + psb_sequence.reference.inverse_gamma0_squared.item(),
            )
        ]
    )
    line.particle_ref = xt.Particles(
        mass0=psb_sequence.reference.mass0.item(), p0c=psb_sequence.reference.p0c.item()
    )
    particle = xt.Particles(mass0=line.particle_ref.mass0, p0c=line.particle_ref.p0c[0], zeta=15.0)
    largest = 0.0
    for _ in range(1500):
        line.track(particle)
        largest = max(largest, abs(particle.delta[0]))
    bunch = scb.gaussian(psb_sequence, 10, 0.0, **COMMON)
    matched = matched_sigma_delta(psb_sequence, scb.periodic_twiss(psb_sequence), 15.0)
    assert matched == pytest.approx(largest, rel=2e-3)  # turn by turn against smooth motion
    assert bunch.n_particles == 10


def test_a_seed_gives_the_same_bunch_again(psb_sequence):
    first, again, other = (
        scb.gaussian(psb_sequence, 10, 1.0, **COMMON, seed=seed) for seed in (7, 7, 8)
    )
    assert torch.equal(first.coordinates, again.coordinates)
    assert not torch.equal(first.coordinates, other.coordinates)


def test_gradients_act_through_the_scaling(psb_sequence):
    emittance = torch.tensor(2e-6, dtype=torch.float64, requires_grad=True)
    bunch = scb.gaussian(
        psb_sequence, 500, 1.0, nemitt_x=emittance, nemitt_y="2 um", sigma_z="15 m", sigma_delta=0.0
    )
    bunch.sigma_x.backward()
    assert emittance.grad.item() == pytest.approx(bunch.sigma_x.item() / (2 * 2e-6), rel=1e-10)


def test_float32_is_a_choice(psb_sequence):
    bunch = scb.gaussian(psb_sequence, 10, 1e9, **COMMON, dtype=torch.float32)
    assert bunch.coordinates.dtype == bunch.weight.dtype == torch.float32


def test_a_cold_bunch_has_finite_gradients(psb_sequence):
    emittance = torch.tensor(0.0, dtype=torch.float64, requires_grad=True)
    bunch = scb.gaussian(
        psb_sequence, 10, 1.0, nemitt_x=emittance, nemitt_y=0.0, sigma_z=1.0, sigma_delta=0.0
    )
    bunch.coordinates.sum().backward()
    assert math.isfinite(emittance.grad.item())


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"n_particles": 0}, scb.BunchError, "n_particles = 0"),
        ({"n_particles": 10.5}, scb.BunchError, r"n_particles = 10.5: must be a whole number"),
        ({"intensity": -1.0}, scb.BunchError, "intensity = -1"),
        ({"nemitt_x": "-2 um"}, scb.BunchError, "nemitt_x = -2e-06"),
        ({"nemitt_x": "2 s"}, scb.UnitError, "nemitt_x"),
        ({"sigma_z": "80 m"}, scb.BunchError, "does not fit the bucket"),
        (
            {"nemitt_x": torch.ones(2)},
            scb.BunchError,
            r"nemitt_x = \[1.0, 1.0\]: must be one number",
        ),
        ({"reference": "proton"}, scb.StudyError, "'proton': must be a Reference; make one with"),
        ({"twiss": "periodic"}, scb.BunchError, "twiss = 'periodic': must be a Twiss"),
    ],
)
def test_numbers_out_of_range_are_refused(psb_sequence, changes, error, message):
    arguments = {"n_particles": 10, "intensity": 1.0, **COMMON, **changes}
    with pytest.raises(error, match=message):
        scb.gaussian(psb_sequence, **arguments)


def test_a_bunch_needs_a_sequence_and_not_its_lattice(psb_lattice):
    with pytest.raises(scb.BunchError, match=r"sequence = Lattice.*must be a KickedSequence"):
        scb.gaussian(psb_lattice, 10, 1.0, **COMMON)


def test_optics_are_given_with_units(psb_sequence):
    given = {"betx": "2 m", "alfx": "1", "bety": "50 cm", "alfy": 0, "dx": registry()("10 mm")}
    twiss = scb.Twiss(**given)
    assert twiss == scb.Twiss(betx=2.0, alfx=1.0, bety=0.5, alfy=0.0, dx=0.01)
    assert twiss.betx == 2.0
    beta = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    optics = scb.Twiss(betx=beta, alfx=0, bety=1, alfy=0)
    bunch = scb.gaussian(psb_sequence, 10, 1.0, **COMMON, sigma_delta=0.0, twiss=optics)
    bunch.sigma_x.backward()
    assert beta.grad.item() == pytest.approx(bunch.sigma_x.item() / 4, rel=1e-10)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"betx": -1.0}, scb.LatticeError, "Twiss: betx = -1.0 m: must be positive"),
        ({"bety": 0}, scb.LatticeError, "Twiss: bety = 0.0 m: must be positive"),
        ({"betx": math.nan}, scb.UnitError, "twiss.betx = nan: must be finite"),
        ({"betx": "1 s"}, scb.UnitError, "twiss.betx = '1 s': has the unit 's': write a length"),
        ({"dx": "1"}, scb.UnitError, "twiss.dx = '1': the unit is missing"),
    ],
)
def test_optics_that_cannot_be_are_refused(changes, error, message):
    with pytest.raises(error, match=message):
        scb.Twiss(**{"betx": 1.0, "alfx": 0.0, "bety": 1.0, "alfy": 0.0, **changes})


def test_without_a_bucket_the_momentum_spread_must_be_given(psb_lattice):
    names = psb_lattice.element_names[:-1]
    coasting = dataclasses.replace(psb_lattice, element_names=names, labels=names)
    sequence = scb.KickedSequence(coasting, bend_model="exact")
    with pytest.raises(scb.LatticeError, match="no cavity with voltage"):
        scb.gaussian(sequence, 10, 1.0, **COMMON)
    bunch = scb.gaussian(sequence, 10, 1.0, **COMMON, sigma_delta=1e-3)
    assert bunch.sigma_delta.item() > 0


def test_a_cavity_of_the_wrong_phase_is_refused(psb_lattice):
    sequence = scb.KickedSequence(psb_lattice, bend_model="exact")
    sequence[psb_lattice.element_names[-1]].phase = math.pi
    with pytest.raises(scb.LatticeError, match="do not bunch"):
        scb.gaussian(sequence, 10, 1.0, **COMMON)


def test_a_line_that_is_no_ring_needs_its_optics(psb_lattice):
    sequence = scb.KickedSequence(psb_lattice, bend_model="exact")
    sequence.knobs["kbrqf"] = 1.2
    with pytest.raises(scb.LatticeError, match="unstable"):
        scb.periodic_twiss(sequence)
    given = scb.Twiss(betx=5.0, alfx=0.0, bety=5.0, alfy=0.0)
    bunch = scb.gaussian(sequence, 10, 1.0, **COMMON, sigma_delta=1e-3, twiss=given)
    assert bunch.n_particles == 10


def test_coupled_planes_are_refused(psb_lattice):
    sequence = scb.KickedSequence(psb_lattice, bend_model="exact")
    name = next(n for n in psb_lattice.element_names if n.startswith("q"))
    sequence[name].k1s = 0.05
    with pytest.raises(scb.LatticeError, match="planes are coupled"):
        scb.periodic_twiss(sequence)


def test_a_steered_ring_has_the_optics_of_its_closed_orbit(psb_lattice):
    sequence = scb.KickedSequence(psb_lattice, bend_model="exact")
    name = next(n for n in psb_lattice.element_names if n.startswith("q"))
    sequence[name].knl = 1e-5
    twiss = scb.periodic_twiss(sequence)
    straight = scb.periodic_twiss(scb.KickedSequence(psb_lattice, bend_model="exact"))
    assert twiss.qx == pytest.approx(straight.qx, abs=1e-3)
    assert twiss.qx != straight.qx


def test_no_closed_orbit_is_an_error(psb_lattice):
    bend = next(n for n in psb_lattice.element_names if n.startswith("bend"))
    lone = dataclasses.replace(psb_lattice, element_names=(bend,), labels=(bend,))
    sequence = scb.KickedSequence(lone, bend_model="exact")
    sequence.free(f"{bend}.k0")
    sequence[bend].k0 = 0.0
    with pytest.raises(scb.LatticeError, match="no closed orbit"):
        scb.periodic_twiss(sequence)
