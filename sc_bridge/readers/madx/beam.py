"""BEAM to a reference particle, by MAD-X's own rules and masses."""

from __future__ import annotations

import math
from collections.abc import Callable

from sc_bridge.errors import LatticeError
from sc_bridge.lattice import ReferenceFields

from .attributes import Attribute, attribute_tree
from .dialect import CONSTANTS
from .variables import Variables

# Rest energy [GeV] and charge of the particles that MAD-X knows; their mass and charge cannot
# be changed by the command. An "ion" and other names need mass and charge.
PARTICLES: dict[str, tuple[float, float]] = {
    "positron": (CONSTANTS["emass"], 1.0),
    "electron": (CONSTANTS["emass"], -1.0),
    "proton": (CONSTANTS["pmass"], 1.0),
    "antiproton": (CONSTANTS["pmass"], -1.0),
    "posmuon": (CONSTANTS["mumass"], 1.0),
    "negmuon": (CONSTANTS["mumass"], -1.0),
}

# Total energy [GeV] from one given quantity, mass [GeV] and charge; in MAD-X's order of
# precedence where several are given.
_ENERGY: dict[str, Callable[[float, float, float], float]] = {
    "energy": lambda energy, mass, charge: energy,
    "pc": lambda pc, mass, charge: math.hypot(pc, mass),
    "gamma": lambda gamma, mass, charge: gamma * mass,
    "beta": lambda beta, mass, charge: mass / math.sqrt(1 - beta * beta),
    "brho": lambda brho, mass, charge: math.hypot(
        brho * abs(charge) * CONSTANTS["clight"] * 1e-9, mass
    ),
}


def merged_beam(earlier: dict[str, Attribute], later: dict[str, Attribute]) -> dict[str, Attribute]:
    """Return a beam changed by a further command: a new energy replaces any earlier one."""
    if any(key in later for key in _ENERGY):
        earlier = {key: value for key, value in earlier.items() if key not in _ENERGY}
    return earlier | later


def beam_values(beam: dict[str, Attribute], variables: Variables, place: str) -> dict[str, float]:
    """Return mass, charge, energy, pc, gamma, beta, brho and whatever else was given.

    Raises
    ------
    LatticeError
        If the particle is not known and has no mass and charge, or the energy is too small.
    """
    values = {
        key: variables.evaluate(attribute_tree(beam, key, place), place)
        for key, value in beam.items()
        if not isinstance(value, (str, list))
    }
    mass, charge = _particle(beam.get("particle", "positron"), values, place)
    given = [key for key in _ENERGY if key in values]
    for key in given[1:]:
        variables.losses.warn(place, f"beam: both {given[0]} and {key} given: {given[0]} is used")
    name = given[0] if given else "energy"
    try:
        energy = _ENERGY[name](values.get(name, 1.0), mass, charge)
        pc = math.sqrt((energy - mass) * (energy + mass))
        gamma, beta = energy / mass, pc / energy
        brho = pc / (abs(charge) * CONSTANTS["clight"] * 1e-9)
    except (ValueError, ZeroDivisionError, OverflowError):
        pc = gamma = beta = brho = energy = math.nan
    if not (pc > 0 and math.isfinite(energy)):
        raise LatticeError(
            f"{place}: beam: {name} = {values.get(name, 1.0)!r} with mass = {mass} GeV: "
            "the energy must exceed the mass"
        )
    derived = {"mass": mass, "charge": charge, "energy": energy, "pc": pc}
    return values | derived | {"gamma": gamma, "beta": beta, "brho": brho}


def _particle(name: object, values: dict[str, float], place: str) -> tuple[float, float]:
    known = PARTICLES.get(str(name).lower())
    if known is not None:
        return known
    mass, charge = values.get("mass"), values.get("charge")
    if mass is None and str(name).lower() == "ion":
        mass = CONSTANTS["nmass"]  # MAD-X's default for one nucleon
    if mass is None or charge is None or mass <= 0 or charge == 0:
        raise LatticeError(
            f"{place}: beam: particle {name!r} is not known "
            f"(known are {', '.join(PARTICLES)}): give it a mass in GeV and a charge"
        )
    return mass, charge


def reference_of(values: dict[str, float]) -> ReferenceFields:
    """Return the reference particle of a beam."""
    return ReferenceFields(values["mass"] * 1e9, values["charge"], values["pc"] * 1e9)
