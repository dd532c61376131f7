"""Bunches as plain NumPy arrays: `numpy.load(path)["x"]`.

`x, px, y, py, zeta, pzeta, weight` (float32 or float64), `alive` (bool), and the reference
`mass0` [eV], `q0` [e] and `p0c` [eV]; nothing is pickled.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import torch

from sc_bridge.elements import Bunch, Reference
from sc_bridge.elements.bunch import COORDINATES
from sc_bridge.errors import BunchError

from .laboratory import adapted
from .options import BunchOptions

_REFERENCE = ("mass0", "q0", "p0c")
_NAMES = (*COORDINATES, "weight", "alive", *_REFERENCE)
# More than arrays of numbers ever shrink to: an archive that unpacks to more is a fault.
_MOST_UNPACKED = 64


def write(path: Path, bunch: Bunch) -> None:
    """Write a bunch as an uncompressed archive of arrays."""
    arrays = {name: getattr(bunch, name).numpy() for name in (*COORDINATES, "weight", "alive")}
    arrays |= {name: np.float64(getattr(bunch.reference, name).item()) for name in _REFERENCE}
    with path.open("wb") as file:
        np.savez(file, **arrays)


def read(path: Path, options: BunchOptions) -> Bunch:
    """Read what `write` wrote."""
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
        if unpacked > _MOST_UNPACKED * path.stat().st_size:
            raise BunchError(f"unpacks to {unpacked} bytes: is no bunch")
        with np.load(path, allow_pickle=False) as file:
            missing = [name for name in _NAMES if name not in file.files]
            if missing:
                raise BunchError(f"has no array {missing[0]!r}: must have {', '.join(_NAMES)}")
            arrays = {name: file[name] for name in _NAMES}
    except (zipfile.BadZipFile, EOFError) as error:
        raise BunchError(f"is no whole archive: {error}") from None
    return adapted(_bunch(arrays), options)


def _bunch(arrays: dict[str, np.ndarray]) -> Bunch:
    shape = arrays["x"].shape
    for name in (*COORDINATES, "weight", "alive"):
        if arrays[name].shape != shape or len(shape) != 1:
            raise BunchError(
                f"array {name!r} has shape {arrays[name].shape}: must be (n_particles,)"
            )
    dtypes = {arrays[name].dtype for name in COORDINATES}
    if len(dtypes) > 1 or arrays["x"].dtype not in (np.float32, np.float64):
        raise BunchError(f"arrays of {', '.join(map(str, dtypes))}: must be float64 or float32")
    return Bunch(
        torch.stack([torch.from_numpy(arrays[name]) for name in COORDINATES]),
        Reference(*(float(arrays[name]) for name in _REFERENCE)),
        torch.from_numpy(arrays["weight"]),
        torch.from_numpy(arrays["alive"].astype(bool)),
    )
