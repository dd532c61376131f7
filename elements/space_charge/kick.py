"""The space-charge kick of a bunch on itself.

Positions -> deposit on nodes -> open-boundary Poisson solve -> centred differences ->
gather -> kick of (px, py, pzeta). The kick is a function of positions only: symplectic,
and undone exactly by the kick of negative length.

Everything is divided by the potential of one elementary charge at a cell's length, so
that gamma0, charge and mass enter through one factor, and float32 keeps its digits.

Cost: forward, a deposit, two transforms of the doubled grid and a gather. The plain
operations here give any order of derivative on any device.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..base import Element, Number, State
from ..bunch import Bunch
from ..errors import ElementError
from ..parts import Part
from ..reference import Reference
from .deposit import centred_differences, deposit, gather, stencil
from .grid import CellSize, Grid, centre_of, checked_cell_size, ladder_cell_size
from .poisson import ELEMENTARY_POTENTIAL, scaled_potential
from .settings import SpaceCharge


class _Particles(NamedTuple):
    """What the field depends on, with all batch dimensions in one."""

    position: Tensor  # (batch, 3, n_particles), m, stretched: (x, y, gamma0 zeta)
    charge: Tensor  # (batch, n_particles), in units of q0 e
    alive: Tensor  # (batch, n_particles)
    batch: torch.Size


def space_charge_kick(
    bunch: Bunch,
    length: Number,
    settings: SpaceCharge,
    cell_size: CellSize | None = None,
) -> Bunch:
    """Kick a bunch by its own field over a length.

    Gradients flow to coordinates, weights, reference and length; not to cell sizes.

    Parameters
    ----------
    bunch : Bunch
    length : float or Tensor, (...), m
        The length whose effect the kick carries; negative to undo it.
    settings : SpaceCharge
    cell_size : tuple of float or Tensor, (..., 3), m, optional
        As `cell_sizes` returned them; chosen anew for this bunch by default.

    Returns
    -------
    Bunch
        With other px, py and (if `settings.longitudinal`) pzeta.

    Raises
    ------
    SpaceChargeError
        If a living particle is outside the grid, or has no finite position.
    """
    particles = _particles(bunch)
    if cell_size is None:
        size = ladder_cell_size(particles.position, particles.alive, settings.grid)
    else:
        size = checked_cell_size(cell_size, particles.position)
        size = size.expand(*particles.batch, 3).reshape(-1, 3)
    slope = _slope(particles, Grid(settings.grid, size, centre_of(*particles[::2][:2])))
    kick = slope.unflatten(1, particles.batch) if particles.batch else slope.squeeze(1)
    factors = _factors(bunch.reference, length, size, particles.batch)
    kicks = [
        (component * _aligned(factor, component)) for component, factor in zip(kick, factors)
    ]
    return _kicked(bunch, kicks, settings.longitudinal)


def cell_sizes(bunch: Bunch, settings: SpaceCharge) -> CellSize:
    """Cell sizes (hx, hy, gamma0 hzeta) [m] of the grid for this bunch: rungs of the ladder.

    Three floats, or a float64 tensor (..., 3) for a batch.
    """
    particles = _particles(bunch.detach())
    size = ladder_cell_size(particles.position, particles.alive, settings.grid)
    if particles.batch:
        return size.view(*particles.batch, 3)
    hx, hy, hz = size[0].tolist()
    return hx, hy, hz
