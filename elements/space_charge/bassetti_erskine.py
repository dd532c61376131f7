"""Field of a transverse Gaussian charge, round or not, smooth where it becomes round.

References
----------
Bassetti & Erskine, CERN-ISR-TH/80-06 (1980), for the closed form; its integral representation,
E_x = x/(2 pi eps0) int_0^inf dq exp(-x^2/(2sx^2+q) - y^2/(2sy^2+q))
      / ((2sx^2+q)^(3/2) (2sy^2+q)^(1/2)), for bunches so round that the closed form is 0/0.
"""

from __future__ import annotations

import math

import torch
from numpy.polynomial.legendre import leggauss
from torch import Tensor

from .faddeeva import faddeeva

# The constant of Xsuite's kernels, so that fields agree to more than 8 digits.
EPSILON_0 = 8.854187817620e-12

# Relative difference of the squared sizes below which the integral is used. There the
# quadrature is off by rounding, and so is the closed form above it.
_NEARLY_ROUND = 1e-4
_V, _W = leggauss(64)
# t = 1 - (1 - v)^4 takes the logarithm out of the end t = 1
_NODES = 1.0 - (0.5 - 0.5 * _V) ** 4
_WEIGHTS = 2.0 * _W * (0.5 - 0.5 * _V) ** 3


def gaussian_field(x: Tensor, y: Tensor, sigma_x: Tensor, sigma_y: Tensor) -> tuple[Tensor, Tensor]:
    """Field of a Gaussian line charge of 1 C/m.

    Parameters
    ----------
    x, y : Tensor, (..., n), m
        From the centre of the charge.
    sigma_x, sigma_y : Tensor, broadcast against `x`, m

    Returns
    -------
    E_x, E_y : Tensor, (..., n), V/m

    Validity: float64; gradients of every argument, also at sigma_x = sigma_y and on axis.
    """
    square_x, square_y = sigma_x**2, sigma_y**2
    nearly_round = (square_x - square_y).abs() < _NEARLY_ROUND * (square_x + square_y)
    if bool(nearly_round.all()):
        return _by_integral(x, y, square_x, square_y)
    if not bool(nearly_round.any()):
        return _by_closed_form(x, y, square_x, square_y)
    # a batch of both: each branch sees sizes that it can take
    apart = torch.where(nearly_round, 2.0 * square_y, square_x)
    together = torch.where(nearly_round, square_x, square_y)
    closed = _by_closed_form(x, y, apart, square_y)
    integral = _by_integral(x, y, together, square_y)
    ex, ey = (torch.where(nearly_round, i, c) for i, c in zip(integral, closed, strict=True))
    return ex, ey


def _by_closed_form(
    x: Tensor, y: Tensor, square_x: Tensor, square_y: Tensor
) -> tuple[Tensor, Tensor]:
    """Bassetti and Erskine's formula in the first quadrant, along the longer axis."""
    swap = square_x < square_y
    long, short = torch.where(swap, square_y, square_x), torch.where(swap, square_x, square_y)
    a, b = torch.where(swap, y, x), torch.where(swap, x, y)
    sign_a, sign_b = _sign(a), _sign(b)
    a, b = a * sign_a, b * sign_b
    scale = torch.sqrt(2.0 * (long - short))
    ratio = torch.sqrt(short / long)
    decay = torch.exp(-(a**2) / (2.0 * long) - b**2 / (2.0 * short))
    outer_real, outer_imaginary = faddeeva(*torch.broadcast_tensors(a / scale, b / scale))
    inner_real, inner_imaginary = faddeeva(
        *torch.broadcast_tensors(ratio * a / scale, b / (ratio * scale))
    )
    factor = 1.0 / (2.0 * EPSILON_0 * math.sqrt(math.pi) * scale)
    along = sign_a * factor * (outer_imaginary - inner_imaginary * decay)
    across = sign_b * factor * (outer_real - inner_real * decay)
    return torch.where(swap, across, along), torch.where(swap, along, across)


def _sign(value: Tensor) -> Tensor:
    """Sign of a coordinate, +1 on the axis, so that the gradient there is that beside it."""
    return torch.where(value.detach() < 0, -1.0, 1.0).to(value.dtype)


def _by_integral(x: Tensor, y: Tensor, square_x: Tensor, square_y: Tensor) -> tuple[Tensor, Tensor]:
    """Gauss-Legendre quadrature in a variable in which a round bunch has a constant integrand."""
    square = 0.5 * (square_x + square_y)
    exponent = (x**2 + y**2) / (2.0 * square)
    # u = 2 square/(2 square + q) from 0 to 1, and t = (1 - exp(-exponent u))/(1 - exp(-exponent))
    span = -torch.expm1(-exponent)
    small = exponent < 1e-8
    safe = torch.where(small, 1.0, exponent)
    ex, ey = torch.zeros_like(exponent), torch.zeros_like(exponent)
    for t, weight in zip(_NODES.tolist(), _WEIGHTS.tolist(), strict=True):
        u = torch.where(small, t, -torch.log1p(-t * span) / safe)
        wide_x = 1.0 + (square_x / square - 1.0) * u
        wide_y = 1.0 + (square_y / square - 1.0) * u
        # exp(-x^2 u/(2 square wide_x) - ...) over exp(-exponent u)
        excess = u / (2.0 * square) * (x**2 * (1 - 1 / wide_x) + y**2 * (1 - 1 / wide_y))
        root = torch.sqrt(wide_x * wide_y)
        common = weight * torch.exp(excess) / root
        ex = ex + common / wide_x
        ey = ey + common / wide_y
    # span/exponent, 1 - exponent/2 on the axis
    share = torch.where(small, 1.0 - 0.5 * exponent, span / safe)
    factor = share / (4.0 * math.pi * EPSILON_0 * square)
    return factor * x * ex, factor * y * ey
