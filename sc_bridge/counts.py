"""Counts: whole numbers that a caller gives."""

from __future__ import annotations

from numbers import Integral
from typing import Any

from .errors import ScBridgeError


def is_whole(value: Any) -> bool:
    """Whether a value is a whole number of Python or NumPy; True and False are none."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def whole_number(what: str, value: Any, error: type[ScBridgeError], lowest: int = 1) -> int:
    """Return a whole number as an int, or refuse it.

    Raises
    ------
    ScBridgeError
        Of the class `error`, if it is none or below `lowest`; `what` names it.
    """
    if not is_whole(value) or value < lowest:
        raise error(f"{what} = {value!r}: must be a whole number from {lowest}")
    return int(value)
