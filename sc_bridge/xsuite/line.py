"""A live line to a `Lattice`, through the same reader as its file."""

from __future__ import annotations

import json
import sys
from pathlib import PurePath
from typing import Any

from sc_bridge.errors import LatticeError
from sc_bridge.lattice import Lattice
from sc_bridge.readers.files import parse_json
from sc_bridge.readers.xsuite_json import lattice_from_dict

from .duck import describe_elements, has_elements


def from_line(line: Any, name: str | None = None) -> Lattice:
    """Return the lattice of a line as it is now; its variables stay knobs.

    Parameters
    ----------
    line : xtrack.Line, xtrack.Environment, or an object with element_names and element_dict
        With its elements in place (`line.end_compose()` if it is still being composed). Later
        changes of the line do not reach the lattice; `KickedSequence.pull` brings them in.
    name : str, optional
        Which line of an Environment that has several.

    Raises
    ------
    LatticeError
        If it is not one definite line, cannot be described as JSON, or has no meaning here.
    ExpressionError
        If an expression is outside the whitelist.
    """
    xt = sys.modules.get("xtrack")  # what is not imported has made no line
    if xt is not None and isinstance(line, xt.Environment):
        line = _chosen(line, name)
    elif name is not None and name != getattr(line, "name", None):
        raise LatticeError(f"from_line: name = {name!r}: only an Environment has lines to choose")
    if xt is None or not isinstance(line, xt.Line):
        return _from_elements(line)
    source = source_of(line)
    _check_elements(line, source)
    described = _described(line, source)
    _mark_quasi_frozen(described["elements"], line, source)
    return lattice_from_dict({**described, "name": line.name or ""}, source)


def source_of(line: Any) -> str:
    """What messages call a line."""
    name = getattr(line, "name", None)
    return f"line {name!r}" if name else type(line).__name__


def _chosen(environment: Any, name: str | None) -> Any:
    lines = environment.lines
    shown = ", ".join(map(repr, lines)) or "none"
    if name is None and len(lines) == 1:
        return next(iter(lines.values()))
    if name is None:
        raise LatticeError(
            f"from_line: an Environment with {len(lines)} lines ({shown}): choose one with name=, "
            "or take all with sc_bridge.xsuite.sequences_from"
        )
    if name not in lines:
        raise LatticeError(f"from_line: no line {name!r}: the Environment has {shown}")
    return lines[name]


def _from_elements(line: Any) -> Lattice:
    """Return the lattice of anything that names its elements as Xsuite does."""
    if not has_elements(line):
        raise LatticeError(
            f"from_line: {type(line).__name__}: must be an xtrack.Line, an xtrack.Environment, or "
            f"an object with element_names and element_dict{_hint(line)}"
        )
    source = source_of(line)
    return lattice_from_dict(describe_elements(line, source), source)


def _hint(line: Any) -> str:
    if isinstance(line, str | PurePath):
        return "; read_lattice reads a file"
    return "; KickedSequence(lattice) takes a Lattice" if isinstance(line, Lattice) else ""


def _described(line: Any, source: str) -> Any:
    from xobjects import JEncoder

    # How the line was put together says nothing more, and xtrack cannot write it of lines in lines.
    composer, line.composer = line.composer, None
    try:
        text = json.dumps(line.to_dict(), cls=JEncoder)
    except (AttributeError, NotImplementedError, TypeError, ValueError) as error:
        raise LatticeError(f"{source}: cannot be written as JSON by xtrack: {error}") from None
    finally:
        line.composer = composer
    return parse_json(text, source)


def _check_elements(line: Any, source: str) -> None:
    """Name what xtrack cannot write, or only with a loss, before it tries."""
    names = line.element_names if isinstance(line.element_names, list | tuple) else ()
    elements: dict[str, Any] = {
        name: line.env._element_dict.get(name) for name in dict.fromkeys(names)
    }
    grids = [name for name, e in elements.items() if type(e).__name__ == "SpaceCharge3D"]
    if grids:
        raise LatticeError(
            f"{source}: {_listed(grids)}: SpaceCharge3D of xfields, whose grid is not saved: take "
            "such out of a copy (copy = line.copy(); for name in ...: copy.remove(name)), and give "
            "slicing and space_charge, or call install_space_charge"
        )
    for name, element in elements.items():
        if element is not None and not hasattr(element, "to_dict"):
            raise LatticeError(
                f"{source}: element {name!r} of class {type(element).__name__} has no to_dict: "
                f"take it out of a copy of the line: line.copy().remove({name!r})"
            )


def _listed(names: list[str]) -> str:
    """Name one, or the first of several and how many there are."""
    if len(names) == 1:
        return f"element {names[0]!r}"
    return f"{len(names)} elements, {names[0]!r} to {names[-1]!r}"


def _mark_quasi_frozen(elements: dict[str, Any], line: Any, source: str) -> None:
    """State which frozen kicks follow the bunch: xfields keeps it, and does not write it."""
    for name, entry in elements.items():
        if entry.get("__class__") != "SpaceChargeBiGaussian":
            continue
        element = line.env._element_dict[name]
        follows = [n for n in _FOLLOWING if getattr(element, f"update_{n}_on_track")]
        if follows and len(follows) < len(_FOLLOWING):
            raise LatticeError(
                f"{source}: {name}: only {', '.join(follows)} follow the bunch: update_on_track "
                "must be True or False"
            )
        if follows:
            entry["update_on_track"] = True


_FOLLOWING = ("mean_x", "mean_y", "sigma_x", "sigma_y")
