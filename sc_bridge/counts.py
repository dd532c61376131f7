"""Counts: whole numbers that a caller gives."""

from __future__ import annotations

from numbers import Integral
from typing import Any

from .errors import ScBridgeError


def whole_number(what: str, value: Any, error: type[ScBridgeError], lowest: int = 1) -> int:
    """Return a whole number of Python or NumPy, or refuse it; True and False are none.

    Raises
    ------
    ScBridgeError
        Of the class `error`, if it is none or below `lowest`; `what` names it.
    """
    if not isinstance(value, Integral) or isinstance(value, bool) or value < lowest:
        raise error(f"{what} = {value!r}: must be a whole number from {lowest}")
    return int(value)
