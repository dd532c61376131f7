"""Elements whose attributes are numbers or trees already: linac and ring codes of few words."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sc_bridge.errors import LatticeError
from sc_bridge.expressions import Expression, Number
from sc_bridge.expressions.algebra import ZERO, multiply
from sc_bridge.expressions.tree import Binary, Call, Negative, Variable

from .recording import Assembly, Origin, Recorder

DEGREE = math.pi / 180
_TREES = (Number, Variable, Negative, Binary, Call)
_EMPTY = (None, "", False, 0, 0.0)


class PlainRecorder(Recorder):
    """An element of a format whose values need no grammar of their own."""

    def tree_of(self, value: Any, key: str) -> Expression:
        """Return the tree of a number, or the tree itself.

        Raises
        ------
        LatticeError
            If it is something else, or not finite.
        """
        if isinstance(value, _TREES):
            return value
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.error(key, value, "must be a number")
        if not math.isfinite(value):
            raise self.error(key, value, "must be finite")
        return Number(float(value))

    def error(self, key: str, value: Any, rule: str) -> LatticeError:
        """Return the error of an attribute."""
        shown = str(value) if isinstance(value, _TREES) else repr(value)
        return LatticeError(f"{self.place}.{key} = {shown[:80]}: {rule}")

    def list_of(self, key: str) -> list[Expression]:
        """Trees of a list of numbers, empty where it is not set; one number is a list of one."""
        self.ignore(key)
        value = self.attributes.get(key)
        if value is None:
            return []
        entries = value if isinstance(value, (list, tuple)) else [value]
        return [self.tree_of(entry, f"{key}[{i}]") for i, entry in enumerate(entries)]

    def count(self, key: str, lowest: int, highest: int, otherwise: int = 0) -> int:
        """Whole number within bounds.

        Raises
        ------
        LatticeError
            If it is none, or outside.
        """
        value = self.number(self(key, Number(float(otherwise))), key)
        if value != int(value) or not lowest <= value <= highest:
            raise self.error(key, value, f"must be a whole number from {lowest} to {highest}")
        return int(value)

    def choice(self, key: str, choices: Iterable[str], otherwise: str) -> str:
        """One of several words, in lower case.

        Raises
        ------
        LatticeError
            If it is none of them.
        """
        known = list(choices)
        word = self.word(key, otherwise).lower()
        if word not in known:
            raise self.error(key, self.attributes[key], f"must be {' or '.join(known)}")
        return word

    def flag(self, key: str, otherwise: bool) -> bool:
        """Value of a switch."""
        self.ignore(key)
        value = self.attributes.get(key)
        if value is None:
            return otherwise
        if not isinstance(value, (bool, int)):
            raise self.error(key, value, "must be true or false")
        return bool(value)

    def marker_or_drift(self, key: str) -> None:
        """Add a drift of the length in an attribute, a marker where it is 0."""
        length = self(key)
        self.emit("Marker" if length == ZERO else "Drift", {"length": length})

    def kick(self, length: Expression, knl: list[Expression], ksl: list[Expression]) -> None:
        """Add a multipole, thick where it has a length, so that the length counts."""
        thick = {} if length == ZERO else {"isthick": True}
        self.emit("Multipole", {"length": length, "knl": knl, "ksl": ksl}, **thick)

    def edges(
        self,
        angles: tuple[Expression, Expression],
        fints: tuple[Expression, Expression],
        gaps: tuple[Expression, Expression],
    ) -> dict[str, Expression]:
        """Return the fields of a bend's faces; the gaps are whole ones."""
        return {
            f"edge_{side}_{key}": tree
            for i, side in enumerate(("entry", "exit"))
            for key, tree in (
                ("angle", angles[i]),
                ("fint", fints[i]),
                ("hgap", multiply(gaps[i], 0.5)),
            )
        }

    def check_left_over(self) -> None:
        """Refuse attributes that nothing has read, unless they are empty or allowed."""
        for key in self.left_over():
            value = self.attributes[key]
            entries = value if isinstance(value, (list, tuple)) else [value]
            if any(entry not in _EMPTY and entry != ZERO for entry in entries):
                shown = str(value) if isinstance(value, _TREES) else repr(value)
                self.lose(key, f"{key} = {shown[:80]}")


Builder = Callable[[PlainRecorder], None]


def add_place(
    assembly: Assembly,
    origin: Origin,
    attributes: Mapping[str, Any],
    build: Builder,
    key: tuple[Any, ...],
) -> None:
    """Add one place of a line, and refuse what the builder does not read."""

    def filled(recorder: PlainRecorder) -> None:
        build(recorder)
        recorder.check_left_over()

    assembly.add(key, lambda: PlainRecorder(assembly.context, origin, attributes), filled)
