"""The grid of the kick: it follows the bunch, and its cell sizes sit on a ladder.

The centre of the grid is the plain mean of the living particles, so that the kick is
invariant under translation; gradients flow through it. Cell sizes are rungs of a ladder
with a factor 2^(1/4): locally constant, so that they need no gradient, and the Green
function is the same from kick to kick.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from .. import sums
from ..errors import SpaceChargeError

CellSize: TypeAlias = tuple[float, float, float] | Tensor

RUNGS_PER_OCTAVE = 4
# Cells between the outermost particle and the face of the grid when cell sizes are chosen, and
# the least that the field needs: centred differences on every node that a particle touches.
SPARE_CELLS = 2.0
LEAST_SPARE_CELLS = 1.0
# A flat bunch gets cells of this fraction of its longest ones: well below any real aspect ratio.
FLATTEST = 2.0**-17
# Extents below this many roundings of the coordinates are noise, and count as flat.
ROUNDINGS = 256.0
# Cell size of a bunch without any extent, m; it feels no force at any size.
POINT_CELL = 2.0**-10


@dataclass(frozen=True)
class Grid:
    """Nodes of a Cartesian grid whose middle is the centre of the bunch.

    Parameters
    ----------
    nodes : tuple of int, (nx, ny, nz)
    cell_size : Tensor, (batch, 3), float64, m
        In the stretched frame (x, y, gamma0 zeta).
    """

    nodes: tuple[int, int, int]
    cell_size: Tensor

    def in_cells(self, offset: Tensor) -> Tensor:
        """Positions counted in cells from the first node, (batch, 3, n_particles)."""
        per_cell = (1.0 / self.cell_size).to(offset.dtype).unsqueeze(-1)
        return offset * per_cell + half_width(self.nodes, offset)

    def require_covered(self, cells: Tensor, alive: Tensor) -> None:
        """Refuse if a living particle is too close to a face for the field to be right.

        Raises
        ------
        SpaceChargeError
            With the number of particles outside.
        """
        reach = half_width(self.nodes, cells)
        inside = ((cells.detach() - reach).abs() <= reach - LEAST_SPARE_CELLS).all(-2)
        outside = int((alive & ~inside).sum())
        if outside:
            raise SpaceChargeError(
                f"space charge: {outside} of {int(alive.sum())} living particles are outside the "
                f"grid {self.nodes} with cells of {self.cell_size.tolist()} m: "
                "let the cell sizes follow the bunch, or fix larger ones"
            )


def half_width(nodes: tuple[int, int, int], like: Tensor) -> Tensor:
    """Cells from the middle of the grid to its last node, (3, 1)."""
    return like.new_tensor([[(n - 1) / 2.0] for n in nodes])


def offset_from_mean(position: Tensor, alive: Tensor) -> Tensor:
    """Position relative to the plain mean of living particles, 0 for lost ones.

    Parameters
    ----------
    position : Tensor, (batch, 3, n_particles)
    alive : Tensor, (batch, n_particles), bool
    """
    alive = alive.unsqueeze(-2)
    centre = sums.plain_mean(position, alive).unsqueeze(-1)
    return torch.where(alive, position - centre, 0.0)


def ladder_cell_size(position: Tensor, offset: Tensor, nodes: tuple[int, int, int]) -> Tensor:
    """Smallest rungs of the ladder that cover every living particle with two cells to spare.

    Parameters
    ----------
    position : Tensor, (batch, 3, n_particles), m
        In the stretched frame; its size says which offsets are but rounding.
    offset : Tensor, (batch, 3, n_particles), m
        From `offset_from_mean`.
    nodes : tuple of int, (nx, ny, nz)

    Returns
    -------
    cell_size : Tensor, (batch, 3), float64, m

    Raises
    ------
    SpaceChargeError
        If a living particle has no finite position.
    """
    offset = offset.detach()
    extent = sums.largest(offset.abs()).to(torch.float64)
    scale = sums.largest(position.detach().abs()).to(torch.float64)
    if not bool(torch.isfinite(extent).all()):
        raise SpaceChargeError(
            "space charge: a living particle has no finite position: "
            "mark it as lost, or look for the element where it diverges"
        )
    noise = ROUNDINGS * torch.finfo(offset.dtype).eps * scale
    extent = torch.where(extent > noise, extent, 0.0)
    size = extent / (half_width(nodes, extent).squeeze(-1) - SPARE_CELLS)
    size = torch.maximum(size, FLATTEST * size.amax(-1, keepdim=True))
    size = torch.where(size > 0, size, POINT_CELL)
    return torch.exp2(torch.ceil(RUNGS_PER_OCTAVE * torch.log2(size)) / RUNGS_PER_OCTAVE)


def checked_cell_size(cell_size: CellSize, like: Tensor) -> Tensor:
    """Return cell sizes given by the user as a float64 tensor, (..., 3).

    Raises
    ------
    SpaceChargeError
        If they are not three positive, finite lengths.
    """
    size = torch.as_tensor(cell_size, dtype=torch.float64, device=like.device).detach()
    wrong = size.shape[-1:] != (3,) or not all(
        math.isfinite(h) and h > 0 for h in size.flatten().tolist()
    )
    if wrong:
        raise SpaceChargeError(
            f"space charge: cell_size = {size.tolist()} m: must be three positive lengths "
            "(hx, hy, gamma0 hzeta)"
        )
    return size
