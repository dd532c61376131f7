"""Variables of a file whose definitions hold wherever they stand, and attributes as trees."""

from __future__ import annotations

import math
from collections.abc import Iterable

from sc_bridge.errors import ExpressionError
from sc_bridge.expressions import Expression, Number, Value, Variable, order_of_evaluation

from .options import Losses


class Definitions:
    """Values of variables and the trees of the dependent ones, each evaluated once.

    A name is defined once; a reader that allows more gives the later ones names of their own.
    """

    def __init__(self) -> None:
        self.trees: dict[str, Expression] = {}
        self._open: dict[str, Expression] = {}
        self._known: dict[str, Value] = {}

    def __contains__(self, name: object) -> bool:
        return name in self.trees or name in self._known

    def define(self, name: str, tree: Expression) -> None:
        """Define a variable."""
        if isinstance(tree, Number):
            self._known[name] = tree.value
        else:
            self.trees[name] = self._open[name] = tree

    def value(self, tree: Expression, place: str) -> float:
        """Return the value of a tree.

        Raises
        ------
        ExpressionError
            If a variable is not defined, or the value is not a finite real number.
        """
        if isinstance(tree, Number) and math.isfinite(tree.value):
            return tree.value
        try:
            for name in order_of_evaluation(self._open, tree.variables()):
                self._known[name] = self._open[name].evaluate(self._known)
                del self._open[name]
            value = float(tree.evaluate(self._known))
        except ExpressionError as error:
            raise ExpressionError(f"{place}: {error}") from None
        if not math.isfinite(value):
            raise ExpressionError(f"{place}: {tree} has no finite value")
        return value

    def finished(
        self, losses: Losses, needed: Iterable[Expression]
    ) -> tuple[dict[str, float], dict[str, Expression]]:
        """Return the values of all variables, and the trees of the dependent ones.

        What has no value and drives nothing is left aside with a warning.
        """
        for tree in needed:
            self.value(tree, "variables")
        for name in list(self._open):
            try:
                self.value(Variable(name), "variables")
            except ExpressionError as error:
                losses.warn("variables", f"{name!r} has no value and is left aside: {error}")
        values = {name: float(value) for name, value in self._known.items()}
        return values, {name: tree for name, tree in self.trees.items() if name in values}


def size_of(tree: Expression, limit: int) -> int:
    """Count the nodes of a tree, at most a little more than `limit`."""
    waiting, count = [tree], 0
    while waiting and count <= limit:
        children = waiting.pop().children()
        count += 1
        waiting.extend(children)
    return count
