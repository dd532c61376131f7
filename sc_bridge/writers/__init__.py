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
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=target.parent, prefix=f".{target.name}.", delete=False
        ) as file:
            file.write(text)
        os.chmod(file.name, 0o666 & ~_umask())
        os.replace(file.name, target)
    except OSError as error:
        raise LatticeError(f"{target}: cannot be written: {error.strerror}") from None
    return tuple(losses.left_out)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
