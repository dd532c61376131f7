"""Expansion of a cold uniform sphere, r'' = N r_c/(beta gamma r)^2, and its derivatives.

Reiser, Theory and Design of Charged Particle Beams (2008). The closed form is that of slow
motion in the rest frame, so that drifts are linear here wherever delta is not small.
"""

from __future__ import annotations

import math

import pytest
import scipy.constants
import scipy.optimize
import torch

from sc_bridge.elements import Bunch, Drift, Reference
from sc_bridge.elements.space_charge import SpaceCharge, space_charge_kick
from space_charge.bunches import ELECTRON_MASS, uniform_ball

RADIUS = 1e-3
CHARGE = 10e-9
ELECTRON_RADIUS = "classical electron radius"
ENERGY = 250e6
DOUBLING_LENGTH = 1.8936
# Splitting at 30 kicks and the cells' size at 32 nodes.
TOLERANCE = 0.02


def cold_sphere(n: int, reference: Reference, charge: float = CHARGE) -> Bunch:
    coordinates = torch.zeros(6, n, dtype=torch.float64)
    ball = uniform_ball(n) * RADIUS
    coordinates[0], coordinates[2] = ball[0], ball[1]
    coordinates[4] = ball[2] / reference.gamma0
    return Bunch(coordinates, reference, charge / scipy.constants.e / n)


def expand(bunch: Bunch, length: float, kicks: int, settings: SpaceCharge) -> Bunch:
    """Strang: half a drift, a kick, whole drifts between kicks, half a drift."""
    half, step = Drift(0.5 * length / kicks), length / kicks
    for _ in range(kicks):
        bunch = half(space_charge_kick(half(bunch), step, settings))
    return bunch


def electrons() -> Reference:
    return Reference(ELECTRON_MASS, -1.0, (ENERGY**2 - ELECTRON_MASS**2) ** 0.5)


def test_sphere_doubles_its_radius_after_the_length_of_theory():
    before = cold_sphere(10_000, electrons())
    after = expand(before, DOUBLING_LENGTH, 30, SpaceCharge(grid=(32, 32, 32)))
    # delta reaches 0.4 here, and zeta then no longer follows the linear envelope
    for size in ("sigma_x", "sigma_y"):
        growth = getattr(after, size) / getattr(before, size)
        assert (growth / 2.0 - 1.0).abs() < TOLERANCE


def test_sphere_of_less_charge_doubles_later_in_all_three_directions():
    before = cold_sphere(10_000, electrons(), CHARGE / 100)
    after = expand(before, 10.0 * DOUBLING_LENGTH, 30, SpaceCharge(grid=(32, 32, 32)))
    for size in ("sigma_x", "sigma_y", "sigma_zeta"):
        growth = getattr(after, size) / getattr(before, size)
        assert (growth / 2.0 - 1.0).abs() < TOLERANCE


# ---- derivatives against the closed form ----------------------------------------------------


def closed_form(s: float) -> dict[str, float]:
    """Radius at `s` and its derivatives by s, charge, initial radius and total energy."""
    beta_gamma = (ENERGY**2 / ELECTRON_MASS**2 - 1.0) ** 0.5
    n, r_c = CHARGE / scipy.constants.e, scipy.constants.physical_constants[ELECTRON_RADIUS][0]
    scale = beta_gamma * math.sqrt(RADIUS**3 / (2.0 * n * r_c))

    def length(u: float) -> float:
        return scale * (math.sqrt(u * (u - 1.0)) + math.asinh(math.sqrt(u - 1.0)))

    u = scipy.optimize.brentq(lambda u: length(u) - s, 1.0 + 1e-9, 100.0)
    slope = math.sqrt(u / (u - 1.0))  # F'
    ratio = s / scale / slope  # F/F'
    return {
        "radius": RADIUS * u,
        "s": RADIUS / (scale * slope),
        "charge": RADIUS * ratio / (2.0 * CHARGE),
        "initial radius": u - 1.5 * ratio,
        "energy": -RADIUS * ratio / beta_gamma * ENERGY / (beta_gamma * ELECTRON_MASS**2),
    }


def tracked(s: float, kicks: int, n: int, grid: int) -> dict[str, float]:
    """The same by one backward pass through the kicks."""
    values = {"s": s, "charge": CHARGE, "initial radius": RADIUS, "energy": ENERGY}
    inputs = {
        name: torch.tensor(value, dtype=torch.float64, requires_grad=True)
        for name, value in values.items()
    }
    momentum = torch.sqrt(inputs["energy"] ** 2 - ELECTRON_MASS**2)
    reference = Reference(ELECTRON_MASS, -1.0, momentum)
    unit = uniform_ball(n)
    unit = unit * (math.sqrt(0.2) / unit.square().mean(-1, keepdim=True).sqrt())
    still = torch.zeros(n, dtype=torch.float64)
    ball = unit * inputs["initial radius"]
    rows = (ball[0], still, ball[1], still, ball[2] / reference.gamma0, still)
    weight = inputs["charge"] / (scipy.constants.e * n)
    bunch = Bunch(torch.stack(rows), reference, weight)
    step, settings = inputs["s"] / kicks, SpaceCharge(grid=(grid, grid, grid))
    half = linear_drift(reference, 0.5 * step)
    for _ in range(kicks):
        bunch = half(space_charge_kick(half(bunch), step, settings))
    radius = math.sqrt(5.0) * 0.5 * (bunch.sigma_x + bunch.sigma_y)
    gradients = torch.autograd.grad(radius, list(inputs.values()))
    found = {name: value.item() for name, value in zip(inputs, gradients, strict=True)}
    return {"radius": radius.item(), **found}


def linear_drift(reference: Reference, length: torch.Tensor):
    """First order in all coordinates."""
    slip = reference.inverse_gamma0_squared

    def drift(bunch: Bunch) -> Bunch:
        x, px, y, py, zeta, pzeta = bunch.coordinates.unbind(-2)
        rows = (x + length * px, px, y + length * py, py, zeta + length * slip * pzeta, pzeta)
        return bunch.replace(coordinates=torch.stack(rows, dim=-2))

    return drift


def test_closed_form_has_the_published_numbers():
    doubling = closed_form(DOUBLING_LENGTH)
    assert abs(doubling["radius"] / (2.0 * RADIUS) - 1.0) < 1e-4
    assert abs(doubling["initial radius"] + 0.4348379) < 1e-3
    far = closed_form(5.5)
    assert abs(far["radius"] / RADIUS - 5.6776) < 1e-3
    assert abs(far["s"] / 1.1004e-3 - 1.0) < 1e-3
    assert abs(far["charge"] / 3.0260e5 - 1.0) < 1e-3
    assert abs(far["initial radius"] + 3.4004) < 1e-3


@pytest.mark.parametrize(
    ("s", "kicks", "n", "grid", "tolerance"),
    [
        # the derivative by the radius is a difference of two terms five times as large
        pytest.param(DOUBLING_LENGTH, 30, 10_000, 32, 0.07, id="small"),
        pytest.param(DOUBLING_LENGTH, 30, 100_000, 64, 0.01, id="doubling", marks=pytest.mark.slow),
        pytest.param(5.5, 60, 100_000, 64, 0.01, id="5.5 m", marks=pytest.mark.slow),
    ],
)
def test_radius_and_its_derivatives_are_those_of_theory(s, kicks, n, grid, tolerance):
    expected, found = closed_form(s), tracked(s, kicks, n, grid)
    errors = {name: found[name] / expected[name] - 1.0 for name in expected}
    assert max(abs(error) for error in errors.values()) < tolerance, errors
