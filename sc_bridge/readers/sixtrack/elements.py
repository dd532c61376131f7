"""Single elements of SixTrack as records in Xsuite's classes, fields and units, in one table."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from sc_bridge.errors import LatticeError
from sc_bridge.lattice import Record
from sc_bridge.readers.source import Source

from .machine import MEGA, Machine, Single

Built = tuple[str, dict[str, Any]]


def add_cavity(machine: Machine, source: Source) -> None:
    """Add the element CAV, which a structure may use without defining it."""
    if "CAV" not in machine.singles:
        numbers = (machine.voltage, machine.harmonic, 0.0)
        machine.singles["CAV"] = Single("CAV", 12 * machine.transition, numbers, source, 1)


def record_of(machine: Machine, name: str) -> Record:
    single = machine.singles.get(name)
    if single is None:
        raise LatticeError(f"{machine.place}: element {name!r} is not defined")
    kind, fields = _BUILDERS.get(single.type, _left_out)(machine, single)
    fields = {key: value for key, value in fields.items() if value not in (0.0, [])}
    source_type = str(single.type)
    return Record(name, kind, fields, single.line, str(single.source.path), source_type)


def _drift(machine: Machine, single: Single) -> Built:
    length = single.numbers[2]
    return ("Drift", {"length": length}) if length else ("Marker", {})


def _thin(machine: Machine, single: Single) -> Built:
    """Thin multipole of one order; the same types with a length are thick."""
    strength, spread, length = single.numbers
    if length:
        return _left_out(machine, single)
    if spread:
        _lose(machine, single, "errors", "the random part of its strength")
    order = abs(single.type)
    value = strength * math.factorial(order - 1)
    side, sign = ("knl", -1.0) if single.type > 0 else ("ksl", 1.0)
    return "Multipole", {side: [0.0] * (order - 1) + [sign * value + 0.0]}  # 0, not -0


def _multipole_block(machine: Machine, single: Single) -> Built:
    bend, length, switch = single.numbers
    knl, ksl = _strengths(machine, single)
    if switch == 0:
        return "Multipole", {"knl": knl, "ksl": ksl}
    if switch != -1:
        _lose(machine, single, "vertical bend", "the bend of the reference orbit")
        return "Multipole", {"knl": knl, "ksl": ksl}
    knl = [-bend, *knl[1:]]
    return "Multipole", {"knl": knl, "ksl": ksl, "hxl": -bend, "length": length}


def _strengths(machine: Machine, single: Single) -> tuple[list[float], list[float]]:
    errors = machine.multipoles.get(single.name)
    if errors is None:
        return ([single.numbers[0]] if single.numbers[2] == 0 else []), []
    if single.numbers[2] == 0 and not {*single.numbers[:2]} <= {0.0, 1.0}:
        _lose(machine, single, "scale", "the scale of its multipole block")

    def strength(n: int, value: float) -> float:
        if not value:
            return 0.0
        scale = errors.delta0 * errors.r0 ** (1 - n) * 10.0 ** (3 * n - 6)
        return scale * value * math.factorial(n - 1)

    knl = [-strength(n, value) for n, value in enumerate(errors.normal, start=1)]
    ksl = [strength(n, value) for n, value in enumerate(errors.skew, start=1)]
    return knl, ksl


def _cavity(machine: Machine, single: Single) -> Built:
    """Voltage in MV, harmonic (that of SYNC where 0), phase in deg."""
    voltage, harmonic, phase = single.numbers
    harmonic = harmonic or machine.harmonic
    if not harmonic:
        raise LatticeError(
            f"{single.place}: {single.name}: no harmonic: give fort.3 with a SYNC block too"
        )
    phase = math.radians(180.0 - phase if single.type > 0 else phase)
    return "Cavity", {"voltage": voltage * MEGA, "harmonic": harmonic, "phase": phase}


def _crab_cavity(machine: Machine, single: Single) -> Built:
    """Voltage in MV, frequency in MHz, phase in rad; horizontal, or vertical where negative."""
    voltage, frequency, phase = single.numbers
    reference = machine.reference
    if reference is None:
        raise LatticeError(
            f"{single.place}: {single.name}: the voltage needs the energy: give fort.3 too"
        )
    kick = voltage * MEGA / reference.p0c
    phases = [0.5 * math.pi - phase]
    sides: dict[str, Any] = {"knl": [kick], "phase_n": phases}
    if single.type < 0:
        sides = {"ksl": [-kick], "phase_s": phases}
    return "RFMultipole", {"frequency": frequency * MEGA, **sides}


def _beam_beam(machine: Machine, single: Single) -> Built:
    _lose(machine, single, "beam-beam", "the beam-beam kick")
    return "Marker", {}


def _solenoid(machine: Machine, single: Single) -> Built:
    if single.numbers[0] or single.numbers[1]:
        _lose(machine, single, "solenoid", "the solenoid")
    return _drift(machine, single)


def _left_out(machine: Machine, single: Single) -> Built:
    thick = " with a length" if single.numbers[2] else ""
    _lose(machine, single, f"type {single.type}", f"the element of type {single.type}{thick}")
    return _drift(machine, single)


def _lose(machine: Machine, single: Single, word: str, what: str) -> None:
    own = (f"type {single.type}", single.name)
    machine.losses.leave_out(word, place=single.place, name=single.name, what=what, also=own)


_BUILDERS: dict[int, Callable[[Machine, Single], Built]] = {
    0: _drift,
    **{sign * order: _thin for order in range(1, 11) for sign in (1, -1)},
    11: _multipole_block,
    12: _cavity,
    -12: _cavity,
    20: _beam_beam,
    23: _crab_cavity,
    -23: _crab_cavity,
    25: _solenoid,
}
