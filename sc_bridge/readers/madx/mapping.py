"""MAD-X elements to records in Xsuite's classes, fields and units, in tables.

Attributes are trees; a field whose tree has variables stays live. What a builder does not take
and is not zero is a loss.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

from sc_bridge.expressions import Expression, Number
from sc_bridge.expressions.algebra import (
    ONE,
    ZERO,
    add,
    call,
    divide,
    multiply,
    negate,
    subtract,
)

from .apertures import aperture_of
from .view import View

MEGA = 1e6


def read_element(view: View) -> None:
    """Emit the records of an element: its aperture, if it has one, and itself."""
    aperture_of(view)
    BUILDERS[view.element.type](view)
    view.check_left_over()


def _drift_like(view: View) -> None:
    view.emit("Drift" if view.element.type == "drift" else "Device", length=view("l"))
    view.ignore("tilt", "lrad")


def _marker(view: View) -> None:
    view.ignore("l", "tilt", "lrad")
    view.emit("Marker")


def _straight(view: View, kind: str, normal: str, skew: str) -> None:
    view.emit(
        kind,
        length=view("l"),
        **{normal: view(normal), skew: view(skew)},
        knl=view.items("knl"),
        ksl=view.items("ksl"),
        rot_s_rad=view("tilt"),
    )


# ---- bends -------------------------------------------------------------------------------


def _bend(view: View) -> None:
    length, angle = view("l"), view("angle")
    if view.element.type == "sbend":
        fields = {"length": length}
        arc = length
    elif view.deck.arc_of_rbend:
        fields = {"length_straight": length}
        arc = divide(length, call("sinc", multiply(angle, 0.5)))
    else:
        fields = {"length_straight": multiply(length, call("sinc", multiply(angle, 0.5)))}
        arc = length
    exit_fint = view("fintx") if view.has("fintx") and view.value("fintx") >= 0 else view("fint")
    knl = _integrated(view, arc, view.items("knl"), {3: "k3"})
    ksl = _integrated(view, arc, view.items("ksl"), {0: "k0s", 1: "k1s", 2: "k2s"})
    hgap = view("hgap")
    view.emit(
        {"sbend": "Bend", "rbend": "RBend"}[view.element.type],
        **fields,
        angle=angle,
        k1=view("k1"),
        k2=view("k2"),
        edge_entry_angle=view("e1"),
        edge_exit_angle=view("e2"),
        edge_entry_fint=view("fint"),
        edge_exit_fint=exit_fint,
        edge_entry_hgap=hgap,
        edge_exit_hgap=hgap,
        knl=knl,
        ksl=ksl,
        rot_s_rad=view("tilt"),
        **_own_field(view, arc, angle),
    )
    for side, key in (("entry", "kill_ent_fringe"), ("exit", "kill_exi_fringe")):
        if view.value(key):
            view.set(f"edge_{side}_active", False)


def _own_field(view: View, arc: Expression, angle: Expression) -> dict[str, Expression]:
    """Field of the bend where it is not that of the reference orbit.

    In MAD-X k0 = 0 means angle/l, now and for every value of its knobs.
    """
    k0 = view("k0")
    if view.value_of(k0, "k0") == 0:
        if k0 != ZERO:
            view.warn(f"k0 = {k0} is 0 now: the field follows the angle")
        return {}
    down = multiply(subtract(multiply(k0, arc), angle), 0.5)
    return {"k0": k0, "edge_entry_angle_fdown": down, "edge_exit_angle_fdown": down}


def _integrated(
    view: View, length: Expression, given: list[Expression], extra: dict[int, str]
) -> list[Expression]:
    """Components of knl or ksl with strengths times the length added."""
    strengths = {order: view(key) for order, key in extra.items()}
    needed = [order for order, tree in strengths.items() if tree != ZERO]
    result = list(given) + [ZERO] * (max(needed, default=-1) + 1 - len(given))
    for order in needed:
        result[order] = add(result[order], multiply(strengths[order], length))
    return result


# ---- thin magnets and kickers ------------------------------------------------------------


def _multipole(view: View) -> None:
    knl, ksl = view.items("knl"), view.items("ksl")
    if ksl and view.value_of(ksl[0], "ksl[0]") != 0:
        view.lose("ksl[0]", "the vertical bend of its reference orbit")
    if ksl and not isinstance(ksl[0], Number):
        view.warn(f"ksl[0] = {ksl[0]} is 0 now and stays so: it would bend the reference orbit")
    if ksl:
        ksl[0] = ZERO
    # Without an angle, the dipole bends the reference orbit.
    curvature = view("angle") if view.value("angle") != 0 else (knl[0] if knl else ZERO)
    view.emit(
        "Multipole", length=view("lrad"), knl=knl, ksl=ksl, hxl=curvature, rot_s_rad=view("tilt")
    )


def _kicker(view: View, horizontal: str | None, vertical: str | None) -> None:
    kicks = {
        "knl": [negate(view(horizontal))] if horizontal else [],
        "ksl": [view(vertical)] if vertical else [],
    }
    if view("l") == ZERO:
        view.emit("Multipole", length=view("lrad"), **kicks, rot_s_rad=view("tilt"))
    else:
        view.ignore("lrad")
        view.emit("Multipole", length=view("l"), **kicks, rot_s_rad=view("tilt"))
        view.set("isthick", True)


def _solenoid(view: View) -> None:
    view.emit(
        "UniformSolenoid",
        length=view("l"),
        ks=view("ks"),
        knl=view.items("knl"),
        ksl=view.items("ksl"),
        rot_s_rad=view("tilt"),
    )


# ---- RF ----------------------------------------------------------------------------------


def _rf(view: View) -> dict[str, Expression]:
    """Voltage in V per unit of charge, frequency in Hz or the harmonic, phase in rad."""
    # VOLT is the energy gain of the reference particle, whatever its charge.
    charge = abs(view.beam("charge")) if view.deck.beams else 1.0
    fields = {
        "voltage": multiply(view("volt"), MEGA / charge),
        "phase": multiply(view("lag"), 2 * math.pi),
    }
    if view.value("freq") != 0 or view("harmon") == ZERO:
        # A frequency given goes before a harmonic number.
        view.ignore("harmon")
        return fields | {"frequency": multiply(view("freq"), MEGA)}
    return fields | {"harmonic": view("harmon")}


def _cavity(view: View) -> None:
    view.emit("Cavity", length=view("l"), **_rf(view), rot_s_rad=view("tilt"))
    view.ignore("lrad", "shunt", "tfill", "betrf", "pg")


def _crab_cavity(view: View) -> None:
    fields = _rf(view)
    fields["crab_voltage"] = fields.pop("voltage")
    view.emit("CrabCavity", length=view("l"), **fields, rot_s_rad=view("tilt"))
    view.ignore("lrad")


def _rf_multipole(view: View) -> None:
    turns = 360.0  # the phases of MAD-X are in 2 pi, those of Xsuite's pn, ps in degrees
    view.emit(
        "RFMultipole",
        **_rf(view),
        knl=view.items("knl"),
        ksl=view.items("ksl"),
        pn=[multiply(tree, turns) for tree in view.items("pnl")],
        ps=[multiply(tree, turns) for tree in view.items("psl")],
        rot_s_rad=view("tilt"),
    )
    view.ignore("lrad")


# ---- others ------------------------------------------------------------------------------


def _dipole_edge(view: View) -> None:
    entrance = view.value("entrance") if view.has("entrance") else 1.0
    view.emit(
        "DipoleEdge",
        k=view("h"),
        e1=view("e1"),
        fint=view("fint"),
        hgap=view("hgap"),
        rot_s_rad=view("tilt"),
    )
    if not entrance:
        view.set("side", "exit")
    view.ignore("lrad")


def _frame(view: View, kind: str, **fields: str) -> None:
    view.emit(kind, **{field: view(key) for field, key in fields.items()})
    view.ignore("lrad")


def _matrix(view: View) -> None:
    """First order; MAD-X's t and pt become zeta and pzeta."""
    scale = [1.0] * 6
    rows = [[view.default(f"rm{i}{j}", ONE if i == j else ZERO) for j in _SIX] for i in _SIX]
    kicks = [view(f"kick{i}") for i in _SIX]
    longitudinal = [tree for i in _SIX for j in _SIX if i != j and max(i, j) > 4
                    for tree in [rows[i - 1][j - 1]]]  # fmt: skip
    if any(tree != ZERO for tree in [*longitudinal, *kicks[4:]]):
        beta = view.beam("beta")
        scale[4:] = [beta, 1 / beta]
    view.emit("FirstOrderTaylorMap", length=view("l"))
    view.set(
        "m0", [view.value_of(multiply(k, s), "kick") for k, s in zip(kicks, scale, strict=True)]
    )
    view.set(
        "m1",
        [
            [view.value_of(tree, "rm") * scale[i] / scale[j] for j, tree in enumerate(row)]
            for i, row in enumerate(rows)
        ],
    )


_SIX = range(1, 7)


def _nonlinear_lens(view: View) -> None:
    view.emit("NonLinearLens", knll=view("knll"), cnll=view("cnll"))
    view.ignore("lrad")


def _left_out(view: View, word: str, what: str) -> None:
    """A drift or marker in place of what is not read."""
    view.lose(word, what)
    view.ignore_all()
    view.emit("Marker" if view.deck_length() == ZERO else "Drift", length=view.deck_length())


BUILDERS: dict[str, Callable[[View], None]] = {
    **dict.fromkeys(
        ("drift", "instrument", "placeholder", "monitor", "hmonitor", "vmonitor", "imonitor",
         "blmonitor", "slmonitor", "collimator", "rcollimator", "ecollimator", "elseparator"),
        _drift_like,
    ),
    "marker": _marker,
    "sbend": _bend,
    "rbend": _bend,
    "quadrupole": partial(_straight, kind="Quadrupole", normal="k1", skew="k1s"),
    "sextupole": partial(_straight, kind="Sextupole", normal="k2", skew="k2s"),
    "octupole": partial(_straight, kind="Octupole", normal="k3", skew="k3s"),
    "multipole": _multipole,
    "solenoid": _solenoid,
    "hkicker": partial(_kicker, horizontal="kick", vertical=None),
    "vkicker": partial(_kicker, horizontal=None, vertical="kick"),
    "kicker": partial(_kicker, horizontal="hkick", vertical="vkick"),
    "tkicker": partial(_kicker, horizontal="hkick", vertical="vkick"),
    "rfcavity": _cavity,
    "crabcavity": _crab_cavity,
    "rfmultipole": _rf_multipole,
    "dipedge": _dipole_edge,
    "srotation": partial(_frame, kind="Rotation", rot_s_rad="angle"),
    "xrotation": partial(_frame, kind="Rotation", rot_x_rad="angle"),
    "yrotation": partial(_frame, kind="Rotation", rot_y_rad="angle"),
    "translation": partial(_frame, kind="Translation", shift_x="dx", shift_y="dy", shift_s="ds"),
    "matrix": _matrix,
    "nllens": _nonlinear_lens,
    "beambeam": partial(_left_out, word="beam-beam", what="the beam-beam kick"),
    "wire": partial(_left_out, word="wire", what="the kick of the wire"),
    "twcavity": partial(_left_out, word="twcavity", what="the travelling wave"),
    "changeref": partial(_left_out, word="changeref", what="the change of the reference frame"),
    "changerefp0": partial(_left_out, word="energy", what="the change of the reference energy"),
    "hacdipole": partial(_left_out, word="ac dipole", what="the oscillating kick"),
    "vacdipole": partial(_left_out, word="ac dipole", what="the oscillating kick"),
}  # fmt: skip
