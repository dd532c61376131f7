"""SDDS files (M. Borland, "A self-describing file protocol"), read as far as particles need it.

Text and binary of either byte order, row by row or column by column; one page of numbers and
strings. Lines of text may continue, and `&include` is refused: a file names no other file.
"""

from __future__ import annotations

import re
import shlex
import struct
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sc_bridge.errors import BunchError

_TYPES = {
    "short": "i2",
    "ushort": "u2",
    "long": "i4",
    "ulong": "u4",
    "long64": "i8",
    "ulong64": "u8",
    "float": "f4",
    "double": "f8",
    "character": "S1",
}
_COMMAND = re.compile(rb"&(\w+)(.*?)&end", re.DOTALL)
_LARGEST_HEADER = 2**20
_ASSIGNMENT = re.compile(r'\s*(\w+)\s*=\s*("(?:[^"\\]|\\.)*"|[^,]*?)\s*(?:,|$)', re.DOTALL)


@dataclass(frozen=True)
class Definition:
    """One parameter or column of the header."""

    name: str
    type: str
    units: str
    fixed: str | None


@dataclass
class Page:
    """The first page of a file: parameters, and columns as arrays, by name."""

    units: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    columns: dict[str, np.ndarray] = field(default_factory=dict)


def read_page(path: Path) -> Page:
    """Read the first page; a second one is refused.

    Raises
    ------
    BunchError
        If the header is none, or what it promises is not there.
    """
    content = path.read_bytes()
    header, start, big = _header(content)
    layout = dict(header).get("data", {})
    parameters = [_definition(entry) for kind, entry in header if kind == "parameter"]
    columns = [_definition(entry) for kind, entry in header if kind == "column"]
    units = {entry.name: entry.units for entry in (*parameters, *columns)}
    if any(kind == "array" for kind, _ in header):
        raise BunchError("holds SDDS arrays: particles are in columns")
    if layout.get("mode") == "ascii":
        body = _Text(content[start:].decode("utf-8"), layout)
    elif layout.get("mode") == "binary":
        by_column = layout.get("column_major_order", "0") not in ("0", "")
        big = layout["endian"] == "big" if "endian" in layout else big
        body = _Binary(content[start:], "<>"[big], by_column)
    else:
        raise BunchError(f"SDDS data of mode {layout.get('mode')!r}: must be ascii or binary")
    try:
        page = Page(units, *body.page(parameters, columns))
    except (IndexError, struct.error):
        raise BunchError("ends in the middle of its data: is the file whole?") from None
    if body.rest():
        raise BunchError("holds more than one page: split it by sddsprocess or sddssplit")
    return page


def _header(content: bytes) -> tuple[list[tuple[str, dict[str, str]]], int, bool]:
    """Return the commands, where data begin, and whether they are big-endian."""
    first = content[:_LARGEST_HEADER]
    big = sys.byteorder == "big"
    marks = re.search(rb"^!#\s*(big|little)-endian", first, re.MULTILINE)
    if marks:
        big = marks[1] == b"big"
    commands: list[tuple[str, dict[str, str]]] = []
    place = first.find(b"\n") + 1
    while True:
        line_end = first.find(b"\n", place)
        if line_end < 0:
            raise BunchError("has no &data command: is the file whole?")
        line = first[place:line_end].strip()
        if not line or line.startswith(b"!"):
            place = line_end + 1
            continue
        match = _COMMAND.match(first, place + first[place:line_end].index(line[:1]))
        if match is None:
            raise BunchError(f"SDDS header: {line[:60].decode('latin-1')!r} is no command")
        kind = match[1].decode().lower()
        if kind == "include":
            raise BunchError("&include names another file: give one that is whole")
        commands.append((kind, _fields(match[2].decode("utf-8"))))
        place = first.find(b"\n", match.end()) + 1
        if kind == "data":
            return commands, place, big


def _fields(text: str) -> dict[str, str]:
    return {match[1].lower(): match[2].strip().strip('"') for match in _ASSIGNMENT.finditer(text)}


def _definition(entry: dict[str, str]) -> Definition:
    name, kind = entry.get("name", ""), entry.get("type", "")
    if not name or kind not in (*_TYPES, "string"):
        raise BunchError(f"SDDS header: {name or 'something'!r} of type {kind!r}: is not known")
    return Definition(name, kind, entry.get("units", ""), entry.get("fixed_value"))


def _value(text: str, kind: str) -> Any:
    return text if kind in ("string", "character") else float(text)


class _Text:
    """Data as text: a line a parameter, the number of rows, a line a row."""

    def __init__(self, text: str, layout: dict[str, str]) -> None:
        self._lines = [line for line in text.splitlines() if not line.startswith("!")]
        self._place = 0
        self._counts = layout.get("no_row_counts", "0") in ("0", "")

    def _line(self) -> str:
        while not self._lines[self._place].strip():
            self._place += 1
        self._place += 1
        return self._lines[self._place - 1]

    def page(
        self, parameters: list[Definition], columns: list[Definition]
    ) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        values: dict[str, Any] = {}
        for entry in parameters:
            text = entry.fixed if entry.fixed is not None else self._line().strip().strip('"')
            values[entry.name] = _value(text, entry.type)
        if not self._counts:
            raise BunchError("SDDS text without row counts: convert it by sddsconvert -binary")
        words: list[str] = []
        number = int(self._line())
        while len(words) < number * len(columns):
            line = self._line()
            words += shlex.split(line) if '"' in line else line.split()
        if len(words) != number * len(columns):
            raise BunchError(f"has {len(words)} values for {number} rows: is the file whole?")
        return values, {
            entry.name: _column(words[index :: len(columns)], entry)
            for index, entry in enumerate(columns)
        }

    def rest(self) -> bool:
        return any(line.strip() for line in self._lines[self._place :])


def _column(words: list[str], entry: Definition) -> np.ndarray:
    if entry.type in ("string", "character"):
        return np.array(words, dtype=str)
    return np.array(words, dtype=np.float64)


class _Binary:
    """Data as bytes: the number of rows, the parameters, the columns."""

    def __init__(self, data: bytes, order: str, by_column: bool) -> None:
        self._data = data
        self._order = order
        self._by_column = by_column
        self._place = 0

    def _number(self, kind: str) -> Any:
        dtype = np.dtype(self._order + _TYPES[kind])
        return self._numbers(dtype, 1)[0]

    def _numbers(self, dtype: np.dtype[Any], count: int) -> np.ndarray:
        start, self._place = self._place, self._place + dtype.itemsize * count
        if count < 0 or self._place > len(self._data):
            raise BunchError("ends in the middle of its data: is the file whole?")
        return np.frombuffer(self._data[start : self._place], dtype)

    def _string(self) -> str:
        return self._numbers(np.dtype("S1"), int(self._number("long"))).tobytes().decode("latin-1")

    def _one(self, kind: str) -> Any:
        return self._string() if kind == "string" else self._number(kind)

    def page(
        self, parameters: list[Definition], columns: list[Definition]
    ) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        number = int(self._number("long"))
        if number == -(2**31):  # more rows than 32 bits count
            number = int(self._number("long64"))
        values: dict[str, Any] = {}
        for entry in parameters:
            values[entry.name] = (
                _value(entry.fixed, entry.type)
                if entry.fixed is not None
                else self._one(entry.type)
            )
        return values, self._columns(number, columns)

    def _columns(self, number: int, columns: list[Definition]) -> dict[str, np.ndarray]:
        if any(entry.type == "string" for entry in columns):
            raise BunchError("holds columns of text: particles are numbers")
        types = [np.dtype(self._order + _TYPES[entry.type]) for entry in columns]
        names = [entry.name for entry in columns]
        if self._by_column:
            found = {n: self._numbers(t, number) for n, t in zip(names, types, strict=True)}
        else:
            rows = self._numbers(np.dtype(list(zip(names, types, strict=True))), number)
            found = {name: rows[name] for name in names}
        return {
            name: values.astype(np.float64 if values.dtype.kind in "iuf" else str)
            for name, values in found.items()
        }

    def rest(self) -> bool:
        return self._place < len(self._data)
