"""SpaceChargeBiGaussian against xfields, and its field against the integral and Gauss's law."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import xfields as xf
import xtrack as xt
from scipy.integrate import quad
from torch.autograd import gradcheck

from cases import REFERENCES, make_reference
from sc_bridge.elements import Bunch, SpaceChargeBiGaussian
from sc_bridge.elements.errors import ElementError
from sc_bridge.elements.space_charge.bassetti_erskine import EPSILON_0, gaussian_field

# relative to the largest kick of the bunch
PARITY = 1e-10
SIZES = {
    "flat": (3e-3, 1e-3),
    "tall": (1e-3, 2e-3),
    "very flat": (5e-3, 1e-4),
    "round": (2e-3, 2e-3),
    "nearly round": (2e-3, 2e-3 * (1 + 3e-5)),
    "hardly round": (2e-3, 2e-3 * (1 + 1e-3)),
}


def bunch_of(reference, n=400, amplitude=3.0):
    generator = torch.Generator().manual_seed(4)
    normal = torch.randn(6, n, generator=generator, dtype=torch.float64)
    scale = torch.tensor([2e-3, 1e-4, 2e-3, 1e-4, 0.1, 1e-4], dtype=torch.float64)
    return Bunch(amplitude * normal * scale[:, None], reference, 1e8)


def profile(q=1.0, z0=0.0):
    return xf.LongitudinalProfileQGaussian(
        number_of_particles=3e11, sigma_z=0.12, z0=z0, q_parameter=q
    )


def xfields_kick(bunch, **fields):
    reference = bunch.reference
    particles = xt.Particles(
        mass0=reference.mass0.item(),
        q0=reference.q0.item(),
        p0c=reference.p0c.item(),
        weight=bunch.weight.numpy(),
        **{n: getattr(bunch, n).numpy() for n in ("x", "px", "y", "py", "zeta", "pzeta")},
    )
    xf.SpaceChargeBiGaussian(length=2.5, **fields).track(particles)
    return np.array([particles.px, particles.py]) - bunch.coordinates[[1, 3]].numpy()


def our_kick(bunch, **fields):
    out = SpaceChargeBiGaussian(length=2.5, number_of_particles=3e11, sigma_z=0.12, **fields)
    return (out.track(bunch).coordinates - bunch.coordinates)[[1, 3]].detach().numpy()


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("species", REFERENCES)
def test_kick_equals_xfields(sizes, species):
    bunch = bunch_of(make_reference(species))
    fields = {"sigma_x": sizes[0], "sigma_y": sizes[1], "mean_x": 1e-4, "mean_y": -2e-4}
    theirs = xfields_kick(bunch, longitudinal_profile=profile(), **fields)
    ours = our_kick(bunch, **fields)
    assert abs(ours - theirs).max() < PARITY * abs(theirs).max()


@pytest.mark.parametrize("q", [0.5, 0.9, 1.2, 1.5])
def test_line_density_equals_that_of_xfields(q):
    bunch = bunch_of(make_reference())
    fields = {"sigma_x": 2e-3, "sigma_y": 1e-3}
    theirs = xfields_kick(bunch, longitudinal_profile=profile(q, 0.02), **fields)
    ours = our_kick(bunch, q_parameter=q, z0=0.02, **fields)
    assert abs(ours - theirs).max() < PARITY * abs(theirs).max()


def test_quasi_frozen_kick_takes_number_means_and_sizes_from_the_bunch():
    bunch = bunch_of(make_reference())
    theirs = xfields_kick(
        bunch, longitudinal_profile=profile(), sigma_x=1.0, sigma_y=1.0, update_on_track=True
    )
    ours = our_kick(bunch, update_on_track=True)
    assert abs(ours - theirs).max() < PARITY * abs(theirs).max()
    alive = torch.arange(bunch.n_particles) % 3 > 0
    part = bunch.replace(alive=alive)
    living = Bunch(bunch.coordinates[:, alive], bunch.reference, 1e8)
    assert np.allclose(
        our_kick(part, update_on_track=True)[:, alive.numpy()],
        our_kick(living, update_on_track=True),
        rtol=1e-12,
    )


@pytest.mark.parametrize("update", [False, True])
def test_inverse_undoes_the_kick(update):
    bunch = bunch_of(make_reference())
    element = SpaceChargeBiGaussian(2.5, 3e11, 2e-3, 1e-3, 0.12, update_on_track=update)
    back = element.inverse().track(element.track(bunch))
    assert (back.coordinates - bunch.coordinates).abs().max() < 1e-15


def integral(x, y, sigma_x, sigma_y):
    """E_x of 1 C/m, by the integral over q = tan(p)."""

    def integrand(p):
        q = math.tan(p) * 1e-6
        a, b = 2 * sigma_x**2 + q, 2 * sigma_y**2 + q
        return math.exp(-(x**2) / a - y**2 / b) / (a**1.5 * b**0.5) * 1e-6 / math.cos(p) ** 2

    value, _ = quad(integrand, 0.0, math.pi / 2, epsabs=0, epsrel=1e-11, limit=400)
    return x * value / (2 * math.pi * EPSILON_0)


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_field_equals_the_integral(sizes):
    sx, sy = (torch.tensor(s, dtype=torch.float64) for s in sizes)
    for x, y in ((1e-3, 2e-3), (5e-3, 1e-4), (-3e-3, -8e-3)):
        at = (torch.tensor([v], dtype=torch.float64) for v in (x, y))
        ex, _ = gaussian_field(*at, sx, sy)
        assert ex.item() == pytest.approx(integral(x, y, *sizes), rel=1e-8)


def test_gradients_are_smooth_where_the_bunch_is_round_and_on_axis():
    x = torch.tensor([0.0, 1.0, -0.5, 3.0], dtype=torch.float64, requires_grad=True)
    y = torch.tensor([0.0, 0.3, 0.0, -2.0], dtype=torch.float64, requires_grad=True)
    for first, second in ((1.3, 1.3), (1.3, 1.30001), (1.3, 0.9), (0.4, 1.7)):
        sx, sy = (torch.tensor(s, dtype=torch.float64, requires_grad=True) for s in (first, second))

        def scaled(*arguments):
            ex, ey = gaussian_field(*arguments)
            return ex * EPSILON_0, ey * EPSILON_0

        # the quadrature's derivative of a nearly round bunch is good to 1e-7
        assert gradcheck(scaled, (x, y, sx, sy), atol=1e-6, rtol=1e-5)


def test_closed_form_and_integral_meet():
    x = torch.linspace(-5, 5, 41, dtype=torch.float64)
    y = 0.7 * x + 0.2
    size = torch.tensor(1.0, dtype=torch.float64)
    below, above = (gaussian_field(x, y, size * (1 + d), size) for d in (0.99e-4, 1.01e-4))
    for near, far in zip(below, above, strict=True):
        # they differ by the step of 2e-6 in the size
        assert (near - far).abs().max() < 3e-6 * far.abs().max()


def test_a_batch_of_round_and_flat_bunches_equals_a_loop():
    x = torch.linspace(-3e-3, 3e-3, 7, dtype=torch.float64)
    sizes = torch.tensor([[2e-3], [1e-3], [2.00001e-3]], dtype=torch.float64)
    together = gaussian_field(x, 0.5 * x, sizes, torch.tensor(2e-3, dtype=torch.float64))
    for row, size in enumerate(sizes):
        alone = gaussian_field(x, 0.5 * x, size, torch.tensor(2e-3, dtype=torch.float64))
        for whole, part in zip(together, alone, strict=True):
            assert (whole[row] - part).abs().max() <= 1e-14 * part.abs().max()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sigma_x": 0.0}, "sigma_x = 0.0 m: must be positive"),
        ({"sigma_z": -1.0}, "sigma_z = -1.0 m"),
        ({"q_parameter": 2.0}, "q_parameter = 2.0: must be below 5/3"),
    ],
)
def test_impossible_charges_are_refused(fields, message):
    with pytest.raises(ElementError, match=message):
        SpaceChargeBiGaussian(**fields)


def test_a_quasi_frozen_kick_is_no_map_of_coordinates_alone():
    element = SpaceChargeBiGaussian(update_on_track=True)
    with pytest.raises(ElementError, match=r"call track\(bunch\)"):
        element.transfer_matrix(make_reference())
