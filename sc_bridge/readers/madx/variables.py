"""Variables of a MAD-X deck while it is read: = evaluates now, := stays live."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache

from sc_bridge.errors import ExpressionError
from sc_bridge.expressions import (
    Expression,
    InfixParser,
    Number,
    Value,
    Variable,
    order_of_evaluation,
)
from sc_bridge.readers.options import Losses

from .dialect import CONSTANTS, DIALECT


def _variable(name: str) -> Expression:
    return Number(CONSTANTS[name]) if name in CONSTANTS else Variable(name)


_PARSER = InfixParser(DIALECT, _variable, Variable)


@lru_cache(maxsize=20_000)
def _parsed(text: str) -> Expression:
    """Loops and repeated elements give the same text again."""
    return _PARSER.parse(text, "")


def parse(text: str, place: str) -> Expression:
    """Return the tree of MAD-X text; `q->k1` becomes a variable of that name.

    Raises
    ------
    ExpressionError
        If it is no expression.
    """
    try:
        return _parsed(text.strip())
    except ExpressionError as error:
        raise ExpressionError(f"{place}{error}") from None


class NoValue:
    """What a variable has whose expression cannot be evaluated, until something needs it."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


class Variables:
    """The variables of a deck.

    Parameters
    ----------
    losses : Losses
        Takes the warnings.
    attributes : mapping of str to Expression
        Trees of attributes, by `q->k1` and `beam->pc`.
    """

    def __init__(self, losses: Losses, attributes: Mapping[str, Expression]) -> None:
        self.losses = losses
        self.values: dict[str, float] = {}
        self.deferred: dict[str, Expression] = {}
        self.unknown: dict[str, NoValue] = {}
        self.constants: set[str] = set()
        self.definitions = _Definitions(self.deferred, attributes)

    def assign(self, name: str, tree: Expression, place: str, live: bool, kind: str) -> None:
        """Define a variable; a constant keeps its first value.

        Parameters
        ----------
        name : str
        tree : Expression
        place : str
        live : bool
            Whether it was `:=`.
        kind : str
            Qualifiers: "const", "int", "real" or several.
        """
        if name in CONSTANTS or name in self.constants:
            self.losses.warn(place, f"{name!r} is a constant and keeps its value")
            return
        found = tree if live and "int" not in kind else self._now(tree, place)
        for table in (self.values, self.deferred, self.unknown):
            table.pop(name, None)
        if isinstance(found, NoValue):
            self.unknown[name] = found
        elif isinstance(found, Number):
            self.values[name] = float(int(found.value)) if "int" in kind else found.value
        else:
            self.deferred[name] = found
        if "const" in kind:
            self.constants.add(name)

    def _now(self, tree: Expression, place: str) -> Number | NoValue:
        try:
            return Number(self.evaluate(tree, place))
        except ExpressionError as error:
            return NoValue(str(error))

    def forget(self, name: str, reason: str) -> None:
        """Make a variable one whose value cannot be known."""
        self.values.pop(name, None)
        self.deferred.pop(name, None)
        self.unknown[name] = NoValue(reason)

    def evaluate(self, tree: Expression, place: str) -> float:
        """Return the present value of a tree; what is not defined counts as 0, with a warning.

        Raises
        ------
        ExpressionError
            If it has no finite real value.
        """
        if isinstance(tree, Number):
            return tree.value
        known = Known(self, place)
        try:
            for name in order_of_evaluation(self.definitions, tree.variables()):
                known[name] = self.definitions[name].evaluate(known)
            return float(tree.evaluate(known))
        except ExpressionError as error:
            raise ExpressionError(f"{place}: {error}") from None


class _Definitions(Mapping[str, Expression]):
    """Deferred variables and attributes as one mapping."""

    def __init__(
        self, deferred: Mapping[str, Expression], attributes: Mapping[str, Expression]
    ) -> None:
        self.deferred = deferred
        self.attributes = attributes
        self.promoted = False  # whether attributes are variables of their own by now

    def __getitem__(self, name: str) -> Expression:
        return self.deferred[name] if name in self.deferred else self.attributes[name]

    def __contains__(self, name: object) -> bool:
        return name in self.deferred or ("->" in str(name) and not self.promoted)

    def __iter__(self) -> Iterator[str]:
        return iter(self.deferred)

    def __len__(self) -> int:
        return len(self.deferred)


class Known(dict[str, Value]):
    """Values found so far; others are looked up, and 0 where nothing defines them."""

    def __init__(self, variables: Variables, place: str) -> None:
        super().__init__()
        self.variables = variables
        self.place = place

    def __missing__(self, name: str) -> Value:
        if name in self.variables.values:
            return self.variables.values[name]
        if name in self.variables.unknown:
            reason = self.variables.unknown[name].reason
            raise ExpressionError(f"variable {name!r} has no value ({reason})")
        if name.endswith("()"):
            raise ExpressionError(f"the value of {name} is not in the file")
        self.variables.losses.warn(self.place, f"{name!r} is not defined: 0 is used, as in MAD-X")
        return 0.0


def split_assignment(text: str) -> tuple[str, bool]:
    """Return the right-hand side of `a = b` or `a := b`, and whether it is live."""
    left, _, right = text.partition("=")
    return right.strip(), left.endswith(":")
