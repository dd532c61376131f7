"""The table of formats that lattices are written in; add a row for a new one."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sc_bridge.errors import LatticeError
from sc_bridge.lattice import Lattice

Writer = Callable[[Lattice], str]


@dataclass(frozen=True)
class Format:
    """One row: where the writer is, imported at its first use, and what its files end in."""

    module: str
    function: str
    suffixes: tuple[str, ...]

    def writer(self) -> Writer:
        return getattr(importlib.import_module(f".{self.module}", __package__), self.function)


FORMATS: dict[str, Format] = {
    "xsuite-json": Format("xsuite_json", "write_xsuite_json", (".json",)),
    "madx": Format("madx", "write_madx", (".madx", ".seq")),
}


def format_to_write(path: Path, name: str | None) -> Format:
    """Return the format of that name, or the one that a file's suffix stands for.

    Raises
    ------
    LatticeError
        If there is none.
    """
    known = ", ".join(f"{key} ({', '.join(row.suffixes)})" for key, row in FORMATS.items())
    if name is not None:
        if name not in FORMATS:
            raise LatticeError(f"{path}: format {name!r}: cannot be written: known are {known}")
        return FORMATS[name]
    for row in FORMATS.values():
        if path.name.lower().endswith(row.suffixes):
            return row
    raise LatticeError(f"{path}: suffix {path.suffix!r}: no format to write: known are {known}")
