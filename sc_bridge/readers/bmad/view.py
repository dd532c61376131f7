"""Attributes of one Bmad element as trees, with what every type has: kicks, shifts, fields."""

from __future__ import annotations

from typing import Any

from sc_bridge.errors import LatticeError
from sc_bridge.expressions import Expression, Number
from sc_bridge.expressions.algebra import ZERO, add, divide, negate
from sc_bridge.readers.recording import Context, Origin, Recorder, added

from .deck import BmadElement, NoValue
from .types import NO_PHYSICS

_SHIFTS = ("x_offset", "y_offset", "z_offset", "x_pitch", "y_pitch")
_OFF = frozenset({"", "off", "none", "default"})
_WORDS = {
    "csr_method": "CSR",
    "space_charge_method": "space charge",
    "sr_wake": "wake",
    "lr_wake": "wake",
    "sr_wake_file": "wake",
    "lr_wake_file": "wake",
    "wall": "aperture",
    "grid_field": "field map",
    "cylindrical_map": "field map",
    "cartesian_map": "field map",
    "gen_grad_map": "field map",
    **dict.fromkeys(("x_pitch", "y_pitch", "z_offset", "x_offset", "y_offset"), "misalignment"),
}


class BmadView(Recorder):
    """A Bmad element while it becomes records."""

    def __init__(self, context: Context, element: BmadElement, turned: bool) -> None:
        origin = Origin(element.name, element.type, element.place, element.line, element.file)
        super().__init__(context, origin, element.attributes, turned)

    def tree_of(self, value: Any, key: str) -> Expression:
        if isinstance(value, NoValue):
            raise LatticeError(f"{self.place}[{key}] has {value}")
        if not isinstance(value, Expression):
            raise LatticeError(f"{self.place}[{key}] = {value!r}: must be a number")
        return value

    def angle(self, key: str, otherwise: float) -> Expression:
        """Tree of a rotation, which has a value of its own where it is only named."""
        self.ignore(key)
        return Number(otherwise) if self.attributes.get(key) == "default" else self(key)

    def strength(self, normalised: str, field: str) -> Expression:
        """Strength, or field divided by the rigidity of the reference here, T m."""
        tree, in_tesla = self(normalised), self(field)
        if in_tesla == ZERO:
            return tree
        return add(tree, divide(in_tesla, Number(self.reference(field).rigidity)))

    def kicks(self) -> tuple[list[Expression], list[Expression]]:
        """Dipole components of knl and ksl from the kicks that any element may have."""
        horizontal = self.strength("hkick", "bl_hkick")
        vertical = self.strength("vkick", "bl_vkick")
        knl: list[Expression] = []
        ksl: list[Expression] = []
        if horizontal != ZERO:
            added(knl, 0, negate(horizontal))
        if vertical != ZERO:
            added(ksl, 0, vertical)
        return knl, ksl

    def misalign(self) -> None:
        """Shift the last record; a bend, whose shifts count from its middle, stays."""
        record = self.records[-1]
        if record.kind in ("Marker", "Drift", "Device"):
            self.ignore(*_SHIFTS, "tilt")
            return
        if record.kind in ("Bend", "RBend"):
            return
        for axis in "xy":
            tree = self(f"{axis}_offset")
            if tree != ZERO:
                self.amend(f"shift_{axis}", tree)

    def check_left_over(self) -> None:
        """Refuse what no field stands for, unless it is zero, bookkeeping, or allowed."""
        for key in self.left_over():
            value = self.attributes[key]
            word = _WORDS.get(key, key)
            if key in NO_PHYSICS or value == ZERO or (isinstance(value, str) and value in _OFF):
                continue
            if isinstance(value, Expression) and self.number(value, key) == 0.0:
                continue
            self.lose(word, f"{key} = {value}", key)
