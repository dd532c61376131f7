"""The space-charge kick of a bunch on itself.

Positions -> deposit on nodes -> open-boundary Poisson solve -> centred differences ->
gather -> kick of (px, py, pzeta). The kick is a function of positions only: symplectic,
and undone exactly by the kick of negative length.

Charges are counted in particles and potentials in units of one particle at a distance of
one cell, so that charge, mass and energy enter through one factor, and float32 keeps its
digits.

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
from .grid import CellSize, Grid, checked_cell_size, ladder_cell_size, offset_from_mean
from .poisson import ELEMENTARY_POTENTIAL, scaled_potential
from .settings import SpaceCharge


class _Source(NamedTuple):
    """What the field depends on, with all batch dimensions flattened into one."""

    position: Tensor  # (batch, 3, n_particles), m: (x, y, gamma0 zeta)
    weight: Tensor  # (batch, n_particles)
    alive: Tensor  # (batch, n_particles)
    batch: torch.Size

    @classmethod
    def of(cls, bunch: Bunch) -> _Source:
        coordinates, alive, weight = bunch.coordinates, bunch.alive, bunch.weight
        if not bool(alive.all()):
            # lost particles may hold anything, even NaN, and must not reach a gradient
            coordinates = torch.where(alive.unsqueeze(-2), coordinates, 0.0)
            weight = torch.where(alive, weight, 0.0)
        gamma0 = bunch.reference.over_particles(coordinates).gamma0
        x, y, zeta = coordinates[..., 0, :], coordinates[..., 2, :], coordinates[..., 4, :]
        position = torch.stack(torch.broadcast_tensors(x, y, zeta * gamma0), dim=-2)
        batch, n_particles = position.shape[:-2], position.shape[-1]
        return cls(
            position.reshape(-1, 3, n_particles),
            weight.expand(*batch, n_particles).reshape(-1, n_particles),
            alive.expand(*batch, n_particles).reshape(-1, n_particles),
            batch,
        )


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
    source = _Source.of(bunch)
    offset = offset_from_mean(source.position, source.alive)
    if cell_size is None:
        size = ladder_cell_size(source.position, offset, settings.grid)
    else:
        size = checked_cell_size(cell_size, offset).expand(*source.batch, 3).reshape(-1, 3)
    slope = _slope(offset, source, Grid(settings.grid, size))
    slope = slope.reshape(3, *source.batch, -1)  # drops the batch axis of a single bunch
    factors = _factors(bunch.reference, length, size.reshape(*source.batch, 3))
    return _kicked(bunch, slope, factors, settings)


def cell_sizes(bunch: Bunch, settings: SpaceCharge) -> CellSize:
    """Cell sizes (hx, hy, gamma0 hzeta) [m] of the grid for this bunch: rungs of the ladder.

    Three floats, or a float64 tensor (..., 3) for a batch.
    """
    source = _Source.of(bunch.detach())
    offset = offset_from_mean(source.position, source.alive)
    size = ladder_cell_size(source.position, offset, settings.grid)
    if source.batch:
        return size.view(*source.batch, 3)
    hx, hy, hz = size[0].tolist()
    return hx, hy, hz


def _slope(offset: Tensor, source: _Source, grid: Grid) -> Tensor:
    """Differences of the scaled potential over two cells at the particles.

    (3, batch, n_particles), 0 for lost particles.
    """
    cells = grid.in_cells(offset)
    grid.require_covered(cells, source.alive)
    on = stencil(cells, grid.nodes)
    charge = deposit(source.weight, on, grid.nodes)
    field = centred_differences(scaled_potential(charge, grid.cell_size))
    return torch.where(source.alive, gather(field, on), 0.0)


def _factors(reference: Reference, length: Number, size: Tensor) -> list[Tensor]:
    """Change of px, py, pzeta per scaled difference: -q0 L/(gamma0^3 beta0^2 mass0) d phi.

    With phi = e q0 gamma0/(4 pi eps0 hz) times the scaled potential.
    """
    hx, hy, hz = size.unbind(-1)
    common = -ELEMENTARY_POTENTIAL * reference.q0**2 * length * reference.mass0
    common = common / (reference.p0c**2 * hz)
    return [common / (2.0 * hx), common / (2.0 * hy), common * reference.gamma0 / (2.0 * hz)]


def _kicked(bunch: Bunch, slope: Tensor, factors: list[Tensor], settings: SpaceCharge) -> Bunch:
    coordinates = list(bunch.coordinates.unbind(-2))
    for plane in range(3 if settings.longitudinal else 2):
        factor = factors[plane]
        if factor.dim():
            factor = factor.unsqueeze(-1).to(slope.dtype)
        coordinates[2 * plane + 1] = coordinates[2 * plane + 1] + factor * slope[plane]
    return bunch.replace(coordinates=torch.stack(torch.broadcast_tensors(*coordinates), dim=-2))


class SpaceChargeKick(Element):
    """Thin kick of (px, py, pzeta) by the bunch's own field over a length.

    Parameters
    ----------
    length : float or Tensor, m
        The length of beam line whose effect the kick carries.
    grid : tuple of int, (nx, ny, nz)
    longitudinal : bool
        Whether pzeta is kicked as well as px and py.
    cell_size : tuple of float, m, optional
        Fixed cells (hx, hy, gamma0 hzeta); by default they follow the bunch on a ladder.

    Validity: open boundaries; second order in the cell size; the field of the
    reference's rest frame, for momentum spreads small against gamma0.

    Raises
    ------
    SpaceChargeError
        If the grid or the cell sizes are not valid; when tracking, if living particles are
        outside fixed cells.
    """

    def __init__(
        self,
        length: Number = 0.0,
        grid: tuple[int, int, int] = (32, 32, 32),
        longitudinal: bool = True,
        cell_size: CellSize | None = None,
    ) -> None:
        super().__init__()
        self.settings = SpaceCharge(grid=grid, longitudinal=longitudinal)
        if cell_size is not None:
            checked_cell_size(cell_size, torch.empty(0))
        self.cell_size = cell_size
        self._register(length=length)

    def track(self, bunch: Bunch) -> Bunch:
        return space_charge_kick(bunch, self.length, self.settings, self.cell_size)

    def transport(self, state: State, reference: Reference) -> State:
        raise ElementError(
            f"{self.label}: the field depends on weights and on who is alive: call track(bunch)"
        )

    undo = transport

    def inverse(self) -> Element:
        return _InverseKick(self)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, grid={self.settings.grid}"


class _InverseKick(Part):
    """The kick of negative length: it finds the same field, since positions stay."""

    parent: SpaceChargeKick

    def track(self, bunch: Bunch) -> Bunch:
        parent = self.parent
        return space_charge_kick(bunch, -parent.length, parent.settings, parent.cell_size)

    def transport(self, state: State, reference: Reference) -> State:
        return self.parent.transport(state, reference)

    def undo(self, state: State, reference: Reference) -> State:
        return self.parent.transport(state, reference)

    def inverse(self) -> Element:
        return self.parent
