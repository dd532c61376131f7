"""Xsuite's classes as Cheetah elements: class and parameters from fields, in a table."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

from sc_bridge.expressions import Expression
from sc_bridge.expressions.algebra import negate

from .fields import Fields

Said: TypeAlias = tuple[str, dict[str, Any]]
_DEGREE = math.pi / 180


def _number(tree: Expression) -> float:
    return float(tree.evaluate({}))


def _alignment(fields: Fields, tilt: bool = True) -> dict[str, Any]:
    shifts = [_number(fields("shift_x")), _number(fields("shift_y"))]
    found: dict[str, Any] = {"misalignment": shifts}
    return found | ({"tilt": _number(fields("rot_s_rad"))} if tilt else {})


def _plain(fields: Fields) -> Said:
    """Map drifts and devices; without a length they are markers."""
    length = _number(fields("length"))
    kept = fields.record.source_type
    if length:
        return "Drift", {"length": length}
    return (kept if kept in ("BPM", "Screen") else "Marker"), {}


def _magnet(fields: Fields, kind: str, strength: str) -> Said:
    values = {"length": _number(fields("length")), strength: _number(fields(strength))}
    return kind, {**values, **_alignment(fields)}


def _bend(fields: Fields, kind: str, length: str) -> Said:
    """Map Bend and RBend: Cheetah tracks both faces with one gap, so that the integrals differ."""
    prefix = "dipole"
    angle, size = _number(fields("angle")), _number(fields(length))
    if kind == "RBend":
        prefix = "rbend"
        fields("length")  # Xsuite states the arc too, which follows from the chord
        fields.is_set("rbend_model", "curved-body")
        size *= (angle / 2) / math.sin(angle / 2) if angle else 1.0
    faces = [_face(fields, side) for side in ("entry", "exit")]
    gap = next((half for _, _, half in faces if half), 0.0)
    integrals = [fint * half / gap if gap else 0.0 for _, fint, half in faces]
    own = _number(fields("k0"))
    if fields.is_set("k0_from_h", True) or "k0" not in fields.record.fields:
        own = angle / size if size else 0.0
    if own * size != angle and not math.isclose(own * size, angle, rel_tol=1e-14):
        fields.lose("k0")
    fields.is_set("k0_from_h", False)
    return kind, {
        "length": size,
        "angle": angle,
        "k1": _number(fields("k1")),
        "tilt": _number(fields("rot_s_rad")),
        f"{prefix}_e1": faces[0][0],
        f"{prefix}_e2": faces[1][0],
        "gap": 2.0 * gap,
        "gap_exit": 2.0 * gap,
        "fringe_integral": integrals[0],
        "fringe_integral_exit": integrals[1],
    }


def _face(fields: Fields, side: str) -> tuple[float, float, float]:
    """Angle, field integral and half gap of a face; an inactive one does nothing."""
    off = fields.is_set(f"edge_{side}_active", False)
    off = fields.is_set(f"edge_{side}_model", "suppressed") or off
    fields.is_set(f"edge_{side}_active", True)
    fields.is_set(f"edge_{side}_model", "linear")
    angle, fint, half = (_number(fields(f"edge_{side}_{key}")) for key in ("angle", "fint", "hgap"))
    if off and fields.record.kind == "RBend":
        angle = -_number(fields("angle")) / 2  # against the rectangle's own
    elif off:
        angle = 0.0
    return (angle, 0.0, 0.0) if off else (angle, fint, half)


def _solenoid(fields: Fields) -> Said:
    """Map UniformSolenoid: k is half of Xsuite's ks."""
    values = {"length": _number(fields("length")), "k": 0.5 * _number(fields("ks"))}
    return "Solenoid", {**values, **_alignment(fields, tilt=False)}


def _multipole(fields: Fields) -> Said:
    """Map a Multipole that is a dipole corrector, which bends no reference orbit."""
    knl, ksl = ([_number(tree) for tree in fields.items(key)] for key in ("knl", "ksl"))
    length, thick = _number(fields("length")), fields.is_set("isthick", True)
    if not thick and length:
        fields.lose("length")
    for key, values in (("knl", knl), ("ksl", ksl)):
        if any(values[1:]):
            fields.lose(key)
    horizontal, vertical = -sum(knl[:1], 0.0), sum(ksl[:1], 0.0)
    size = length if thick else 0.0
    kept = fields.record.source_type
    if kept == "VerticalCorrector" and not horizontal:
        return kept, {"length": size, "angle": vertical}
    if horizontal and vertical:
        angles = {"horizontal_angle": horizontal, "vertical_angle": vertical}
        return "CombinedCorrector", {"length": size, **angles}
    if vertical:
        return "VerticalCorrector", {"length": size, "angle": vertical}
    return "HorizontalCorrector", {"length": size, "angle": horizontal}


_STRUCTURES = {"standing": "standing_wave", "travelling": "traveling_wave"}


def _linac_cavity(fields: Fields) -> Said:
    structure = fields.take_structure()
    return "Cavity", {
        "length": _number(fields("length")),
        "voltage": _number(fields("voltage")),
        "phase": -_number(fields("phase")) / _DEGREE,
        "frequency": _number(fields("frequency")),
        "cavity_type": _STRUCTURES[structure],
    }


def _cavity(fields: Fields) -> Said:
    """Map a Cavity that is off: Cheetah's accelerates the reference, Xsuite's does not."""
    for field in ("harmonic", "phase", "lag"):
        fields(field)
    values = {key: _number(fields(key)) for key in ("length", "voltage", "frequency")}
    if values["voltage"]:
        fields.lose("voltage")
    return "Cavity", {**values, "phase": 0.0}


def _deflector(fields: Fields) -> Said:
    """Map CrabCavity: the phase in turns."""
    phase = _number(fields("phase")) + _DEGREE * _number(fields("lag"))
    return "TransverseDeflectingCavity", {
        "length": _number(fields("length")),
        "voltage": -_number(fields("crab_voltage")),
        "phase": -phase / (2.0 * math.pi),
        "frequency": _number(fields("frequency")),
        **_alignment(fields),
    }


def _rectangle(fields: Fields) -> Said:
    """Map LimitRect, which must be symmetric about the axis."""
    axes: dict[str, float] = {}
    for axis in "xy":
        low, high = fields(f"min_{axis}"), fields(f"max_{axis}")
        if negate(low) != high:
            fields.lose(f"min_{axis}")
        if f"max_{axis}" in fields.record.fields:
            axes[f"{axis}_max"] = _number(high)
    return "Aperture", axes | {"shape": "rectangular"}


def _ellipse(fields: Fields) -> Said:
    axes = {"x_max": _number(fields("a")), "y_max": _number(fields("b"))}
    return "Aperture", axes | {"shape": "elliptical"}


# Cheetah's fifth coordinate is minus tau.
_SIGNS = (1.0, 1.0, 1.0, 1.0, -1.0, 1.0)


def _matrix(fields: Fields) -> Said:
    """Map FirstOrderTaylorMap to 7 x 7, the last column the offset."""
    stated = fields.record.fields
    rows = stated.get("m1") or [[float(i == j) for j in range(6)] for i in range(6)]
    offset = stated.get("m0") or [0.0] * 6
    for key in ("m0", "m1"):
        fields.is_set(key, stated.get(key))
    table = [
        [_SIGNS[i] * _SIGNS[j] * float(row[j]) for j in range(6)] + [_SIGNS[i] * float(offset[i])]
        for i, row in enumerate(rows)
    ]
    return "CustomTransferMap", {
        "length": _number(fields("length")),
        "predefined_transfer_map": [*table, [0.0] * 6 + [1.0]],
    }


OUT: Mapping[str, Callable[[Fields], Said]] = {
    "Marker": _plain,
    "Drift": _plain,
    "Device": _plain,
    "Quadrupole": partial(_magnet, kind="Quadrupole", strength="k1"),
    "Sextupole": partial(_magnet, kind="Sextupole", strength="k2"),
    "Bend": partial(_bend, kind="Dipole", length="length"),
    "RBend": partial(_bend, kind="RBend", length="length_straight"),
    "Multipole": _multipole,
    "UniformSolenoid": _solenoid,
    "Cavity": _cavity,
    "LinacCavity": _linac_cavity,
    "CrabCavity": _deflector,
    "LimitRect": _rectangle,
    "LimitEllipse": _ellipse,
    "FirstOrderTaylorMap": _matrix,
}
