"""Readers: one file a format, each turning text into a `Lattice`; none executes what it reads."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sc_bridge.errors import LatticeError
from sc_bridge.lattice import Lattice

from .xsuite_json import read_xsuite_json


@dataclass(frozen=True)
class _Format:
    suffixes: tuple[str, ...]
    read: Callable[[Path, str | None], Lattice]


FORMATS: dict[str, _Format] = {
    "xsuite-json": _Format((".json", ".json.gz"), read_xsuite_json),
}


def read_lattice(
    path: str | os.PathLike[str], line: str | None = None, format: str | None = None
) -> Lattice:
    """Read a lattice file.

    Parameters
    ----------
    path : str or path
    line : str, optional
        Which line to read, where the file has several.
    format : str, optional
        Name of the format; by default it follows from the suffix. Known: "xsuite-json"
        (`.json`, `.json.gz`: a Line, an Environment, or a Line with its particle).

    Raises
    ------
    LatticeError
        If the file is missing, is not of the format, or does not hold one definite line; the
        message names the file and, where known, the line in it.
    ExpressionError
        If an expression of the file is outside the whitelist or cannot be evaluated.
    """
    path = Path(path)
    return _format_of(path, format).read(path, line)


def _format_of(path: Path, format: str | None) -> _Format:
    if format is not None:
        if format not in FORMATS:
            raise LatticeError(f"{path}: format {format!r} is not known: {_known()}")
        return FORMATS[format]
    name = path.name.lower()
    for known in FORMATS.values():
        if name.endswith(known.suffixes):
            return known
    raise LatticeError(
        f"{path}: cannot tell the format from the suffix {path.suffix!r}: {_known()}; "
        "name one with format="
    )


def _known() -> str:
    return "known formats are " + ", ".join(
        f"{name} ({', '.join(known.suffixes)})" for name, known in FORMATS.items()
    )
