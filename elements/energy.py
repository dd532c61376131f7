"""What a map needs to know of a particle's energy; every magnet leaves it alone."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .reference import Reference
from .state import Number


class Energy(NamedTuple):
    """Momentum and energy of particles, each (..., n_particles).

    The ratio total/momentum is beta0/beta, so that a path of length momentum * flight takes
    the time of total * flight at the reference's speed.
    """

    momentum: Tensor  # P/P0
    total: Tensor  # E/E0
    slip: Tensor  # 1 - beta0/beta

    @classmethod
    def of(cls, pzeta: Tensor, reference: Reference) -> Energy:
        """Compute from pzeta, free of cancellation at any energy."""
        return cls._of(pzeta, reference.beta0**2, reference.inverse_gamma0_squared)

    @classmethod
    def of_rest(cls, pzeta: Tensor, rest: Number) -> Energy:
        """Do as `of` for a reference of which `rest` is 1/gamma0^2."""
        return cls._of(pzeta, 1.0 - rest, rest)

    @classmethod
    def _of(cls, pzeta: Tensor, beta0_squared: Number, rest: Number) -> Energy:
        shift = beta0_squared * pzeta
        square = pzeta * (2.0 + shift)
        momentum = torch.sqrt(1.0 + square)
        total = 1.0 + shift
        # momentum^2 - total^2 = square/gamma0^2
        slip = rest * square / (momentum * (momentum + total))
        return cls(momentum, total, slip)
