"""BendP: curvature, angle and length from any two of them, and the pole faces."""

from __future__ import annotations

import math

from sc_bridge.errors import LatticeError
from sc_bridge.expressions import Expression, Number
from sc_bridge.expressions.algebra import ONE, ZERO, add, call, divide, multiply

from .multipoles import Multipoles
from .view import PalsView

_AGREE = 1e-6  # relative: numbers of seven digits that say the same thing twice


def bend(view: PalsView) -> None:
    """Emit a Bend: a sector whose pole faces may be turned."""
    length, angle, curvature = _shape(view)
    strengths = Multipoles(view, length)
    own, k1 = strengths.strength(0, "n"), strengths.strength(1, "n")
    k2 = strengths.strength(2, "n")
    sides = [_face(view, number, angle) for number in ("1", "2")]
    if view.turned:
        sides.reverse()
    fields: dict[str, Expression | list[Expression]] = {
        "length": length, "angle": angle, "k1": k1, "k2": k2,
        "rot_s_rad": view("BendP.tilt_ref"),
    }  # fmt: skip
    if own != ZERO:
        fields["k0"] = add(curvature, own)
    for side, (edge, integral) in zip(("entry", "exit"), sides, strict=True):
        fields[f"edge_{side}_angle"] = edge
        if integral != ZERO:
            # only the product of the two is given
            fields[f"edge_{side}_fint"] = ONE
            fields[f"edge_{side}_hgap"] = integral
    view.emit("Bend", fields | strengths.lists())


def _shape(view: PalsView) -> tuple[Expression, Expression, Expression]:
    """Length of the arc, angle and curvature."""
    length, chord = view("length"), view("BendP.L_chord")
    view.ignore("BendP.L_sagitta", "BendP.L_rectangle", "BendP.g_actual", "BendP.rho_actual")
    view.ignore("BendP.bend_field_actual", "BendP.multipole_type")
    angle_set = view.has("BendP.angle_ref", "BendP.angle")
    angle = view.first("BendP.angle_ref", "BendP.angle")
    curvature = _curvature(view)
    if length == ZERO and chord != ZERO:
        if not angle_set:
            half = multiply(multiply(chord, curvature), 0.5)
            angle, angle_set = multiply(call("asin", half), 2.0), True
        length = divide(chord, call("sinc", multiply(angle, 0.5)))
    if length == ZERO and angle_set and curvature != ZERO:
        length = divide(angle, curvature)
    if not angle_set:
        angle = multiply(curvature, length)
    elif curvature == ZERO and view.number(length, "length"):
        curvature = divide(angle, length)
    values = [view.number(t, k) for t, k in ((angle, "angle_ref"), (length, "length"))]
    expected = view.number(curvature, "g_ref") * values[1]
    if not math.isclose(values[0], expected, rel_tol=_AGREE, abs_tol=1e-12):
        raise LatticeError(
            f"{view.place}: angle_ref = {values[0]!r}, but its curvature times its length is "
            f"{expected!r}: give two of the three"
        )
    return length, angle, curvature


def _curvature(view: PalsView) -> Expression:
    if view.has("BendP.g_ref", "BendP.g"):
        view.ignore("BendP.rho_ref", "BendP.radius_ref")
        return view.first("BendP.g_ref", "BendP.g")
    if view.has("BendP.rho_ref", "BendP.radius_ref", "BendP.rho"):
        radius = view.first("BendP.rho_ref", "BendP.radius_ref", "BendP.rho")
        return ZERO if radius == ZERO else divide(ONE, radius)
    field = view.first("BendP.bend_field_ref", "BendP.Bn0_ref")
    if field == ZERO:
        return ZERO
    return divide(field, Number(view.reference("bend_field_ref").rigidity))


def _face(view: PalsView, number: str, angle: Expression) -> tuple[Expression, Expression]:
    """Angle of a pole face against a sector's, and its field integral."""
    geometry = view.word("BendP.ref_coords", view.word("BendP.ref_geometry", "ARC"))
    if geometry not in ("ARC", "CHORD"):
        view.lose("ref_coords", f"ref_coords = {geometry}")
    given, rect = f"BendP.e{number}", f"BendP.e{number}_rect"
    edge = view(given)
    if not view.has(given) and (view.has(rect) or view.origin.source_type.lower() == "rbend"):
        edge = add(view(rect), multiply(angle, 0.5))
    view.ignore(rect)
    return edge, view.first(f"BendP.edge{number}_int", f"BendP.edge_int{number}")
