"""A live `xt.Line` to a `Lattice`, through the same reader as its file."""

from __future__ import annotations

import json
from typing import Any

from xobjects import JEncoder

from sc_bridge.errors import LatticeError
from sc_bridge.lattice import Lattice
from sc_bridge.readers.files import parse_json
from sc_bridge.readers.xsuite_json import lattice_from_dict

from .xtrack import import_xtrack


def from_line(line: Any) -> Lattice:
    """Return the lattice of a line as it is now; its variables stay knobs.

    Parameters
    ----------
    line : xtrack.Line
        With its elements in place (`line.end_compose()` if it is still being composed). Later
        changes of the line do not reach the lattice.

    Raises
    ------
    LatticeError
        If it is not a line, cannot be described as JSON, or has no meaning here.
    ExpressionError
        If an expression is outside the whitelist.
    """
    xt = import_xtrack()
    if isinstance(line, xt.Environment):
        names = ", ".join(map(repr, line.lines)) or "none"
        raise LatticeError(f"from_line: an Environment holds lines ({names}): pass one of them")
    if not isinstance(line, xt.Line):
        raise LatticeError(f"from_line: {type(line).__name__}: must be an xtrack.Line")
    name = getattr(line, "name", None) or ""
    source = f"line {name!r}" if name else "xtrack.Line"
    try:
        text = json.dumps(line.to_dict(), cls=JEncoder)
    except (AttributeError, NotImplementedError, TypeError, ValueError) as error:
        raise LatticeError(f"{source}: cannot be written as JSON by xtrack: {error}") from None
    return lattice_from_dict({**parse_json(text, source), "name": name}, source)
