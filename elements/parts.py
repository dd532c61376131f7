"""Parts of elements: slices of the body, single faces, inverses; all share the parent's fields."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from .base import Element, State, Transport
from .bunch import Bunch
from .moves import Moves
from .reference import Reference


class Part(Element):
    """A view of another element; it owns no field."""

    @property
    def share(self) -> float:
        """Fraction of the parent's body that it is."""
        return 0.0

    def __init__(self, parent: Element) -> None:
        super().__init__()
        self.parent = parent
        self.name = parent.name

    @property
    def is_map(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.parent.is_map


# slices of drifts are called the same whatever the slicing
_DRIFT_SLICES = {"Drift": "DriftSlice", "DriftExact": "DriftExactSlice"}


def slice_kind(prefix: str, parent: Element) -> str:
    """Return Xsuite's name of a slice of `parent`."""
    return _DRIFT_SLICES.get(parent.kind, prefix + parent.kind)


def whole_of(element: Element) -> tuple[Element, float]:
    """Return the element that a part is of, and the fraction of its body that the part is."""
    share = 1.0
    while isinstance(element, Part):
        share *= element.share
        element = element.parent
    return element, share


class Fraction(Part):
    """A fraction `weight` of the length of `parent`, with `offset` of it in front."""

    def __init__(self, parent: Element, weight: float, offset: float = 0.0) -> None:
        super().__init__(parent)
        self.weight = weight
        self.offset = offset

    @property
    def share(self) -> float:
        return self.weight

    @property
    def length(self) -> Tensor:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Length that it stands for, m."""
        return self.parent.length * self.weight

    def framed(
        self,
        motion: Transport,
        state: State,
        reference: Reference,
        start: float,
        end: float,
        behind: Reference | None = None,
    ) -> State:
        first, last = self.places(start, end)
        return self.parent.framed(motion, state, reference, first, last, behind)

    def frame_moves(
        self, like: Tensor, start: float, end: float
    ) -> tuple[Moves | None, Moves | None]:
        return self.parent.frame_moves(like, *self.places(start, end))

    def places(self, start: float, end: float) -> tuple[float, float]:
        """Fractions of the parent's length that belong to fractions of its own."""
        return self.offset + self.weight * start, self.offset + self.weight * end

    def extra_repr(self) -> str:
        return f"weight={self.weight:g}"


class Slice(Fraction):
    """A fraction `weight` of the body of `parent`, without its faces.

    `offset` is the fraction of the parent's length in front of it; it matters where the parent
    is misaligned.

    Validity: exact for maps that are a flow of the length (drift, quadrupole, exact bend);
    an integrated body is sliced to the order of its integrator, as in Xsuite.
    """

    isthick = True

    @property
    def kind(self) -> str:
        return slice_kind("ThickSlice", self.parent)

    def body(self, state: State, reference: Reference, weight: float) -> State:
        return self.parent.body(state, reference, self.weight * weight)

    def undo_body(self, state: State, reference: Reference, weight: float) -> State:
        return self.parent.undo_body(state, reference, self.weight * weight)

    def coasting_body(self, state: State, reference: Reference, weight: float) -> State:
        return self.parent.coasting_body(state, reference, self.weight * weight)

    def kick(self, state: State, reference: Reference, weight: float) -> State:
        return self.parent.kick(state, reference, self.weight * weight)

    def body_moves(self, like: Tensor, weight: float) -> Moves | None:
        return self.parent.body_moves(like, self.weight * weight)

    def kick_moves(self, like: Tensor, weight: float) -> Moves | None:
        return self.parent.kick_moves(like, self.weight * weight)

    def behind(self, reference: Reference, like: Tensor, weight: float = 1.0) -> Reference:
        return self.parent.behind(reference, like, self.weight * weight)

    def in_front(self, reference: Reference, like: Tensor, weight: float = 1.0) -> Reference:
        return self.parent.in_front(reference, like, self.weight * weight)

    def outgoing(self, reference: Reference, weight: float = 1.0) -> Reference:
        return self.parent.outgoing(reference, self.weight * weight)

    def incoming(self, reference: Reference, weight: float = 1.0) -> Reference:
        return self.parent.incoming(reference, self.weight * weight)


class Edge(Part):
    """One face of `parent`, alone."""

    def __init__(self, parent: Element, side: Literal["entry", "exit"]) -> None:
        super().__init__(parent)
        self.side = side

    @property
    def kind(self) -> str:
        return slice_kind("ThinSlice", self.parent) + self.side.capitalize()

    @property
    def is_map(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return True

    def body(self, state: State, reference: Reference, weight: float) -> State:
        face = self.parent.entry if self.side == "entry" else self.parent.exit
        return face(state, reference, +1 if weight > 0 else -1)

    def framed(
        self,
        motion: Transport,
        state: State,
        reference: Reference,
        start: float,
        end: float,
        behind: Reference | None = None,
    ) -> State:
        return self.parent.framed(motion, state, reference, self._place, self._place)

    def body_moves(self, like: Tensor, weight: float) -> Moves | None:
        face = self.parent.entry_moves if self.side == "entry" else self.parent.exit_moves
        return face(like, +1 if weight > 0 else -1)

    def frame_moves(
        self, like: Tensor, start: float, end: float
    ) -> tuple[Moves | None, Moves | None]:
        return self.parent.frame_moves(like, self._place, self._place)

    @property
    def _place(self) -> float:
        return 0.0 if self.side == "entry" else 1.0

    def extra_repr(self) -> str:
        return f"side={self.side}"


class Inverse(Part):
    """The exact inverse of `parent`."""

    def track(self, bunch: Bunch) -> Bunch:
        return self.parent.undo_track(bunch)

    def undo_track(self, bunch: Bunch) -> Bunch:
        return self.parent.track(bunch)

    def transport(self, state: State, reference: Reference) -> State:
        return self.parent.undo(state, self.parent.in_front(reference, state.x))

    def undo(self, state: State, reference: Reference) -> State:
        return self.parent.transport(state, self.parent.in_front(reference, state.x))

    def moves(self, like: Tensor) -> Moves | None:
        return self.parent.undo_moves(like)

    def undo_moves(self, like: Tensor) -> Moves | None:
        return self.parent.moves(like)

    def coast(self, state: State, reference: Reference) -> State:
        return self.parent.undo_coast(state, reference)

    def undo_coast(self, state: State, reference: Reference) -> State:
        return self.parent.coast(state, reference)

    def behind(self, reference: Reference, like: Tensor, weight: float = 1.0) -> Reference:
        return self.parent.in_front(reference, like, weight)

    def in_front(self, reference: Reference, like: Tensor, weight: float = 1.0) -> Reference:
        return self.parent.behind(reference, like, weight)

    def outgoing(self, reference: Reference, weight: float = 1.0) -> Reference:
        return self.parent.incoming(reference, weight)

    def incoming(self, reference: Reference, weight: float = 1.0) -> Reference:
        return self.parent.outgoing(reference, weight)

    def inverse(self) -> Element:
        return self.parent
