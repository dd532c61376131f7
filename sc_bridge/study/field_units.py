"""Units of what a lattice holds: fields of elements, components of lists, and knobs."""

from __future__ import annotations

from collections.abc import Callable

from sc_bridge.elements import Element

from ..expressions.tree import Binary, Expression, Negative, Variable
from ..lattice import Lattice

# Fields of elements, as Xsuite has them.
_FIELD_UNITS = {
    "length": "m",
    "k0": "1/m",
    "h": "1/m",
    "k1": "1/m^2",
    "k1s": "1/m^2",
    "k0s": "1/m",
    "k2": "1/m^3",
    "k2s": "1/m^3",
    "k3": "1/m^4",
    "k3s": "1/m^4",
    "ks": "1/m",
    "shift_x": "m",
    "shift_y": "m",
    "shift_s": "m",
    "rot_x_rad": "rad",
    "rot_y_rad": "rad",
    "rot_s_rad": "rad",
    "rot_s_rad_no_frame": "rad",
    "rot_shift_anchor": "m",
    "edge_entry_angle": "rad",
    "edge_exit_angle": "rad",
    "edge_entry_angle_fdown": "rad",
    "edge_exit_angle_fdown": "rad",
    "edge_entry_fint": "1",
    "edge_exit_fint": "1",
    "edge_entry_hgap": "m",
    "edge_exit_hgap": "m",
    "crab_voltage": "V",
    "dx": "m",
    "dy": "m",
    "dzeta": "m",
    "angle": "rad",
    "voltage": "V",
    "frequency": "Hz",
    "lag": "deg",
    "phase": "rad",
    "harmonic": "1",
    "hxl": "rad",
    "hgap": "m",
    "fint": "1",
}
# Of component n of a list; those over a main strength follow its order, too.
_LIST_UNITS: dict[str, Callable[[int], str]] = {
    "knl": lambda n: _per_metre(n),
    "ksl": lambda n: _per_metre(n),
    "kn": lambda n: _per_metre(n + 1),
    "ks": lambda n: _per_metre(n + 1),
    "phase_n": lambda n: "rad",
    "phase_s": lambda n: "rad",
    "pn": lambda n: "deg",
    "ps": lambda n: "deg",
    "ks_profile": lambda n: "1/m",
}
_RELATIVE = ("knl_rel", "ksl_rel")
_MAIN_ORDERS = {"Quadrupole": 1, "Sextupole": 2, "Octupole": 3}


def field_unit(element: Element, field: str, component: int | None = None) -> str | None:
    """Unit of a field of an element, or of one component of a list; None where none is known."""
    if component is not None and field in _RELATIVE:
        main = getattr(element, "main_order", _MAIN_ORDERS.get(type(element).__name__, 0))
        return _per_metre(component - main)
    return _unit(field, component)


def _unit(field: str, component: int | None) -> str | None:
    if component is None:
        return _FIELD_UNITS.get(field)
    unit = _LIST_UNITS.get(field)
    return None if unit is None else unit(component)


def _per_metre(power: int) -> str:
    """Return the unit of m^-power."""
    if power == 0:
        return "1"
    unit = "m" if abs(power) == 1 else f"m^{abs(power)}"
    return f"1/{unit}" if power > 0 else unit


def knob_unit(lattice: Lattice, name: str) -> str | None:
    """Unit of a variable, where fields or other variables are it, or a sum with it; else None."""
    terms = {alias: _terms(expression) for alias, expression in lattice.expressions.items()}
    names = {name}
    while True:
        more = {alias for alias, found in terms.items() if found & names}
        if more <= names:
            break
        names |= more
    units = {
        _unit(field, index)
        for (_, field, index), expression in lattice.field_expressions.items()
        if _terms(expression) & names
    }
    return units.pop() if len(units) == 1 else None


def _terms(expression: Expression) -> frozenset[str]:
    """Variables that are terms of a sum on their own: they have the unit of the whole."""
    found, waiting = set(), [expression]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Variable):
            found.add(node.name)
        elif isinstance(node, Negative) or (isinstance(node, Binary) and node.operator in "+-"):
            waiting += node.children()
    return frozenset(found)
