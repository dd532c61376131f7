"""The space-charge kick of a bunch on itself.

Positions -> deposit on nodes -> open-boundary Poisson solve -> centred differences ->
gather -> kick of (px, py, pzeta). The kick is a function of positions only, and undone
exactly by the kick of negative length.

Charges are counted in particles and potentials in units of one particle at a distance of
one cell, so that charge, mass and energy enter through one factor, and float32 keeps its
digits.

Cost: forward, a deposit, two transforms of the doubled grid and a gather; backward, about
as much again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from ..base import Element, Number, State
from ..bunch import Bunch
from ..errors import ElementError
from ..gpu import together
from ..reference import Reference, as_scalar
from ..shapes import broadcast_shape
from .ballistic import at_one_place, at_one_time
from .fused import fused_kick, is_usable, scaled_field
from .grid import CellSize, Grid, checked_cell_size, grid_around
from .mapping import all_alive
from .plain import plain_kick
from .poisson import ELEMENTARY_POTENTIAL
from .settings import Implementation, Range, Shape, SpaceCharge, Transform


class _Source(NamedTuple):
    """What the field depends on, with all batch dimensions flattened into one."""

    coordinates: Tensor  # (batch, 6, n_particles)
    weight: Tensor  # (batch, n_particles)
    gamma0: Tensor  # (batch,)
    alive: Tensor | None  # (batch, n_particles); None if all are

    @classmethod
    def of(cls, bunch: Bunch, batch: torch.Size) -> _Source:
        n = bunch.n_particles
        alive = None if all_alive(bunch.alive) else bunch.alive
        return cls(
            bunch.coordinates.expand(*batch, 6, n).reshape(-1, 6, n),
            bunch.weight.expand(*batch, n).reshape(-1, n),
            bunch.reference.gamma0.expand(batch).reshape(-1),
            None if alive is None else alive.expand(*batch, n).reshape(-1, n),
        )


class Field(NamedTuple):
    """Field of a bunch on itself, to be used again: its grid and scaled potential."""

    grid: Grid
    potential: Tensor


def space_charge_field(
    bunch: Bunch, settings: SpaceCharge, cell_size: CellSize | None = None
) -> Field:
    """Solve for the field of a bunch, without gradients.

    Takes the arguments, and raises the errors, of `space_charge_kick`.
    """
    with torch.no_grad():
        if settings.transform == "ballistic":
            bunch = at_one_time(bunch).bunch
        source, grid, _ = _source_and_grid(bunch, settings, cell_size)
        coordinates, weight = source.coordinates, source.weight
        dtype = settings.field_dtype or coordinates.dtype
        potential = scaled_field(coordinates.to(dtype), weight.to(dtype), source.gamma0, grid)
        return Field(grid, potential)


def space_charge_kick(
    bunch: Bunch,
    length: Number,
    settings: SpaceCharge,
    cell_size: CellSize | None = None,
    field: Field | None = None,
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
    field : Field, optional
        What `space_charge_field` gave for the same bunch; saves the forward solve. The plain
        implementation solves again, since it differentiates the solve.

    Returns
    -------
    Bunch
        With other px, py and (if `settings.longitudinal`) pzeta.

    Raises
    ------
    SpaceChargeError
        If a living particle is outside the grid, or has no finite position.
    """
    if settings.transform == "ballistic":
        snapshot = at_one_time(bunch)
        settings = replace(settings, transform="none")
        kicked = space_charge_kick(snapshot.bunch, length, settings, cell_size, field)
        return at_one_place(bunch, snapshot, kicked)
    length = as_scalar(length)
    source, grid, batch = _source_and_grid(bunch, settings, cell_size, length, field)
    factor = _factor(bunch.reference, length, grid.cell_size.reshape(*batch, 3), settings)
    factor = factor.expand(*batch, 3).reshape(-1, 3)
    inputs = (source.coordinates, source.weight, source.gamma0, factor, grid)
    if settings.implementation == "fused" and is_usable(source.coordinates):
        potential = None if field is None else field.potential
        kicked = fused_kick(*inputs, potential, settings.field_dtype)
    else:
        kicked = plain_kick(*inputs, settings.field_dtype)
    return bunch.replace(coordinates=kicked.reshape(*batch, 6, -1))


def cell_sizes(bunch: Bunch, settings: SpaceCharge) -> CellSize:
    """Cell sizes (hx, hy, gamma0 hzeta) [m] of the grid for this bunch: rungs of the ladder.

    Three floats, or a float64 tensor (..., 3) for a batch.
    """
    bunch = bunch.detach()
    if settings.transform == "ballistic":
        bunch = at_one_time(bunch).bunch
    batch = _batch_of(bunch)
    source = _Source.of(bunch, batch)
    position = source.coordinates[:, 0::2]
    size = grid_around(position, source.gamma0, source.alive, settings).cell_size
    if batch:
        return size.view(*batch, 3)
    hx, hy, hz = size[0].tolist()
    return hx, hy, hz


def _source_and_grid(
    bunch: Bunch,
    settings: SpaceCharge,
    cell_size: CellSize | None,
    length: Tensor | None = None,
    field: Field | None = None,
) -> tuple[_Source, Grid, torch.Size]:
    size = None if cell_size is None else checked_cell_size(cell_size)
    batch = _batch_of(bunch, length, size)
    source = _Source.of(bunch, batch)
    if field is not None:
        return source, field.grid, batch
    if size is not None:
        size = size.expand(*batch, 3).reshape(-1, 3)
    position = source.coordinates[:, 0::2]
    grid = grid_around(position, source.gamma0, source.alive, settings, size)
    return source, grid, batch


def _batch_of(bunch: Bunch, length: Tensor | None = None, size: Tensor | None = None) -> torch.Size:
    reference = bunch.reference
    tensors = (bunch.alive[..., 0], reference.p0c, reference.mass0, reference.q0, length)
    shapes = [tensor.shape for tensor in tensors if tensor is not None]
    return broadcast_shape(shapes if size is None else [*shapes, size.shape[:-1]])


def _factor(reference: Reference, length: Tensor, size: Tensor, settings: SpaceCharge) -> Tensor:
    """Change of (px, py, pzeta) per scaled difference over two cells, (..., 3).

    -q0 L/(gamma0^3 beta0^2 mass0) d phi, with phi = e q0 gamma0/(4 pi eps0 hz) times the
    scaled potential.
    """
    fields = (reference.mass0, reference.q0, reference.p0c)
    size, length, *fields = together(size, length, *fields)
    reference = Reference.known(*fields)
    hx, hy, hz = size.unbind(-1)
    common = -ELEMENTARY_POTENTIAL * reference.q0**2 * length * reference.mass0
    common = common / (reference.p0c**2 * hz)
    along = common * reference.gamma0 / (2.0 * hz)
    if not settings.longitudinal:
        along = torch.zeros_like(along)
    return torch.stack((common / (2.0 * hx), common / (2.0 * hy), along), dim=-1)


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
    implementation, shape, x_range, y_range, z_range, transform, field_dtype
        See `SpaceCharge`.

    Validity: open boundaries; second order in the cell size; the field of the
    reference's rest frame, for momentum spreads small against gamma0.

    Raises
    ------
    SpaceChargeError
        If a setting is not valid; when tracking, if living particles are outside fixed cells.
    """

    is_map = False

    def __init__(
        self,
        length: Number = 0.0,
        grid: tuple[int, int, int] = (32, 32, 32),
        longitudinal: bool = True,
        cell_size: CellSize | None = None,
        implementation: Implementation = "fused",
        shape: Shape = "cic",
        x_range: Range | None = None,
        y_range: Range | None = None,
        z_range: Range | None = None,
        transform: Transform = "none",
        field_dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        ranges = (x_range, y_range, z_range)
        self.settings = SpaceCharge(
            grid, longitudinal, implementation, shape, *ranges, transform, field_dtype
        )
        if cell_size is not None:
            checked_cell_size(cell_size)
        self.cell_size = cell_size
        self._register(length=length)

    def track(self, bunch: Bunch) -> Bunch:
        return space_charge_kick(bunch, self.length, self.settings, self.cell_size)

    def undo_track(self, bunch: Bunch) -> Bunch:
        return space_charge_kick(bunch, -self.length, self.settings, self.cell_size)

    def transport(self, state: State, reference: Reference) -> State:
        raise ElementError(
            f"{self.label}: the field depends on weights and on who is alive: call track(bunch)"
        )

    undo = transport

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, grid={self.settings.grid}"
