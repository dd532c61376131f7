"""Readers: one format each, turning text into a `Lattice`; none executes what it reads."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from sc_bridge.errors import LatticeError
from sc_bridge.lattice import Lattice

from .formats import FORMATS, format_of
from .options import ReadOptions

PathLike = str | os.PathLike[str]


def read_lattice(
    path: PathLike | Sequence[PathLike],
    format: str | None = None,
    sequence: str | None = None,
    *,
    allow: Iterable[str] = (),
    allow_paths: Iterable[PathLike] = (),
) -> Lattice:
    """Read a lattice from a file, or from several that belong together.

    Parameters
    ----------
    path : str or path, or a sequence of them
        Several files are read in order, where the format knows that: a sequence and its
        strengths in MAD-X.
    format : str, optional
        Name of the format; by default it follows from suffix and content. `docs/formats.md`
        lists them.
    sequence : str, optional
        Which line or sequence to read, where there are several.
    allow : iterable of str
        What may be left out of the lattice, such as "CSR" or "wake"; the rest of what has no
        counterpart here is an error. What was left out is in `Lattice.left_out`.
    allow_paths : iterable of str or path
        Folders that files may be called or included from, besides those of the given files.

    Raises
    ------
    LatticeError
        If a file is missing, is not of the format, holds what would be lost, or does not hold
        one definite line; the message names the file and, where known, the line in it.
    ExpressionError
        If an expression of the file is outside the whitelist or cannot be evaluated.
    """
    single = isinstance(path, (str, os.PathLike))
    paths = tuple(Path(p) for p in ([path] if single else path))  # pyright: ignore
    if not paths:
        raise LatticeError("read_lattice: no file given")
    if isinstance(allow, str):
        raise LatticeError(f"read_lattice: allow = {allow!r}: must be a list of words")
    options = ReadOptions(sequence, frozenset(allow), tuple(Path(p) for p in allow_paths))
    return FORMATS[format_of(paths, format)].reader()(paths, options)
