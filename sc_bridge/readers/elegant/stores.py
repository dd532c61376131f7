"""RPN stores: every `% ... sto name` is a variable that later text may refer to."""

from __future__ import annotations

import bisect

from sc_bridge.errors import ExpressionError
from sc_bridge.expressions import Expression, Variable
from sc_bridge.expressions.algebra import substitute
from sc_bridge.expressions.rpn import RpnParser


class Stores:
    """Variables in the order of their stores.

    elegant evaluates a store when it comes; a name that is stored again means its new value
    from there on. So each store is a variable of its own; the last of a name carries the name,
    the ones before it are `name#1`, `name#2`, ...
    """

    def __init__(self) -> None:
        self._versions: dict[str, list[tuple[int, str]]] = {}
        self._trees: dict[str, Expression] = {}
        self._values: dict[str, float] = {}
        self._final: dict[str, str] | None = None
        self.values: dict[str, float] = {}  # of all variables, once finished

    @property
    def now(self) -> int:
        """Moment in the order of stores, for `parser`."""
        return len(self._trees)

    def execute(self, text: str, where: str) -> None:
        """Read the text of a `%` line."""
        RpnParser(lambda name: self._known(name, self.now), self._put).run(text, where)

    def parser(self, moment: int) -> RpnParser:
        """Return a parser for which names mean what they did at a moment."""
        return RpnParser(lambda name: self._known(name, moment))

    def _known(self, name: str, moment: int) -> Expression | None:
        versions = self._versions.get(name, [])
        index = bisect.bisect_left(versions, moment, key=lambda version: version[0])
        if index == 0:
            return None
        found = versions[index - 1][1]
        return Variable(found if self._final is None else self._final[found])

    def _put(self, name: str, tree: Expression) -> None:
        versions = self._versions.setdefault(name, [])
        internal = f"{name}#{len(versions) + 1}"
        self._values[internal] = float(tree.evaluate(self._values))
        versions.append((self.now, internal))
        self._trees[internal] = tree

    def finish(self) -> tuple[dict[str, float], dict[str, Expression]]:
        """Give the last store of each name the name itself.

        Returns
        -------
        values, expressions : dict
            Of all variables; trees of those that depend on others.
        """
        self._final = {internal: internal for internal in self._trees}
        for name, versions in self._versions.items():
            self._final[versions[-1][1]] = name
        renamed = {old: Variable(new) for old, new in self._final.items() if old != new}
        expressions = {
            self._final[internal]: substitute(tree, renamed)
            for internal, tree in self._trees.items()
            if tree.variables()
        }
        self.values = {self._final[name]: value for name, value in self._values.items()}
        return self.values, expressions

    def present(self, tree: Expression, where: str) -> float:
        """Value of a tree of provisional names, before `finish`.

        Raises
        ------
        ExpressionError
            If it is not a finite number.
        """
        return _evaluate(tree, self._values, where)

    def evaluate(self, tree: Expression, where: str) -> float:
        """Return the value of a tree of final names.

        Raises
        ------
        ExpressionError
            If it is not a finite number.
        """
        return _evaluate(tree, self.values, where)


def _evaluate(tree: Expression, values: dict[str, float], where: str) -> float:
    try:
        return float(tree.evaluate(values))
    except ExpressionError as error:
        raise ExpressionError(f"{where}: {error}") from None
