"""The steps of the fused kick in torch operations, for any device.

Each is the counterpart of a C kernel in `compiled`, with the same arguments; nothing here
is recorded for automatic differentiation.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..gpu import beside, together
from .deposit import (
    Stencil,
    centred_differences,
    deposit,
    gather,
    slopes_along,
    stencil,
    weights_along,
)
from .grid import Grid, check_inside
from .poisson import scaled_potential


def field(coordinates: Tensor, weight: Tensor, gamma0: Tensor, grid: Grid) -> Tensor:
    """Scaled potential of the bunch on the nodes, (batch, nx, ny, nz).

    Raises
    ------
    SpaceChargeError
        If a living particle is outside the grid.
    """
    cells, _ = _cells(coordinates, gamma0, grid)
    if not grid.holds_all:
        check_inside(grid.is_inside(cells), grid)
    charge = deposit(_living(weight, grid), stencil(cells, grid.nodes, grid.shape), grid.nodes)
    # a copy, since a view would keep all of the doubled grid
    return scaled_potential(charge, grid.cell_size).contiguous()


def kick(
    coordinates: Tensor, potential: Tensor, gamma0: Tensor, factor: Tensor, grid: Grid
) -> Tensor:
    """New coordinates, (batch, 6, n_particles)."""
    cells, (factor,) = _cells(coordinates, gamma0, grid, factor)
    on = stencil(cells, grid.nodes, grid.shape)
    slope = gather(centred_differences(potential), on).movedim(0, 1)
    kicked = coordinates.clone()
    kicked[:, 1::2] += _living(slope * factor, grid, -2)
    return kicked


def adjoint(
    coordinates: Tensor,
    weight: Tensor,
    gamma0: Tensor,
    factor: Tensor,
    potential: Tensor,
    gradient: Tensor,
    grid: Grid,
    wants_weight: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Adjoint of deposit, solve and kick on a fixed grid.

    Returns
    -------
    result : Tensor, (batch, 6, n_particles)
        Gradient of the incoming coordinates; the mean's share is not yet subtracted.
    weights : Tensor, (batch, n_particles), or (0,) if nobody asks
    totals : Tensor, (batch, 7), float64
        Sums over particles of the position gradients (3), of the gradients of the factors
        (3), and of zeta's gradient times its offset over cells per metre.
    """
    per_metre = grid.cells_per_metre(gamma0)
    cells, (factor, per_metre) = _cells(coordinates, gamma0, grid, factor, per_metre)
    on = stencil(cells, grid.nodes, grid.shape)
    incoming = _living(gradient[:, 1::2], grid, -2)
    force = incoming * factor
    source = transposed_differences([deposit(row, on, grid.nodes) for row in force.unbind(1)])
    adjoint_potential = scaled_potential(source, grid.cell_size)
    slopes = centred_differences(potential)
    weight = _living(weight, grid)
    at_nodes = weight.unsqueeze(-1) * _at_nodes(adjoint_potential, on)
    for slope, row in zip(slopes, force.unbind(1), strict=True):
        at_nodes += row.unsqueeze(-1) * _at_nodes(slope, on)
    in_cells = _slope_of_weights(at_nodes, cells, grid)
    moved = _living(in_cells * per_metre, grid, -2)
    result = gradient.clone()
    result[:, 0::2] += moved
    weights = coordinates.new_empty(0)
    if wants_weight:
        weights = _living(gather(adjoint_potential[None], on)[0], grid)
    factors = (gather(slopes, on).movedim(0, 1) * incoming).sum(-1)
    offset = _living(coordinates[:, 4] - grid.centre[:, 2:].to(coordinates.dtype), grid)
    stretch = (in_cells[:, 2] * offset).sum(-1, keepdim=True)
    totals = torch.cat((moved.sum(-1), factors, stretch), dim=-1)
    return result, weights, totals.to(torch.float64)


def _cells(
    coordinates: Tensor, gamma0: Tensor, grid: Grid, *others: Tensor
) -> tuple[Tensor, list[Tensor]]:
    """Positions counted in cells, and `others`, (batch, 3), beside the particles: one copy."""
    per_metre = grid.cells_per_metre(gamma0)
    numbers = torch.stack(together(per_metre, grid.half_width.expand(per_metre.shape), *others))
    numbers = beside(numbers.to(coordinates.dtype), coordinates).unsqueeze(-1)
    offset = coordinates[:, 0::2] - grid.centre.to(coordinates.dtype).unsqueeze(-1)
    offset = _living(offset, grid, -2)
    return offset * numbers[0] + numbers[1], list(numbers[2:])


def _living(values: Tensor, grid: Grid, axis: int | None = None) -> Tensor:
    """`values` with those of lost particles replaced by 0."""
    if grid.alive is None:
        return values
    return torch.where(grid.alive if axis is None else grid.alive.unsqueeze(axis), values, 0.0)


def _at_nodes(field: Tensor, on: Stencil) -> Tensor:
    return field.flatten().index_select(0, on.node.flatten()).view(on.node.shape)


def _slope_of_weights(at_nodes: Tensor, cells: Tensor, grid: Grid) -> Tensor:
    """Sum over the touched nodes of the slope of the weights, (batch, 3, n_particles)."""
    wx, wy, wz = weights_along(cells, grid.shape)[1].unbind(-3)
    dx, dy, dz = slopes_along(cells, grid.shape).unbind(-3)
    cube = at_nodes.unflatten(-1, (wx.shape[-1],) * 3)
    factors = "bpijk,bpi,bpj,bpk->bp"
    return torch.stack(
        (
            torch.einsum(factors, cube, dx, wy, wz),
            torch.einsum(factors, cube, wx, dy, wz),
            torch.einsum(factors, cube, wx, wy, dz),
        ),
        dim=-2,
    )


def transposed_differences(fields: list[Tensor]) -> Tensor:
    """Transpose of `centred_differences`, summed over its three components."""
    total = torch.zeros_like(fields[0])
    for axis, values in zip((-3, -2, -1), fields, strict=True):
        n = values.shape[axis]
        total.narrow(axis, 1, n - 1).add_(values.narrow(axis, 0, n - 1))
        total.narrow(axis, 0, n - 1).sub_(values.narrow(axis, 1, n - 1))
    return total
