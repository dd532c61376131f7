"""Species: reference particles by name, or by mass and charge, at a given energy."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from sc_bridge.elements import Reference
from sc_bridge.elements.reference import as_scalar

from .errors import StudyError
from .units import to_si


class Species(NamedTuple):
    """Rest energy [eV] and charge [elementary charges] of one particle."""

    mass0: float
    q0: float


# Rest energies, eV: CODATA 2022 (https://physics.nist.gov/cuu/Constants/Table/allascii.txt),
# the same values as in xtrack.particles.masses; H- is a proton and two electrons less the
# binding energies 13.598 eV and 0.754 eV.
_ELECTRON = 510998.95069
_PROTON = 938272089.43
SPECIES = {
    "electron": Species(_ELECTRON, -1.0),
    "positron": Species(_ELECTRON, 1.0),
    "muon": Species(105658375.5, -1.0),
    "antimuon": Species(105658375.5, 1.0),
    "proton": Species(_PROTON, 1.0),
    "antiproton": Species(_PROTON, -1.0),
    "H-": Species(_PROTON + 2 * _ELECTRON - 14.352, -1.0),
    "deuteron": Species(1875612945.0, 1.0),
    "triton": Species(2808921136.68, 1.0),
    "helion": Species(2808391611.12, 2.0),
    "alpha": Species(3727379411.8, 2.0),
}


_KEYS = ("species", "mass", "charge", "kinetic_energy", "total_energy", "momentum")


def reference(
    species: str | None = None,
    *,
    mass: Any = None,
    charge: Any = None,
    kinetic_energy: Any = None,
    total_energy: Any = None,
    momentum: Any = None,
) -> Reference:
    """Return the reference particle of a species at one energy.

    Parameters
    ----------
    species : str, optional
        A name of `sc_bridge.species.SPECIES`; or give `mass` and `charge`.
    mass : str, quantity, float or Tensor, eV
        Rest energy; text may be in eV, eV/c^2, kg or u.
    charge : str, quantity, float or Tensor, elementary charges
    kinetic_energy, total_energy : str, quantity, float or Tensor, eV
    momentum : str, quantity, float or Tensor, eV/c
        Exactly one of the three; gradients flow to tensors.

    Returns
    -------
    Reference

    Raises
    ------
    StudyError
        If the species is unknown, or not exactly one energy is given, or it is below the rest
        energy.
    UnitError
        If a quantity has the wrong dimension.

    Examples
    --------
    >>> reference("proton", kinetic_energy="160 MeV").beta0.item()
    0.5198...
    """
    mass0, q0 = _particle(species, mass, charge)
    energies = {
        "kinetic_energy": kinetic_energy,
        "total_energy": total_energy,
        "momentum": momentum,
    }
    given = [name for name, value in energies.items() if value is not None]
    if len(given) != 1:
        raise StudyError(
            f"reference: {' and '.join(given) or 'no energy'} given: "
            "give exactly one of kinetic_energy, total_energy, momentum"
        )
    (name,) = given
    unit = "eV/c" if name == "momentum" else "eV"
    value = as_scalar(to_si(energies[name], unit, f"reference.{name}"))
    if not bool((value.detach() > 0).all()):
        raise StudyError(f"reference: {name} = {value.tolist()} {unit}: must be positive")
    if name == "kinetic_energy":
        return Reference.from_kinetic_energy(mass0, q0, value)
    if name == "total_energy":
        value = _momentum_of(value, mass0)
    return Reference(mass0, q0, value)


def checked_reference(given: Any) -> Reference | None:
    """Return a reference or None as it is given.

    Raises
    ------
    StudyError
        If it is neither.
    """
    if given is None or isinstance(given, Reference):
        return given
    raise StudyError(
        f"reference = {given!r}: must be a Reference; make one with "
        'sc_bridge.reference("proton", kinetic_energy="160 MeV")'
    )


def parse_reference(text: str) -> Reference:
    """Read a reference from one line: a species, or mass and charge, and one energy.

    Parameters
    ----------
    text : str
        Such as "proton, kinetic_energy = 160 MeV" or "mass = 12 u, charge = 6, momentum = 2 GeV/c".

    Raises
    ------
    StudyError
        If a part is no `key = value`, or the reference is not definite.
    UnitError
        If a quantity has no unit or the wrong one.
    """
    fields: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals:
            key, value = "species", part
        if key not in _KEYS or key in fields:
            raise StudyError(
                f"reference {text!r}: {part!r}: must be a species or one of "
                f"{', '.join(_KEYS[1:])}, each once, as in 'proton, kinetic_energy = 160 MeV'"
            )
        # charges are counted, so that a bare number is meant in elementary charges
        fields[key] = f"{value} e" if key == "charge" and _is_number(value) else value
    return reference(**fields)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _particle(species: str | None, mass: Any, charge: Any) -> tuple[Any, Any]:
    if species is not None:
        if mass is not None or charge is not None:
            raise StudyError(
                f"reference: species {species!r} and mass or charge given: give one or the other"
            )
        if species not in SPECIES:
            raise StudyError(
                f"reference: unknown species {species!r}: known are {', '.join(SPECIES)}; "
                "or give mass and charge"
            )
        return SPECIES[species]
    if mass is None or charge is None:
        raise StudyError(
            "reference: no particle given: give a species, such as 'proton', or mass and charge"
        )
    return _rest_energy(mass), to_si(charge, "e", "reference.charge")


def _rest_energy(mass: Any) -> float | Tensor:
    """Rest energy in eV from an energy or a mass."""
    if isinstance(mass, str):
        is_mass = not mass.strip().endswith("eV")
    else:
        is_mass = hasattr(mass, "check") and mass.check("[mass]")  # a quantity of pint
    return to_si(mass, "eV/c^2" if is_mass else "eV", "reference.mass")


def _momentum_of(energy: Tensor, mass0: float | Tensor) -> Tensor:
    mass = as_scalar(mass0)
    if not bool((energy.detach() > mass.detach()).all()):
        raise StudyError(
            f"reference: total_energy = {energy.tolist()} eV: must exceed the rest energy, "
            f"{mass.tolist()} eV"
        )
    return torch.sqrt((energy - mass) * (energy + mass))
