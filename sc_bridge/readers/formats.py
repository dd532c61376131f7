"""The table of formats, and how a file's format is told from its name and its text.

Add a row for a new format; nothing else in this file changes.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sc_bridge.errors import LatticeError
from sc_bridge.lattice import Lattice

from .files import read_text
from .options import ReadOptions

Reader = Callable[[tuple[Path, ...], ReadOptions], Lattice]

_HEAD = 200_000  # characters that a content test sees


@dataclass(frozen=True)
class Format:
    """One row of the table.

    Parameters
    ----------
    module, function : str
        The reader, in this package, imported at its first use.
    suffixes : tuple of str
        What names of such files end in, lower case; a whole name such as "fort.2" too.
    content : str
        Regular expression found in the text of such files and in no other format that shares
        a suffix (flags: multiline, ignore case).
    """

    module: str
    function: str
    suffixes: tuple[str, ...]
    content: str

    def reader(self) -> Reader:
        """Import and return the function that reads the format."""
        return getattr(importlib.import_module(f".{self.module}", __package__), self.function)

    def named(self, path: Path) -> bool:
        """Whether the name of a file is of this format."""
        return path.name.lower().endswith(self.suffixes)

    def holds(self, text: str) -> bool:
        """Whether the text of a file looks like this format."""
        return re.search(self.content, text, re.MULTILINE | re.IGNORECASE) is not None


FORMATS: dict[str, Format] = {
    "xsuite-json": Format(
        "xsuite_json",
        "read_xsuite_json",
        (".json", ".json.gz"),
        r'"__class__"\s*:|"elements"\s*:(?!\s*\{\s*"[^"\n]*"\s*:\s*\[)',
    ),
    "madx": Format(
        "madx",
        "read_madx",
        (".madx", ".seq", ".str", ".mad", ".beam", ".lat"),
        # an element or a line that a semicolon ends
        r":\s*(line\s*=|sequence\b|(drift|[sr]bend|quadrupole|marker)\b)[^;&]*;|^\s*[\w.]+\s*:?=[^;&]*;",
    ),
    "elegant": Format(
        "elegant",
        "read_elegant",
        (".lte", ".ele"),
        r"^[ \t]*&run_setup\b|:\s*(csben|csrcsben|csrdrif|lscdrif|kquad|ksext|edrift|rfc[aw]\b)",
    ),
    "sixtrack": Format(
        "sixtrack", "read_sixtrack", ("fort.2", "fort.3"), r"^(single elements|structure input)\b"
    ),
    "bmad": Format(
        "bmad",
        "read_bmad",
        (".bmad", ".lat"),
        r"^[ \t]*(parameter|beginning)\s*\[|^[ \t]*(expand_lattice|no_digested)\b",
    ),
    "pals": Format(
        "pals",
        "read_pals",
        (".yaml", ".yml", ".pals.json", ".json"),
        r"""(^|\{)[ \t]*["']?PALS["']?\s*:"""
        r"""|["']?\bkind["']?\s*:\s*["']?(BeamLine|Lattice|Drift)\b""",
    ),
    "cheetah": Format(
        "cheetah",
        "read_cheetah",
        (".json",),
        r'"elements"\s*:\s*\{\s*"[^"\n]*"\s*:\s*\[',
    ),
    "impactx": Format(
        "impactx",
        "read_impactx",
        (".in", ".json"),
        r'^\s*lattice\.elements\s*=|^\s*\[\s*\{[^{}]*"type"\s*:',
    ),
    "impactz": Format(
        "impactz",
        "read_impactz",
        (".in",),
        # comments, two whole numbers, comments, five whole numbers
        r"\A([ \t]*(![^\n]*)?\n)*[ \t]*\d+[ \t]+\d+\s*?\n"
        r"([ \t]*(![^\n]*)?\n)*[ \t]*\d+([ \t]+-?\d+){4}\s",
    ),
    "ocelot": Format("ocelot", "read_ocelot", (".py",), r"^\s*(from|import) ocelot\b"),
    "jutrack": Format("jutrack", "read_jutrack", (".jl",), r"^\s*using JuTrack\b"),
    "impactt": Format(
        "impactt",
        "read_impactt",
        (".in",),
        # comments, two whole numbers, comments, a time step and two whole numbers
        r"\A([ \t]*(![^\n]*)?\n)*[ \t]*\d+[ \t]+\d+\s*?\n"
        r"([ \t]*(![^\n]*)?\n)*[ \t]*[\d.]+[ed]-\d+([ \t]+\d+){2}\s*?\n",
    ),
}


def format_of(paths: tuple[Path, ...], format: str | None) -> str:
    """Return the name of the format: the one given, or what the first file looks like.

    Raises
    ------
    LatticeError
        If it is not known, or cannot be told.
    """
    if format is not None:
        if format not in FORMATS:
            raise LatticeError(f"{paths[0]}: format {format!r} is not known: {_known()}")
        return format
    path = paths[0]
    named = [name for name, row in FORMATS.items() if row.named(path)]
    if len(named) == 1:
        return named[0]
    if path.suffix == ".toml":
        raise LatticeError(f"{path}: is a study by its name: give the lattice file that it names")
    text = read_text(path, "latin-1")[:_HEAD]
    found = [name for name in named or FORMATS if FORMATS[name].holds(text)]
    if len(found) == 1 or (named and not found):
        return (found or named)[0]  # whose reader then says what is wrong
    reason = f"looks like {' and '.join(found)}" if found else "looks like none"
    raise LatticeError(
        f"{path}: cannot tell the format from the suffix {path.suffix!r} and the text ({reason}): "
        f"{_known()}; name one with format="
    )


def _known() -> str:
    return "known formats are " + ", ".join(
        f"{name} ({', '.join(row.suffixes)})" for name, row in FORMATS.items()
    )
