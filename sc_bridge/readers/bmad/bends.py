"""Bends of Bmad: sector and rectangular, by angle, curvature, radius or field."""

from __future__ import annotations

import math
from typing import Any

from sc_bridge.expressions import Expression, Number
from sc_bridge.expressions.algebra import ONE, ZERO, add, call, divide, multiply

from .view import BmadView

_EDGES = {
    "both_ends": (True, True),
    "entrance_end": (True, False),
    "exit_end": (False, True),
    "no_end": (False, False),
}


def bend(view: BmadView) -> None:
    """Emit a Bend, or an RBend, whose length is its chord."""
    rectangular = view.origin.source_type == "rbend"
    length, angle, curvature = _shape(view, rectangular)
    knl, ksl = view.kicks()
    fields: dict[str, Expression | list[Expression]] = {
        "length_straight" if rectangular else "length": length,
        "angle": angle,
        "k1": view.strength("k1", "b1_gradient"),
        "k2": view.strength("k2", "b2_gradient"),
        "knl": knl,
        "ksl": ksl,
        "rot_s_rad": add(view.angle("ref_tilt", math.pi / 2), view.angle("tilt", math.pi / 2)),
    }
    more = add(add(view("dg"), view("g_err")), _field(view, "db_field", "b_field_err"))
    if more != ZERO:
        fields["k0"] = add(curvature, more)
    flags = _edges(view, fields)
    view.emit("RBend" if rectangular else "Bend", fields, **flags)


def _field(view: BmadView, *keys: str) -> Expression:
    """Curvature of a field in T; ZERO where none is set."""
    tree = view.first(*keys)
    return ZERO if tree == ZERO else divide(tree, Number(view.reference(keys[0]).rigidity))


def _shape(view: BmadView, chord: bool) -> tuple[Expression, Expression, Expression]:
    """Length (of the chord for an rbend), angle, and curvature."""
    length, angle, curvature = view("l"), view("angle"), view("g")
    angle_set = view.has("angle")
    if curvature == ZERO and view("rho") != ZERO:
        curvature = divide(ONE, view("rho"))
    if curvature == ZERO:
        curvature = _field(view, "b_field")
    view.ignore("rho", "b_field")
    arc = view("l_arc")
    if chord and arc != ZERO:
        if not angle_set:
            angle, angle_set = multiply(curvature, arc), True
        length = multiply(arc, call("sinc", multiply(angle, 0.5)))
    if view.has("l_chord") and length == ZERO:
        length = view("l_chord")
        if not chord:
            length = divide(length, call("sinc", multiply(angle, 0.5)))
    view.ignore("l_chord", "l_sagitta", "l_rectangle")
    if not angle_set and chord:
        half = multiply(multiply(length, curvature), 0.5)
        angle = ZERO if half == ZERO else multiply(call("asin", half), 2.0)
    elif not angle_set:
        angle = multiply(curvature, length)
    elif length == ZERO and curvature != ZERO:
        length = divide(angle, curvature)
        if chord:
            length = multiply(length, call("sinc", multiply(angle, 0.5)))
    elif length != ZERO:
        path = divide(length, call("sinc", multiply(angle, 0.5))) if chord else length
        curvature = divide(angle, path)
    return length, angle, curvature


def _edges(view: BmadView, fields: dict[str, Any]) -> dict[str, bool]:
    """Add the pole faces; upstream ones first, which a turned bend exchanges."""
    fint = Number(0.5) if view.attributes.get("fint") == "default" else view("fint")
    view.ignore("fint")
    fintx, hgap = view("fintx", fint), view("hgap")
    faces = [
        (view("e1"), fint, hgap, "entrance"),
        (view("e2"), fintx, view("hgapx", hgap), "exit"),
    ]
    where = _EDGES.get(str(view.attributes.get("fringe_at", "both_ends")))
    kind = str(view.attributes.get("fringe_type", "basic_bend"))
    view.ignore("fringe_at")
    if where is None or kind in ("full", "hard_edge_only", "soft_edge_only", "sad_full"):
        view.lose("fringe", f"fringe_type = {kind}")
    active = list(where or (True, True))
    if kind == "none":
        active = [False, False]
    if view.turned:
        faces.reverse()
        active.reverse()
    flags: dict[str, bool] = {}
    for side, (edge, integral, gap, _), on in zip(("entry", "exit"), faces, active, strict=True):
        fields[f"edge_{side}_angle"] = edge
        if integral != ZERO and gap != ZERO:
            fields[f"edge_{side}_fint"], fields[f"edge_{side}_hgap"] = integral, gap
        if not on:
            flags[f"edge_{side}_active"] = False
    return flags


def arc_length(view: BmadView) -> Expression:
    """Return the length of an element along the orbit, m: of an rbend, that of the arc."""
    if view.origin.source_type not in ("rbend", "sbend"):
        return view("l")
    rectangular = view.origin.source_type == "rbend"
    length, angle, _ = _shape(view, rectangular)
    if not rectangular or length == ZERO:
        return length
    return divide(length, call("sinc", multiply(angle, 0.5)))
