"""The table of formats that lattices are written in; add a row for a new one."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sc_bridge.errors import LatticeError
from sc_bridge.lattice import Lattice
from sc_bridge.readers.options import Losses

Writer = Callable[[Lattice, Losses], str]


@dataclass(frozen=True)
class Format:
    """One row: where the writer is, imported at its first use, and what its files end in.

    `as_json` is the writer for files that end in .json, where the format has two notations.
    """

    module: str
    function: str
    suffixes: tuple[str, ...]
    as_json: str = ""

    def writer(self, path: Path) -> Writer:
        """Import and return the function that writes a file of that name."""
        in_json = self.as_json and path.name.lower().endswith(".json")
        function = self.as_json if in_json else self.function
        return getattr(importlib.import_module(f".{self.module}", __package__), function)


# The first row whose suffix fits counts.
FORMATS: dict[str, Format] = {
    "pals": Format(
        "pals", "write_pals", (".pals.yaml", ".yaml", ".yml", ".pals.json"), "write_pals_json"
    ),
    "cheetah": Format("cheetah", "write_cheetah", (".cheetah.json",)),
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
