"""Functions at their singular points, against mpmath's series and finite differences."""

from __future__ import annotations

import math

import mpmath
import pytest
import torch

from sc_bridge.elements.special import arcsine_ratio, cosine_and_sine, sinc, sqrt_or_zero

POINTS = [-30.0, -0.6, -0.5, -0.49, -1e-3, -1e-12, 0.0, 1e-12, 1e-3, 0.49, 0.5, 0.6, 30.0]
RELATIVE = 1e-15 * 30  # sqrt and cosh lose a few units in the last place


@pytest.mark.parametrize("u", POINTS)
def test_cosine_and_sine_equal_high_precision(u):
    cosine, sine = cosine_and_sine(torch.tensor(u, dtype=torch.float64))
    root = mpmath.sqrt(mpmath.mpf(u))
    expected = mpmath.sin(root) / root if u else mpmath.mpf(1)
    assert cosine.item() == pytest.approx(float(mpmath.cos(root).real), rel=RELATIVE, abs=1e-15)
    assert sine.item() == pytest.approx(float(expected.real), rel=RELATIVE, abs=1e-15)


def test_derivatives_are_smooth_across_zero():
    u = torch.tensor([-0.7, -0.2, 0.0, 1e-9, 0.3, 0.8], dtype=torch.float64, requires_grad=True)
    torch.autograd.gradcheck(lambda v: torch.stack(cosine_and_sine(v)), u)
    torch.autograd.gradgradcheck(lambda v: torch.stack(cosine_and_sine(v)), u)
    torch.autograd.gradcheck(arcsine_ratio, u * 0.9)
    torch.autograd.gradcheck(sinc, u)


@pytest.mark.parametrize("u", [0.0, 1e-9, 0.0299, 0.0301, 0.5, -0.9])
def test_arcsine_ratio_equals_high_precision(u):
    expected = mpmath.asin(u) / u if u else mpmath.mpf(1)
    ours = arcsine_ratio(torch.tensor(u, dtype=torch.float64)).item()
    assert ours == pytest.approx(float(expected), rel=1e-15)


def test_square_root_is_flat_where_it_is_zero():
    square = torch.tensor([-1.0, 0.0, 4.0], dtype=torch.float64, requires_grad=True)
    root = sqrt_or_zero(square)
    root.sum().backward()
    assert root.tolist() == [0.0, 0.0, 2.0]
    assert square.grad.tolist() == [0.0, 0.0, pytest.approx(0.25)]


def test_sinc_is_one_at_zero():
    assert sinc(torch.tensor(0.0)).item() == 1.0
    assert sinc(torch.tensor(math.pi, dtype=torch.float64)).item() == pytest.approx(0, abs=1e-15)
