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
    """Nodes of a Cartesian grid around the bunch, in the stretched frame (x, y, gamma0 zeta).

    Parameters
    ----------
    nodes : tuple of int, (nx, ny, nz)
    cell_size : Tensor, (batch, 3), float64, m
    centre : Tensor, (batch, 3, 1), m
        Halfway between the first and the last node.
    """

    nodes: tuple[int, int, int]
    cell_size: Tensor
    centre: Tensor

    def in_cells(self, position: Tensor) -> Tensor:
        """Position of particles counted in cells from the first node, (batch, 3, n_particles)."""
        per_cell = (1.0 / self.cell_size).to(position.dtype).unsqueeze(-1)
        return (position - self.centre) * per_cell + half_width(self.nodes, position)

    def require_covered(self, cells: Tensor, alive: Tensor) -> None:
        """Refuse if a living particle is too close to a face for the field to be right.

        Raises
        ------
        SpaceChargeError
            With the number of particles outside.
        """
        reach = half_width(self.nodes, cells)
        inside = ((cells - reach).abs() <= reach - LEAST_SPARE_CELLS).all(-2)
        outside = int(sums.total((alive & ~inside).sum(0)))
        if outside:
            raise SpaceChargeError(
                f"space charge: {outside} of {int(sums.count(alive).sum())} living particles are "
                f"outside the grid {self.nodes} with cells of {self.cell_size.tolist()} m: "
                "let the cell sizes follow the bunch, or fix larger ones"
            )


def half_width(nodes: tuple[int, int, int], like: Tensor) -> Tensor:
    """Cells from the centre of the grid to its last node, (3, 1)."""
    return like.new_tensor([[(n - 1) / 2.0] for n in nodes])


def centre_of(position: Tensor, alive: Tensor) -> Tensor:
    """Plain mean over living particles, (batch, 3, n_particles) -> (batch, 3, 1)."""
    return sums.plain_mean(position, alive.unsqueeze(-2)).unsqueeze(-1)


def ladder_cell_size(position: Tensor, alive: Tensor, nodes: tuple[int, int, int]) -> Tensor:
    """Smallest rungs of the ladder that cover every living particle with two cells to spare.

    Parameters
    ----------
    position : Tensor, (batch, 3, n_particles), m
        In the stretched frame.
    alive : Tensor, (batch, n_particles), bool
    nodes : tuple of int, (nx, ny, nz)

    Returns
    -------
    cell_size : Tensor, (batch, 3), float64, m

    Raises
    ------
    SpaceChargeError
        If a living particle has no finite position.
    """
    position, alive = position.detach(), alive.unsqueeze(-2)
    offset = torch.where(alive, position - centre_of(position, alive.squeeze(-2)), 0.0).abs()
    extent = sums.largest(offset).to(torch.float64)
    noise = sums.largest(torch.where(alive, position, 0.0).abs()).to(torch.float64)
    if not bool(torch.isfinite(extent).all()):
        lost = int(sums.total((~torch.isfinite(offset)).any(-2).sum(0)))
        raise SpaceChargeError(
            f"space charge: {lost} living particles have no finite position: "
            "mark them as lost, or look for the element that diverges"
        )
    extent = torch.where(extent > ROUNDINGS * torch.finfo(position.dtype).eps * noise, extent, 0.0)
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
