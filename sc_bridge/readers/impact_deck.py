"""Text of IMPACT-Z and IMPACT-T decks: records of Fortran numbers that a slash ends."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from sc_bridge.errors import LatticeError

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


@dataclass
class Deck:
    """Header and elements of a deck."""

    header: list[Row] = field(default_factory=list)
    elements: list[Row] = field(default_factory=list)


def read_deck(source: Source, header: int) -> Deck:
    """Split a deck into its header, of so many records, and its elements.

    Raises
    ------
    LatticeError
        If there is something other than numbers, or the header is not whole.
    """
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
    return Deck(rows[:header], rows[header:])


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
