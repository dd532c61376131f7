"""Bunches in HDF5 files, each array with its unit."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import torch

from sc_bridge.elements import Bunch, Reference
from sc_bridge.elements.bunch import COORDINATES

from .errors import BunchError

_UNITS = {"x": "m", "px": "1", "y": "m", "py": "1", "zeta": "m", "pzeta": "1"}
_REFERENCE_UNITS = {"mass0": "eV", "q0": "e", "p0c": "eV"}
_FORMAT = "sc_bridge bunch 1"


def write_bunch(path: str | os.PathLike[str], bunch: Bunch) -> None:
    """Write a bunch without batch dimensions to an HDF5 file.

    Datasets `x, px, y, py, zeta, pzeta, weight, alive` of length n_particles and the scalars
    `mass0, q0, p0c`, each with an attribute `unit`.

    Raises
    ------
    BunchError
        If the bunch has batch dimensions.
    """
    bunch = bunch.detach().to("cpu")
    if bunch.coordinates.dim() != 2 or bunch.reference.p0c.dim() != 0:
        raise BunchError(
            f"bunch: a batch of shape {tuple(bunch.coordinates.shape[:-2])} cannot be written: "
            "write its bunches one by one"
        )
    with h5py.File(path, "w") as file:
        file.attrs["format"] = _FORMAT
        for name in COORDINATES:
            _write(file, name, getattr(bunch, name).numpy(), _UNITS[name])
        _write(file, "weight", bunch.weight.numpy(), "1")
        _write(file, "alive", bunch.alive.numpy(), "1")
        for name, unit in _REFERENCE_UNITS.items():
            _write(file, name, np.float64(getattr(bunch.reference, name).item()), unit)


def read_bunch(path: str | os.PathLike[str]) -> Bunch:
    """Read a bunch that `write_bunch` wrote.

    Raises
    ------
    BunchError
        If the file is missing or holds no such bunch.
    """
    path = Path(path)
    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("format") != _FORMAT:
                raise BunchError(f"{path}: holds no bunch of sc_bridge: write it by write_bunch")
            arrays = {name: _read(file, name) for name in (*COORDINATES, "weight", "alive")}
            reference = Reference(*(float(_read(file, name)) for name in _REFERENCE_UNITS))
    except FileNotFoundError:
        raise BunchError(f"{path}: no such file") from None
    except (OSError, KeyError, ValueError, TypeError) as error:
        if isinstance(error, BunchError):
            raise
        raise BunchError(f"{path}: cannot be read as a bunch: {error}") from None
    coordinates = torch.stack([torch.from_numpy(arrays[name]) for name in COORDINATES])
    weight, alive = torch.from_numpy(arrays["weight"]), torch.from_numpy(arrays["alive"]).bool()
    return Bunch(coordinates, reference, weight, alive)


def _write(file: h5py.File, name: str, value: np.ndarray | np.float64, unit: str) -> None:
    file.create_dataset(name, data=value).attrs["unit"] = unit


def _read(file: h5py.File, name: str) -> np.ndarray:
    dataset = file[name]
    if not isinstance(dataset, h5py.Dataset):
        raise BunchError(f"{file.filename}: {name} is no array: write it by write_bunch")
    return np.asarray(dataset[()])
