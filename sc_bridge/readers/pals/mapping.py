"""PALS kinds to records in Xsuite's classes, fields and units, in tables."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

from sc_bridge.expressions import Expression, Number
from sc_bridge.expressions.algebra import ZERO, add, divide, multiply, negate
from sc_bridge.readers.recording import Fields

from .apertures import aperture_of
from .bends import bend
from .multipoles import Multipoles
from .view import PalsView

_TURN = 2.0 * math.pi
# Fraction of a turn from the crest to what a phase of 0 means.
_ZERO_PHASE = {"ACCELERATING": 0.0, "BELOW_TRANSITION": -0.25, "ABOVE_TRANSITION": 0.25}
_SAME_ENERGY = 1e-6  # relative: a gain stated with seven digits


def read_element(view: PalsView) -> None:
    """Emit the records of an element: itself, its aperture, and its misalignment."""
    aperture_of(view)
    BUILDERS[view.origin.source_type.lower()](view)
    _misalign(view)
    view.check_left_over()


def known_kind(kind: str) -> bool:
    """Whether a kind is one of the standard's."""
    return kind.lower() in BUILDERS


def _misalign(view: PalsView) -> None:
    """Shifts and the roll of a straight element; other turns are a loss."""
    record = view.records[-1]
    if record.kind == "Bend":
        return
    shifts = {f"shift_{axis}": view(f"BodyShiftP.{axis}_offset") for axis in "xy"}
    along = view("BodyShiftP.z_offset")
    shifts["shift_s"] = negate(along) if view.turned and along != ZERO else along
    roll = view("BodyShiftP.z_rot")
    if "rot_s_rad" not in record.fields:
        shifts["rot_s_rad"] = roll
    for key, tree in shifts.items():
        if tree != ZERO and record.kind in ("Drift", "Marker", "Device"):
            continue  # nothing there that could stand elsewhere
        if tree != ZERO:
            view.amend(key, tree)


def _plain(view: PalsView, kind: str) -> None:
    length = view("length")
    view.emit(kind, {"length": length})


def _marker(view: PalsView) -> None:
    if view.value("length"):
        view.lose("length", "the length of a marker")
    view.emit("Marker", {})


def _straight(view: PalsView, kind: str, order: int) -> None:
    length = view("length")
    strengths = Multipoles(view, length)
    if length == ZERO:
        _thin(view, strengths, length)
        return
    fields = {
        "length": length,
        f"k{order}": strengths.strength(order, "n"),
        f"k{order}s": strengths.strength(order, "s"),
    }
    view.emit(kind, fields | strengths.lists())


def _thin(view: PalsView, strengths: Multipoles, length: Expression) -> None:
    thick = {"isthick": True} if length != ZERO else {}
    view.emit("Multipole", {"length": length, **strengths.lists()}, **thick)


def _multipole(view: PalsView) -> None:
    length = view("length")
    _thin(view, Multipoles(view, length), length)


def _solenoid(view: PalsView) -> None:
    length, strength = view("length"), view("SolenoidP.Ksol")
    field = view("SolenoidP.Bsol")
    if field != ZERO:
        strength = divide(field, Number(view.reference("Bsol").rigidity))
    if view.turned:
        strength = negate(strength)
    strengths = Multipoles(view, length)
    view.emit("UniformSolenoid", {"length": length, "ks": strength, **strengths.lists()})


# ---- RF ----------------------------------------------------------------------------------


def _cavity(view: PalsView) -> None:
    length, voltage = view("length"), view("RFP.voltage")
    active = view("RFP.L_active", length)
    gradient = view("RFP.gradient")
    if voltage == ZERO:
        voltage = multiply(gradient, active)
    zero = view.word("RFP.zero_phase", "ACCELERATING")
    if zero not in _ZERO_PHASE:
        view.lose("zero_phase", f"zero_phase = {zero}")
    phase = add(view("RFP.phase"), view("RFP.multipass_phase"))
    crest = multiply(add(phase, Number(_ZERO_PHASE.get(zero, 0.0))), _TURN)
    structure = view.word("RFP.cavity_type", "STANDING_WAVE")
    view.ignore("RFP.n_cell", "RFP.num_cells", "RFP.frequency", "RFP.harmon")
    gain = _energy_gain(view)
    if gain:
        _linac_cavity(view, gain, {"length": length, "voltage": voltage, "phase": crest}, structure)
        return
    fields = {"length": length, "voltage": voltage, **_frequency(view)}
    view.emit("Cavity", fields | {"phase": add(crest, Number(math.pi / 2))})


def _frequency(view: PalsView) -> dict[str, Expression]:
    frequency = view("RFP.frequency")
    return {"frequency": frequency} if frequency != ZERO else {"harmonic": view("RFP.harmon")}


def _energy_gain(view: PalsView) -> float:
    """Gain of the reference over the element, eV; a turned element gives it back."""
    gain = view.value("ReferenceChangeP.dE_ref")
    view.ignore("ReferenceChangeP.extra_dtime_ref", "ReferenceChangeP.dtime_ref")
    return -gain if view.turned else gain


def _linac_cavity(view: PalsView, gain: float, fields: Fields, structure: str) -> None:
    reference = view.reference("dE_ref")
    voltage, phase = (view.number(fields[k], k) for k in ("voltage", "phase"))  # pyright: ignore
    expected = abs(reference.q0) * voltage * math.cos(phase)
    if not math.isclose(gain, expected, rel_tol=_SAME_ENERGY):
        view.lose("energy", f"dE_ref = {gain!r} eV beside {expected!r} eV of the voltage")
    view.gain = expected
    shape = "travelling" if structure == "TRAVELING_WAVE" else "standing"
    view.emit("LinacCavity", {**fields, "frequency": view("RFP.frequency")}, structure=shape)


def _reference_change(view: PalsView) -> None:
    gain = _energy_gain(view)
    if not gain:
        view.emit("Marker", {})
        return
    reference = view.reference("dE_ref")
    square = reference.p0c**2 + gain * (2.0 * reference.energy + gain)
    view.gain = gain
    momentum = math.sqrt(square) if square > 0.0 else 0.0
    view.emit("ReferenceEnergyIncrease", {}, Delta_p0c=momentum - reference.p0c)


# ---- others ------------------------------------------------------------------------------


def _left_out(view: PalsView, word: str, what: str) -> None:
    """A drift or marker in place of what is not read."""
    view.lose(word, what)
    view.ignore_all()
    _plain(view, "Marker" if view("length") == ZERO else "Drift")


BUILDERS: dict[str, Callable[[PalsView], None]] = {
    **dict.fromkeys(("drift", "pipe"), partial(_plain, kind="Drift")),
    **dict.fromkeys(("instrument", "monitor", "mask"), partial(_plain, kind="Device")),
    **dict.fromkeys(
        ("marker", "beginningele", "beginning", "floorshift", "fiducial", "fork", "nullele",
         "placeholder"),
        _marker,
    ),
    **dict.fromkeys(("bend", "sbend", "rbend"), bend),
    "quadrupole": partial(_straight, kind="Quadrupole", order=1),
    "sextupole": partial(_straight, kind="Sextupole", order=2),
    "octupole": partial(_straight, kind="Octupole", order=3),
    "multipole": _multipole,
    "kicker": _multipole,
    "solenoid": _solenoid,
    "rfcavity": _cavity,
    "referencechange": _reference_change,
    "crabcavity": partial(_left_out, word="crabcavity", what="the crab cavity"),
    "ackicker": partial(_left_out, word="ackicker", what="the time-varying kick"),
    "beambeam": partial(_left_out, word="beam-beam", what="the beam-beam kick"),
    "converter": partial(_left_out, word="converter", what="the target"),
    "egun": partial(_left_out, word="egun", what="the gun"),
    "feedback": partial(_left_out, word="feedback", what="the feedback"),
    "foil": partial(_left_out, word="foil", what="the foil"),
    "girder": partial(_left_out, word="misalignment", what="the girder"),
    "match": partial(_left_out, word="match", what="the matching"),
    "patch": partial(_left_out, word="patch", what="the change of the reference frame"),
    "taylor": partial(_left_out, word="taylor", what="the Taylor map"),
    "unionele": partial(_left_out, word="superimpose", what="the overlapping elements"),
    "wiggler": partial(_left_out, word="wiggler", what="the field of the wiggler"),
}  # fmt: skip
