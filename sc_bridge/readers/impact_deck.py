"""Text of IMPACT-Z and IMPACT-T decks: records of Fortran numbers that a slash ends."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

from sc_bridge.errors import LatticeError
from sc_bridge.lattice import Lattice, ReferenceFields

from .definitions import Definitions
from .files import read_text
from .options import Losses, ReadOptions, single_file
from .recording import Assembly, Context, LocalReference
from .source import Source

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eEdD][+-]?\d+)?$")
_NAME = re.compile(r"!name:\s*(\S+)")
_LONGEST = 64  # columns of a record


@dataclass(frozen=True)
class Row:
    """One record: numbers, where it stands, and the name in its comment."""

    numbers: list[float]
    place: str
    line: int
    name: str = ""

    def __getitem__(self, column: int) -> float:
        """A column from 0; 0.0 where the record ends before it."""
        return self.numbers[column] if column < len(self.numbers) else 0.0


@dataclass(frozen=True)
class Deck:
    """Header and elements of a deck."""

    path: Path
    header: list[Row]
    elements: list[Row]

    def reference(self) -> ReferenceFields:
        """Reference of the header's last record, before any acceleration.

        Raises
        ------
        LatticeError
            If the energy, the mass or the charge is none.
        """
        beam = self.header[-1]
        _, kinetic, mass, charge = (beam[column] for column in range(4))
        if not (kinetic > 0.0 and mass > 0.0 and charge != 0.0):
            raise LatticeError(
                f"{beam.place}: energy {kinetic:g} eV, mass {mass:g} eV, charge {charge:g}: "
                "must be positive, positive, and not 0"
            )
        return ReferenceFields(mass, charge, math.sqrt(kinetic * (kinetic + 2.0 * mass)))

    def assembly(self, options: ReadOptions) -> Assembly:
        """Return an empty assembly at the reference of the header."""
        reference = self.reference()
        local = LocalReference(reference.mass0, reference.q0, reference.p0c)
        return Assembly(Context(Definitions(), Losses(options.allow), local))

    def lattice(self, kind: str, assembly: Assembly) -> Lattice:
        """Return the lattice of what was assembled."""
        return Lattice(
            source=str(self.path),
            format=kind,
            name="",
            reference=self.reference(),
            **assembly.lattice_fields(),
        )


def read_deck(paths: tuple[Path, ...], kind: str, header: int) -> Deck:
    """Split a deck into its header, of so many records, and its elements.

    Raises
    ------
    LatticeError
        If there is something other than numbers, or the header is not whole.
    """
    path = single_file(paths, kind)
    source = Source(path, read_text(path, "latin-1"))
    rows: list[Row] = []
    offset = 0
    for text in source.text.splitlines(keepends=True):
        place = source.place(offset)
        line, offset = source.line(offset), offset + len(text)
        body, _, comment = text.partition("!")
        body, slash, _ = body.partition("/")
        numbers = _numbers(body, place)
        if not numbers:
            continue
        name = _NAME.search("!" + comment) if slash else None
        rows.append(Row(numbers, place, line, name[1] if name else ""))
    if len(rows) <= header:
        raise LatticeError(
            f"{source.path}: {len(rows)} records: must have a header of {header} and elements"
        )
    return Deck(path, rows[:header], rows[header:])


def _numbers(body: str, place: str) -> list[float]:
    words = body.replace(",", " ").split()
    if len(words) > _LONGEST:
        raise LatticeError(f"{place}: {len(words)} columns: at most {_LONGEST}")
    for word in words:
        if not _NUMBER.match(word):
            raise LatticeError(f"{place}: {word[:40]!r}: must be a number")
    values = [float(re.sub("[dD]", "e", word)) for word in words]
    if any(abs(value) > 1e300 for value in values):
        raise LatticeError(f"{place}: {body.strip()[:40]!r}: too large a number")
    return values
