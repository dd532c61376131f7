"""Build: from the records of a lattice to elements and knobs."""

from __future__ import annotations

import math
from typing import Any

import torch

from sc_bridge.elements import Cavity, Element

from .errors import ElementError, LatticeError
from .file_slices import build_slice
from .kinds import KINDS, OLD_VALUES, Kind
from .knobs import FieldDriver, Knobs
from .lattice import Lattice, Record, is_slice
from .slicing import length_of

# Bookkeeping of Xsuite's files: the order is that of knl and ksl.
_BOOKKEEPING = frozenset({"order"})
_NEUTRAL = (None, "", "adaptive", False, 0, 0.0)


def build_elements(
    lattice: Lattice, knobs: Knobs, bend_model: str | None = None
) -> dict[str, Element]:
    """Build every element of a lattice once, by name; fields with expressions follow the knobs.

    Raises
    ------
    LatticeError
        If a class, a field or a value has no counterpart; the message names the place.
    """
    driven = _expressions_by_field(lattice)
    elements: dict[str, Element] = {}
    for name in dict.fromkeys(lattice.element_names):
        record = lattice.elements[name]
        parent = record.fields["parent_name"] if is_slice(record) else name
        if parent not in elements:
            elements[parent] = _build_element(lattice, lattice.elements[parent], bend_model)
        if parent != name:
            elements[name] = _build_slice(lattice, record, elements[parent])
    for (name, field_name), expressions in driven.items():
        if name in elements:
            _drive(lattice, elements[name], field_name, knobs, expressions)
    circumference = _circumference(lattice, elements)
    for element in elements.values():
        if isinstance(element, Cavity):
            element.line_length = circumference  # pyright: ignore[reportAttributeAccessIssue]
    return elements


def _build_slice(lattice: Lattice, record: Record, parent: Element) -> Element:
    try:
        return build_slice(lattice, record, parent)
    except ElementError as error:
        raise LatticeError(f"{lattice.place(record.name)}: {error}") from None


def _build_element(lattice: Lattice, record: Record, bend_model: str | None) -> Element:
    place = lattice.place(record.name)
    kind = KINDS.get(record.kind)
    if kind is None:
        raise LatticeError(
            f"{place}: element class {record.kind!r} is not supported: "
            f"known classes are {', '.join(sorted(KINDS))}"
        )
    fields = {}
    for name, value in record.fields.items():
        if name in kind.fields:
            known = isinstance(value, str)
            fields[name] = OLD_VALUES.get((name, value), value) if known else value
        else:
            _check_dropped(place, record.kind, name, value, kind)
    if bend_model is not None and record.kind == "Bend":
        fields["model"] = bend_model
    try:
        element = kind.element(**fields)
    except (ElementError, TypeError, ValueError) as error:
        raise LatticeError(f"{place}: {error}") from None
    element.name = record.name
    if kind.only_records:
        element.stands_for = record.kind
    return element


# xtrack writes it into the elements, which other lines of an Environment may share.
_WAYS_OUT = {
    "radiation_flag": "call configure_radiation(None) on the line of Xsuite that switched it on"
}


def _check_dropped(place: str, class_name: str, name: str, value: Any, kind: Kind) -> None:
    if kind.only_records or name in kind.derived or name in _BOOKKEEPING:
        return
    if value in kind.accepted.get(name, ()) or value in _NEUTRAL:
        return
    if isinstance(value, list) and all(entry == 0 for entry in value):
        return
    way_out = _WAYS_OUT.get(name, "remove it from the lattice")
    raise LatticeError(
        f"{place}: {class_name}.{name} = {value!r} has no counterpart here and would be lost: "
        f"{way_out}"
    )


def _expressions_by_field(lattice: Lattice) -> dict[tuple[str, str], dict[int | None, Any]]:
    grouped: dict[tuple[str, str], dict[int | None, Any]] = {}
    for (name, field_name, index), expression in lattice.field_expressions.items():
        grouped.setdefault((name, field_name), {})[index] = expression
    return grouped


def _drive(
    lattice: Lattice,
    element: Element,
    field_name: str,
    knobs: Knobs,
    expressions: dict[int | None, Any],
) -> None:
    place = f"{lattice.place(str(element.name))}.{field_name}"
    base = getattr(element, field_name, None)
    if not isinstance(base, torch.Tensor):
        raise LatticeError(f"{place}: driven by an expression, but is no number of this element")
    if base.dim() and None in expressions:
        raise LatticeError(f"{place}: is a list: an expression can drive {field_name}[n] only")
    try:
        element.drive(field_name, FieldDriver(knobs, expressions))
    except (ElementError, IndexError) as error:
        raise LatticeError(f"{place}: {error}") from None


def _circumference(lattice: Lattice, elements: dict[str, Element]) -> float:
    try:
        return math.fsum(length_of(elements[name]) for name in lattice.element_names)
    except OverflowError:
        raise LatticeError(f"{lattice.source}: the lengths add up to no finite number") from None
