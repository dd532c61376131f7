from __future__ import annotations

import itertools

import mpmath
import pytest
import torch
from scipy import integrate

from sc_bridge.elements.space_charge import green

# Cancellation between far corners in float64, relative (measured: 8e-10 at 64 nodes).
CANCELLATION = 1e-8
# What adaptive quadrature reaches in three dimensions.
QUADRATURE = 1e-8


def exact_mean(index: tuple[int, int, int], proportions: tuple[float, float]) -> float:
    """Mean of 1/r over a cell by the closed form in 60 digits."""
    with mpmath.workdps(60):
        h = [mpmath.mpf(proportions[0]), mpmath.mpf(proportions[1]), mpmath.mpf(1)]
        half = mpmath.mpf(1) / 2
        total = mpmath.mpf(0)
        for signs in itertools.product((1, -1), repeat=3):
            corner = [(i + s * half) * size for i, s, size in zip(index, signs, h, strict=True)]
            total += signs[0] * signs[1] * signs[2] * _antiderivative(*corner)
        return float(total / (h[0] * h[1] * h[2]))


def _antiderivative(x, y, z):
    r = mpmath.sqrt(x * x + y * y + z * z)
    return (
        -(z**2) / 2 * mpmath.atan(x * y / (z * r))
        - y**2 / 2 * mpmath.atan(x * z / (y * r))
        - x**2 / 2 * mpmath.atan(y * z / (x * r))
        + y * z * mpmath.asinh(x / mpmath.sqrt(y * y + z * z))
        + x * z * mpmath.asinh(y / mpmath.sqrt(x * x + z * z))
        + x * y * mpmath.asinh(z / mpmath.sqrt(x * x + y * y))
    )


@pytest.mark.parametrize("index", [(1, 0, 0), (2, 1, 0), (3, 3, 3), (0, 0, 5)])
@pytest.mark.parametrize("proportions", [(1.0, 1.0), (0.25, 0.5), (2.0, 4.0)])
def test_values_equal_quadrature(index, proportions):
    a, b = proportions
    centre = (index[0] * a, index[1] * b, float(index[2]))
    box = [(c - h / 2, c + h / 2) for c, h in zip(centre, (a, b, 1.0), strict=True)]
    expected, _ = integrate.nquad(
        lambda x, y, z: (x * x + y * y + z * z) ** -0.5 / (a * b),
        box,
        opts={"epsabs": 1e-10, "epsrel": 1e-10, "points": [0.0]},
    )
    octant = green.green_octant((8, 8, 8), proportions)
    assert abs(octant[index].item() / expected - 1.0) < QUADRATURE


def test_value_at_the_source_is_that_of_a_cube():
    # mean of 1/r over the unit cube around its centre, Ciftja, Eur. J. Phys. 32, L55 (2011):
    # 3 asinh(1) ... written as 3 ln(2 + sqrt 3) - pi/2
    expected = 3.0 * float(mpmath.log(2 + mpmath.sqrt(3))) - float(mpmath.pi) / 2
    octant = green.green_octant((8, 8, 8), (1.0, 1.0))
    assert abs(octant[0, 0, 0].item() / expected - 1.0) < 1e-14


@pytest.mark.parametrize("long", [1e-3, 1e-2, 1.0, 1e2, 1e4])
def test_cancellation_is_harmless_at_every_aspect_ratio(long):
    nodes, proportions = (64, 64, 64), (1.0 / long, 0.7 / long)
    octant = green.green_octant(nodes, proportions)
    for index in ((0, 0, 0), (1, 0, 0), (0, 0, 1), (5, 3, 2), (64, 0, 0), (0, 0, 64), (64, 64, 64)):
        expected = exact_mean(index, proportions)
        assert abs(octant[index].item() / expected - 1.0) < CANCELLATION


def test_transform_of_the_octant_equals_the_fft_of_the_doubled_array():
    nodes = (8, 10, 12)
    octant = green.green_octant(nodes, (0.5, 2.0))
    doubled = octant
    for axis, n in enumerate(nodes):
        inner = doubled.narrow(axis, 1, n - 1).flip(axis)
        doubled = torch.cat((doubled, inner), axis)
    expected = torch.fft.fftn(doubled)
    assert expected.imag.abs().max() < 1e-13 * expected.real.abs().max()
    corner = expected.real[: nodes[0] + 1, : nodes[1] + 1, : nodes[2] + 1]
    assert (green.octant_transform(octant) - corner).abs().max() < 1e-14 * corner.abs().max()


def test_cells_of_equal_proportions_share_one_transform():
    nodes, cpu = (8, 8, 8), torch.device("cpu")
    size = torch.tensor([[1e-3, 2e-3, 4e-3]], dtype=torch.float64)
    first = green.green_transform(nodes, size, torch.float32, cpu)
    second = green.green_transform(nodes, size * 2.0**0.125, torch.float32, cpu)
    assert first.data_ptr() == second.data_ptr()
    assert first.dtype == torch.float32
    double = green.green_transform(nodes, size, torch.float64, cpu)
    assert double.dtype == torch.float64


def test_cache_forgets_the_least_recently_used():
    cache = green._Cache(capacity=3 * 9**3 * 8)
    arguments = (torch.float64, torch.device("cpu"))
    for a in (1.0, 2.0, 3.0):
        cache.transform((8, 8, 8), (a, 1.0), *arguments)
    cache.transform((8, 8, 8), (1.0, 1.0), *arguments)
    cache.transform((8, 8, 8), (4.0, 1.0), *arguments)
    kept = sorted(key[1][0] for key in cache.entries)  # pyright: ignore[reportIndexIssue]
    assert kept == [1.0, 3.0, 4.0]
    assert cache.n_bytes <= cache.capacity
