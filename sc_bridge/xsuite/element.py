"""SpaceCharge3D: our kick as a collective element of an Xsuite line."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, ClassVar

import torch

from sc_bridge.elements import Bunch, Reference
from sc_bridge.elements.bunch import COORDINATES
from sc_bridge.elements.space_charge import SpaceCharge, space_charge_kick
from sc_bridge.elements.space_charge.grid import CellSize, checked_cell_size
from sc_bridge.errors import BunchError, SpaceChargeError
from sc_bridge.units import to_si

from .arrays import (
    check_species,
    living,
    reference_momentum,
    set_pzeta,
    shared_coordinates,
    tensor_of,
)
from .known import make_known


class ScBridgeSpaceCharge3D:
    """Kick by the bunch's own field, as an element of an `xt.Line`.

    Known as `sc_bridge.xsuite.SpaceCharge3D`; in files it has the name of the class, since
    xfields has a SpaceCharge3D of its own. The line's tracker is not compiled anew: to xtrack
    it is a collective Python element.

    Parameters
    ----------
    length : float, str or quantity, m
        Length of beam line whose effect the kick carries.
    grid : tuple of int, (nx, ny, nz)
    cell_size : tuple of float, m, optional
        Fixed cells (hx, hy, gamma0 hzeta); by default they follow the bunch on a ladder.
    **settings
        Other fields of `SpaceCharge`: longitudinal, shape, x_range and so on.

    Cost: one kick of `SpaceChargeKick`, one copy of the coordinates of particles that
    `particles_from` did not lay out, and the update of delta, rvv and rpp.

    Validity: one species; open boundaries. No backtracking, and twiss leaves it out.

    Raises
    ------
    SpaceChargeError
        If a setting is not valid; when tracking, if particles are of several species or have
        several reference momenta.
    """

    isthick: ClassVar[bool] = False
    iscollective: ClassVar[bool] = True
    behaves_like_drift: ClassVar[bool] = False
    has_backtrack: ClassVar[bool] = False
    allow_loss_refinement: ClassVar[bool] = False
    needs_cpu: ClassVar[bool] = False
    needs_hidden_lost_particles: ClassVar[bool] = True

    def __init__(
        self,
        length: Any = 0.0,
        grid: tuple[int, int, int] = (32, 32, 32),
        cell_size: CellSize | None = None,
        **settings: Any,
    ) -> None:
        known = SpaceCharge.__dataclass_fields__
        for name in settings:
            if name not in known:
                raise SpaceChargeError(
                    f"SpaceCharge3D: no setting {name!r}: there are length, cell_size, "
                    f"{', '.join(known)}"
                )
        metres = to_si(length, "m", "SpaceCharge3D: length")
        if cell_size is not None:
            checked_cell_size(cell_size)
        self.length = float(metres)
        read: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in {"grid": grid, **settings}.items()
        }
        if isinstance(read.get("field_dtype"), str):
            read["field_dtype"] = getattr(torch, read["field_dtype"], read["field_dtype"])
        self.settings = SpaceCharge(**read)
        self.cell_size: Any = None if cell_size is None else tuple(float(h) for h in cell_size)

    def track(self, particles: Any) -> None:
        """Kick px, py and pzeta in place; delta, rvv and rpp follow."""
        if not hasattr(particles, "particle_id"):
            raise SpaceChargeError(
                f"SpaceCharge3D: track({type(particles).__name__}): must be xtrack.Particles; for "
                "a bunch call particles_from, or take SpaceChargeKick"
            )
        if tensor_of(particles, "state").numel() == 0:
            return
        bunch = _view(particles)
        kicked = space_charge_kick(bunch, self.length, self.settings, self.cell_size)
        _, px, _, py, _, pzeta = kicked.coordinates.unbind(0)
        tensor_of(particles, "px").copy_(px)
        tensor_of(particles, "py").copy_(py)
        if self.settings.longitudinal:
            set_pzeta(particles, pzeta)

    def to_dict(self) -> dict[str, Any]:
        """Return what a file holds: numbers, strings and lists, defaults left out."""
        stated: dict[str, Any] = {"__class__": type(self).__name__, "length": self.length}
        stated["grid"] = list(self.settings.grid)
        if self.cell_size is not None:
            stated["cell_size"] = list(self.cell_size)
        defaults = asdict(SpaceCharge())
        for name, value in asdict(self.settings).items():
            if name != "grid" and value != defaults[name]:
                stated[name] = _plain(value)
        return stated

    @classmethod
    def from_dict(cls, dct: dict[str, Any], **kwargs: Any) -> ScBridgeSpaceCharge3D:
        """Build from what `to_dict` gave; xtrack's buffer and context are not needed."""
        return cls(**{name: value for name, value in dct.items() if name != "__class__"})

    def copy(self, **kwargs: Any) -> ScBridgeSpaceCharge3D:
        return type(self).from_dict(self.to_dict())

    def with_length(self, length: float) -> ScBridgeSpaceCharge3D:
        """Return a copy of another length, m."""
        return type(self).from_dict({**self.to_dict(), "length": length})

    def __repr__(self) -> str:
        fields = {n: v for n, v in self.to_dict().items() if n != "__class__"}
        return f"SpaceCharge3D({', '.join(f'{n}={v!r}' for n, v in fields.items())})"


def _plain(value: Any) -> Any:
    if isinstance(value, torch.dtype):
        return str(value).removeprefix("torch.")
    return list(value) if isinstance(value, tuple) else value


def _view(particles: Any) -> Bunch:
    """Return the particles as a bunch, over their own memory where the layout allows."""
    alive = living(particles)
    try:
        check_species(particles, alive)
        p0c = reference_momentum(particles, alive)
    except BunchError as error:
        raise SpaceChargeError(f"SpaceCharge3D: {error}") from None
    coordinates = shared_coordinates(particles)
    if coordinates is None:
        coordinates = torch.stack([tensor_of(particles, name) for name in COORDINATES])
    reference = Reference(float(particles.mass0), float(particles.q0), p0c)
    return Bunch(coordinates, reference, tensor_of(particles, "weight"), alive)


SpaceCharge3D = ScBridgeSpaceCharge3D
make_known(ScBridgeSpaceCharge3D)
