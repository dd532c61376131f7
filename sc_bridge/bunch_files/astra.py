"""Particle files of ASTRA: the reference particle in the first line, the others relative to it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sc_bridge.elements import Bunch
from sc_bridge.errors import BunchError

from .laboratory import LaboratoryParticles, to_bunch
from .options import BunchOptions

_COLUMNS = 10
# Flags of living particles: standard, and the probes whose trajectories ASTRA writes.
_LIVING = (5, 3)
_AT_CATHODE = -1


def read(path: Path, options: BunchOptions) -> Bunch:
    """Read a particle file; the reference particle counts as one where it carries charge."""
    from beamphysics.interfaces.astra import astra_species_name

    data = np.loadtxt(path, ndmin=2)
    if data.shape[1] != _COLUMNS:
        raise BunchError(f"has {data.shape[1]} columns: ASTRA writes {_COLUMNS}")
    first = data[0].copy()
    data[1:, [2, 5, 6]] += first[[2, 5, 6]]
    particles = data if first[7] else data[1:]
    if not len(particles):
        raise BunchError("holds only a reference particle")
    flags = particles[:, 9]
    at_cathode = int((flags == _AT_CATHODE).sum())
    if at_cathode:
        raise BunchError(f"{at_cathode} particles are still at the cathode: take a later file")
    kinds = np.unique(particles[:, 8])
    if len(kinds) > 1 or kinds[0] not in astra_species_name:
        raise BunchError(f"holds particles of kinds {kinds.tolist()}: must be one of 1, 2, 3")
    x, y, z, px, py, pz = particles[:, :6].T.copy()
    return to_bunch(
        LaboratoryParticles(
            species=options.species or astra_species_name[int(kinds[0])],
            x=x,
            y=y,
            z=z,
            px=px,
            py=py,
            pz=pz,
            t=_times(particles, first[6], np.isin(flags, _LIVING)) * 1e-9,
            charge=np.abs(particles[:, 7]) * 1e-9,
            alive=np.isin(flags, _LIVING),
            p0c=float(np.linalg.norm(first[3:6])),
            t0=first[6] * 1e-9,
            z0=first[2],
        ),
        options,
    )


def _times(particles: np.ndarray, reference: float, alive: np.ndarray) -> np.ndarray:
    """Time of every particle, ns.

    ASTRA writes all at the time of the reference, and when each was emitted in the column of
    clocks. Where all are at one z, as openpmd-beamphysics writes a bunch at a screen, clocks tell
    when they pass.
    """
    z, clock = particles[alive, 2], particles[alive, 6]
    if z.size and np.ptp(z) == 0.0 and np.ptp(clock) > 0.0:
        return particles[:, 6]
    return np.full(len(particles), reference)
