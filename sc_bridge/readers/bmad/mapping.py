"""Bmad types to records in Xsuite's classes, fields and units, in tables."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import partial

from sc_bridge.errors import LatticeError
from sc_bridge.expressions import Expression, Number
from sc_bridge.expressions.algebra import ZERO, add, call, multiply, negate, subtract
from sc_bridge.readers.recording import added

from .apertures import aperture_of
from .bends import bend
from .view import BmadView

_TURN = 2.0 * math.pi
_COMPONENT = re.compile(r"(?:k(?P<mad>\d{1,2})(?P<s>s?)l|(?P<part>[ab])(?P<order>\d{1,2}))\Z")
_PATCH = ("x_offset", "y_offset", "z_offset", "t_offset", "x_pitch", "y_pitch", "tilt")


def read_element(view: BmadView) -> None:
    """Emit the records of an element: itself and its aperture."""
    aperture_of(view)
    if view.value("is_on") == 0.0 and view.has("is_on"):
        view.lose("is_on", "what the element does when it is on")
        view.ignore_all()
        view.emit("Drift", {"length": view("l")})
        return
    view.ignore("is_on")
    build = BUILDERS.get(view.origin.source_type)
    if build is None:
        raise LatticeError(f"{view.place}: {view.origin.source_type!r} is no element of a line")
    build(view)
    view.misalign()
    view.check_left_over()


# ---- places and drifts -------------------------------------------------------------------


def _drift_like(view: BmadView, kind: str) -> None:
    knl, ksl = view.kicks()
    length = view("l")
    if knl or ksl:
        thick = {"isthick": True} if length != ZERO else {}
        view.emit("Multipole", {"length": length, "knl": knl, "ksl": ksl}, **thick)
    else:
        view.emit(kind, {"length": length})


def _marker(view: BmadView) -> None:
    view.ignore("x_offset", "y_offset", "tilt")
    view.emit("Marker", {})


def _patch(view: BmadView) -> None:
    """A patch that moves nothing; others change the frame or the energy."""
    moves = [key for key in _PATCH if view.value(key)]
    if moves:
        view.lose("patch", f"the change of the reference frame ({', '.join(moves)})")
    if view.value("e_tot_offset") or view.value("p0c_set") or view.value("e_tot_set"):
        view.lose("energy", "the change of the reference energy")
    view.ignore_all()
    view.emit("Marker" if view("l") == ZERO else "Drift", {"length": view("l")})


# ---- magnets -----------------------------------------------------------------------------


def _straight(view: BmadView, kind: str, order: int) -> None:
    length = view("l")
    strength = view.strength(f"k{order}", f"b{order}_gradient")
    knl, ksl = view.kicks()
    roll = view.angle("tilt", math.pi / (2 * (order + 1)))
    if view.has("scale_multipoles") and view.value("scale_multipoles") == 0.0:
        _components(view, knl, ksl)
    if length == ZERO:
        strength = ZERO
    fringe = str(view.attributes.get("fringe_type", "none"))
    if fringe != "none" and strength != ZERO:
        view.lose("fringe", f"fringe_type = {fringe}")
    fields = {"length": length, f"k{order}": strength, "knl": knl, "ksl": ksl, "rot_s_rad": roll}
    view.emit(kind, fields)


def _components(view: BmadView, knl: list[Expression], ksl: list[Expression]) -> None:
    """Add a0..., b0... (over n!), or k0l..., k0sl... with their tilts t0... ."""
    for key in list(view.attributes):
        match = _COMPONENT.match(key)
        if match is None or view(key) == ZERO:
            continue
        tree = view(key)
        if match["mad"] is None:
            order = int(match["order"])
            target = ksl if match["part"] == "a" else knl
            added(target, order, multiply(tree, float(math.factorial(order))))
            continue
        order = int(match["mad"])
        tilt = view.angle(f"t{order}", math.pi / (2 * (order + 1)))
        skew = bool(match["s"])
        if tilt == ZERO:
            added(ksl if skew else knl, order, tree)
            continue
        phase = multiply(tilt, float(order + 1))
        cosine, sine = multiply(call("cos", phase), tree), multiply(call("sin", phase), tree)
        # k exp(-i (n + 1) tilt)
        added(knl, order, sine if skew else cosine)
        added(ksl, order, cosine if skew else negate(sine))


def _multipole(view: BmadView) -> None:
    """Thin; the dipole component of a "multipole" bends the reference orbit, as in MAD."""
    knl, ksl = view.kicks()
    kicked = bool(knl or ksl)
    _components(view, knl, ksl)
    bends = view.origin.source_type == "multipole" and knl and not kicked
    if bends and ksl and ksl[0] != ZERO:
        view.lose("t0", "the vertical bend of its reference orbit")
    roll = view.angle("tilt", 0.0)
    length = view("l")
    view.emit(
        "Multipole",
        {"length": length, "knl": knl, "ksl": ksl, "rot_s_rad": roll,
         "hxl": knl[0] if bends else ZERO},
        **({"isthick": True} if length != ZERO else {}),
    )  # fmt: skip


def _kicker(view: BmadView, horizontal: bool) -> None:
    kick = view.strength("kick", "bl_kick")
    knl, ksl = view.kicks()
    if horizontal:
        added(knl, 0, negate(kick))
    else:
        added(ksl, 0, kick)
    _emit_kick(view, knl, ksl)


def _both_kicks(view: BmadView) -> None:
    _emit_kick(view, *view.kicks())


def _emit_kick(view: BmadView, knl: list[Expression], ksl: list[Expression]) -> None:
    length = view("l")
    fields = {"length": length, "knl": knl, "ksl": ksl, "rot_s_rad": view.angle("tilt", 0.0)}
    view.emit("Multipole", fields, **({"isthick": True} if length != ZERO else {}))


def _solenoid(view: BmadView) -> None:
    strength = view.strength("ks", "bs_field")
    knl, ksl = view.kicks()
    view.ignore("tilt")
    if view.turned:
        strength = negate(strength)
    view.emit("UniformSolenoid", {"length": view("l"), "ks": strength, "knl": knl, "ksl": ksl})


# ---- RF ----------------------------------------------------------------------------------


def _voltage(view: BmadView) -> Expression:
    voltage, gradient = view("voltage"), view("gradient")
    return voltage if voltage != ZERO else multiply(gradient, view("l_active", view("l")))


def _phase(view: BmadView) -> Expression:
    return add(view("phi0"), view("phi0_multipass"))


def _cavity(view: BmadView) -> None:
    """DE = V sin(2 pi (phi0 - f dt)): 0 is stable above transition."""
    phase = subtract(Number(math.pi), multiply(_phase(view), _TURN))
    fields = {"length": view("l"), "voltage": _voltage(view), "phase": phase}
    frequency = view("rf_frequency")
    fields |= {"frequency": frequency} if frequency != ZERO else {"harmonic": view("harmon")}
    view.ignore("rf_frequency", "harmon", "cavity_type")
    view.emit("Cavity", fields)


def _linac_cavity(view: BmadView) -> None:
    """DE = V cos(2 pi (phi0 + f dt)), which the reference gains at dt = 0."""
    voltage, phase = _voltage(view), multiply(_phase(view), _TURN)
    reference = view.reference("the energy gain")
    gain = abs(reference.q0) * view.number(voltage, "voltage")
    view.gain = gain * math.cos(view.number(phase, "phi0"))
    if view.value("phi0_err") or view.value("voltage_err") or view.value("gradient_err"):
        view.lose("energy", "the errors of the cavity beside its reference")
    word = str(view.attributes.get("cavity_type", "standing_wave"))
    view.ignore("cavity_type", "coupler_at", "coupler_phase", "coupler_angle")
    knl, ksl = view.kicks()
    if knl or ksl:
        view.lose("hkick", "the kick within the cavity")
    fields = {"length": view("l"), "voltage": voltage, "phase": phase}
    view.emit(
        "LinacCavity",
        fields | {"frequency": view("rf_frequency")},
        structure="travelling" if word == "traveling_wave" else "standing",
    )


# ---- others ------------------------------------------------------------------------------


def _left_out(view: BmadView, word: str, what: str) -> None:
    """A drift or marker in place of what is not read."""
    view.lose(word, what)
    view.ignore_all()
    view.emit("Marker" if view("l") == ZERO else "Drift", {"length": view("l")})


def _controls_in_line(view: BmadView) -> None:
    raise LatticeError(f"{view.place}: a {view.origin.source_type} is no element of a line")


BUILDERS: dict[str, Callable[[BmadView], None]] = {
    **dict.fromkeys(("drift", "pipe"), partial(_drift_like, kind="Drift")),
    **dict.fromkeys(
        ("monitor", "instrument", "ecollimator", "rcollimator", "pickup"),
        partial(_drift_like, kind="Device"),
    ),
    **dict.fromkeys(
        ("marker", "beginning_ele", "fiducial", "floor_shift", "fork", "photon_fork", "null_ele",
         "detector", "photon_init"),
        _marker,
    ),
    "patch": _patch,
    "sbend": bend,
    "rbend": bend,
    "quadrupole": partial(_straight, kind="Quadrupole", order=1),
    "sextupole": partial(_straight, kind="Sextupole", order=2),
    "octupole": partial(_straight, kind="Octupole", order=3),
    **dict.fromkeys(("multipole", "ab_multipole", "thick_multipole"), _multipole),
    "hkicker": partial(_kicker, horizontal=True),
    "vkicker": partial(_kicker, horizontal=False),
    "kicker": _both_kicks,
    "solenoid": _solenoid,
    "rfcavity": _cavity,
    "lcavity": _linac_cavity,
    "ac_kicker": partial(_left_out, word="ac_kicker", what="the time-varying kick"),
    "beambeam": partial(_left_out, word="beam-beam", what="the beam-beam kick"),
    "converter": partial(_left_out, word="converter", what="the target"),
    "crab_cavity": partial(_left_out, word="crab_cavity", what="the crab cavity"),
    "custom": partial(_left_out, word="custom", what="the custom element"),
    "e_gun": partial(_left_out, word="e_gun", what="the gun"),
    "elseparator": partial(_left_out, word="elseparator", what="the electric separator"),
    "em_field": partial(_left_out, word="field map", what="the field"),
    "foil": partial(_left_out, word="foil", what="the foil"),
    "gkicker": partial(_left_out, word="gkicker", what="the kick"),
    "hybrid": partial(_left_out, word="hybrid", what="the map"),
    "mask": partial(_left_out, word="aperture", what="the mask"),
    "match": partial(_left_out, word="match", what="the matching"),
    "rf_bend": partial(_left_out, word="rf_bend", what="the bend in an RF field"),
    "sad_mult": partial(_left_out, word="sad_mult", what="the combined fields"),
    "sol_quad": partial(_left_out, word="sol_quad", what="the combined solenoid and quadrupole"),
    "taylor": partial(_left_out, word="taylor", what="the Taylor map"),
    "undulator": partial(_left_out, word="wiggler", what="the field of the undulator"),
    "wiggler": partial(_left_out, word="wiggler", what="the field of the wiggler"),
    **dict.fromkeys(("overlay", "group", "girder", "ramper", "feedback"), _controls_in_line),
    **dict.fromkeys(
        ("capillary", "crystal", "diffraction_plate", "lens", "mirror", "multilayer_mirror",
         "sample"),
        partial(_left_out, word="photons", what="an element of photon optics"),
    ),
}  # fmt: skip
