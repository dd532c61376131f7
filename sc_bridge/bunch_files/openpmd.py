"""openPMD beam physics in HDF5, through `openpmd-beamphysics`.

Files hold one iteration of one species. Beside the records of the standard, `write` keeps what
makes a bunch of ours come back to the last bit: the records `zeta` (m), `normalisedMomentum` (px,
py and pzeta as x, y and zeta) and `realParticles`, and the reference as attributes of the species.
Other programs ignore them; a file that they have changed is read by its standard records.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from sc_bridge.elements import Bunch, Reference
from sc_bridge.errors import BunchError

from .laboratory import (
    ALIVE,
    LaboratoryParticles,
    adapted,
    from_library,
    laboratory_values,
    species_name,
    to_bunch,
)
from .options import BunchOptions

LOST = 2  # particleStatus: the standard leaves the value of lost particles open
_REFERENCE = ("mass0", "q0", "p0c")
_FORMAT = "sc_bridge 1"
_DIMENSIONLESS = (0.0,) * 7
_LENGTH = (1.0, *(0.0,) * 6)
# A file may name one value for many particles; more than this is no bunch but a fault.
_MOST_CONSTANT = 10**6


def write(path: Path, bunch: Bunch) -> None:
    """Write a bunch by the library's own writer, then what is ours beside."""
    from beamphysics.writers import pmd_init, write_pmd_bunch

    name = species_name(bunch.reference)
    values = laboratory_values(bunch)
    alive = bunch.alive.numpy()
    data: dict[str, Any] = {
        **values,
        "status": np.where(alive, ALIVE, LOST),
        "id": np.arange(1, bunch.n_particles + 1),
        "species": name,
        "n_particle": bunch.n_particles,
        "charge": float(values["weight"].sum()),
    }
    with h5py.File(path, "w") as file:
        pmd_init(file, basePath="/data/%T/", particlesPath="particles/")
        file.attrs["software"] = np.bytes_("sc_bridge")
        file.attrs["softwareVersion"] = np.bytes_(_version())
        file.attrs["iterationEncoding"] = np.bytes_("groupBased")
        file.attrs["iterationFormat"] = np.bytes_("/data/%T/")
        iteration = file.create_group("/data/1")
        for key, value in {"time": 0.0, "dt": 0.0, "timeUnitSI": 1.0}.items():
            iteration.attrs[key] = value
        particles = iteration.create_group("particles")
        write_pmd_bunch(particles, data)
        _write_ours(particles[name], bunch)


def _version() -> str:
    return version("sc-bridge")


def _write_ours(species: Any, bunch: Bunch) -> None:
    species.attrs["scBridgeFormat"] = _FORMAT
    species.attrs["scBridgeDtype"] = str(bunch.coordinates.dtype).removeprefix("torch.")
    for name in _REFERENCE:
        species.attrs[name] = getattr(bunch.reference, name).item()
    momentum = species.create_group("normalisedMomentum")
    momentum.attrs["unitDimension"] = _DIMENSIONLESS
    momentum.attrs["timeOffset"] = 0.0
    for name, values in (("x", bunch.px), ("y", bunch.py), ("zeta", bunch.pzeta)):
        momentum.create_dataset(name, data=values.numpy()).attrs["unitSI"] = 1.0
    for name, values, unit in (
        ("zeta", bunch.zeta, _LENGTH),
        ("realParticles", bunch.weight, _DIMENSIONLESS),
    ):
        record = species.create_dataset(name, data=values.numpy())
        record.attrs["unitSI"] = 1.0
        record.attrs["unitDimension"] = unit
        record.attrs["timeOffset"] = 0.0


def read(path: Path, options: BunchOptions) -> Bunch:
    """Read an openPMD file, or an HDF5 file that elegant's tools made."""
    from beamphysics.readers import is_openpmd, load_species_data

    with h5py.File(path, "r") as file:
        if not is_openpmd(file):
            if "page1" in file:
                return to_bunch(_of_elegant(file, options), options)
            raise BunchError("HDF5, but no openPMD: write it by write_bunch or ParticleGroup")
        species = _species(file)
        _check_size(species, path.stat().st_size)
        if species.attrs.get("scBridgeFormat") == _FORMAT:
            return adapted(_read_ours(species), options)
        data = load_species_data(species)
        return to_bunch(from_library(data, species=options.species or data["species"]), options)


def _of_elegant(file: h5py.File, options: BunchOptions) -> LaboratoryParticles:
    from beamphysics.interfaces.elegant import elegant_h5_to_data

    return from_library(elegant_h5_to_data(file, species=options.species or "electron"))


def _species(file: h5py.File) -> h5py.Group:
    """Return the group of the only species of the only iteration."""
    from beamphysics.readers import particle_paths

    paths = particle_paths(file)
    if len(paths) != 1:
        raise BunchError(f"holds {len(paths)} iterations, not 1: write each to a file of its own")
    particles = file[paths[0]]
    if not isinstance(particles, h5py.Group):
        raise BunchError(f"{paths[0]} is no group of particles")
    if "position" in particles:
        return particles
    names = list(particles)
    if len(names) != 1:
        raise BunchError(f"holds {len(names)} species ({', '.join(names[:5])}): must be one")
    species = particles[names[0]]
    if not isinstance(species, h5py.Group) or "position" not in species:
        raise BunchError(f"{species.name} holds no record position")
    return species


def _check_size(species: h5py.Group, size: int) -> None:
    """Refuse a small file that claims to hold very many particles, before they take memory."""
    number = int(np.asarray(species.attrs["numParticles"]).reshape(-1)[0])
    names: list[str] = []
    species.visititems(lambda name, _: names.append(name))
    for name in names:
        record = species[name]
        shape = record.attrs.get("shape", getattr(record, "shape", None))
        if shape is None:
            continue
        count = int(np.prod(np.asarray(shape, dtype=float)))
        if count not in (number, 1):
            raise BunchError(f"{name} holds {count} values for {number} particles")
        if count > max(_MOST_CONSTANT, size):
            raise BunchError(f"{name} of {count} values cannot be in a file of {size} bytes")


def _read_ours(species: Any) -> Bunch:
    dtype = {"float64": np.float64, "float32": np.float32}[str(species.attrs["scBridgeDtype"])]
    from beamphysics.readers import component_data, particle_array

    def tensor(values: Any) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(values, dtype=dtype))

    momentum = species["normalisedMomentum"]
    coordinates = torch.stack(
        [
            tensor(particle_array(species, "x")),
            tensor(component_data(momentum["x"])),
            tensor(particle_array(species, "y")),
            tensor(component_data(momentum["y"])),
            tensor(component_data(species["zeta"])),
            tensor(component_data(momentum["zeta"])),
        ]
    )
    alive = torch.from_numpy(np.asarray(particle_array(species, "status")) == ALIVE)
    reference = Reference(*(float(species.attrs[name]) for name in _REFERENCE))
    return Bunch(coordinates, reference, tensor(component_data(species["realParticles"])), alive)
