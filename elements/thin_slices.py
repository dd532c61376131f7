"""Slices as Xsuite's thin slicing makes them: kicks at one place, and free flight between."""

from __future__ import annotations

from torch import Tensor

from .base import Element, Number, State
from .drift import drift_move, expanded_drift
from .errors import ElementError
from .misalignment import Misalignable, over_particles
from .moves import Moves
from .parts import Fraction, Part, slice_kind
from .rbend import RBend
from .reference import Reference


class ThinSlice(Fraction):
    """A fraction `weight` of all that `parent` kicks by, at one place.

    Parameters
    ----------
    parent : Element
    weight : float
    offset : float
        Fraction of the parent's length in front of it; it matters where the parent is
        misaligned.

    Validity: second order in the length of the slices, together with drifts between them.

    Raises
    ------
    ElementError
        If the parent's map is not drifts and kicks; when tracking, if a curved parent is turned
        out of its plane: the kick then stands for a piece of arc that has no place of its own.
    """

    def __init__(self, parent: Element, weight: float, offset: float = 0.0) -> None:
        super().__init__(parent, weight, offset)
        if type(parent).kick is Element.kick:
            raise ElementError(f"{parent.label}: has no thin slices: use thick ones")

    @property
    def kind(self) -> str:
        return slice_kind("ThinSlice", self.parent)

    def body(self, state: State, reference: Reference, weight: float) -> State:
        return self.parent.kick(state, reference, self.weight * weight)

    def coasting_body(self, state: State, reference: Reference, weight: float) -> State:
        # where the two bodies differ, the kick is one of energy and is left out
        coasts_as_it_is = type(self.parent).coasting_body is Element.coasting_body
        return self.body(state, reference, weight) if coasts_as_it_is else state

    def body_moves(self, like: Tensor, weight: float) -> Moves | None:
        return self.parent.kick_moves(like, self.weight * weight)

    def places(self, start: float, end: float) -> tuple[float, float]:
        # the frame of a curved parent turns in the kick by the angle of the slice
        span = self.weight if self._is_curved() else 0.0
        return self.offset + span * start, self.offset + span * end

    def _is_curved(self) -> bool:
        parent = self.parent
        if getattr(parent, "h", None) is None:
            return False
        if isinstance(parent, Misalignable) and parent.is_turned():
            raise ElementError(
                f"{parent.label}: a thin slice of a bend cannot have rot_x_rad, rot_y_rad or "
                "rot_s_rad_no_frame: slice it with mode='thick'"
            )
        return True


class DriftSlice(Part):
    """Free flight over a fraction `weight` of `parent`, between its thin slices.

    Parameters
    ----------
    parent : Element
    weight : float

    Validity: expanded to second order in px, py, whatever the drift of the parent; exact in
    energy.
    """

    isthick = True

    def __init__(self, parent: Element, weight: float) -> None:
        super().__init__(parent)
        self.weight = weight

    @property
    def is_map(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return True

    @property
    def kind(self) -> str:
        return slice_kind("DriftSlice", self.parent)

    @property
    def length(self) -> Tensor:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Length of this slice, m."""
        return self.parent.length * self.weight

    def body(self, state: State, reference: Reference, weight: float) -> State:
        weight = self.weight * weight
        if isinstance(self.parent, RBend) and self.parent.is_straight:
            return self.parent.fly_straight(state, reference, weight)
        return expanded_drift(state, reference, self._length_over(state.x) * weight)

    def body_moves(self, like: Tensor, weight: float) -> Moves | None:
        weight = self.weight * weight
        if isinstance(self.parent, RBend) and self.parent.is_straight:
            return self.parent.straight_moves(like, weight)
        return (drift_move(self._length_over(like) * weight, exact=False),)

    def _length_over(self, like: Tensor) -> Number:
        return over_particles(self.parent.length, like)

    def extra_repr(self) -> str:
        return f"weight={self.weight:g}"
