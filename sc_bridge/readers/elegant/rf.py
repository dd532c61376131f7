"""RF structures of elegant as records in Xsuite's classes, fields and units."""

from __future__ import annotations

import math

from sc_bridge.expressions import Expression, Number
from sc_bridge.expressions.algebra import ZERO, add, call, multiply

from .types import words
from .view import View

_DEGREE = math.pi / 180
_DEFAULT_FREQUENCY = 500e6  # Hz, of RFCA, RFCW and MODRF


def _signed_voltage(view: View, key: str = "VOLT") -> Expression:
    """Voltage that accelerates an electron at PHASE = 90; elegant's sign is that of -charge."""
    return multiply(view(key), -view.context.place.charge_sign)


def cavity(view: View) -> None:
    """Map RFCA, RFCW: with CHANGE_P0 the reference is accelerated, at PHASE = 90 on the crest."""
    voltage, phase = _signed_voltage(view), multiply(view("PHASE"), _DEGREE)
    frequency = view("FREQ", _DEFAULT_FREQUENCY)
    body = view.text("BODYFOCUSMODEL", "none").lower()
    if body not in ("none", "srs"):
        view.lose("BODY_FOCUS_MODEL", f"the body focusing {body!r}")
    ends = [view.flag(f"END{view.end(n)}FOCUS") for n in (1, 2)]
    shifts = {"shift_x": view("DX"), "shift_y": view("DY")}
    length = view("L")
    if view.flag("CHANGEP0"):
        view.gain = multiply(voltage, call("sin", phase))
        off_crest = add(phase, Number(-math.pi / 2))
        view.emit(
            "LinacCavity", length=length, voltage=voltage, phase=off_crest, frequency=frequency,
            **shifts,
        )  # fmt: skip
        view.set("structure", "standing" if body == "srs" else "travelling")
        view.set("entry_focusing", ends[0])
        view.set("exit_focusing", ends[1])
    else:
        if voltage != ZERO and (any(ends) or body == "srs"):
            view.lose("RF focusing", "the focusing of a cavity that keeps the reference energy")
        view.emit(
            "Cavity", length=length, voltage=voltage, phase=phase, frequency=frequency, **shifts
        )
    _collective(view)


_WAKES = {
    "ZWAKE": ("ZWAKEFILE", "the longitudinal wake"),
    "TRWAKE": ("TRWAKEFILE", "the transverse wake"),
}


def _collective(view: View) -> None:
    if view.definition.type != "RFCW":
        return
    for switch, (file, what) in _WAKES.items():
        if view.flag(switch, True) and (view.has(file) or view.has("WAKEFILE")):
            view.lose("wake", what)
    if view.flag("LSC", True):
        view.lose("space charge", "longitudinal space charge in the cavity")
    view.ignore(
        *words(
            "CELLLENGTH WAKEFILE ZWAKEFILE TRWAKEFILE TCOLUMN WXCOLUMN WYCOLUMN WZCOLUMN NBINS "
            "SGHALFWIDTH SGORDER LSCBINS LSCINTERPOLATE LSCLOWFREQUENCYCUTOFF0 "
            "LSCLOWFREQUENCYCUTOFF1 LSCHIGHFREQUENCYCUTOFF0 LSCHIGHFREQUENCYCUTOFF1 "
            "LSCRADIUSFACTOR WAKESATEND"
        )
    )


def modulated_cavity(view: View) -> None:
    """Map MODRF: an RFCA that keeps the reference energy, where nothing is modulated."""
    view.emit(
        "Cavity",
        length=view("L"),
        voltage=_signed_voltage(view),
        phase=multiply(view("PHASE"), _DEGREE),
        frequency=view("FREQ", _DEFAULT_FREQUENCY),
    )
    for magnitude in ("AMMAG", "PMMAG"):
        if view.value(magnitude):
            view.lose(magnitude, "the modulation of the cavity")
    view.ignore(*(f"{a}M{b}" for a in "AP" for b in ("PHASE", "FREQ", "OFFSET", "DECAY")))


def deflector(view: View) -> None:
    """Map RFDF: deflection V cos(PHASE + omega t) by the field of a crab cavity; a drift at 0 V."""
    voltage = _signed_voltage(view, "VOLTAGE")
    frequency = view("FREQUENCY", 2.856e9)
    phase = add(multiply(view("PHASE"), _DEGREE), Number(math.pi / 2))
    if voltage == ZERO:
        view.emit("Drift", length=view("L"))
        view.ignore(*words("TILT DX DY DZ FSE B2 TIMEOFFSET STANDINGWAVE"))
    else:
        view.emit(
            "CrabCavity",
            length=view("L"),
            crab_voltage=multiply(voltage, view.scale()),
            frequency=frequency,
            phase=phase,
            shift_x=view("DX"),
            shift_y=view("DY"),
            shift_s=view("DZ"),
            rot_s_rad=view("TILT"),
        )
    view.ignore("DRIFTMATRIX", "MAGNETICDEFLECTION")
