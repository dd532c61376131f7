"""Marker: a named place without any effect."""

from __future__ import annotations

from torch import Tensor

from .base import Element, State
from .moves import Moves
from .reference import Reference


class Marker(Element):
    """A named place; the identity map."""

    def body(self, state: State, reference: Reference, weight: float) -> State:
        return state

    def body_moves(self, like: Tensor, weight: float) -> Moves | None:
        return ()
