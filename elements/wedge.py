"""Wedges: from one face to another through the same axis, with a field in between."""

from __future__ import annotations

from typing import Unpack

from .base import Number, State
from .energy import Energy
from .misalignment import Alignment, Misalignable
from .reference import Reference
from .scalars import is_active, plain
from .sector import Frame, free_flight, uniform_field


def wedge(state: State, energy: Energy, angle: Number, k0: Number = 0.0) -> State:
    """Turn the frame about the vertical axis through a uniform field k0.

    Without a field it is the rotation of the frame by `-angle` about y. The inverse is the
    wedge of the opposite angle.

    Parameters
    ----------
    angle : float or Tensor, rad
    k0 : float or Tensor, 1/m

    Validity: exact as long as the particle goes forward at both faces.

    References
    ----------
    Forest, Beam Dynamics (1998), section 12.2.
    """
    frame = Frame.of_wedge(angle)
    if is_active(k0):
        return uniform_field(state, energy, frame, 0.0, k0)
    return free_flight(state, energy, frame, 0.0)


def quadrupole_wedge(state: State, angle: Number, k1: Number) -> State:
    """Kick of the wedge of gradient k1 [1/m^2] between two faces, to lowest order."""
    x, y = state.x, state.y
    strength = k1 * angle
    return state._replace(
        px=state.px - strength * (x * x - 0.5 * y * y), py=state.py + strength * x * y
    )


class Wedge(Misalignable):
    """Wedge of a dipole and a quadrupole field; thin.

    Parameters
    ----------
    angle : float or Tensor, rad
    k : float or Tensor, 1/m
        Dipole strength; without it the frame turns by `-angle` about y.
    k1 : float or Tensor, 1/m^2
        Quadrupole strength.
    quad_wedge_then_dip_wedge : bool
        Order of the two.
    **alignment
        As in `Misalignable`.

    Validity: the dipole's part is exact; the quadrupole's is a kick of lowest order.
    """

    def __init__(
        self,
        angle: Number = 0.0,
        k: Number = 0.0,
        k1: Number = 0.0,
        quad_wedge_then_dip_wedge: bool = False,
        **alignment: Unpack[Alignment],
    ) -> None:
        super().__init__(**alignment)
        self._register(angle=angle, k=k, k1=k1)
        self.quad_wedge_then_dip_wedge = bool(quad_wedge_then_dip_wedge)

    def body(self, state: State, reference: Reference, weight: float) -> State:
        energy = Energy.of(state.pzeta, reference)
        angle, k, k1 = (plain(self._aligned(n, state.x)) for n in ("angle", "k", "k1"))
        if self.quad_wedge_then_dip_wedge == (weight > 0):
            state = quadrupole_wedge(state, angle * weight, k1)
            return wedge(state, energy, angle * weight, k)
        state = wedge(state, energy, angle * weight, k)
        return quadrupole_wedge(state, angle * weight, k1)
