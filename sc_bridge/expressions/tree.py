"""The tree of an expression, the same for every dialect, evaluated on floats or on torch tensors.

Readers turn text into this tree (Xsuite's strings in `readers/xsuite_expressions.py`, other
infix dialects in `expressions/infix.py`); nothing here parses or executes text. The tree is
immutable and holds numbers, variables by name, operators and functions of a fixed table, so
that evaluating one costs one operation a node and cannot do anything else.

On floats the result is a float; where a variable is a tensor, the result is a tensor and
gradients flow to the variable.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import torch
from torch import Tensor

from sc_bridge.elements.gpu import together
from sc_bridge.errors import ExpressionError

Value: TypeAlias = float | Tensor

MAX_LENGTH = 20_000  # characters of text
MAX_DEPTH = 200  # levels of the tree: evaluation is recursive


class Expression:
    """Base of all nodes.

    Trees compare and hash by value. They are values, so that copies share them.
    """

    def evaluate(self, variables: Mapping[str, Value]) -> Value:
        """Return the value for given values of the variables.

        Raises
        ------
        ExpressionError
            If a variable is missing, or the value is not a finite real number (floats only).
        """
        raise NotImplementedError

    def variables(self) -> frozenset[str]:
        """Return the names of the variables that occur."""
        return frozenset().union(*(child.variables() for child in self.children()))

    def children(self) -> tuple[Expression, ...]:
        return ()

    def __deepcopy__(self, memo: dict[int, Any]) -> Expression:
        return self


@dataclass(frozen=True)
class Number(Expression):
    """A constant."""

    value: float

    def evaluate(self, variables: Mapping[str, Value]) -> Value:
        return self.value

    def __str__(self) -> str:
        text = repr(self.value)
        return text.removesuffix(".0")


@dataclass(frozen=True)
class Variable(Expression):
    """A variable of the lattice, by name."""

    name: str

    def evaluate(self, variables: Mapping[str, Value]) -> Value:
        try:
            return variables[self.name]
        except KeyError:
            raise ExpressionError(f"variable {self.name!r} is not defined") from None

    def variables(self) -> frozenset[str]:
        return frozenset((self.name,))

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Negative(Expression):
    """The negative of its operand."""

    operand: Expression

    def evaluate(self, variables: Mapping[str, Value]) -> Value:
        return -self.operand.evaluate(variables)

    def children(self) -> tuple[Expression, ...]:
        return (self.operand,)

    def __str__(self) -> str:
        return f"-{_within(self.operand, _NEGATIVE)}"


@dataclass(frozen=True)
class Binary(Expression):
    """Two operands and one of + - * / // % **, with Python's meaning, or "/0".

    Dialects that differ (-2^2 in MAD-X) differ in the tree that they build. "/0" is MAD-X's
    division, for which x/0 is 0; its text is that of "/".
    """

    operator: str
    left: Expression
    right: Expression

    OPERATORS: ClassVar[dict[str, Callable[[Any, Any], Any]]] = {
        "+": lambda a, b: a + b,
        "-": lambda a, b: a - b,
        "*": lambda a, b: a * b,
        "/": lambda a, b: a / b,
        "/0": lambda a, b: _quotient_or_zero(a, b),
        "//": lambda a, b: _quotient(a, b),
        "%": lambda a, b: a - b * _quotient(a, b) if isinstance(b, Tensor) else a % b,
        "**": lambda a, b: a**b,
    }

    def evaluate(self, variables: Mapping[str, Value]) -> Value:
        left, right = self.left.evaluate(variables), self.right.evaluate(variables)
        return _real(self, self.OPERATORS[self.operator], left, right)

    def children(self) -> tuple[Expression, ...]:
        return (self.left, self.right)

    def __str__(self) -> str:
        rank = _RANKS[self.operator]
        # Equal rank groups to the left, for ** to the right.
        left_rank, right_rank = (rank + 1, rank) if self.operator == "**" else (rank, rank + 1)
        left, right = _within(self.left, left_rank), _within(self.right, right_rank)
        operator = "/" if self.operator == "/0" else self.operator
        return f"{left}**{right}" if operator == "**" else f"{left} {operator} {right}"


@dataclass(frozen=True)
class Call(Expression):
    """A function of the table `FUNCTIONS`, by name."""

    function: str
    arguments: tuple[Expression, ...]

    def evaluate(self, variables: Mapping[str, Value]) -> Value:
        function = FUNCTIONS[self.function]
        values = [argument.evaluate(variables) for argument in self.arguments]
        if not any(isinstance(value, Tensor) for value in values):
            return _real(self, function.of_floats, *values)
        tensors = [torch.as_tensor(value, dtype=torch.float64) for value in values]
        return function.of_tensors(*together(*tensors))

    def children(self) -> tuple[Expression, ...]:
        return self.arguments

    def __str__(self) -> str:
        return f"{self.function}({', '.join(map(str, self.arguments))})"


@dataclass(frozen=True)
class Function:
    """A function that expressions may call, on floats and on tensors."""

    arity: int
    of_floats: Callable[..., float]
    of_tensors: Callable[..., Tensor]


def _sinc(x: float) -> float:
    return math.sin(x) / x if x else 1.0


FUNCTIONS: dict[str, Function] = {
    "sqrt": Function(1, math.sqrt, torch.sqrt),
    "log": Function(1, math.log, torch.log),
    "log10": Function(1, math.log10, torch.log10),
    "exp": Function(1, math.exp, torch.exp),
    "sin": Function(1, math.sin, torch.sin),
    "cos": Function(1, math.cos, torch.cos),
    "tan": Function(1, math.tan, torch.tan),
    "asin": Function(1, math.asin, torch.asin),
    "acos": Function(1, math.acos, torch.acos),
    "atan": Function(1, math.atan, torch.atan),
    "atan2": Function(2, math.atan2, torch.atan2),
    "sinh": Function(1, math.sinh, torch.sinh),
    "cosh": Function(1, math.cosh, torch.cosh),
    "tanh": Function(1, math.tanh, torch.tanh),
    # sin(x)/x as in MAD-X and Xsuite; torch's has a factor pi
    "sinc": Function(1, _sinc, lambda x: torch.sinc(x / math.pi)),
    "abs": Function(1, math.fabs, torch.abs),
    "erf": Function(1, math.erf, torch.erf),
    "erfc": Function(1, math.erfc, torch.erfc),
    "floor": Function(1, lambda x: float(math.floor(x)), torch.floor),
    "ceil": Function(1, lambda x: float(math.ceil(x)), torch.ceil),
    "round": Function(1, lambda x: float(round(x)), torch.round),
    "frac": Function(1, lambda x: x % 1.0, lambda x: torch.remainder(x, 1.0)),
    "trunc": Function(1, lambda x: float(math.trunc(x)), torch.trunc),
    "sign": Function(1, lambda x: float((x > 0) - (x < 0)), torch.sign),
    "min": Function(2, min, torch.minimum),
    "max": Function(2, max, torch.maximum),
}


def _quotient(a: Value, b: Value) -> Value:
    """Floor of a/b, Python's //, with the zero gradient that torch's own has not."""
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        return torch.floor(torch.as_tensor(a / b))
    return a // b


def _quotient_or_zero(a: Value, b: Value) -> Value:
    """a/b, 0 where b is 0; there the gradient is 0 too."""
    if isinstance(b, Tensor):
        # A safe denominator first: the gradient of the branch not taken must be finite.
        return torch.where(b == 0, 0.0, a / torch.where(b == 0, 1.0, b))
    return a / b if b else 0.0 * a


_RANKS = {"+": 1, "-": 1, "*": 2, "/": 2, "/0": 2, "//": 2, "%": 2, "**": 4}
_NEGATIVE = 3


def _within(operand: Expression, rank: int) -> str:
    """Text of an operand, in brackets where it binds less than `rank`."""
    own = 5
    if isinstance(operand, Binary):
        own = _RANKS[operand.operator]
    elif isinstance(operand, Negative) or (isinstance(operand, Number) and operand.value < 0):
        own = _NEGATIVE
    return f"({operand})" if own < rank else str(operand)


def _real(node: Expression, function: Callable[..., Any], *values: Value) -> Value:
    """Apply a function; on floats, refuse what is not a finite real number."""
    try:
        result = function(*values)
    except ZeroDivisionError:
        raise ExpressionError(f"{shorten(node)}: division by zero") from None
    except (OverflowError, ValueError):
        result = math.nan
    if isinstance(result, Tensor):
        return result
    if isinstance(result, complex) or not math.isfinite(result):
        given = ", ".join(f"{value:.9g}" for value in values)
        raise ExpressionError(f"{shorten(node)}: no finite real value (operands {given})")
    return float(result)


def constant(expression: Expression) -> float | None:
    """Return the value of an expression without variables, None if it has any.

    Raises
    ------
    ExpressionError
        If the value is not a finite real number.
    """
    if isinstance(expression, Number):
        return expression.value
    return None if expression.variables() else float(expression.evaluate({}))


def shorten(text: object, limit: int = 80) -> str:
    """Return the text of an expression, cut to fit a message."""
    shown = " ".join(str(text).split())
    return shown if len(shown) <= limit else shown[: limit - 4] + " ..."


def order_of_evaluation(
    definitions: Mapping[str, Expression], wanted: Iterable[str]
) -> tuple[str, ...]:
    """Return the defined variables that `wanted` needs, each after all that it depends on.

    Linear in the size of the definitions, and not recursive: chains may be long.

    Raises
    ------
    ExpressionError
        If definitions form a cycle; the message shows it.
    """
    order: dict[str, None] = {}
    for name in wanted:
        if name in definitions and name not in order:
            _visit(name, definitions, order)
    return tuple(order)


def _visit(start: str, definitions: Mapping[str, Expression], order: dict[str, None]) -> None:
    """Depth-first visit that appends to `order` on the way back."""
    path = {start: None}
    stack = [(start, iter(sorted(definitions[start].variables())))]
    while stack:
        name, needs = stack[-1]
        for need in needs:
            if need in path:
                cycle = [*list(path)[list(path).index(need) :], need]
                raise ExpressionError(f"variables define each other: {' -> '.join(cycle)}")
            if need in definitions and need not in order:
                path[need] = None
                stack.append((need, iter(sorted(definitions[need].variables()))))
                break
        else:
            stack.pop()
            path.pop(name)
            order[name] = None
