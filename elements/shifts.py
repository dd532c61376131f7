"""Shifts of the reference system, in space and in time."""

from __future__ import annotations

from torch import Tensor

from .base import Element, Number, State
from .frames import Pose
from .moves import Moves, shift
from .reference import Reference
from .rotations import FrameChange
from .scalars import plain


class Translation(FrameChange):
    """Shift of the reference system: x - shift_x, y - shift_y, and a flight over shift_s.

    Parameters
    ----------
    shift_x, shift_y, shift_s : float or Tensor, m

    Cost: nothing to speak of; one square root a particle where there is a `shift_s`.
    """

    def __init__(self, shift_x: Number = 0.0, shift_y: Number = 0.0, shift_s: Number = 0.0) -> None:
        super().__init__()
        self._register(shift_x=shift_x, shift_y=shift_y, shift_s=shift_s)

    def pose(self, like: Tensor) -> Pose:
        dx, dy, ds = (
            plain(self._aligned(name, like)) for name in ("shift_x", "shift_y", "shift_s")
        )
        return Pose(shift=(dx, dy, ds))


class XYShift(FrameChange):
    """Transverse shift of the reference system; Xsuite's older name of `Translation`.

    Parameters
    ----------
    dx, dy : float or Tensor, m

    Cost: nothing to speak of.
    """

    def __init__(self, dx: Number = 0.0, dy: Number = 0.0) -> None:
        super().__init__()
        self._register(dx=dx, dy=dy)

    def pose(self, like: Tensor) -> Pose:
        dx, dy = (plain(self._aligned(name, like)) for name in ("dx", "dy"))
        return Pose(shift=(dx, dy, 0.0))


class TimeDelay(Element):
    """Shift of time: zeta - shift_zeta.

    Parameters
    ----------
    shift_zeta : float or Tensor, m

    Cost: nothing to speak of.
    """

    def __init__(self, shift_zeta: Number = 0.0) -> None:
        super().__init__()
        self._register(shift_zeta=shift_zeta)

    def body(self, state: State, reference: Reference, weight: float) -> State:
        delay = plain(self._aligned("shift_zeta", state.x))
        return state._replace(zeta=state.zeta - delay * weight)

    def body_moves(self, like: Tensor, weight: float) -> Moves | None:
        return (shift(0.0, 0.0, plain(self._aligned("shift_zeta", like)) * -weight),)


class ZetaShift(Element):
    """Shift of time; Xsuite's older name of `TimeDelay`.

    Parameters
    ----------
    dzeta : float or Tensor, m

    Cost: nothing to speak of.
    """

    def __init__(self, dzeta: Number = 0.0) -> None:
        super().__init__()
        self._register(dzeta=dzeta)

    def body(self, state: State, reference: Reference, weight: float) -> State:
        delay = plain(self._aligned("dzeta", state.x))
        return state._replace(zeta=state.zeta - delay * weight)

    def body_moves(self, like: Tensor, weight: float) -> Moves | None:
        return (shift(0.0, 0.0, plain(self._aligned("dzeta", like)) * -weight),)
