"""Xsuite's classes as MAD-X elements: type and attributes from fields, in a table."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from sc_bridge.expressions import Expression, Number
from sc_bridge.expressions.algebra import ZERO, add, multiply, negate
from sc_bridge.lattice import ReferenceFields
from sc_bridge.readers.madx.attributes import TYPES

from .fields import Fields

Attributes: TypeAlias = dict[str, Expression | list[Expression] | str]
_MICRO = 1e-6


def _kept_type(fields: Fields, otherwise: str) -> str:
    """The type that the MAD-X file had, where there was one."""
    known = fields.record.source_type
    return known if known in TYPES else otherwise


def _simple(fields: Fields, type_: str, **attributes: str) -> tuple[str, Attributes]:
    return type_, {key: fields(field) for key, field in attributes.items()}


def _device(fields: Fields, otherwise: str) -> tuple[str, Attributes]:
    return _kept_type(fields, otherwise), {"l": fields("length")}


def _straight(fields: Fields, type_: str, normal: str, skew: str) -> tuple[str, Attributes]:
    return type_, {
        "l": fields("length"),
        normal: fields(normal),
        skew: fields(skew),
        "knl": fields.items("knl"),
        "ksl": fields.items("ksl"),
        "tilt": fields("rot_s_rad"),
    }


def _bend(fields: Fields, type_: str, length: str) -> tuple[str, Attributes]:
    attributes: Attributes = {"l": fields(length), "angle": fields("angle")}
    if type_ == "rbend":
        fields("length")  # Xsuite states the arc too, which follows from the chord
    attributes |= {key: fields(key) for key in ("k0", "k1", "k2")}
    attributes |= {"e1": fields("edge_entry_angle"), "e2": fields("edge_exit_angle")}
    attributes |= {"fint": fields("edge_entry_fint"), "hgap": fields("edge_entry_hgap")}
    exit_fint, exit_hgap = fields("edge_exit_fint"), fields("edge_exit_hgap")
    if exit_fint != attributes["fint"]:
        # A zero must be written: without fintx, MAD-X takes fint.
        attributes["fintx"] = "0" if exit_fint == ZERO else exit_fint
    if exit_hgap != attributes["hgap"] and (exit_hgap, exit_fint) != (ZERO, ZERO):
        fields.lose("edge_exit_hgap")
    attributes |= {"knl": fields.items("knl"), "ksl": fields.items("ksl")}
    attributes["tilt"] = fields("rot_s_rad")
    for side, key in (("entry", "kill_ent_fringe"), ("exit", "kill_exi_fringe")):
        if fields.is_set(f"edge_{side}_active", False):
            attributes[key] = "true"
        fields.is_set(f"edge_{side}_model", "linear")
        fields.is_set(f"edge_{side}_active", True)
        if attributes["k0"] != ZERO:
            fields(f"edge_{side}_angle_fdown")  # follows from k0 in MAD-X
    if not fields.is_set("k0_from_h", False) and fields.is_set("k0_from_h", True):
        attributes["k0"] = ZERO
    return type_, attributes


def _multipole(fields: Fields) -> tuple[str, Attributes]:
    """A kicker where the dipole bends no reference orbit, else a multipole."""
    knl, ksl, length = fields.items("knl"), fields.items("ksl"), fields("length")
    curvature, tilt = fields("hxl"), fields("rot_s_rad")
    thick = fields.is_set("isthick", True)
    first, vertical = (items[0] if items else ZERO for items in (knl, ksl))
    kept = _kept_type(fields, "multipole")
    is_dipole = curvature == ZERO and all(tree == ZERO for tree in [*knl[1:], *ksl[1:]])
    if is_dipole and (thick or kept in _KICKERS or first != ZERO or vertical != ZERO):
        type_, kicks = _kicker(kept, first, vertical)
        return type_, kicks | {"l" if thick else "lrad": length, "tilt": tilt}
    attributes: Attributes = {"knl": knl, "ksl": ksl, "lrad": length, "tilt": tilt}
    if curvature != first:
        attributes["angle"] = curvature
    # MAD-X bends the reference orbit with these, and its multipoles are thin.
    lost = {
        "isthick": thick,
        "ksl": vertical != ZERO,
        "knl": curvature == ZERO and first != ZERO,
    }
    for field in (field for field, is_lost in lost.items() if is_lost):
        fields.lose(field)
    return "multipole", attributes


_KICKERS = ("hkicker", "vkicker", "kicker", "tkicker")


def _kicker(kept: str, first: Expression, vertical: Expression) -> tuple[str, Attributes]:
    if kept == "hkicker" and vertical == ZERO:
        return "hkicker", {"kick": negate(first)}
    if kept == "vkicker" and first == ZERO:
        return "vkicker", {"kick": vertical}
    return "kicker", {"hkick": negate(first), "vkick": vertical}


def _cavity(fields: Fields, type_: str, voltage: str) -> tuple[str, Attributes]:
    """VOLT in MV is for the whole charge, FREQ in MHz, LAG in turns."""
    charge = abs(fields.reference.q0) if fields.reference else 1.0
    phase, lag = fields("phase"), fields("lag")
    return type_, {
        "l": fields("length"),
        "volt": multiply(fields(voltage), _MICRO * charge),
        "freq": multiply(fields("frequency"), _MICRO),
        "lag": add(multiply(phase, 1 / (2 * math.pi)), multiply(lag, 1 / 360)),
        "harmon": fields("harmonic"),
        "tilt": fields("rot_s_rad"),
    }


def _dipole_edge(fields: Fields) -> tuple[str, Attributes]:
    attributes: Attributes = {key: fields(key) for key in ("e1", "fint", "hgap")}
    attributes |= {"h": fields("k"), "tilt": fields("rot_s_rad")}
    if fields.is_set("side", "exit"):
        attributes["entrance"] = "false"
    fields.is_set("side", "entry")
    return "dipedge", attributes


_AXES = {"rot_s_rad": "srotation", "rot_x_rad": "xrotation", "rot_y_rad": "yrotation"}


def _rotation(fields: Fields) -> tuple[str, Attributes]:
    """About one axis; a second one is left over, and so refused."""
    axis = next((a for a in _AXES if a in fields.record.fields), "rot_s_rad")
    return _AXES[axis], {"angle": fields(axis)}


def _matrix(fields: Fields) -> tuple[str, Attributes]:
    """First order, from zeta and pzeta to MAD-X's t and pt."""
    rows, kicks = fields.record.fields.get("m1"), fields.record.fields.get("m0")
    fields.is_set("m0", kicks)
    fields.is_set("m1", rows)
    beta = _beta(fields.reference)
    scale = [1.0] * 4 + [beta, 1 / beta]
    attributes: Attributes = {"l": fields("length")}
    for i, kick in enumerate(kicks or []):
        attributes[f"kick{i + 1}"] = Number(kick / scale[i])
    for i, row in enumerate(rows or []):
        for j, entry in enumerate(row):
            if entry != float(i == j):
                attributes[f"rm{i + 1}{j + 1}"] = f"{entry * scale[j] / scale[i]!r}"
    return "matrix", attributes


def _beta(reference: ReferenceFields | None) -> float:
    return reference.p0c / math.hypot(reference.p0c, reference.mass0) if reference else 1.0


# ---- apertures ---------------------------------------------------------------------------


def _aperture(fields: Fields, shape: str, *names: str) -> tuple[str, Attributes]:
    """A marker with the aperture of the record."""
    return "marker", {
        "apertype": shape,
        "aperture": [fields(name) for name in names],
        "aper_offset": [fields("shift_x"), fields("shift_y")],
        "aper_tilt": fields("rot_s_rad"),
    }


def _rectangle(fields: Fields, shape: str, *names: str) -> tuple[str, Attributes]:
    """As `_aperture`; MAD-X's rectangles are symmetric."""
    for axis in "xy":
        if negate(fields(f"min_{axis}")) != fields(f"max_{axis}"):
            fields.lose(f"min_{axis}")
    return _aperture(fields, shape, *names)


def _polygon(fields: Fields) -> tuple[str, Attributes]:
    type_, attributes = _aperture(fields, "circle")
    vertices = {f"aper_v{axis}": fields.items(f"{axis}_vertices") for axis in "xy"}
    return type_, attributes | vertices


OUT: dict[str, Callable[[Fields], tuple[str, Attributes]]] = {
    "Marker": partial(_device, otherwise="marker"),
    "Drift": partial(_device, otherwise="drift"),
    "Device": partial(_device, otherwise="instrument"),
    "Quadrupole": partial(_straight, type_="quadrupole", normal="k1", skew="k1s"),
    "Sextupole": partial(_straight, type_="sextupole", normal="k2", skew="k2s"),
    "Octupole": partial(_straight, type_="octupole", normal="k3", skew="k3s"),
    "Bend": partial(_bend, type_="sbend", length="length"),
    "RBend": partial(_bend, type_="rbend", length="length_straight"),
    "Multipole": _multipole,
    "UniformSolenoid": partial(_simple, type_="solenoid", l="length", ks="ks", tilt="rot_s_rad"),
    "Cavity": partial(_cavity, type_="rfcavity", voltage="voltage"),
    "CrabCavity": partial(_cavity, type_="crabcavity", voltage="crab_voltage"),
    "DipoleEdge": _dipole_edge,
    "Rotation": _rotation,
    "Translation": partial(_simple, type_="translation", dx="shift_x", dy="shift_y", ds="shift_s"),
    "FirstOrderTaylorMap": _matrix,
    "NonLinearLens": partial(_simple, type_="nllens", knll="knll", cnll="cnll"),
    "LimitEllipse": lambda fields: _aperture(fields, "ellipse", "a", "b"),
    "LimitRect": lambda fields: _rectangle(fields, "rectangle", "max_x", "max_y"),
    "LimitRectEllipse": lambda f: _aperture(f, "rectellipse", "max_x", "max_y", "a", "b"),
    "LimitRacetrack": lambda f: _rectangle(f, "racetrack", "max_x", "max_y", "a", "b"),
    "LimitPolygon": _polygon,
}
