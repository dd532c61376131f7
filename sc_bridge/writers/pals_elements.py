"""Xsuite's classes as PALS elements: kind and parameter groups from fields, in a table."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeAlias

from sc_bridge.expressions import Expression, Number
from sc_bridge.expressions.algebra import ZERO, add, call, divide, multiply, subtract
from sc_bridge.readers.pals.mapping import known_kind

from .fields import Fields

Parameter: TypeAlias = "Expression | str | bool | list[Parameter] | Group"
Group: TypeAlias = "dict[str, Parameter]"
Said: TypeAlias = tuple[str, Group]
_TURN = 2.0 * math.pi


def _group(**values: Parameter) -> Group:
    """A group without what is 0 or empty."""
    return {key: value for key, value in values.items() if value != ZERO and value not in ({}, [])}


def _kept_kind(fields: Fields, otherwise: str, *choices: str) -> str:
    """The kind that a PALS file had, where there was one that says the same."""
    known = fields.record.source_type or ""
    return known if known in choices and known_kind(known) else otherwise


def _shifts(fields: Fields, roll: bool = True) -> Group:
    return _group(
        x_offset=fields("shift_x"),
        y_offset=fields("shift_y"),
        z_offset=fields("shift_s"),
        z_rot=fields("rot_s_rad") if roll else ZERO,
    )


def _integrated(fields: Fields, *own: int, skew: bool = True) -> Group:
    """`Kn0L`, ...: what `knl` and `ksl` hold, but not of orders that the element has itself."""
    group: Group = {}
    for field, letter in (("knl", "n"), ("ksl", "s")):
        trees = fields.items(field)
        if any(i in own and tree != ZERO for i, tree in enumerate(trees) if field == "knl" or skew):
            fields.lose(field)  # PALS adds it to the strength, Xsuite kicks beside it
        group |= {f"K{letter}{i}L": tree for i, tree in enumerate(trees) if tree != ZERO}
    return group


def _plain(fields: Fields, kind: str, *kept: str) -> Said:
    return _kept_kind(fields, kind, *kept), _group(length=fields("length"))


def _straight(fields: Fields, kind: str, order: int) -> Said:
    strengths = _group(
        **{f"Kn{order}": fields(f"k{order}"), f"Ks{order}": fields(f"k{order}s")},
        **_integrated(fields, order),
    )
    return kind, _group(
        length=fields("length"), MagneticMultipoleP=strengths, BodyShiftP=_shifts(fields)
    )


def _bend(fields: Fields, kind: str, length: str, suffix: str) -> Said:
    """Map Bend and RBend; the faces of an RBend are turned against a rectangle."""
    if kind == "RBend":
        fields("length")  # Xsuite states the arc too, which follows from the chord
        fields.is_set("rbend_model", "curved-body")
    angle = fields("angle")
    shape: Group = {"angle_ref": angle, "tilt_ref": fields("rot_s_rad")}
    for number, side in (("1", "entry"), ("2", "exit")):
        shape[f"e{number}{suffix}"], shape[f"edge_int{number}"] = _face(fields, side)
    strengths = _group(
        Kn0=_beside_the_curvature(fields, angle, fields(length)),
        Kn1=fields("k1"),
        Kn2=fields("k2"),
        **_integrated(fields, 0, 1, 2, skew=False),
    )
    body = {"MagneticMultipoleP": strengths}
    if kind == "RBend" and angle != ZERO:
        shape["L_chord"] = fields(length)
        return kind, _group(BendP=_group(**shape), **body)
    return kind, _group(length=fields(length), BendP=_group(**shape), **body)


def _face(fields: Fields, side: str) -> tuple[Expression, Expression]:
    """Angle of a face, and its field integral; both 0 where the face does nothing."""
    off = fields.is_set(f"edge_{side}_active", False)
    off = fields.is_set(f"edge_{side}_model", "suppressed") or off
    fields.is_set(f"edge_{side}_active", True)
    fields.is_set(f"edge_{side}_model", "linear")
    angle = fields(f"edge_{side}_angle")
    integral = multiply(fields(f"edge_{side}_fint"), fields(f"edge_{side}_hgap"))
    return (ZERO, ZERO) if off else (angle, integral)


def _beside_the_curvature(fields: Fields, angle: Expression, length: Expression) -> Expression:
    """Dipole strength beyond that of the curved orbit."""
    own = fields("k0")
    if fields.is_set("k0_from_h", True) or "k0" not in fields.record.fields:
        return ZERO
    fields.is_set("k0_from_h", False)
    if angle == ZERO:
        return own
    if fields.record.kind == "RBend":
        length = divide(length, call("sinc", multiply(angle, 0.5)))
    return subtract(own, divide(angle, length))


def _multipole(fields: Fields) -> Said:
    """Map Multipole: it bends no reference orbit, and has a length only where it is thick."""
    thick, length = fields.is_set("isthick", True), fields("length")
    if not thick and length != ZERO:
        fields.lose("length")
    kind = _kept_kind(fields, "Multipole", "Kicker")
    return kind, _group(
        length=length if thick else ZERO,
        MagneticMultipoleP=_integrated(fields),
        BodyShiftP=_shifts(fields),
    )


def _solenoid(fields: Fields) -> Said:
    return "Solenoid", _group(
        length=fields("length"),
        SolenoidP=_group(Ksol=fields("ks")),
        MagneticMultipoleP=_integrated(fields),
        BodyShiftP=_shifts(fields),
    )


def _cavity(fields: Fields) -> Said:
    """Map Cavity: phases of PALS are in turns from the crest, those of Xsuite from zero."""
    phase = add(fields("phase"), multiply(fields("lag"), _TURN / 360))
    turns = multiply(subtract(phase, Number(math.pi / 2)), 1 / _TURN)
    rf = _group(voltage=fields("voltage"), frequency=fields("frequency"), harmon=fields("harmonic"))
    return "RFCavity", _group(
        length=fields("length"),
        RFP={**rf, "phase": turns, "zero_phase": "ACCELERATING"},
        BodyShiftP=_shifts(fields),
    )


_STRUCTURES = {"standing": "STANDING_WAVE", "travelling": "TRAVELING_WAVE"}


def _linac_cavity(fields: Fields) -> Said:
    """Map LinacCavity: the energy of the reference grows by what the voltage gives it."""
    voltage, phase = fields("voltage"), fields("phase")
    structure = fields.take_structure()
    charge = abs(fields.reference.q0) if fields.reference else 1.0
    gain = multiply(multiply(voltage, charge), call("cos", phase))
    rf = _group(voltage=voltage, frequency=fields("frequency"), phase=multiply(phase, 1 / _TURN))
    return "RFCavity", _group(
        length=fields("length"),
        RFP={**rf, "cavity_type": _STRUCTURES[structure], "zero_phase": "ACCELERATING"},
        ReferenceChangeP=_group(dE_ref=gain),
        BodyShiftP=_shifts(fields),
    )


# ---- apertures ---------------------------------------------------------------------------


def _aperture(**limits: Parameter) -> Said:
    return "Marker", {"ApertureP": {**limits, "location": "ENTRANCE_END"}}


def _rectangle(fields: Fields) -> Said:
    stated = fields.record.fields
    limits: Group = {}
    for axis in "xy":
        pair: list[Parameter] = [
            fields(f"{side}_{axis}") if f"{side}_{axis}" in stated else ""
            for side in ("min", "max")
        ]
        if pair != ["", ""]:
            limits[f"{axis}_limits"] = pair
    return _aperture(**limits, shape="RECTANGULAR")


def _ellipse(fields: Fields) -> Said:
    limits: Group = {}
    for axis, name in (("x", "a"), ("y", "b")):
        centre, half = fields(f"shift_{axis}"), fields(name)
        limits[f"{axis}_limits"] = [subtract(centre, half), add(centre, half)]
    return _aperture(**limits, shape="ELLIPTICAL")


def _polygon(fields: Fields) -> Said:
    columns = (fields.items("x_vertices"), fields.items("y_vertices"))
    points: list[Parameter] = [{"point": [x, y]} for x, y in zip(*columns, strict=True)]
    return _aperture(vertices={"list": points}, shape="VERTICES")


OUT: Mapping[str, Callable[[Fields], Said]] = {
    "Marker": lambda fields: (_kept_kind(fields, "Marker", "Fiducial", "NullEle"), {}),
    "Drift": partial(_plain, kind="Drift"),
    "Device": lambda fields: _plain(fields, "Instrument", "Monitor", "Mask"),
    "Quadrupole": partial(_straight, kind="Quadrupole", order=1),
    "Sextupole": partial(_straight, kind="Sextupole", order=2),
    "Octupole": partial(_straight, kind="Octupole", order=3),
    "Bend": partial(_bend, kind="SBend", length="length", suffix=""),
    "RBend": partial(_bend, kind="RBend", length="length_straight", suffix="_rect"),
    "Multipole": _multipole,
    "UniformSolenoid": _solenoid,
    "Cavity": _cavity,
    "LinacCavity": _linac_cavity,
    "LimitRect": _rectangle,
    "LimitEllipse": _ellipse,
    "LimitPolygon": _polygon,
}
