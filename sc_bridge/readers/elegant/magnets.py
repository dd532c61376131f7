"""Magnets of elegant as records in Xsuite's classes, fields and units."""

from __future__ import annotations

import math

from sc_bridge.errors import LatticeError
from sc_bridge.expressions import Expression, Number
from sc_bridge.expressions.algebra import ZERO, add, call, divide, multiply, negate

from .types import words
from .view import View

_HIGHEST_ORDER = 100  # of multipoles; more would only take memory


def alignment(view: View) -> dict[str, Expression]:
    """Return the fields of an element's shifts and tilt."""
    return {
        "shift_x": view("DX"),
        "shift_y": view("DY"),
        "shift_s": view("DZ"),
        "rot_s_rad": view("TILT"),
    }


def _kicks(view: View) -> dict[str, list[Expression]]:
    """Corrector windings of a magnet, as knl[0] and ksl[0]."""
    return {
        "knl": [negate(multiply(view("HKICK"), view("HCALIBRATION", 1.0)))],
        "ksl": [multiply(view("VKICK"), view("VCALIBRATION", 1.0))],
    }


def quadrupole(view: View) -> None:
    """Map QUAD, KQUAD, KQUSE: knl has what the magnet has beside its gradient."""
    length, kicks = view("L"), _kicks(view)
    gradient = multiply(view("K1"), view.scale("FSE1" if view.has("FSE1") else "FSE"))
    sextupole = multiply(multiply(view("K2"), view.scale("FSE2")), length)
    if sextupole != ZERO:
        kicks["knl"] = [*kicks["knl"], ZERO, sextupole]
    view.emit("Quadrupole", length=length, k1=gradient, **kicks, **alignment(view))
    view.ignore("BORE")  # of use to B alone


def sextupole(view: View) -> None:
    """Map SEXT, KSEXT."""
    length, kicks, scale = view("L"), _kicks(view), view.scale()
    gradient = multiply(multiply(view("K1"), scale), length)
    if gradient != ZERO:
        kicks["knl"] = [*kicks["knl"], gradient]
    view.emit(
        "Sextupole", length=length, k2=multiply(view("K2"), scale), **kicks, **alignment(view)
    )
    view.ignore("BORE")


def octupole(view: View) -> None:
    """Map OCTU, KOCT."""
    view.emit(
        "Octupole", length=view("L"), k3=multiply(view("K3"), view.scale()), **alignment(view)
    )
    view.ignore("BORE")


def multipole(view: View) -> None:
    """Map MULT: one integrated strength KNL of one ORDER."""
    order = view.value("ORDER", 1.0)
    if not 0 <= order <= _HIGHEST_ORDER:
        raise LatticeError(f"{view.place}: {view.name}: ORDER = {order:g}: must be 0 to 100")
    strength = multiply(view("KNL"), view("FACTOR", 1.0))
    _emit_kick(view, knl=[ZERO] * int(order) + [strength])
    view.ignore("BORE")


def horizontal_kick(view: View) -> None:
    """Map HKICK, EHKICK."""
    _emit_kick(view, knl=[negate(multiply(view("KICK"), view("CALIBRATION", 1.0)))])


def vertical_kick(view: View) -> None:
    """Map VKICK, EVKICK."""
    _emit_kick(view, ksl=[multiply(view("KICK"), view("CALIBRATION", 1.0))])


def kicker(view: View) -> None:
    """Map KICKER, EKICKER."""
    _emit_kick(view, **_kicks(view))


def _emit_kick(view: View, **kicks: list[Expression]) -> None:
    length = view("L")
    view.emit("Multipole", length=length, **kicks, **alignment(view))
    if length != ZERO:
        view.set("isthick", True)


# ---- bends -------------------------------------------------------------------------------


def bend(view: View) -> None:
    """Map SBEN, CSBEND, CSRCSBEND, KSBEND, NIBEND: L is along the arc."""
    _emit_bend(view, "Bend", view("L"), view("ANGLE"), ZERO, length=view("L"))


def rectangular_bend(view: View) -> None:
    """Map RBEN: L is the chord, E1 and E2 come on top of half the angle.

    elegant itself makes it a sector bend in this way (fill_elem in mad_parse.c).
    """
    chord, angle = view("L"), view("ANGLE")
    half = multiply(angle, 0.5)
    arc = divide(chord, call("sinc", half)) if angle != ZERO else chord
    _emit_bend(view, "Bend", arc, angle, half, length=arc)


def straight_bend(view: View) -> None:
    """Map CCBEND: a straight magnet with parallel faces; L is along the arc."""
    arc, angle = view("L"), view("ANGLE")
    chord = multiply(arc, call("sinc", multiply(angle, 0.5)))
    _emit_bend(view, "RBend", arc, angle, ZERO, length_straight=chord)
    view.set("rbend_model", "straight-body")


def _emit_bend(
    view: View,
    kind: str,
    arc: Expression,
    angle: Expression,
    own_edge: Expression,
    **length: Expression,
) -> None:
    edges = [add(view(f"E{view.end(n)}"), own_edge) for n in (1, 2)]
    hgap = view("HGAP")
    fints = [_fringe_integral(view, n) if hgap != ZERO else ZERO for n in (1, 2)]
    knl = [negate(view("XKICK")), ZERO, ZERO, *(view(f"K{n}") for n in range(3, 9))]
    for order in range(3, 9):
        knl[order] = multiply(knl[order], arc)
    while knl and knl[-1] == ZERO:
        knl.pop()
    view.emit(
        kind,
        **length,
        angle=angle,
        k1=view("K1"),
        k2=view("K2"),
        edge_entry_angle=edges[0],
        edge_exit_angle=edges[1],
        edge_entry_fint=fints[0],
        edge_exit_fint=fints[1],
        edge_entry_hgap=hgap,
        edge_exit_hgap=hgap,
        knl=knl,
        ksl=[view("YKICK")],
        **alignment(view),
    )
    for number, side in ((1, "entry"), (2, "exit")):
        if not view.flag(f"EDGE{view.end(number)}EFFECTS", True):
            view.set(f"edge_{side}_active", False)
    if not view.flag("NONLINEAR", True):
        view.lose("NONLINEAR", "NONLINEAR = 0 (a field without its nonlinear terms)")
    view.ignore("FINT", "FINT1", "FINT2")
    _coherent_radiation(view)


def _fringe_integral(view: View, number: int) -> Expression:
    """FINT of an end; 0.5 where the file says nothing, not 0 as in MAD."""
    own = view(f"FINT{view.end(number)}", -1.0)
    if isinstance(own, Number) and own.value < 0:
        return view("FINT", 0.5)
    return own


_RADIATING = ("CSRCSBEND",)


def _coherent_radiation(view: View) -> None:
    if view.definition.type not in _RADIATING:
        return
    if view.flag("CSR", True):
        view.lose("CSR", "coherent synchrotron radiation in the bend")
    view.ignore(
        *words(
            "BINS BINSIZE BINONCE BINRANGEFACTOR SGHALFWIDTH SGORDER SGDERIVHALFWIDTH SGDERIVORDER "
            "TRAPAZOIDINTEGRATION OUTPUTFILE OUTPUTINTERVAL OUTPUTLASTWAKEONLY STEADYSTATE IGF "
            "BLOCKCSR DERBENEVCRITERIONMODE PARTICLEOUTPUTFILE PARTICLEOUTPUTINTERVAL "
            "SLICEANALYSISINTERVAL LOWFREQUENCYCUTOFF0 LOWFREQUENCYCUTOFF1 HIGHFREQUENCYCUTOFF0 "
            "HIGHFREQUENCYCUTOFF1 CLIPNEGATIVEBINS WAKEFILTERFILE WFFFREQCOLUMN WFFREALCOLUMN "
            "WFFIMAGCOLUMN LINEARIZE"
        )
    )


def dipole_edge(view: View) -> None:
    """Map BEDGE: a thin edge of a bend of radius RHO."""
    radius = view.value("RHO")
    if not radius or not math.isfinite(radius):
        raise LatticeError(f"{view.place}: {view.name}: RHO = {radius:g} m: an edge needs a radius")
    view.emit(
        "DipoleEdge",
        k=divide(Number(1.0), view("RHO")),
        e1=view("BETA"),
        fint=view("FINT", 0.5),
        hgap=view("HGAP"),
    )
    if view.flag("EXIT") != view.reflected:
        view.set("side", "exit")


def solenoid(view: View) -> None:
    """Map SOLE: KS is Xsuite's ks (solenoid_matrix in matrix7.c has R13 = sin cos > 0)."""
    view.emit(
        "UniformSolenoid",
        length=view("L"),
        ks=view("KS"),
        shift_x=view("DX"),
        shift_y=view("DY"),
        shift_s=view("DZ"),
    )
