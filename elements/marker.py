"""Marker: a named place without any effect."""

from __future__ import annotations

from .base import Element, State
from .reference import Reference


class Marker(Element):
    """A named place; the identity map."""

    def body(self, state: State, reference: Reference, weight: float) -> State:
        return state
