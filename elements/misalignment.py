"""Misalignment: an element that does not stand where the reference orbit says.

The particles are brought into the element's own frame, tracked there, and brought back; an
element that stands where it should takes none of these steps.

References
----------
xtrack 0.118.4, `track_misalignments.h`: signs, anchor, and the tilt, which turns the frame of
a bend while `rot_s_rad_no_frame` turns the magnet alone.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TypedDict, Unpack

import torch
from torch import Tensor, nn

from .base import Element, Number, State, Transport
from .frames import Pose, about_s, about_x, about_y, along_arc, change_frame, frame_moves
from .moves import Moves
from .reference import Reference
from .scalars import is_active, plain

ALIGNMENT = (
    "shift_x",
    "shift_y",
    "shift_s",
    "rot_x_rad",
    "rot_y_rad",
    "rot_s_rad",
    "rot_s_rad_no_frame",
    "rot_shift_anchor",
)
# those that move the element; the anchor alone does not
_MOVING = ALIGNMENT[:-1]
_ZERO = torch.zeros((), dtype=torch.float64)


class Alignment(TypedDict, total=False):
    """Where an element stands; see `Misalignable`."""

    shift_x: Number
    shift_y: Number
    shift_s: Number
    rot_x_rad: Number
    rot_y_rad: Number
    rot_s_rad: Number
    rot_s_rad_no_frame: Number
    rot_shift_anchor: Number


class Misalignable(Element):
    """Base of elements that may be misaligned; faces, slices and inverses follow.

    Parameters
    ----------
    shift_x, shift_y, shift_s : float or Tensor, m
        Displacement.
    rot_y_rad, rot_x_rad, rot_s_rad_no_frame : float or Tensor, rad
        Turns of the element, in this order: about y from s to x, about x from s to y, about s
        from x to y.
    rot_s_rad : float or Tensor, rad
        Tilt about s, with which the reference orbit in a bend turns too.
    rot_shift_anchor : float or Tensor, m
        Place in the element, from its entry along the reference orbit, that is displaced and
        about which it turns.

    Cost: nothing measurable where every displacement and turn is 0 and asks for no gradient;
    otherwise two changes of frame, with one square root each where it leaves the plane.
    Validity: exact.
    """

    def __init__(self, **alignment: Unpack[Alignment]) -> None:
        super().__init__()
        # parameters on a device that were seen to be 0, with their version
        self._seen_zero: dict[str, tuple[Tensor, int]] = {}
        for name in ALIGNMENT:  # thousands of them: without the checks of a value
            self._ranks[name] = 0
            self.register_parameter(name, nn.Parameter(_ZERO.clone(), requires_grad=False))
        self._align(**alignment)

    def _align(self, **alignment: Unpack[Alignment]) -> None:
        for name, value in alignment.items():
            if name not in ALIGNMENT:
                raise TypeError(f"{type(self).__name__}: unexpected argument {name!r}")
            self._register_tensor(name, value, rank=0)

    @abstractmethod
    def body(self, state: State, reference: Reference, weight: float) -> State: ...

    def framed(
        self,
        motion: Transport,
        state: State,
        reference: Reference,
        start: float,
        end: float,
        behind: Reference | None = None,
    ) -> State:
        if not self._is_misaligned():
            return motion(state, reference)
        behind = reference if behind is None else behind
        first, last = (reference, behind) if start <= end else (behind, reference)
        state = change_frame(state, first, self._pose(start, state.x))
        state = motion(state, reference)
        return change_frame(state, last, self._pose(end, state.x).inverse())

    def frame_moves(
        self, like: Tensor, start: float, end: float
    ) -> tuple[Moves | None, Moves | None]:
        if not self._is_misaligned():
            return (), ()
        return frame_moves(self._pose(start, like)), frame_moves(self._pose(end, like).inverse())

    def is_turned(self) -> bool:
        """Whether it is turned other than with the reference orbit."""
        return any(map(is_active, (self.rot_x_rad, self.rot_y_rad, self.rot_s_rad_no_frame)))

    def _is_misaligned(self) -> bool:
        """Whether anything is moved or may be asked to; waits for no device in the long run."""
        parameters = self._parameters
        for name in _MOVING:
            parameter = parameters.get(name)
            # another type: exchanged by torch.func; none: driven by a knob
            if type(parameter) is not nn.Parameter or parameter.requires_grad:
                return True
            if parameter.device.type != "cpu":
                if not self._was_zero(name, parameter):
                    return True
            elif bool(parameter.any()) if parameter.dim() else parameter.item() != 0.0:
                return True
        return False

    def _was_zero(self, name: str, parameter: Tensor) -> bool:
        if parameter.is_inference():
            return not bool(parameter.any())
        seen, version = self._seen_zero.get(name), parameter._version
        if seen is not None and seen[0] is parameter and seen[1] == version:
            return True
        zero = not bool(parameter.any())
        if zero:
            self._seen_zero[name] = (parameter, version)
        return zero

    def _arc(self, like: Tensor) -> tuple[Number, Number]:
        """Return length and curvature of the reference orbit in the element."""
        length = over_particles(self.length, like) if self.isthick else 0.0
        h: Tensor | None = getattr(self, "h", None)
        return length, 0.0 if h is None else over_particles(h, like)

    def _pose(self, place: float, like: Tensor) -> Pose:
        """Return the element's frame at a fraction of its length, seen from the reference orbit."""
        dx, dy, ds, pitch, yaw, tilt, roll, anchor = (
            plain(self._aligned(name, like)) for name in ALIGNMENT
        )
        tilted = about_s(tilt) if is_active(tilt) else Pose()
        moved = Pose(shift=(dx, dy, ds))
        is_turned = any(map(is_active, (pitch, yaw, roll)))
        length, h = self._arc(like)
        if not is_turned and (not is_active(h) or not any(map(is_active, (dx, dy, ds)))):
            return moved.then(tilted)
        if is_turned:
            moved = moved.then(about_y(yaw)).then(about_x(pitch)).then(about_s(roll))
        to_anchor = along_arc(anchor - length * place, h)
        # the reference orbit bends in the tilted plane
        to_anchor = tilted.then(to_anchor).then(tilted.inverse())
        return to_anchor.then(moved).then(to_anchor.inverse()).then(tilted)


def over_particles(value: Tensor, like: Tensor) -> Number:
    """Return a value that is no parameter ready to broadcast against a coordinate."""
    return plain(value.unsqueeze(-1).to(like.dtype) if value.dim() else value)
