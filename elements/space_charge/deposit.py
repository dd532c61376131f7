"""Deposit and gather: particles to nodes and back with the same weights.

The two are adjoint to each other, so that a bunch exerts no net force on itself.
First-order splines ("cloud-in-cell") or second-order ones ("triangular-shaped cloud"):
Hockney & Eastwood, Computer Simulation Using Particles (1988), section 5-3.

Cost: 8 or 27 nodes a particle, linear in particles; the plain operations keep the indices and
weights of all of them for the backward pass.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .. import sums
from .settings import Shape


class Stencil(NamedTuple):
    """The nodes that every particle touches, and its weight on each.

    `node` counts over the whole batch; both are (batch, n_particles, n_touched).
    """

    node: Tensor
    weight: Tensor


def weights_along(cells: Tensor, shape: Shape) -> tuple[Tensor, Tensor]:
    """First node and weights of a particle along each axis.

    Parameters
    ----------
    cells : Tensor, (batch, 3, n_particles)
    shape : {"cic", "tsc"}

    Returns
    -------
    first : Tensor, (batch, 3, n_particles), int64
    weights : Tensor, (batch, 3, n_particles, 2 or 3)
        They add up to 1.
    """
    if shape == "cic":
        first = torch.floor(cells.detach())
        fraction = cells - first
        return first.long(), torch.stack((1.0 - fraction, fraction), dim=-1)
    nearest = torch.floor(cells.detach() + 0.5)
    off = cells - nearest
    weights = (0.5 * (0.5 - off) ** 2, 0.75 - off**2, 0.5 * (0.5 + off) ** 2)
    return nearest.long() - 1, torch.stack(weights, dim=-1)


def slopes_along(cells: Tensor, shape: Shape) -> Tensor:
    """Derivative of `weights_along` by the position in cells, (batch, 3, n_particles, 2 or 3)."""
    if shape == "cic":
        sign = torch.linspace(-1.0, 1.0, 2, dtype=cells.dtype, device=cells.device)
        return sign.expand(*cells.shape, 2)
    off = cells - torch.floor(cells + 0.5)
    return torch.stack((off - 0.5, -2.0 * off, off + 0.5), dim=-1)


def stencil(cells: Tensor, nodes: tuple[int, int, int], shape: Shape = "cic") -> Stencil:
    """Find the nodes around every particle and its weights on them.

    Parameters
    ----------
    cells : Tensor, (batch, 3, n_particles)
        Positions counted in cells from the first node, all inside the grid.
    nodes : tuple of int, (nx, ny, nz)
    shape : {"cic", "tsc"}

    Returns
    -------
    Stencil
        The weights of a particle add up to 1; gradients flow through them.
    """
    _, ny, nz = nodes
    first, weights = weights_along(cells, shape)
    wx, wy, wz = weights.unbind(-3)
    weight = wx[..., :, None, None] * (wy[..., :, None] * wz[..., None, :])[..., None, :, :]
    ix, iy, iz = first.unbind(-2)
    batch = torch.arange(cells.shape[0], device=cells.device).unsqueeze(-1)
    base = ((batch * nodes[0] + ix) * ny + iy) * nz + iz
    step = torch.arange(weights.shape[-1], device=cells.device)
    corner = ((step[:, None, None] * ny + step[:, None]) * nz + step).flatten()
    return Stencil(base.unsqueeze(-1) + corner, weight.flatten(-3))


def deposit(values: Tensor, on: Stencil, nodes: tuple[int, int, int]) -> Tensor:
    """Deposit one value per particle on the nodes.

    Parameters
    ----------
    values : Tensor, (batch, n_particles)
    on : Stencil
    nodes : tuple of int, (nx, ny, nz)

    Returns
    -------
    Tensor, (batch, nx, ny, nz)
        Adds up to the sum of `values`.
    """
    batch = values.shape[0]
    shares = (values.unsqueeze(-1) * on.weight).flatten()
    n_nodes = batch * nodes[0] * nodes[1] * nodes[2]
    return sums.binned(shares, on.node.flatten(), n_nodes).view(batch, *nodes)


def gather(field: Tensor, on: Stencil) -> Tensor:
    """Interpolate fields on nodes to the particles.

    Parameters
    ----------
    field : Tensor, (components, batch, nx, ny, nz)
    on : Stencil

    Returns
    -------
    Tensor, (components, batch, n_particles)
    """
    at_nodes = field.flatten(1).index_select(1, on.node.flatten())
    return (at_nodes.view(-1, *on.node.shape) * on.weight).sum(-1)


def centred_differences(potential: Tensor) -> Tensor:
    """Difference of the two neighbours of every node along each axis, 0 on the faces.

    (batch, nx, ny, nz) -> (3, batch, nx, ny, nz); divide by twice the cell size.
    """
    return torch.stack([_difference(potential, axis) for axis in (-3, -2, -1)])


def _difference(potential: Tensor, axis: int) -> Tensor:
    inner = potential.shape[axis] - 2
    difference = potential.narrow(axis, 2, inner) - potential.narrow(axis, 0, inner)
    margins = [0, 0] * (-axis - 1) + [1, 1]
    return torch.nn.functional.pad(difference, margins)
