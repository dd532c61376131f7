"""Conditions of `if` and `while`: comparisons joined by && and ||."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable

from sc_bridge.errors import LatticeError

from .deck import Deck
from .variables import parse

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "==": operator.eq,
    "<>": operator.ne,
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
# An arrow is a reference, not a comparison.
_SIGN = re.compile(r"==|<>|!=|<=|>=|<|(?<!-)>")


def is_true(deck: Deck, text: str, place: str) -> bool:
    """Return whether a condition holds now; && binds more than ||.

    Raises
    ------
    LatticeError
        If it is no condition, or a value in it is not in the files.
    """
    inside = text.strip()
    if not (inside.startswith("(") and inside.endswith(")")):
        raise LatticeError(f"{place}: condition {text!r}: must be in brackets")
    return any(
        all(_compare(deck, part, place) for part in choice.split("&&"))
        for choice in inside[1:-1].split("||")
    )


def _compare(deck: Deck, text: str, place: str) -> bool:
    signs = list(_SIGN.finditer(text))
    where = f"{place}: condition"
    if not signs:
        return deck.variables.evaluate(parse(text, where), where) != 0
    if len(signs) > 1:
        raise LatticeError(f"{where} {text.strip()!r}: one comparison at a time")
    left, right = text[: signs[0].start()], text[signs[0].end() :]
    values = [deck.variables.evaluate(parse(part, where), where) for part in (left, right)]
    return _COMPARE[signs[0][0]](*values)
