"""MagneticMultipoleP to integrated strengths, whichever of its eight ways they are written."""

from __future__ import annotations

import re

from sc_bridge.errors import LatticeError
from sc_bridge.expressions import Expression, Number
from sc_bridge.expressions.algebra import ZERO, add, call, divide, multiply, subtract
from sc_bridge.readers.recording import added

from .view import PalsView

_GROUP = "MagneticMultipoleP"
_STRENGTH = re.compile(rf"(?:{_GROUP}\.)?(?P<kind>[KB])(?P<part>[ns])(?P<order>\d+)(?P<l>L?)\Z")
_HIGHEST_ORDER = 100  # a higher one would only take memory


class Multipoles:
    """Strengths of an element: of one order times its length, integrated for the others.

    Parameters
    ----------
    view : PalsView
    length : Expression, m
    """

    def __init__(self, view: PalsView, length: Expression) -> None:
        self.view, self.length = view, length
        self.parts: dict[str, dict[int, Expression]] = {"n": {}, "s": {}}
        self.integrated: dict[str, dict[int, Expression]] = {"n": {}, "s": {}}
        orders: set[int] = set()
        for key in list(view.attributes):
            match = _STRENGTH.match(key)
            if match:
                orders.add(self._read(key, match))
        for order in orders:
            self._turn(order)

    def _read(self, key: str, match: re.Match[str]) -> int:
        order = int(match["order"][:9])
        if order > _HIGHEST_ORDER:
            raise LatticeError(f"{self.view.place}: {key}: order above {_HIGHEST_ORDER}")
        tree = self.view(key)
        if tree == ZERO:
            return order
        if match["kind"] == "B":
            tree = divide(tree, Number(self.view.reference(key).rigidity))
        table = (self.integrated if match["l"] else self.parts)[match["part"]]
        table[order] = tree
        return order

    def _turn(self, order: int) -> None:
        """Apply the tilt of one order: strengths times exp(-i (order + 1) tilt)."""
        tilt = self.view(f"{_GROUP}.tilt{order}")
        if tilt == ZERO:
            return
        angle = multiply(tilt, float(order + 1))
        cosine, sine = call("cos", angle), call("sin", angle)
        for table in (self.parts, self.integrated):
            normal, skew = table["n"].get(order, ZERO), table["s"].get(order, ZERO)
            table["n"][order] = add(multiply(normal, cosine), multiply(skew, sine))
            table["s"][order] = subtract(multiply(skew, cosine), multiply(normal, sine))

    def strength(self, order: int, part: str) -> Expression:
        """Strength per length of one order, taken out of the integrated ones."""
        tree = self.parts[part].pop(order, ZERO)
        integrated = self.integrated[part].pop(order, ZERO)
        return tree if integrated == ZERO else add(tree, divide(integrated, self.length))

    def lists(self) -> dict[str, list[Expression]]:
        """Return `knl` and `ksl` of what is left."""
        result: dict[str, list[Expression]] = {}
        for part, name in (("n", "knl"), ("s", "ksl")):
            trees: list[Expression] = []
            for order, tree in self.integrated[part].items():
                added(trees, order, tree)
            for order, tree in self.parts[part].items():
                added(trees, order, multiply(tree, self.length))
            result[name] = trees
        return result
