"""Writers: a `Lattice` to text, one format each."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from sc_bridge.errors import LatticeError
from sc_bridge.lattice import Lattice, LeftOut
from sc_bridge.readers.options import Losses

from .formats import format_to_write


def write_lattice(
    lattice: Lattice,
    path: str | os.PathLike[str],
    format: str | None = None,
    allow: Iterable[str] = (),
) -> tuple[LeftOut, ...]:
    """Write a lattice to a file; it is complete, or as it was before.

    Parameters
    ----------
    lattice : Lattice
    path : str or path
    format : str, optional
        Name of the format; by default from the suffix. `docs/formats.md` lists them.
    allow : iterable of str
        What may be left out: fields such as "length" or "Multipole.length", or "knobs".

    Returns
    -------
    tuple of LeftOut
        What the format cannot hold and was allowed to be lost.

    Raises
    ------
    LatticeError
        If the format is unknown, the lattice holds what it cannot say, or the file cannot be
        written.
    """
    target = Path(path)
    losses = Losses(frozenset(allow))
    text = format_to_write(target, format).writer(target)(lattice, losses)
    try:
        _write(text, target)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise LatticeError(f"{target}: cannot be written: {reason}") from None
    return tuple(losses.left_out)


def _write(text: str, target: Path) -> None:
    """Write a file beside its place and rename it; nothing stays of one that is not whole."""
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:100]}.")
    try:
        with open(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, target)
    finally:
        Path(name).unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
