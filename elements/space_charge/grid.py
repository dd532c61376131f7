"""The grid of the kick: it follows the bunch, and its cell sizes sit on a ladder.

The centre of the grid is the plain mean of the living particles, so that the kick is
invariant under translation; gradients flow through it. Cell sizes are rungs of a ladder
with a factor 2^(1/8): locally constant, so that they need no gradient, and the Green
function is the same from kick to kick.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor

from .. import sums
from ..errors import SpaceChargeError
from ..gpu import beside
from .mapping import mapped
from .settings import Range, Shape, SpaceCharge

CellSize: TypeAlias = tuple[float, float, float] | Tensor

# Finer rungs waste fewer nodes (at most 9 % an axis), coarser ones find more in the cache: with
# 4 an octave, the derivative of the cold sphere by its initial radius is off by 1.0 % at 64
# nodes, with 8 by 0.95 %.
RUNGS_PER_OCTAVE = 8
# Cells between the outermost particle and the face of the grid when cell sizes are chosen, and
# the least that the field needs: centred differences on every node that a particle touches.
SPARE_CELLS = 2.0
LEAST_SPARE_CELLS = {"cic": 1.0, "tsc": 1.5}
# A flat bunch gets cells of this fraction of its longest ones: well below any real aspect ratio.
FLATTEST = 2.0**-17
# Extents below this many roundings of the coordinates are noise, and count as flat.
ROUNDINGS = 256.0
# Cell size of a bunch without any extent, m; it feels no force at any size.
POINT_CELL = 2.0**-10


class Grid(NamedTuple):
    """Nodes of one Cartesian grid per bunch of a batch, around the mean of its living particles.

    The third axis is stretched: gamma0 zeta.

    Parameters
    ----------
    nodes : tuple of int, (nx, ny, nz)
    cell_size : Tensor, (batch, 3), float64, m, on the CPU
        Where the Green function is looked up by it without waiting for a GPU.
    centre : Tensor, (batch, 3), float64, m
        Mean of x, y and zeta (not stretched), without gradients.
    alive : Tensor, (batch, n_particles), bool, or None
        None if every particle is alive.
    shape : {"cic", "tsc"}
        Of the cloud that a particle is on the nodes.
    follows : bool
        Whether the centre is the mean of the living particles, and moves with it.
    holds_all : bool
        Whether the cells were chosen so that every living particle is inside.
    """

    nodes: tuple[int, int, int]
    cell_size: Tensor
    centre: Tensor
    alive: Tensor | None
    shape: Shape = "cic"
    follows: bool = True
    holds_all: bool = False

    @property
    def half_width(self) -> Tensor:
        """Cells from the centre to the last node, (3,)."""
        return half_width(self.nodes, self.cell_size)

    def cells_per_metre(self, gamma0: Tensor) -> Tensor:
        """Cells per metre of x, y and zeta, (batch, 3), float64."""
        hx, hy, hz = beside(self.cell_size, gamma0).unbind(-1)
        return torch.stack((1.0 / hx, 1.0 / hy, gamma0.to(hz) / hz), dim=-1)

    def is_inside(self, cells: Tensor) -> Tensor:
        """Whether a position counted in cells has one spare cell, (..., 3, n) -> (..., n)."""
        reach = beside(self.half_width.to(cells.dtype), cells).unsqueeze(-1)
        return ((cells - reach).abs() <= reach - LEAST_SPARE_CELLS[self.shape]).all(-2)


def refuse_outside(
    outside: int,
    particles: Tensor,
    alive: Tensor | None,
    nodes: Sequence[int],
    cell_size: Tensor,
) -> None:
    """Raise if any living particle is too close to a face for the field to be right.

    `particles` is any value of each, (batch, n_particles): the living are counted only then.

    Raises
    ------
    SpaceChargeError
        With the number of particles outside.
    """
    if outside:
        living = particles.numel() if alive is None else int(alive.sum())
        raise SpaceChargeError(
            f"space charge: {outside} of {living} living particles are outside the "
            f"grid {tuple(nodes)} with cells of {cell_size.tolist()} m: "
            "let the cell sizes follow the bunch, or fix larger ones"
        )


def check_inside(inside: Tensor, grid: Grid) -> None:
    """As `refuse_outside`, given which particles are inside or lost, (batch, n_particles)."""
    _check_inside(inside, grid.alive, grid.cell_size, list(grid.nodes))


@mapped("space_charge_check_inside")
def _check_inside(
    inside: Tensor, alive: Tensor | None, cell_size: Tensor, nodes: Sequence[int]
) -> Tensor:
    outside = (~inside).sum()
    refuse_outside(int(outside), inside, alive, nodes, cell_size)
    return outside


def half_width(nodes: Sequence[int], like: Tensor) -> Tensor:
    """Cells from the middle of the grid to its last node, (3,)."""
    return like.new_tensor([(n - 1) / 2.0 for n in nodes])


def grid_around(
    position: Tensor,
    gamma0: Tensor,
    alive: Tensor | None,
    settings: SpaceCharge,
    cell_size: Tensor | None = None,
) -> Grid:
    """Put a grid around the living particles of every bunch of a batch.

    Cell sizes are the smallest rungs of the ladder that leave two cells to spare, unless the
    settings fix the grid.

    Parameters
    ----------
    position : Tensor, (batch, 3, n_particles), m
        x, y and zeta (not stretched).
    gamma0 : Tensor, (batch,)
    alive : Tensor, (batch, n_particles), bool, or None
    settings : SpaceCharge
    cell_size : Tensor, (batch, 3), float64, m, optional
        Used instead of the ladder.

    Raises
    ------
    SpaceChargeError
        If a living particle has no finite position and the cell sizes are to follow it.
    """
    nodes, shape = settings.grid, settings.shape
    if settings.ranges is not None:
        return _fixed_grid(position, gamma0, alive, settings, settings.ranges)
    with torch.no_grad():
        mask = None if alive is None else alive.unsqueeze(-2)
        centre = sums.plain_mean(position.to(settings.field_dtype or position.dtype), mask)
        if cell_size is not None:
            return Grid(nodes, cell_size, centre.to(torch.float64), alive, shape)
        if mask is not None:
            position = torch.where(mask, position, centre.to(position.dtype).unsqueeze(-1))
        extremes = torch.stack([value.to(centre.dtype) for value in (*sums.span(position), centre)])
        rounding = torch.finfo(position.dtype).eps
        size = _ladder_cell_size(extremes.detach(), gamma0.detach(), list(nodes), rounding)
        return Grid(nodes, size, centre.to(torch.float64), alive, shape, holds_all=True)


def _fixed_grid(
    position: Tensor,
    gamma0: Tensor,
    alive: Tensor | None,
    settings: SpaceCharge,
    ranges: tuple[Range, Range, Range],
) -> Grid:
    gamma0 = gamma0.detach().to("cpu", torch.float64)
    first, last = gamma0.new_tensor(ranges).unbind(-1)
    size = (last - first) / (2.0 * half_width(settings.grid, gamma0))
    stretch = torch.stack((torch.ones_like(gamma0), torch.ones_like(gamma0), gamma0), dim=-1)
    centre = beside((0.5 * (first + last)).expand_as(stretch), position)
    return Grid(settings.grid, size * stretch, centre, alive, settings.shape, follows=False)


@mapped("space_charge_ladder")
def _ladder_cell_size(
    extremes: Tensor, gamma0: Tensor, nodes: Sequence[int], rounding: float
) -> Tensor:
    """Choose cell sizes, (batch, 3), from lowest, highest and mean position, (3, batch, 3)."""
    # the only look at a GPU; for numbers so few NumPy is several times as fast as torch
    lowest, highest, centre = extremes.cpu().numpy()
    if not np.isfinite((lowest, highest, centre)).all():
        raise SpaceChargeError(
            "space charge: a living particle has no finite position: "
            "mark it as lost, or look for the element where it diverges"
        )
    extent = np.maximum(highest - centre, centre - lowest).astype(np.float64)
    scale = np.maximum(np.abs(highest), np.abs(lowest)).astype(np.float64)
    noise = ROUNDINGS * rounding * scale
    extent = np.where(extent > noise, extent, 0.0)
    extent[:, 2] *= gamma0.cpu().numpy()
    size = extent / ((np.array(nodes) - 1.0) / 2.0 - SPARE_CELLS)
    size = np.maximum(size, FLATTEST * size.max(-1, keepdims=True))
    size = np.where(size > 0, size, POINT_CELL)
    rungs = np.ceil(RUNGS_PER_OCTAVE * np.log2(size)) / RUNGS_PER_OCTAVE
    return torch.from_numpy(np.exp2(rungs))


def checked_cell_size(cell_size: CellSize) -> Tensor:
    """Return cell sizes given by the user as a float64 tensor, (..., 3), on the CPU.

    Raises
    ------
    SpaceChargeError
        If they are not three positive, finite lengths.
    """
    size = torch.as_tensor(cell_size, dtype=torch.float64, device="cpu").detach()
    wrong = size.shape[-1:] != (3,) or not all(
        math.isfinite(h) and h > 0 for h in size.flatten().tolist()
    )
    if wrong:
        raise SpaceChargeError(
            f"space charge: cell_size = {size.tolist()} m: must be three positive lengths "
            "(hx, hy, gamma0 hzeta)"
        )
    return size
