"""Slices that a file holds: a line that Xsuite has cut, as parts of its whole elements."""

from __future__ import annotations

from typing import Any

from sc_bridge.elements import DriftSlice, Edge, Element, Slice, ThinSlice

from .errors import LatticeError
from .lattice import Lattice, Record

# radiation as the parent does; there is none
_RADIATION_FROM_PARENT = 10
_BOOKKEEPING = frozenset({"parent_name", "weight", "slice_offset", "radiation_flag"})


def build_slice(lattice: Lattice, record: Record, parent: Element) -> Element:
    """Build the part of `parent` that a record stands for; it shares the parent's fields.

    Raises
    ------
    LatticeError
        If the class of the record is none of the parent's slices, or a number is missing.
    """
    place = lattice.place(record.name)
    for name, value in record.fields.items():
        neutral = name in _BOOKKEEPING or value in (None, 0, 0.0, False)
        if not neutral or (name == "radiation_flag" and value not in (0, _RADIATION_FROM_PARENT)):
            raise LatticeError(
                f"{place}: {record.kind}.{name} = {value!r} has no counterpart here and would be "
                "lost: remove it from the lattice"
            )
    weight, offset = (_number(place, record, name) for name in ("weight", "slice_offset"))
    length = parent.length.detach().max().item()
    part = _part(record.kind, parent, weight, offset / length if length else 0.0)
    if part.kind != record.kind:
        raise LatticeError(
            f"{place}: a {record.kind} of {parent.label}: its slices are called otherwise, such "
            f"as {part.kind}"
        )
    part.name = record.name
    return part


def _part(kind: str, parent: Element, weight: float, offset: float) -> Element:
    if kind.startswith("ThinSlice"):
        if kind.endswith("Entry"):
            return Edge(parent, "entry")
        if kind.endswith("Exit"):
            return Edge(parent, "exit")
        return ThinSlice(parent, weight, offset)
    if kind.startswith("DriftSlice") and parent.kind != "Drift":
        return DriftSlice(parent, weight)
    return Slice(parent, weight, offset)


def _number(place: str, record: Record, name: str) -> float:
    value: Any = record.fields.get(name, 0.0)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise LatticeError(f"{place}: {record.kind}.{name} = {value!r}: must be a number")
    return float(value)
