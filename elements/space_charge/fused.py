"""The kick as one function with its adjoint written by hand.

With W the weights, D the centred differences, G the (symmetric) Green function and g the
incoming gradient of the momenta times the factors of the kick:

    potential phi = G deposit(w),           kick = factor * sum over nodes of W D phi
    adjoint potential l = G sum_d D_d^T deposit(g_d)
    d/d position = sum over nodes of dW (g . D phi + w l),     d/d weight = sum W l

and, since the grid is centred on the plain mean, the mean of the position gradients is
subtracted from each of them.

Cost: forward, a deposit, two transforms, a gather; backward, a deposit of three components,
two transforms, a gather of values and slopes. It keeps the coordinates, which the state
shares, and the potential: one number a node.
Validity: first derivatives; higher ones differentiate the plain operations instead.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from .. import kernels
from ..gpu import beside
from . import torch_operations, triton_operations
from .compiled import Compiled
from .grid import Grid
from .mapping import operator, transforms_active
from .plain import plain_kick
from .settings import Shape

Backend = Compiled | triton_operations.OnGpu | ModuleType


def is_usable(coordinates: Tensor) -> bool:
    """Whether no transform of torch.func and no forward mode is under way."""
    if transforms_active():
        return False
    return forward_ad.unpack_dual(coordinates).tangent is None


def backend_for(device: torch.device) -> Backend:
    """C kernels on the CPU, Triton ones on a GPU, where they can be had; else torch operations."""
    if device.type == "cpu" and (found := kernels.load()) is not None:
        return Compiled(found)
    if device.type == "cuda" and (on_gpu := triton_operations.load()) is not None:
        return on_gpu
    return torch_operations


def fused_kick(
    coordinates: Tensor,
    weight: Tensor,
    gamma0: Tensor,
    factor: Tensor,
    grid: Grid,
    potential: Tensor | None = None,
    field_dtype: torch.dtype | None = None,
) -> Tensor:
    """Same as `plain_kick`, with little memory and a fast backward pass.

    A `potential` that `scaled_field` gave for the same bunch and grid is used again. Both
    passes convert to `field_dtype` and back; what is kept of the bunch is not converted.
    """
    dtype = field_dtype or coordinates.dtype
    return _Kick.apply(coordinates, weight, gamma0, factor, grid, potential, dtype)  # pyright: ignore


def scaled_field(coordinates: Tensor, weight: Tensor, gamma0: Tensor, grid: Grid) -> Tensor:
    """Scaled potential of a bunch on the nodes, (batch, nx, ny, nz), without gradients."""
    return backend_for(coordinates.device).field(coordinates, weight, gamma0, grid)


class _Kick(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        coordinates: Tensor,
        weight: Tensor,
        gamma0: Tensor,
        factor: Tensor,
        grid: Grid,
        potential: Tensor | None,
        dtype: torch.dtype,
    ) -> Tensor:
        backend = backend_for(coordinates.device)
        converted, field = coordinates.to(dtype), potential
        if field is None:
            field = backend.field(converted, weight.to(dtype), gamma0, grid)
        # autograd notices a change in place of what it keeps
        ctx.save_for_backward(coordinates, weight, gamma0, factor, grid.alive, field)
        ctx.grid = grid._replace(alive=None)
        return backend.kick(converted, field, gamma0, factor, grid).to(coordinates.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore
        coordinates, weight, *inputs, alive, potential = ctx.saved_tensors
        dtype, grid = potential.dtype, ctx.grid._replace(alive=alive)
        if torch.is_grad_enabled():
            inputs = [coordinates, weight, *inputs]
            return *_differentiable_adjoint(inputs, gradient, grid, dtype), None, None, None
        _, wants_weight, wants_gamma0, wants_factor, *_ = ctx.needs_input_grad
        inputs = [coordinates.to(dtype), weight.to(dtype), *inputs]
        arguments: Any = (*inputs, potential, gradient.to(dtype), *grid[1:6], wants_weight)
        result, weights, totals = _adjoint(*arguments)
        weights = weights.to(weight.dtype) if wants_weight else None
        stretch = factors = None
        if wants_gamma0:
            stretch = totals[:, 6].to(inputs[2].device) / beside(grid.cell_size[:, 2], inputs[2])
        if wants_factor:
            factors = totals[:, 3:6].to(inputs[3].device)
        return result.to(coordinates.dtype), weights, stretch, factors, None, None, None


@operator("space_charge_adjoint")
def _adjoint(
    coordinates: Tensor,
    weight: Tensor,
    gamma0: Tensor,
    factor: Tensor,
    potential: Tensor,
    gradient: Tensor,
    cell_size: Tensor,
    centre: Tensor,
    alive: Tensor | None,
    shape: str,
    follows: bool,
    wants_weight: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """The backward pass; an operator, so that torch can map it over many gradients."""
    nx, ny, nz = potential.shape[1:]
    known: Shape = "tsc" if shape == "tsc" else "cic"
    grid = Grid((nx, ny, nz), cell_size, centre, alive, known, follows)
    backend = backend_for(coordinates.device)
    result, weights, totals = backend.adjoint(
        coordinates, weight, gamma0, factor, potential, gradient, grid, wants_weight
    )
    if follows:
        _subtract_mean(result, totals[:, :3], grid)
    return result, weights, totals


def _subtract_mean(result: Tensor, totals: Tensor, grid: Grid) -> None:
    """The grid follows the mean of the living particles: take its share off their gradients."""
    if grid.alive is None:
        result[:, 0::2] -= (totals / result.shape[-1]).to(result).unsqueeze(-1)
        return
    living = grid.alive.sum(-1, keepdim=True).clamp(min=1)
    share = (totals / living).to(result).unsqueeze(-1)
    result[:, 0::2] -= torch.where(grid.alive.unsqueeze(-2), share, 0.0)


def _differentiable_adjoint(
    inputs: list[Tensor], gradient: Tensor, grid: Grid, dtype: torch.dtype
) -> tuple[Tensor | None, ...]:
    wanted = [tensor for tensor in inputs if tensor.requires_grad]
    kicked = plain_kick(inputs[0], inputs[1], inputs[2], inputs[3], grid, dtype)
    found = iter(torch.autograd.grad(kicked, wanted, gradient, create_graph=True))
    return tuple(next(found) if tensor.requires_grad else None for tensor in inputs)
