"""Build: from the records of a lattice to elements and knobs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from sc_bridge.elements import (
    Bend,
    Cavity,
    Device,
    Drift,
    Element,
    LimitEllipse,
    Marker,
    Misalignable,
    Multipole,
    Quadrupole,
    Rotation,
    Solenoid,
    SRotation,
    TimeDelay,
    Translation,
    UniformSolenoid,
    VariableSolenoid,
    XRotation,
    XYShift,
    YRotation,
    ZetaShift,
)
from sc_bridge.elements.misalignment import ALIGNMENT

from .errors import ElementError, LatticeError
from .file_slices import build_slice
from .knobs import FieldDriver, Knobs
from .lattice import Lattice, Record, is_slice
from .slicing import length_of

_SHARED = frozenset({"length", "model"})
_KICKED = frozenset({"knl", "ksl", "num_multipole_kicks"})
_SOLENOID = _KICKED | {"length", "x0", "y0", "integrator"}
_ACTIVE = frozenset({"edge_entry_active", "edge_exit_active"})
_EDGES = frozenset(
    f"edge_{side}_{name}"
    for side in ("entry", "exit")
    for name in ("active", "model", "angle", "angle_fdown", "fint", "hgap")
)


@dataclass(frozen=True)
class _Kind:
    """What is built from one Xsuite class: the element, its fields, and fixed choices."""

    element: Callable[..., Element]
    fields: frozenset[str]
    # fields of Xsuite whose stated value changes nothing here
    accepted: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)


_KINDS: dict[str, _Kind] = {
    "Drift": _Kind(Drift, _SHARED),
    "Quadrupole": _Kind(
        Quadrupole, _SHARED | _KICKED | {"k1", "k1s"}, {"integrator": ("adaptive", "uniform")}
    ),
    "Bend": _Kind(
        Bend,
        _SHARED | _KICKED | _EDGES | {"angle", "k0", "k1", "k2"},
        {"integrator": ("adaptive", "yoshida-6", "yoshida4"), "k0_from_h": (True,)},
    ),
    "Multipole": _Kind(Multipole, frozenset({"length", "knl", "ksl", "hxl"})),
    "Cavity": _Kind(
        Cavity,
        _SHARED | {"voltage", "frequency", "phase", "lag", "harmonic", "num_kicks"},
        {"integrator": ("adaptive", "uniform")},
    ),
    "Marker": _Kind(Marker, frozenset()),
    "Device": _Kind(Device, _SHARED),
    "Rotation": _Kind(Rotation, frozenset({"rot_s_rad", "rot_x_rad", "rot_y_rad", "seq"})),
    "Solenoid": _Kind(
        Solenoid,
        _KICKED
        | {"length", "ks"}
        | {f"mult_{name}" for name in ("rot_x_rad", "rot_y_rad", "shift_x", "shift_y", "shift_s")},
    ),
    "SRotation": _Kind(SRotation, frozenset({"angle"})),
    "TimeDelay": _Kind(TimeDelay, frozenset({"shift_zeta"})),
    "Translation": _Kind(Translation, frozenset({"shift_x", "shift_y", "shift_s"})),
    "UniformSolenoid": _Kind(UniformSolenoid, _SOLENOID | {"ks"} | _ACTIVE),
    "VariableSolenoid": _Kind(VariableSolenoid, _SOLENOID | {"ks_profile"}),
    "XRotation": _Kind(XRotation, frozenset({"angle"})),
    "XYShift": _Kind(XYShift, frozenset({"dx", "dy"})),
    "YRotation": _Kind(YRotation, frozenset({"angle"})),
    "ZetaShift": _Kind(ZetaShift, frozenset({"dzeta"})),
    "LimitEllipse": _Kind(LimitEllipse, frozenset({"a", "b"})),
}
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
    kind = _KINDS.get(record.kind)
    if kind is None:
        raise LatticeError(
            f"{place}: element class {record.kind!r} is not supported: "
            f"known classes are {', '.join(sorted(_KINDS))}"
        )
    fields = {}
    for name, value in record.fields.items():
        if name in kind.fields or (name in ALIGNMENT and _can_be_misaligned(kind)):
            fields[name] = value
        else:
            _check_dropped(place, record.kind, name, value, kind.accepted)
    if bend_model is not None and record.kind == "Bend":
        fields["model"] = bend_model
    try:
        element = kind.element(**fields)
    except (ElementError, TypeError, ValueError) as error:
        raise LatticeError(f"{place}: {error}") from None
    element.name = record.name
    return element


def _can_be_misaligned(kind: _Kind) -> bool:
    return isinstance(kind.element, type) and issubclass(kind.element, Misalignable)


def _check_dropped(
    place: str, kind: str, name: str, value: Any, accepted: Mapping[str, tuple[Any, ...]]
) -> None:
    if name in _BOOKKEEPING or value in accepted.get(name, ()) or value in _NEUTRAL:
        return
    if isinstance(value, list) and all(entry == 0 for entry in value):
        return
    raise LatticeError(
        f"{place}: {kind}.{name} = {value!r} has no counterpart here and would be lost: "
        "remove it from the lattice"
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
        element.drive(field_name, FieldDriver(knobs, base.detach().clone(), expressions))
    except (ElementError, IndexError) as error:
        raise LatticeError(f"{place}: {error}") from None


def _circumference(lattice: Lattice, elements: dict[str, Element]) -> float:
    try:
        return math.fsum(length_of(elements[name]) for name in lattice.element_names)
    except OverflowError:
        raise LatticeError(f"{lattice.source}: the lengths add up to no finite number") from None
