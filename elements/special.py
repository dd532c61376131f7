"""Functions that stay smooth, to every order of derivative, where their usual form is singular."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# |u| below which the series is used: ten terms are exact to rounding there in float64.
_SERIES_LIMIT = 0.5
_TERMS = 10


def sqrt_or_zero(square: Tensor) -> Tensor:
    """Square root that gives 0, with a zero gradient, where `square` is 0 or rounds below it."""
    empty = square <= 0  # False for what is not a number, which must not turn into 0
    return torch.where(empty, 0.0, torch.sqrt(torch.where(empty, 1.0, square)))


def cosine_and_sine(u: Tensor) -> tuple[Tensor, Tensor]:
    """Return cos(sqrt u) and sin(sqrt u)/sqrt u, analytic for every real u.

    For u < 0 they are cosh and sinh of sqrt(-u).
    """
    small = u.abs() < _SERIES_LIMIT
    safe = torch.where(small, 1.0, u)
    root = torch.sqrt(safe.abs())
    # cosh overflows for arguments that only the other branch uses
    bounded = torch.where(safe < 0, root, 1.0)
    cosine = torch.where(safe > 0, torch.cos(root), torch.cosh(bounded))
    sine = torch.where(safe > 0, torch.sin(root), torch.sinh(bounded)) / root
    near = torch.where(small, u, 0.0)
    return (
        torch.where(small, _series(near, 0), cosine),
        torch.where(small, _series(near, 1), sine),
    )


def sinc(angle: Tensor) -> Tensor:
    """sin(angle)/angle, analytic at 0."""
    return cosine_and_sine(angle**2)[1]


def arcsine_ratio(u: Tensor) -> Tensor:
    """asin(u)/u, analytic at 0, for |u| < 1."""
    small = u.abs() < 0.03
    safe = torch.where(small, 0.5, u)
    square = torch.where(small, u, 0.0) ** 2
    # Taylor coefficients of asin(u)/u; the first dropped term is below 1e-17
    series = 1.0 + square * (
        1 / 6 + square * (3 / 40 + square * (5 / 112 + square * (35 / 1152 + square * 63 / 2816)))
    )
    return torch.where(small, series, torch.asin(safe) / safe)


def arcsinh_ratio(u: Tensor) -> Tensor:
    """asinh(u)/u, analytic at 0."""
    small = u.abs() < 0.03
    safe = torch.where(small, 1.0, u)
    square = torch.where(small, u, 0.0) ** 2
    # the series of asin(u)/u with alternating signs
    series = 1.0 - square * (
        1 / 6 - square * (3 / 40 - square * (5 / 112 - square * (35 / 1152 - square * 63 / 2816)))
    )
    return torch.where(small, series, torch.asinh(safe) / safe)


def _series(u: Tensor, shift: int) -> Tensor:
    """Sum of (-u)^n / (2 n + shift)!, by Horner."""
    result = torch.full_like(u, 1.0 / math.factorial(2 * _TERMS + shift))
    for n in range(_TERMS - 1, -1, -1):
        result = 1.0 / math.factorial(2 * n + shift) - u * result
    return result
