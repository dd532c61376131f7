"""Printer: expressions as text of a format, with brackets wherever it might read otherwise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sc_bridge.errors import LatticeError
from sc_bridge.expressions import Binary, Call, Expression, Negative, Number, Variable


@dataclass(frozen=True)
class Printer:
    """Prints trees for one format.

    Parameters
    ----------
    format : str
        For messages, such as "MAD-X".
    names : mapping of str to str
        Variables by the names that they have in the format.
    operators : mapping of str to str
        Operators by what stands between their two sides.
    functions : mapping of str to str
        Functions by their names in the format.
    has : callable, optional
        Whether the format has an operation or a function as it is used in a tree.
    """

    format: str
    names: Mapping[str, str]
    operators: Mapping[str, str]
    functions: Mapping[str, str]
    has: Callable[[Binary | Call], bool] = lambda tree: True

    def text(self, tree: Expression, place: str) -> str:
        """Return a tree as text.

        Raises
        ------
        LatticeError
            If the format has no such expression; `place` begins the message.
        """
        match tree:
            case Number(value):
                return f"({value!r})" if value < 0 else repr(value)
            case Variable(name):
                return self.names[name]
            case Negative(operand):
                return f"(-{self.text(operand, place)})"
            case Binary(operator, left, right) if operator in self.operators and self.has(tree):
                sides = (self.text(side, place) for side in (left, right))
                return f"({self.operators[operator].join(sides)})"
            case Call(function, arguments) if function in self.functions and self.has(tree):
                shown = ", ".join(self.text(argument, place) for argument in arguments)
                return f"{self.functions[function]}({shown})"
        raise LatticeError(f"{place}: {self.format} has no expression like {str(tree)[:80]!r}")
