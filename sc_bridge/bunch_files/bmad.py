"""ASCII particle files of Bmad, `!ASCII::3`: positions over s, or over time.

Over s, momenta are relative to a reference that the file does not name; over time they are in eV/c.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from sc_bridge.elements import Bunch
from sc_bridge.errors import BunchError

from .laboratory import ALIVE, LaboratoryParticles, from_library, to_bunch
from .options import BunchOptions

_COLUMNS = 8  # x px y py z pz charge state; spin may follow
_BEGIN, _END = "BEGIN_BUNCH", "END_BUNCH"
# pz/P0 - 1 of s coordinates is far below, a momentum in eV/c far above.
_MOST_RELATIVE = 100.0


def read(path: Path, options: BunchOptions) -> Bunch:
    """Read the one bunch of a file."""
    species, values = _parse(path.read_text(encoding="utf-8"))
    species = options.species or species
    if np.abs(values[5]).max() > _MOST_RELATIVE:
        return to_bunch(_over_time(species, values), options)
    if options.reference is None:
        raise BunchError(
            "holds momenta relative to a reference that Bmad does not write: give reference="
        )
    return to_bunch(_over_s(species, values, options.reference.p0c.item()), options)


def _parse(text: str) -> tuple[str, np.ndarray]:
    """Return the species and the columns, (8, n_particles)."""
    lines = [line.split("!")[0].strip() for line in text.splitlines()]
    begins = [number for number, line in enumerate(lines) if line.upper() == _BEGIN]
    if len(begins) != 1:
        raise BunchError(f"holds {len(begins)} bunches, not 1: write each to a file of its own")
    (begin,) = begins
    end = next((n for n, line in enumerate(lines) if line.upper() == _END), None)
    if end is None or end < begin + 6:
        raise BunchError(f"{_END} is missing, or there is nothing before it: is the file whole?")
    rows = [line.split() for line in lines[begin + 5 : end] if line]
    short = next((row for row in rows if len(row) < _COLUMNS), None)
    if short is not None:
        raise BunchError(f"a particle has {len(short)} columns, not {_COLUMNS}: is the file whole?")
    values = np.array([row[:_COLUMNS] for row in rows], dtype=np.float64).T
    return lines[begin + 1], values


def _over_s(species: str, values: np.ndarray, p0c: float) -> LaboratoryParticles:
    from beamphysics.interfaces.bmad import bmad_to_particlegroup_data

    names = ("x", "px", "y", "py", "z", "pz", "charge", "state")
    given: dict[str, Any] = dict(zip(names, values, strict=True))
    with np.errstate(invalid="ignore"):  # of lost particles
        data = bmad_to_particlegroup_data(given | {"species": species, "p0c": p0c})
    return from_library(data, t0=0.0)


def _over_time(species: str, values: np.ndarray) -> LaboratoryParticles:
    x, px, y, py, t, pz, charge, state = values
    z = np.zeros_like(t)
    return LaboratoryParticles(species, x, y, z, px, py, pz, t, charge, state == ALIVE)
