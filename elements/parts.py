"""Parts of elements: slices of the body, single faces, inverses; all share the parent's fields."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from .base import Element, State
from .bunch import Bunch
from .reference import Reference


class Part(Element):
    """A view of another element; it owns no field."""

    def __init__(self, parent: Element) -> None:
        super().__init__()
        self.parent = parent
        self.name = parent.name

    @property
    def is_map(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.parent.is_map


class Slice(Part):
    """A fraction `weight` of the body of `parent`, without its faces.

    Validity: exact for maps that are a flow of the length (drift, quadrupole, exact bend);
    an integrated body is sliced to the order of its integrator, as in Xsuite.
    """

    isthick = True

    def __init__(self, parent: Element, weight: float) -> None:
        super().__init__(parent)
        self.weight = weight

    @property
    def length(self) -> Tensor:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Length of this slice, m."""
        return self.parent.length * self.weight

    def body(self, state: State, reference: Reference, weight: float) -> State:
        return self.parent.body(state, reference, self.weight * weight)

    def outgoing(self, reference: Reference, weight: float = 1.0) -> Reference:
        return self.parent.outgoing(reference, self.weight * weight)

    def incoming(self, reference: Reference, weight: float = 1.0) -> Reference:
        return self.parent.incoming(reference, self.weight * weight)

    def extra_repr(self) -> str:
        return f"weight={self.weight:g}"


class Edge(Part):
    """One face of `parent`, alone."""

    def __init__(self, parent: Element, side: Literal["entry", "exit"]) -> None:
        super().__init__(parent)
        self.side = side

    @property
    def is_map(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return True

    def body(self, state: State, reference: Reference, weight: float) -> State:
        face = self.parent.entry if self.side == "entry" else self.parent.exit
        return face(state, reference, +1 if weight > 0 else -1)

    def extra_repr(self) -> str:
        return f"side={self.side}"


class Inverse(Part):
    """The exact inverse of `parent`."""

    def track(self, bunch: Bunch) -> Bunch:
        return self.parent.undo_track(bunch)

    def undo_track(self, bunch: Bunch) -> Bunch:
        return self.parent.track(bunch)

    def transport(self, state: State, reference: Reference) -> State:
        return self.parent.undo(state, self.parent.incoming(reference))

    def undo(self, state: State, reference: Reference) -> State:
        return self.parent.transport(state, self.parent.incoming(reference))

    def outgoing(self, reference: Reference, weight: float = 1.0) -> Reference:
        return self.parent.incoming(reference, weight)

    def incoming(self, reference: Reference, weight: float = 1.0) -> Reference:
        return self.parent.outgoing(reference, weight)

    def inverse(self) -> Element:
        return self.parent
