"""Work space of the kick: buffers of the C kernels, and Green functions.

torch does not allocate it. It is the same for every strategy, and stays between kicks.
"""

from __future__ import annotations

import math

import torch

from sc_bridge.elements.space_charge import SpaceCharge
from sc_bridge.elements.space_charge.compiled import (
    GRIDS_LIMIT,
    PARTICLES_PER_THREAD,
    SLAB,
    WHOLE,
    Compiled,
)
from sc_bridge.elements.space_charge.fused import backend_for
from sc_bridge.elements.space_charge.green import CACHE_BYTES

from .pattern import Size

# Octants in float64 that are alive at once while a Green function is evaluated.
GREEN_OCTANTS = 5


def kernel_buffers(
    size: Size, settings: SpaceCharge, dtype: torch.dtype, device: torch.device
) -> int:
    """Bytes that the C kernels keep between kicks: one grid, and one for every thread."""
    if not _has_kernels(settings, device):
        return 0
    grid = math.prod(size.grid) * _number(settings, dtype)
    per_bunch = size.n_particles // size.n_bunches
    by_work = 1 + per_bunch // PARTICLES_PER_THREAD
    by_memory = max(1, GRIDS_LIMIT // grid)
    threads = max(1, min(torch.get_num_threads(), by_work, by_memory))
    return (1 + threads) * grid


def solve_bytes(size: Size, settings: SpaceCharge, dtype: torch.dtype, device: torch.device) -> int:
    """Bytes that a solve by the C kernels takes while it lasts.

    The spectrum is doubled along y and z. Along x the doubled spectrum is made a slab at a
    time, the next one while the last is still there; that is held until the end, when the
    potential is doubled along z.
    """
    if not _has_kernels(settings, device):
        return 0
    nx, ny, nz = size.grid
    plane = 2 * ny * (nz + 1) * 2 * _number(settings, dtype)
    spectrum, row = nx * plane, plane * nx // ny
    if 2 * ny * row <= WHOLE:
        return spectrum + 2 * ny * row + spectrum // 2
    slab = max(1, SLAB // row) * row
    return spectrum + slab + max(slab, spectrum // 2)


def green_bytes(size: Size, settings: SpaceCharge, dtype: torch.dtype, n_kicks: int) -> int:
    """Bytes that Green functions may take at the most.

    One is kept for every proportion of cells that occurs, up to the limit of the cache; how
    many occur is known only when the bunch was tracked, but not more than there are kicks.
    """
    if not n_kicks:
        return 0
    octant = math.prod(n + 1 for n in size.grid)
    one = octant * _number(settings, dtype)
    kept = one * max(1, min(n_kicks, CACHE_BYTES // one))
    return kept + GREEN_OCTANTS * 8 * octant


def _has_kernels(settings: SpaceCharge, device: torch.device) -> bool:
    return settings.implementation == "fused" and isinstance(backend_for(device), Compiled)


def _number(settings: SpaceCharge, dtype: torch.dtype) -> int:
    return (settings.field_dtype or dtype).itemsize
