"""Emittances from second moments: as they are, and without what follows from the momentum."""

from __future__ import annotations

import torch
from torch import Tensor

from .special import sqrt_or_zero


def emittance(uu: Tensor, up: Tensor, pp: Tensor) -> Tensor:
    """Rms emittance of position u and momentum p, from their second moments, (...)."""
    return sqrt_or_zero(uu * pp - up**2)


def betatron_emittance(
    uu: Tensor, up: Tensor, pp: Tensor, ud: Tensor, pd: Tensor, dd: Tensor
) -> Tensor:
    """Rms emittance of what of u and p is not in proportion to the momentum deviation d, (...).

    The parts u d/<d d> and p d/<d d>, by which both follow d, are the dispersion of the bunch
    itself, whatever the lattice's: they are taken out. Without momentum spread nothing is.
    """
    none = dd <= 0
    inverse = torch.where(none, 0.0, 1.0 / torch.where(none, 1.0, dd))
    return emittance(uu - ud**2 * inverse, up - ud * pd * inverse, pp - pd**2 * inverse)
