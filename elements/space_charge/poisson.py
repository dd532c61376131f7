"""Poisson's equation in open space: Hockney's convolution on the doubled grid.

Charges on (nx, ny, nz) nodes are convolved with the Green function by transforms of twice
the length, which keeps periodic images away: Hockney & Eastwood, Computer Simulation Using
Particles (1988), section 6-5-4. Transforms go axis by axis, so that rows that are still
zero, or no longer needed, are never transformed.

Cost: n log n in nodes, with a work space of 8 complex numbers a node.
Validity: the charge of a float32 pancake is solved in float64, since the force along its short
axis is a small difference of the potential; only the result is rounded.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import scipy.constants
import torch
from torch import Tensor

from .green import green_transform
from .mapping import mapped, transforms_active

# e/(4 pi eps0), V m: the potential of an elementary charge at 1 m.
ELEMENTARY_POTENTIAL = scipy.constants.e / (4.0 * math.pi * scipy.constants.epsilon_0)
# Cells thinner than this over the second largest axis are solved in float64: their neighbours
# differ by so little of the potential that the transforms' rounding in float32 would show.
FLAT_CELLS = 1.0 / 16.0


def dtype_of_solve(cell_size: Tensor, dtype: torch.dtype) -> torch.dtype:
    """`dtype`, or float64 if any bunch of the batch is a pancake; the result is rounded once.

    Under `torch.vmap`, which shows no numbers, it is float64 always.
    """
    if dtype == torch.float64 or transforms_active():
        return torch.float64
    thinnest, middle, _ = cell_size.sort(-1).values.unbind(-1)
    return torch.float64 if bool((thinnest < FLAT_CELLS * middle).any()) else dtype


def convolve(source: Tensor, transform: Tensor) -> Tensor:
    """Convolve with an even function that is given by the octant of its transform.

    Parameters
    ----------
    source : Tensor, (batch, nx, ny, nz)
    transform : Tensor, (batch or 1, nx + 1, ny + 1, nz + 1)

    Returns
    -------
    Tensor, (batch, nx, ny, nz)
    """
    nx, ny, nz = source.shape[-3:]
    spectrum = torch.fft.rfft(source, 2 * nz, dim=-1)
    spectrum = torch.fft.fft(spectrum, 2 * ny, dim=-2)
    spectrum = torch.fft.fft(spectrum, 2 * nx, dim=-3)
    spectrum = spectrum * _unfolded(_unfolded(transform, -2), -3)
    spectrum = torch.fft.ifft(spectrum, dim=-3).narrow(-3, 0, nx)
    spectrum = torch.fft.ifft(spectrum, dim=-2).narrow(-2, 0, ny)
    return torch.fft.irfft(spectrum, 2 * nz, dim=-1).narrow(-1, 0, nz)


def _unfolded(octant: Tensor, axis: int) -> Tensor:
    """Frequencies 0 ... 2 n - 1 of an even transform known at 0 ... n."""
    inner = octant.narrow(axis, 1, octant.shape[axis] - 2)
    return torch.cat((octant, inner.flip(axis)), axis)


def scaled_potential(charge: Tensor, cell_size: Tensor) -> Tensor:
    """Sum over sources of charge times the mean of hz/r over a cell: no units but the charge's.

    Times `ELEMENTARY_POTENTIAL * gamma0 / hz` it is the potential in volt of elementary charges.

    Parameters
    ----------
    charge : Tensor, (batch, nx, ny, nz)
    cell_size : Tensor, (batch, 3), m
        In the stretched frame (x, y, gamma0 zeta).

    Returns
    -------
    Tensor, (batch, nx, ny, nz)
    """
    nodes = (charge.shape[-3], charge.shape[-2], charge.shape[-1])
    dtype = dtype_of_solve(cell_size, charge.dtype)
    transform = _mapped_transform(cell_size.detach(), list(nodes), dtype, charge.device)
    return convolve(charge.to(dtype), transform).to(charge.dtype)


@mapped("space_charge_green_transform")
def _mapped_transform(
    cell_size: Tensor, nodes: Sequence[int], dtype: torch.dtype, device: torch.device
) -> Tensor:
    nx, ny, nz = nodes
    return green_transform((nx, ny, nz), cell_size, dtype, device)


def potential(charge: Tensor, cell_size: Tensor, gamma0: float | Tensor = 1.0) -> Tensor:
    """Potential in the laboratory of charges on the nodes of a grid in open space.

    Parameters
    ----------
    charge : Tensor, (batch, nx, ny, nz), elementary charges
    cell_size : Tensor, (batch, 3), m
        In the stretched frame (x, y, gamma0 zeta).
    gamma0 : float or Tensor, (batch,)

    Returns
    -------
    phi : Tensor, (batch, nx, ny, nz), V
    """
    factor = ELEMENTARY_POTENTIAL * gamma0 / cell_size[..., 2]
    return scaled_potential(charge, cell_size) * factor.to(charge.dtype)[..., None, None, None]
