"""Rotations of the reference system."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor

from .base import Element, Number, State
from .errors import ElementError
from .frames import Pose, about_s, about_x, about_y, change_frame, frame_moves
from .moves import Moves
from .reference import Reference
from .scalars import is_active, plain

_RAD_PER_DEG = 0.017453292519943295


class FrameChange(Element):
    """Base of thin elements that go on in another reference system.

    Validity: exact, for particles that go forward in both systems.
    """

    @abstractmethod
    def pose(self, like: Tensor) -> Pose:
        """Return the new system, seen from the old one."""

    def body(self, state: State, reference: Reference, weight: float) -> State:
        pose = self.pose(state.x)
        return change_frame(state, reference, pose if weight > 0 else pose.inverse())

    def body_moves(self, like: Tensor, weight: float) -> Moves | None:
        pose = self.pose(like)
        return frame_moves(pose if weight > 0 else pose.inverse())


class Rotation(FrameChange):
    """Rotation of the reference system about its three axes, one after the other.

    Parameters
    ----------
    rot_s_rad : float or Tensor, rad
        About s, from x to y.
    rot_x_rad : float or Tensor, rad
        About x, from y to s; the contrary of `rot_x_rad` of a misalignment, as in Xsuite.
    rot_y_rad : float or Tensor, rad
        About y, from s to x.
    seq : str
        Order of the axes, each about those that the ones before left.

    Cost: one square root a particle; none for a rotation about s alone.

    Raises
    ------
    ElementError
        If `seq` is not each of "x", "y" and "s" once.
    """

    def __init__(
        self,
        rot_s_rad: Number = 0.0,
        rot_x_rad: Number = 0.0,
        rot_y_rad: Number = 0.0,
        seq: str = "yxs",
    ) -> None:
        super().__init__()
        if sorted(seq) != ["s", "x", "y"]:
            raise ElementError(f"Rotation: seq = {seq!r}: must be 'x', 'y' and 's' in some order")
        self.seq = seq
        self._register(rot_s_rad=rot_s_rad, rot_x_rad=rot_x_rad, rot_y_rad=rot_y_rad)

    def pose(self, like: Tensor) -> Pose:
        pose = Pose()
        for axis in self.seq:
            angle = plain(self._aligned(f"rot_{axis}_rad", like))
            if is_active(angle):
                pose = pose.then(_turn(axis, angle))
        return pose


class SRotation(FrameChange):
    """Rotation about s; Xsuite's older name of `Rotation(rot_s_rad=...)`.

    Parameters
    ----------
    angle : float or Tensor, deg
        From x to y.

    Cost: eight products a particle.
    """

    def __init__(self, angle: Number = 0.0) -> None:
        super().__init__()
        self._register(angle=angle)

    def pose(self, like: Tensor) -> Pose:
        return _turn("s", plain(self._aligned("angle", like)) * _RAD_PER_DEG)


class XRotation(FrameChange):
    """Rotation about x; Xsuite's older name of `Rotation(rot_x_rad=...)`.

    Parameters
    ----------
    angle : float or Tensor, deg
        From y to s.

    Cost: one square root a particle.
    """

    def __init__(self, angle: Number = 0.0) -> None:
        super().__init__()
        self._register(angle=angle)

    def pose(self, like: Tensor) -> Pose:
        return _turn("x", plain(self._aligned("angle", like)) * _RAD_PER_DEG)


class YRotation(FrameChange):
    """Rotation about y; Xsuite's older name of `Rotation(rot_y_rad=...)`.

    Parameters
    ----------
    angle : float or Tensor, deg
        From s to x.

    Cost: one square root a particle.
    """

    def __init__(self, angle: Number = 0.0) -> None:
        super().__init__()
        self._register(angle=angle)

    def pose(self, like: Tensor) -> Pose:
        return _turn("y", plain(self._aligned("angle", like)) * _RAD_PER_DEG)


def _turn(axis: str, angle: Number) -> Pose:
    if axis == "x":
        return about_x(-1.0 * angle)
    return about_y(angle) if axis == "y" else about_s(angle)
