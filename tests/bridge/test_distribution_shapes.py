"""Every distribution against the closed form of its moments, its edge and its densities."""

from __future__ import annotations

import math

import pint
import pytest
import scipy.stats
import torch

import sc_bridge as scb
from sc_bridge.distributions import samples

N = 100_000
# Standard error of a variance is at most sqrt(2/n) = 0.45 %; five of them.
SAMPLING = 2.3e-2
# A right sample fails a Kolmogorov-Smirnov test of this level once in ten thousand seeds.
LEVEL = 1e-4
ROUNDOFF = 1e-12

# sample -> <x^4>/<x^2>^2 of x, px, zeta, delta. Uniform d-ball: 3 (d + 2)/(d + 4); uniform shell:
# 3 d/(d + 2); normal: 3; line: 9/5. Kurth's momenta are distributed as its positions.
KURTOSIS = {
    samples.normal: (3.0, 3.0, 3.0, 3.0),
    samples.ball: (2.4, 2.4, 2.4, 2.4),
    samples.sphere_and_line: (2.0, 2.0, 1.8, 3.0),
    samples.kurth: (15 / 7, 15 / 7, 15 / 7, 15 / 7),
    samples.uniform_ball: (15 / 7, 3.0, 15 / 7, 3.0),
    samples.cylinder: (2.0, 3.0, 1.8, 3.0),
}
# sample -> what is uniform between 0 and 1, of the points (6, n)
UNIFORM = {
    samples.ball: {"ball": lambda p: (p.norm(dim=0) / math.sqrt(8.0)) ** 6},
    samples.sphere_and_line: {
        "x, px": lambda p: (p[0] ** 2 + p[1] ** 2) / 4.0,
        "x, y": lambda p: (p[0] ** 2 + p[2] ** 2) / 4.0,
        "px, py": lambda p: (p[1] ** 2 + p[3] ** 2) / 4.0,
        "zeta": lambda p: p[4] / math.sqrt(12.0) + 0.5,
    },
    samples.kurth: {
        "positions": lambda p: (p[[0, 2, 4]].norm(dim=0) / math.sqrt(5.0)) ** 3,
        "momenta": lambda p: (p[[1, 3, 5]].norm(dim=0) / math.sqrt(5.0)) ** 3,
    },
    samples.uniform_ball: {"positions": lambda p: (p[[0, 2, 4]].norm(dim=0) / 5**0.5) ** 3},
    samples.cylinder: {"x, y": lambda p: (p[0] ** 2 + p[2] ** 2) / 4.0},
}
SHAPES = {
    "gaussian": scb.gaussian,
    "waterbag": scb.waterbag,
    "kv": scb.kv,
    "kurth": scb.kurth,
    "uniform_ellipsoid": scb.uniform_ellipsoid,
    "semi_gaussian": scb.semi_gaussian,
}
PROTON = scb.reference("proton", kinetic_energy="160 MeV")
OPTICS = scb.Twiss(betx=5.0, alfx=1.5, bety=3.0, alfy=-0.5, dx=0.7)
GIVEN = {
    "nemitt_x": "2 um",
    "nemitt_y": "1 um",
    "sigma_z": "3 m",
    "sigma_delta": 1e-3,
    "reference": PROTON,
    "twiss": OPTICS,
}


def points_of(sample, seed=1):
    return sample(N, torch.Generator().manual_seed(seed))


def is_uniform(values):
    return scipy.stats.kstest(values.numpy(), "uniform").pvalue > LEVEL


@pytest.mark.parametrize("sample", KURTOSIS, ids=lambda sample: sample.__name__)
def test_a_sample_has_mean_zero_and_unit_covariance(sample):
    points = points_of(sample)
    assert points.mean(dim=1).abs().max() < 5.0 / math.sqrt(N)
    error = torch.cov(points) - torch.eye(6, dtype=torch.float64)
    assert error.abs().max() < SAMPLING


@pytest.mark.parametrize("sample", KURTOSIS, ids=lambda sample: sample.__name__)
def test_fourth_moments_are_those_of_the_closed_form(sample):
    points = points_of(sample)
    found = ((points**4).mean(dim=1) / (points**2).mean(dim=1) ** 2)[[0, 1, 4, 5]]
    expected = torch.tensor(KURTOSIS[sample], dtype=torch.float64)
    # the eighth moment of a normal makes its kurtosis the least certain: sqrt(24/n) = 1.5 %
    assert (found / expected - 1.0).abs().max() < 2.0 * SAMPLING


@pytest.mark.parametrize(
    ("sample", "what"), [(sample, what) for sample in UNIFORM for what in UNIFORM[sample]]
)
def test_densities_are_uniform_where_they_should_be(sample, what):
    assert is_uniform(UNIFORM[sample][what](points_of(sample)))


def test_a_kv_beam_lies_on_a_shell():
    radius = points_of(samples.sphere_and_line)[:4].norm(dim=0)
    assert (radius / 2.0 - 1.0).abs().max() < ROUNDOFF


@pytest.mark.parametrize("advance", [0.3, 1.0, 2.5])
def test_a_kurth_bunch_is_stationary_in_isotropic_focusing(advance):
    points = points_of(samples.kurth)
    position = math.cos(advance) * points[0::2] + math.sin(advance) * points[1::2]
    momentum = math.cos(advance) * points[1::2] - math.sin(advance) * points[0::2]
    assert is_uniform((position.norm(dim=0) / math.sqrt(5.0)) ** 3)
    assert is_uniform((momentum.norm(dim=0) / math.sqrt(5.0)) ** 3)


def test_a_bunch_of_another_kind_is_not_stationary():
    points = points_of(samples.uniform_ball)
    assert not is_uniform((points[1::2].norm(dim=0) / math.sqrt(5.0)) ** 3)


@pytest.mark.parametrize("shape", SHAPES)
def test_second_moments_are_those_of_the_optics(shape):
    bunch = SHAPES[shape](None, N, 1e10, **GIVEN)
    scale = PROTON.beta0_gamma0.item()
    spread, gemitt = 1e-3, 2e-6 / scale
    mean, covariance = bunch.moments()
    assert covariance[0, 0].item() == pytest.approx(gemitt * 5.0 + (0.7 * spread) ** 2, rel=0.05)
    assert covariance[0, 1].item() == pytest.approx(-1.5 * gemitt, rel=0.05)
    assert covariance[2, 2].item() == pytest.approx(1e-6 / scale * 3.0, rel=0.05)
    assert bunch.sigma_zeta.item() == pytest.approx(3.0, rel=SAMPLING)
    assert bunch.sigma_delta.item() == pytest.approx(spread, rel=SAMPLING)
    assert bunch.intensity.item() == pytest.approx(1e10, rel=ROUNDOFF)
    assert mean[0].abs() < 5.0 * bunch.sigma_x / math.sqrt(N)


@pytest.mark.parametrize("shape", SHAPES)
def test_sizes_may_be_given_instead(shape):
    sizes = {"sigma_x": "2 mm", "sigma_px": 1e-3, "sigma_y": "1 mm", "sigma_py": 0.0}
    bunch = SHAPES[shape](None, N, 1.0, **sizes, sigma_z="1 mm", sigma_delta=0.0, reference=PROTON)
    assert bunch.sigma_x.item() == pytest.approx(2e-3, rel=SAMPLING)
    assert bunch.sigma_px.item() == pytest.approx(1e-3, rel=SAMPLING)
    assert bunch.sigma_y.item() == pytest.approx(1e-3, rel=SAMPLING)
    assert bunch.sigma_py.item() == bunch.sigma_delta.item() == 0.0


@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_scale_one_and_the_same_sample(shape):
    length = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    emittance = torch.tensor(1e-6, dtype=torch.float64, requires_grad=True)
    given = GIVEN | {"sigma_z": length, "nemitt_y": emittance}
    bunch = SHAPES[shape](None, 1000, 1.0, **given)
    (bunch.sigma_zeta + bunch.sigma_y).backward()
    assert length.grad.item() == pytest.approx(bunch.sigma_zeta.item() / 3.0, rel=1e-10)
    assert emittance.grad.item() == pytest.approx(bunch.sigma_y.item() / 2e-6, rel=1e-10)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_ring_matches_every_distribution(shape, psb_sequence):
    bunch = SHAPES[shape](psb_sequence, 10, 1.0, nemitt_x="2 um", nemitt_y="2 um", sigma_z="15 m")
    assert bunch.n_particles == 10


def test_quantities_are_taken_as_they_are():
    unit = pint.UnitRegistry()
    text = scb.kv(None, 10, 1.0, **GIVEN)
    quantity = scb.kv(None, 10, 1.0, **GIVEN | {"nemitt_x": 2.0 * unit.um, "sigma_z": 3 * unit.m})
    assert (text.coordinates - quantity.coordinates).abs().max() < ROUNDOFF


def test_a_cold_sphere_is_one_in_its_rest_frame():
    radius = torch.tensor(1e-3, dtype=torch.float64, requires_grad=True)
    electrons = scb.reference("electron", kinetic_energy="250 MeV")
    bunch = scb.cold_sphere(None, N, 1e10, radius, reference=electrons)
    rest = torch.stack([bunch.x, bunch.y, bunch.zeta * electrons.gamma0])
    assert is_uniform((rest.detach().norm(dim=0) / 1e-3) ** 3)
    assert bunch.sigma_x.item() == pytest.approx(1e-3 / math.sqrt(5.0), rel=SAMPLING)
    assert bunch.sigma_px.item() == bunch.sigma_py.item() == bunch.sigma_pzeta.item() == 0.0
    bunch.sigma_zeta.backward()
    assert radius.grad.item() == pytest.approx(bunch.sigma_zeta.item() / 1e-3, rel=1e-10)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"nemitt_x": None, "nemitt_y": None}, "no transverse size given: give nemitt_x, nemitt_y"),
        ({"nemitt_x": None}, "nemitt_x missing: give all of nemitt_x, nemitt_y"),
        ({"sigma_x": "1 mm"}, "nemitt_x, nemitt_y, sigma_x given"),
        ({"sigma_z": None}, "sigma_z is missing"),
        ({"sigma_delta": None}, "sigma_delta is missing: only periodic optics"),
        ({"twiss": None}, "no sequence to match to: give twiss and sigma_delta, or sizes"),
        ({"reference": None}, "neither a sequence nor a reference"),
        ({"sigma_delta": -1.0}, "sigma_delta = -1: must be finite, not negative"),
    ],
)
def test_what_is_missing_or_too_much_is_named(changes, message):
    with pytest.raises(scb.BunchError, match=message):
        scb.waterbag(None, 10, 1.0, **GIVEN | changes)


def test_optics_do_not_go_with_sizes():
    sizes = {"sigma_x": 1e-3, "sigma_px": 1e-3, "sigma_y": 1e-3, "sigma_py": 1e-3}
    with pytest.raises(scb.BunchError, match="twiss and sizes given"):
        scb.kv(None, 10, 1.0, **sizes, sigma_z=1.0, twiss=OPTICS, reference=PROTON)


def test_an_unknown_keyword_is_refused():
    with pytest.raises(scb.BunchError, match="sigma_s, nemitt"):
        scb.kv(None, 10, 1.0, **{"sigma_s": 1.0} | GIVEN)
