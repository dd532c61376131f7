"""The kick in plain, differentiable torch operations: any device, any order of derivative.

Cost: backward keeps the indices and weights of 8 nodes a particle, and three field
components a node. `fused` computes the same with the adjoint written by hand.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .. import sums
from ..gpu import beside
from .deposit import centred_differences, deposit, gather, stencil
from .grid import Grid, check_inside
from .poisson import scaled_potential


def plain_kick(
    coordinates: Tensor,
    weight: Tensor,
    gamma0: Tensor,
    factor: Tensor,
    grid: Grid,
    field_dtype: torch.dtype | None = None,
) -> Tensor:
    """Add factor times the difference of the scaled potential over two cells to the momenta.

    Parameters
    ----------
    coordinates : Tensor, (batch, 6, n_particles)
    weight : Tensor, (batch, n_particles)
    gamma0 : Tensor, (batch,)
    factor : Tensor, (batch, 3)
        Change of px, py, pzeta per unit of difference.
    grid : Grid
    field_dtype : torch.dtype, optional
        Of all that is computed here; the result has the coordinates' own.

    Returns
    -------
    Tensor, (batch, 6, n_particles)

    Raises
    ------
    SpaceChargeError
        If a living particle is outside the grid.
    """
    bunch_dtype, field_dtype = coordinates.dtype, field_dtype or coordinates.dtype
    coordinates, weight = coordinates.to(field_dtype), weight.to(field_dtype)
    position = coordinates[:, 0::2]
    alive = None
    if grid.alive is not None:
        alive = grid.alive.unsqueeze(-2)
        # lost particles may hold anything, even NaN, and must not reach a gradient
        position = torch.where(alive, position, 0.0)
        weight = torch.where(grid.alive, weight, 0.0)
    centre = grid.centre.to(position.dtype)
    if grid.follows:
        centre = sums.plain_mean(position, alive)
    offset = position - centre.unsqueeze(-1)
    if alive is not None:
        offset = torch.where(alive, offset, 0.0)
    per_metre, half_width, factor = (
        beside(numbers.to(offset.dtype), offset).unsqueeze(-1)
        for numbers in (grid.cells_per_metre(gamma0), grid.half_width, factor)
    )
    cells = offset * per_metre + half_width
    if not grid.holds_all:
        check_inside(grid.is_inside(cells.detach()), grid)
    on = stencil(cells, grid.nodes, grid.shape)
    charge = deposit(weight, on, grid.nodes)
    field = centred_differences(scaled_potential(charge, grid.cell_size))
    kick = gather(field, on).movedim(0, 1) * factor
    if alive is not None:
        kick = torch.where(alive, kick, 0.0)
    momenta = coordinates[:, 1::2] + kick
    kicked = torch.stack((coordinates[:, 0::2], momenta), dim=2).flatten(1, 2)
    return kicked.to(bunch_dtype)
