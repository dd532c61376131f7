"""The table of formats, and how the format of a file is told from its first bytes.

Add a row for a new format; nothing else in this file changes.
"""

from __future__ import annotations

import importlib
import os
import re
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sc_bridge.elements import Bunch, Reference
from sc_bridge.errors import BunchError, ScBridgeError
from sc_bridge.species import checked_reference
from sc_bridge.units import to_si

from .options import BunchOptions

_DAMAGED = (
    *(ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, OSError),
    *(RuntimeError, TypeError, ValueError, struct.error, zipfile.BadZipFile, zlib.error),
)
_HEAD = 4096  # bytes that tell a format
_LARGEST_TEXT = 2**30


@dataclass(frozen=True)
class Format:
    """One row of the table: the module that reads it, and what its first bytes match."""

    title: str
    module: str
    content: str
    is_text: bool = False

    def read(self, path: Path, options: BunchOptions) -> Bunch:
        """Read a file of this format."""
        return importlib.import_module(f".{self.module}", __package__).read(path, options)

    def holds(self, head: bytes) -> bool:
        """Whether a file that begins like this is of the format."""
        return re.match(self.content.encode(), head, re.DOTALL) is not None


_NUMBER = r"[+-]?\d*\.?\d+(?:[eEdD][+-]?\d+)?"
FORMATS = {
    "openpmd": Format("openPMD beam physics (HDF5)", "openpmd", r"\x89HDF\r\n\x1a\n"),
    "npz": Format("NPZ of sc_bridge", "npz", r"PK\x03\x04"),
    "sdds": Format("SDDS of elegant", "elegant", r"SDDS\d"),
    "xsuite": Format("JSON of xtrack.Particles", "xsuite", r"\s*\{", is_text=True),
    "bmad": Format("ASCII of Bmad", "bmad", r"\s*!ASCII::|.*\bBEGIN_BUNCH\b", is_text=True),
    "astra": Format("ASTRA", "astra", rf"\s*(?:{_NUMBER}\s+){{9}}{_NUMBER}\s*?\n", is_text=True),
}


def read_bunch(
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    reference: Reference | None = None,
    species: str | None = None,
    intensity: float | None = None,
    reference_time: Any = None,
) -> Bunch:
    """Read a bunch from a file; nothing in it is executed, and the format is told by its content.

    openPMD beam physics (as `write_bunch`, Bmad and others write it), NPZ of `write_bunch`,
    SDDS of elegant, ASTRA, ASCII of Bmad, and the JSON of `xtrack.Particles`.
    What `write_bunch` wrote comes back to the last bit. Particles of other codes are taken, along
    straight lines, to the plane of one z, and are measured from a reference particle.

    Parameters
    ----------
    path : str or path
    format : str, optional
        One of "openpmd", "npz", "sdds", "xsuite", "bmad", "astra"; by default told by the content.
    reference : Reference, optional
        What coordinates are measured from; by default the reference of the file, and where it
        states none, the species of the file at the mean momentum of living particles.
    species : str, optional
        Where the file does not say it (elegant): "electron" by default there.
    intensity : float, optional
        Real particles alive; by default what the file says.
    reference_time : quantity, s, optional
        When the reference passes; by default what the file says, else the mean of living particles.

    Returns
    -------
    Bunch
        On the CPU; float64 unless `write_bunch` wrote float32.

    Raises
    ------
    BunchError
        If the file is missing, of no known format, damaged, or holds no bunch of one species.

    Examples
    --------
    >>> bunch = read_bunch("gun.ini", intensity=6.2e8)  # doctest: +SKIP
    """
    path = Path(path)
    if reference_time is not None:
        reference_time = float(to_si(reference_time, "s", "read_bunch: reference_time"))
    options = BunchOptions(checked_reference(reference), species, intensity, reference_time)
    row = _format_of(path, format)
    try:
        with np.errstate(all="ignore"):  # what is not finite is refused
            return _finite(row.read(path, options))
    except ScBridgeError as error:
        raise BunchError(f"{path}: {error}") from None
    except MemoryError:
        raise BunchError(f"{path}: holds more than memory can: read it in parts") from None
    # libraries tell damage in many ways
    except _DAMAGED as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise BunchError(f"{path}: cannot be read as {row.title}: {reason}") from None


def _finite(bunch: Bunch) -> Bunch:
    """Refuse a bunch of which a living particle is nowhere or counts for nothing definite."""
    alive = bunch.alive
    for name, values in (("coordinates", bunch.coordinates), ("weight", bunch.weight)):
        wrong = ~values.detach().isfinite() & alive
        if bool(wrong.any()):
            number = int(wrong.nonzero()[0, -1])
            raise BunchError(
                f"{name} of particle {number} = {values[..., number].tolist()}: must be finite, or "
                "the particle marked as lost"
            )
    return bunch


def write_bunch(path: str | os.PathLike[str], bunch: Bunch, *, format: str | None = None) -> None:
    """Write a bunch to a file, whole or not at all.

    `.h5` and `.hdf5` give openPMD beam physics, which `beamphysics.ParticleGroup` reads: z = 0 for
    all, t = -zeta/(beta0 c) (so that particles ahead are early), momenta in eV/c, weights in C,
    status 1 for living particles and 2 for lost ones. `.npz` gives plain arrays for `numpy.load`.
    Both keep Xsuite's coordinates and the reference beside, to the last bit.

    Parameters
    ----------
    path : str or path
    bunch : Bunch
        Without batch dimensions.
    format : str, optional
        "openpmd" or "npz"; by default by the suffix.

    Raises
    ------
    BunchError
        If the bunch is a batch, the format cannot be written, or the disk refuses.
    """
    path = Path(path)
    writers: dict[str, tuple[str, tuple[str, ...]]] = {
        "openpmd": ("openpmd", (".h5", ".hdf5")),
        "npz": ("npz", (".npz",)),
    }
    if format is None:
        named = [name for name, (_, suffixes) in writers.items() if path.suffix.lower() in suffixes]
        format = named[0] if named else None
    if format not in writers:
        raise BunchError(
            f"{path}: a bunch is written to .h5 (openPMD beam physics) or .npz: "
            "name the file so, or give format='openpmd' or 'npz'"
        )
    bunch = bunch.detach().to("cpu")
    if bunch.coordinates.dim() != 2 or bunch.reference.p0c.dim() != 0:
        raise BunchError(
            f"{path}: a batch of shape {tuple(bunch.coordinates.shape[:-2])} cannot be written: "
            "write its bunches one by one"
        )
    module = importlib.import_module(f".{writers[format][0]}", __package__)
    _whole(path, lambda working: module.write(working, bunch))


def _whole(path: Path, write: Callable[[Path], None]) -> None:
    """Write to a file beside and rename it, so that `path` is never half-written."""
    try:
        handle, name = tempfile.mkstemp(prefix=".sc-bridge-", suffix=path.suffix, dir=path.parent)
        os.close(handle)
        working = Path(name)
        try:
            write(working)
            os.chmod(working, 0o666 & ~_umask())  # mkstemp makes files that others cannot read
            os.replace(working, path)
        finally:
            working.unlink(missing_ok=True)
    except OSError as error:
        reason = error.strerror or " ".join(str(error).split())
        raise BunchError(f"{path}: the bunch cannot be written: {reason}") from None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _format_of(path: Path, format: str | None) -> Format:
    if format is not None and format not in FORMATS:
        raise BunchError(f"{path}: no format {format!r}: known are {', '.join(FORMATS)}")
    head, size = _look(path)
    found = format or next((name for name, row in FORMATS.items() if row.holds(head)), None)
    if found is None:
        known = ", ".join(row.title for row in FORMATS.values())
        raise BunchError(f"{path}: is no bunch that can be read: known are {known}")
    if FORMATS[found].is_text and size > _LARGEST_TEXT:
        raise BunchError(f"{path}: {size} bytes of text are too many: convert it to openPMD HDF5")
    return FORMATS[found]


def _look(path: Path) -> tuple[bytes, int]:
    """Return the first bytes of a file and its size."""
    try:
        if path.exists() and not path.is_file():  # a pipe would wait for ever
            raise IsADirectoryError(0, "is no regular file")
        with path.open("rb") as file:
            return file.read(_HEAD), path.stat().st_size
    except FileNotFoundError:
        raise BunchError(f"{path}: no such file: give the path of a bunch") from None
    except (OSError, ValueError) as error:  # a path with a zero byte is a ValueError
        reason = getattr(error, "strerror", None) or error
        raise BunchError(f"{path}: cannot be read: {reason}") from None
