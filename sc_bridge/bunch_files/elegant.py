"""Particles of elegant in SDDS: x, x', y, y', t and p over the rest momentum, at one place."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sc_bridge.elements import Bunch
from sc_bridge.errors import BunchError
from sc_bridge.species import SPECIES

from .laboratory import LaboratoryParticles, to_bunch
from .options import BunchOptions
from .sdds import Page, read_page

_NEEDED = ("x", "xp", "y", "yp", "t", "p")
_UNITS = {"x": "m", "y": "m", "t": "s"}


def read(path: Path, options: BunchOptions) -> Bunch:
    """Read the one page of a file; electrons, unless the options name another species."""
    page = read_page(path)
    missing = [name for name in _NEEDED if name not in page.columns]
    if missing:
        raise BunchError(f"is SDDS, but has no column {missing[0]!r}: is it a bunch of elegant?")
    for name, wanted in _UNITS.items():
        if page.units[name] not in (wanted, ""):
            raise BunchError(f"column {name} is in {page.units[name]!r}: must be in {wanted!r}")
    columns = page.columns
    number = columns["x"].size
    species = options.species or "electron"
    p = columns["p"] * _mass(species, options)
    pz = p / np.sqrt(1.0 + columns["xp"] ** 2 + columns["yp"] ** 2)
    return to_bunch(
        LaboratoryParticles(
            species=species,
            x=columns["x"],
            y=columns["y"],
            z=np.zeros(number),
            px=columns["xp"] * pz,
            py=columns["yp"] * pz,
            pz=pz,
            t=columns["t"],
            charge=np.full(number, _charge(page, options) / max(number, 1)),
            alive=np.ones(number, dtype=bool),
        ),
        options,
    )


def _mass(species: str, options: BunchOptions) -> float:
    if options.reference is not None:
        return options.reference.mass0.item()
    if species not in SPECIES:
        raise BunchError(f"unknown species {species!r}: known are {', '.join(SPECIES)}")
    return SPECIES[species].mass0


def _charge(page: Page, options: BunchOptions) -> float:
    """Charge in C; where the options give the intensity, all that counts is that it is not 0."""
    if "Charge" in page.parameters:
        return abs(float(page.parameters["Charge"]))
    if options.intensity is None:
        raise BunchError("has no parameter Charge: give intensity=, the number of real particles")
    return 0.0
