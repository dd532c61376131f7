"""Arithmetic on trees: numbers fold, neutral operands vanish, so that fields stay readable."""

from __future__ import annotations

import math
from collections.abc import Mapping

from .tree import Binary, Call, Expression, Negative, Number

ZERO = Number(0.0)
ONE = Number(1.0)


def _folded(tree: Expression, *operands: Expression) -> Expression:
    """The value of a tree of numbers, where it has a finite one."""
    if all(isinstance(operand, Number) for operand in operands):
        value = float(tree.evaluate({}))
        if math.isfinite(value):
            return Number(value)
    return tree


def add(a: Expression, b: Expression) -> Expression:
    """Return a + b."""
    if a == ZERO:
        return b
    return a if b == ZERO else _folded(Binary("+", a, b), a, b)


def subtract(a: Expression, b: Expression) -> Expression:
    """Return a - b."""
    return a if b == ZERO else _folded(Binary("-", a, b), a, b)


def multiply(a: Expression, b: Expression | float) -> Expression:
    """Return a * b."""
    b = Number(float(b)) if isinstance(b, (int, float)) else b
    if ZERO in (a, b):
        return ZERO
    if a == ONE:
        return b
    return a if b == ONE else _folded(Binary("*", a, b), a, b)


def divide(a: Expression, b: Expression) -> Expression:
    """Return a / b."""
    return a if b == ONE else _folded(Binary("/", a, b), a, b)


def negate(a: Expression) -> Expression:
    """Return -a."""
    return a.operand if isinstance(a, Negative) else _folded(Negative(a), a)


def call(function: str, *arguments: Expression) -> Expression:
    """Return a function of the table `FUNCTIONS`, by name."""
    return _folded(Call(function, arguments), *arguments)


def substitute(tree: Expression, values: Mapping[str, Expression]) -> Expression:
    """Return the tree with variables replaced by other trees.

    Trees are at most `MAX_DEPTH` deep, so that recursion is no danger.
    """
    if not values.keys() & tree.variables():
        return tree
    match tree:
        case Negative(operand):
            return negate(substitute(operand, values))
        case Binary(operator, left, right):
            return Binary(operator, substitute(left, values), substitute(right, values))
        case Call(function, arguments):
            return Call(function, tuple(substitute(a, values) for a in arguments))
        case _:
            return values[next(iter(tree.variables()))]
