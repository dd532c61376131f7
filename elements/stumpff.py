"""Stumpff functions: cosine, sine and their remainders, analytic through zero.

c0(u) = cos(sqrt u), c1(u) = sin(sqrt u)/sqrt u, c2 = (1 - c0)/u, c3 = (1 - c1)/u; for u < 0
the circular functions become hyperbolic. They solve x'' + K x = g over a length L with
u = K L^2, so that a focusing element needs no branch on the sign of its strength.

References
----------
Stumpff, Himmelsmechanik I (1959); Battin, Astrodynamics (1999), section 4.5.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from .base import Number
from .scalars import known

# |u| below which the series is used, and its terms: exact to rounding up to |u| = 4, since the
# strength of one particle may exceed the nominal one by 1/(1 + delta).
_SERIES_LIMIT = 0.25
_TERMS = 11
# The same for c0 and c1 alone, which lose no digits to a difference.
_PAIR_LIMIT = 0.01
_PAIR_TERMS = 6


class Stumpff(NamedTuple):
    """c0 to c3 at one argument."""

    c0: Tensor
    c1: Tensor
    c2: Tensor
    c3: Tensor


def stumpff(u: Tensor, nominal: Number | None = None) -> Stumpff:
    """Evaluate c0 to c3.

    Parameters
    ----------
    u : Tensor
    nominal : float or Tensor, optional
        A number of the sign and the magnitude of all of `u`: it decides once which of the
        branches to compute.
    """
    value = None if nominal is None else known(nominal)
    if value is None:
        return _anywhere(u)
    if abs(value) < _SERIES_LIMIT:
        return _near_zero(u)
    return _circular(u) if value > 0 else _hyperbolic(u)


def cosine_pair(u: Tensor, nominal: Number | None = None) -> tuple[Tensor, Tensor]:
    """Evaluate c0 and c1 alone; the arguments are those of `stumpff`."""
    value = None if nominal is None else known(nominal)
    if value is None:
        return _anywhere(u)[:2]
    if abs(value) < _PAIR_LIMIT:
        return _series(u, 0, _PAIR_TERMS), _series(u, 1, _PAIR_TERMS)
    if value > 0:
        root = torch.sqrt(u)
        return torch.cos(root), torch.sin(root) / root
    root = torch.sqrt(-u)
    return torch.cosh(root), torch.sinh(root) / root


def _anywhere(u: Tensor) -> Stumpff:
    small = u.abs() < _SERIES_LIMIT
    positive = u >= _SERIES_LIMIT
    near = _near_zero(torch.where(small, u, 0.0))
    above = _circular(torch.where(positive, u, 1.0))
    below = _hyperbolic(torch.where(positive | small, -1.0, u))
    return Stumpff(
        *(
            torch.where(small, n, torch.where(positive, a, b))
            for n, a, b in zip(near, above, below, strict=True)
        )
    )


def _circular(u: Tensor) -> Stumpff:
    return _with_remainders(u, *cosine_pair(u, 1.0))


def _hyperbolic(u: Tensor) -> Stumpff:
    return _with_remainders(u, *cosine_pair(u, -1.0))


def _with_remainders(u: Tensor, c0: Tensor, c1: Tensor) -> Stumpff:
    return Stumpff(c0, c1, (1.0 - c0) / u, (1.0 - c1) / u)


def _near_zero(u: Tensor) -> Stumpff:
    c2, c3 = _series(u, 2, _TERMS), _series(u, 3, _TERMS)
    return Stumpff(1.0 - u * c2, 1.0 - u * c3, c2, c3)


def _series(u: Tensor, shift: int, terms: int) -> Tensor:
    """Sum of (-u)^n / (2 n + shift)!, by Horner."""
    result = torch.full_like(u, 1.0 / math.factorial(2 * terms + shift))
    for n in range(terms - 1, -1, -1):
        result = 1.0 / math.factorial(2 * n + shift) - u * result
    return result
