"""Particles as other codes have them, in the frame of the laboratory, from and to bunches.

    z coordinates, at one place:   t = -zeta / (beta0 c), z = 0, P = P0 (1 + delta)
    t coordinates, at one time:    particles fly straight to the plane of one z first

where t counts from the passage of the reference, and (px, py, pz) are momenta times c in eV.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.constants import c as C_LIGHT
from scipy.constants import e as CHARGE

from sc_bridge.elements import Bunch, Reference
from sc_bridge.elements.bunch import pzeta_of
from sc_bridge.errors import BunchError
from sc_bridge.species import SPECIES, Species

from .options import BunchOptions

ALIVE = 1  # particleStatus of openPMD beam physics, and state of Bmad
_COLUMNS = ("x", "y", "z", "px", "py", "pz", "t")
_SAME_MASS = 1e-5  # codes disagree about masses below this
Array = NDArray[np.float64]


@dataclass(frozen=True)
class LaboratoryParticles:
    """Particles of one species.

    Arrays of length n_particles: `x, y, z` in m, `px, py, pz` in eV/c, `t` in s, `charge` in C per
    macroparticle (its sign does not count), `alive`. The reference of the file, where it has one:
    `p0c` in eV, and `t0` in s at `z0` in m.
    """

    species: str
    x: Array
    y: Array
    z: Array
    px: Array
    py: Array
    pz: Array
    t: Array
    charge: Array
    alive: NDArray[np.bool_]
    p0c: float | None = None
    t0: float | None = None
    z0: float | None = None


def from_library(data: Mapping[str, Any], **known: Any) -> LaboratoryParticles:
    """Return particles from what `beamphysics` makes of a file; `known` comes first."""
    columns = {name: np.array(data[name], dtype=np.float64) for name in _COLUMNS}
    fields: dict[str, Any] = {
        "species": data.get("species"),
        "charge": np.array(data["weight"], dtype=np.float64),
        "alive": np.asarray(data["status"]) == ALIVE,
    }
    return LaboratoryParticles(**{**fields, **columns, **known})


def to_bunch(particles: LaboratoryParticles, options: BunchOptions) -> Bunch:
    """Return particles as a bunch around the reference of the options, of the file, or their mean.

    Raises
    ------
    BunchError
        If nothing lives, something living is not finite or flies backwards, or the species and the
        reference do not fit.
    """
    if particles.x.size == 0:
        raise BunchError("holds no particles")
    if not particles.alive.any():
        raise BunchError(f"all {particles.x.size} particles are lost: nothing can be tracked")
    species = _species_of(particles.species, options.reference)
    _check_living(particles)
    particles = _at_one_place(particles, species)
    momentum = np.sqrt(particles.px**2 + particles.py**2 + particles.pz**2)
    weight = np.abs(particles.charge) / (abs(species.q0) * CHARGE)
    reference = options.reference
    if reference is None:
        p0c = particles.p0c or _mean(momentum, weight, particles.alive)
        reference = Reference(species.mass0, species.q0, p0c)
    p0c, beta0 = reference.p0c.item(), reference.beta0.item()
    t0 = options.reference_time
    if t0 is None:
        t0 = particles.t0
    if t0 is None:
        t0 = _mean(particles.t, weight, particles.alive)
    delta = torch.from_numpy((momentum - p0c) / p0c)
    coordinates = torch.stack(
        [
            torch.from_numpy(particles.x),
            torch.from_numpy(particles.px / p0c),
            torch.from_numpy(particles.y),
            torch.from_numpy(particles.py / p0c),
            torch.from_numpy(-beta0 * C_LIGHT * (particles.t - t0)),
            pzeta_of(delta, reference),
        ]
    )
    alive = torch.from_numpy(np.ascontiguousarray(particles.alive))
    bunch = Bunch(coordinates, reference, torch.from_numpy(weight), alive)
    return _with_intensity(bunch, options.intensity)


def adapted(bunch: Bunch, options: BunchOptions) -> Bunch:
    """Return a bunch whose file states its reference, as the options want it."""
    if options.reference is None and options.reference_time is None:
        return _with_intensity(bunch, options.intensity)
    particles = from_library(
        laboratory_values(bunch) | {"status": bunch.alive.numpy().astype(int)},
        species=options.species or species_name(bunch.reference),
        t0=0.0,
    )
    reference = options.reference or bunch.reference
    return to_bunch(particles, replace(options, reference=reference))


def _with_intensity(bunch: Bunch, intensity: float | None) -> Bunch:
    """Return a bunch with its weights scaled to an intensity, where one is given."""
    if intensity is None:
        return bunch
    if not 0.0 <= intensity < float("inf"):
        raise BunchError(f"intensity = {intensity!r}: must be finite and not negative")
    present = bunch.intensity.item()
    if present > 0.0:
        return bunch.replace(weight=bunch.weight * (intensity / present))
    return bunch.replace(weight=torch.full_like(bunch.weight, intensity / bunch.n_alive.item()))


def laboratory_values(bunch: Bunch) -> dict[str, Array]:
    """Return `x, px, y, py, z, pz, t, weight` of a bunch, in m, eV/c, s and C.

    Lost particles are as they were when they were lost, which may be anything.
    """
    bunch = bunch.to(torch.float64)
    p0c, beta0 = bunch.reference.p0c.item(), bunch.reference.beta0.item()
    longitudinal = (1.0 + bunch.delta) ** 2 - bunch.px**2 - bunch.py**2
    values = {
        "x": bunch.x,
        "px": bunch.px * p0c,
        "y": bunch.y,
        "py": bunch.py * p0c,
        "z": torch.zeros_like(bunch.x),
        "pz": torch.sqrt(longitudinal) * p0c,
        "t": -bunch.zeta / (beta0 * C_LIGHT),
        "weight": bunch.weight.to(torch.float64) * abs(bunch.reference.q0.item()) * CHARGE,
    }
    return {name: value.contiguous().numpy() for name, value in values.items()}


def species_name(reference: Reference) -> str:
    """Name of the species of a reference, "other" if it is none of those with a name."""
    mass0, q0 = reference.mass0.item(), reference.q0.item()
    for name, species in SPECIES.items():
        if species.q0 == q0 and abs(mass0 - species.mass0) <= _SAME_MASS * species.mass0:
            return name
    return "other"


def _species_of(name: str, reference: Reference | None) -> Species:
    known = SPECIES.get(name)
    if reference is None:
        if known is None:
            raise BunchError(
                f"unknown species {name!r}: give reference= with its mass, charge and momentum"
            )
        return known
    given = Species(reference.mass0.item(), reference.q0.item())
    if known is not None and (
        abs(given.mass0 - known.mass0) > _SAME_MASS * known.mass0 or given.q0 != known.q0
    ):
        raise BunchError(
            f"holds particles of species {name!r}, but the reference has mass0 = "
            f"{given.mass0:.9g} eV and q0 = {given.q0:g} e: give a reference of that species"
        )
    return given


def _check_living(particles: LaboratoryParticles) -> None:
    alive = particles.alive
    columns = (*(getattr(particles, name) for name in "xyzt"), particles.charge)
    momenta = (particles.px, particles.py, particles.pz)
    finite = np.logical_and.reduce([np.isfinite(column) for column in (*columns, *momenta)])
    if (alive & ~finite).any():
        first = int(np.flatnonzero(alive & ~finite)[0])
        raise BunchError(f"particle {first} lives but is not finite: mark it lost or leave it out")
    if (alive & ~(particles.pz > 0.0)).any():
        first = int(np.flatnonzero(alive & ~(particles.pz > 0.0))[0])
        raise BunchError(
            f"particle {first} lives with pz = {particles.pz[first]:.6g} eV/c: bunches fly forwards"
        )


def _at_one_place(particles: LaboratoryParticles, species: Species) -> LaboratoryParticles:
    """Take living particles along straight lines to one z: that of the reference, or the mean."""
    alive, z0 = particles.alive, particles.z0
    if z0 is None:
        z0 = _mean(particles.z, np.abs(particles.charge), alive)
    away = np.where(alive, z0 - particles.z, 0.0)
    pz = np.where(alive, particles.pz, 1.0)
    energy = np.sqrt(species.mass0**2 + particles.px**2 + particles.py**2 + pz**2)
    return replace(
        particles,
        x=particles.x + away * np.where(alive, particles.px, 0.0) / pz,
        y=particles.y + away * np.where(alive, particles.py, 0.0) / pz,
        t=particles.t + away * np.where(alive, energy, 0.0) / pz / C_LIGHT,
        z=np.where(alive, z0, particles.z),
    )


def _mean(values: Array, weight: Array, alive: NDArray[np.bool_]) -> float:
    """Weighted mean over living particles; each counts once where there is no charge."""
    weight = weight[alive]
    return float(np.average(values[alive], weights=weight if weight.sum() > 0.0 else None))
