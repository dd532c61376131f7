"""Lines of any make that name their elements as Xsuite does: element_names and element_dict."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from sc_bridge.errors import LatticeError
from sc_bridge.kinds import KINDS
from sc_bridge.readers.files import parse_json


def has_elements(line: Any) -> bool:
    """Whether an object has names in order and elements by name."""
    names, elements = getattr(line, "element_names", None), getattr(line, "element_dict", None)
    ordered = hasattr(names, "__iter__") and not isinstance(names, str)
    return ordered and hasattr(elements, "items")


def describe_elements(line: Any, source: str) -> dict[str, Any]:
    """Return the dictionary of an Xsuite Line that describes the same elements.

    An element is a dictionary with `__class__`, or has a `to_dict`, or its class and public
    attributes have the names of an Xsuite class and its fields. `particle_ref`, if there is one,
    has mass0 [eV], q0 and p0c [eV].

    Variables are in `vars`, if there is one: numbers by name, or expressions as text in the
    notation of Xsuite's files (`"-2.0 * vars['kq']"`). `expressions` says by "element.field" (or
    "element.field[index]") which fields follow them, in the same notation.

    Raises
    ------
    LatticeError
        If an element or a variable is none of that.
    """
    elements = {
        str(name): _element(element, f"{source}: {name}")
        for name, element in line.element_dict.items()
    }
    described: dict[str, Any] = {
        "__class__": "Line",
        "element_names": [str(name) for name in line.element_names],
        "elements": elements,
        **_variables(line, source),
    }
    particle = getattr(line, "particle_ref", None)
    if particle is not None:
        described["particle_ref"] = {
            name: _first(particle, name, source) for name in ("mass0", "q0", "p0c")
        }
    return parse_json(_json(described, source), source)


def _variables(line: Any, source: str) -> dict[str, Any]:
    """Return what Xsuite's dictionary holds of variables, and of what follows them."""
    held, driven = getattr(line, "vars", {}), getattr(line, "expressions", {})
    for name, entries in (("vars", held), ("expressions", driven)):
        if not hasattr(entries, "items"):
            raise LatticeError(
                f"{source}: {name} is a {type(entries).__name__}: must be a dictionary of numbers "
                "and text, or leave it out"
            )
    values = {str(name): value for name, value in held.items() if not isinstance(value, str)}
    pairs = [[f"vars[{name!r}]", text] for name, text in held.items() if isinstance(text, str)]
    for target, text in driven.items():
        element, _, field = str(target).rpartition(".")
        pairs.append([f"element_refs[{element!r}].{field}", text])
    return {"_var_management_data": {"var_values": values}, "_var_manager": pairs}


def _element(element: Any, place: str) -> dict[str, Any]:
    if isinstance(element, Mapping):
        fields = dict(element)
    elif hasattr(element, "to_dict"):
        fields = {"__class__": type(element).__name__, **element.to_dict()}
    else:
        fields = {"__class__": type(element).__name__, **_attributes(element)}
    if not isinstance(fields.get("__class__"), str):
        raise LatticeError(f"{place}: a dictionary without __class__: name its Xsuite class there")
    return fields


def _attributes(element: Any) -> dict[str, Any]:
    """Public attributes; nothing of the element may be lost, so all that it holds itself."""
    if hasattr(element, "__dict__"):
        own = {n: v for n, v in vars(element).items() if not n.startswith("_") and n != "name"}
    else:
        own = {}
    kind = KINDS.get(type(element).__name__)
    known = sorted(kind.fields) if kind is not None else []
    return own | {n: getattr(element, n) for n in known if n not in own and hasattr(element, n)}


def _first(particle: Any, name: str, source: str) -> float:
    held = particle if isinstance(particle, Mapping) else {name: getattr(particle, name, None)}
    value: Any = held.get(name)
    try:
        return float(np.ravel(value)[0])
    except (TypeError, ValueError, IndexError):
        raise LatticeError(f"{source}: particle_ref.{name} = {value!r}: must be a number") from None


def _json(described: dict[str, Any], source: str) -> str:
    def plain(value: Any) -> Any:
        if hasattr(value, "tolist"):  # arrays, scalars of NumPy, tensors
            return value.tolist()
        raise TypeError(f"{type(value).__name__} is no number, list or string")

    try:
        return json.dumps(described, default=plain)
    except (TypeError, ValueError) as error:
        raise LatticeError(f"{source}: cannot be described as JSON: {error}") from None
