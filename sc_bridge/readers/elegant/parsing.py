"""Statements of .lte files into a `Deck`.

References
----------
elegant's cfgets.c, get_beamline.c and mad_parse.c: blanks outside of quotes mean nothing, "&"
at the end of a line continues it even inside a name, text outside of quotes is upper case, a
type may be shortened or lengthened, and the name of an element may stand for its type.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from sc_bridge.errors import ExpressionError, LatticeError
from sc_bridge.expressions import shorten
from sc_bridge.readers.beamline import Item
from sc_bridge.readers.source import Source, SourceFiles
from sc_bridge.readers.statements import (
    Statement,
    StatementSyntax,
    logical_lines,
    split_list,
)

from .deck import Attribute, Deck, Definition
from .types import types_like

SYNTAX = StatementSyntax(line_comments=("!",), quotes='"')

_PIECES = re.compile(r'"[^"]*"|[^"]+')
_DEFINITION = re.compile(r'(?:"(?P<quoted>[^"]*)"|(?P<bare>[^":=,]+)):(?P<rest>.*)', re.DOTALL)
_LINE = re.compile(r"LINE=\((?P<items>.*)\)", re.IGNORECASE | re.DOTALL)
_TYPE = re.compile(r'(?:"(?P<quoted>[^"]*)"|(?P<bare>[^",=]+))(?:,(?P<rest>.*))?', re.DOTALL)
_COMMAND = re.compile(r"(USE|RETURN|TITLE|RENAME)\b,?(.*)", re.IGNORECASE | re.DOTALL)
_INCLUDE = re.compile(r"#INCLUDE:(.*)", re.IGNORECASE | re.DOTALL)
_ITEM = re.compile(
    r"(?P<sign>-?)(?:(?P<count>\d{1,12})\*)?(?P<second>-?)"
    r'(?:"(?P<quoted>[^"]*)"|(?P<open>\()|(?P<bare>[^,()"]+))'
)
_MAX_BRACKETS = 50


def read_lte(source: Source, files: SourceFiles, deck: Deck) -> None:
    """Add the definitions of a file, and of those that it includes, to the deck.

    Raises
    ------
    LatticeError, ExpressionError
        If a statement is not understood; the message names file and line.
    """
    # Files that are being read, innermost last: includes nest as deep as a file chooses.
    reading = [_statements(source)]
    while reading:
        statement = next(reading[-1], None)
        if statement is None:
            reading.pop()
            continue
        include = _INCLUDE.fullmatch(_squeeze(statement))
        if include:
            name = include[1].strip('"')
            called = files.called(name, statement.source, statement.place)
            reading.append(_statements(called))
        elif _read(statement, reading[-1], deck):
            reading.pop()


def _statements(source: Source) -> Iterator[Statement]:
    return logical_lines(source, SYNTAX, continues=lambda text: False, join="")


def _squeeze(statement: Statement) -> str:
    """Text without blanks outside of quotes."""
    text = statement.text
    if text.count('"') % 2:
        raise LatticeError(f"{statement.place}: a quotation mark is not closed: {shorten(text)!r}")
    return "".join(
        piece if piece[0] == '"' else "".join(piece.split()) for piece in _PIECES.findall(text)
    )


def _read(statement: Statement, following: Iterator[Statement], deck: Deck) -> bool:
    """Read one statement; tell whether it ends its file."""
    if statement.text.startswith("%"):
        deck.stores.execute(statement.text[1:], statement.place)
        return False
    text = _squeeze(statement)
    definition = _DEFINITION.fullmatch(text)
    if definition:
        _define(definition, statement, deck)
        return False
    command = _COMMAND.fullmatch(text)
    if command is None:
        raise LatticeError(f"{statement.place}: not understood: {shorten(statement.text)!r}")
    word, rest = command[1].upper(), command[2]
    if word == "TITLE":
        next(following, None)
    elif word == "RENAME":
        raise LatticeError(f"{statement.place}: RENAME is not supported: write the types out")
    elif word == "USE":
        deck.used = _name(rest.strip('"') if rest.startswith('"') else None, rest)
    return word in ("USE", "RETURN")


def _name(quoted: str | None, bare: str | None) -> str:
    """A name: as it is in quotes, upper case without."""
    return quoted if quoted is not None else (bare or "").upper()


def _define(match: re.Match[str], statement: Statement, deck: Deck) -> None:
    name = _name(match["quoted"], match["bare"])
    place = statement.place
    if not name or "#" in name:
        raise LatticeError(f"{place}: {name!r} is not a name")
    deck.check_new(name, place)
    line = _LINE.fullmatch(match["rest"])
    if line:
        deck.lines[name] = _items(line["items"], place)
        deck.line_places[name] = place
    else:
        deck.elements[name] = _element(name, match["rest"], statement, deck)


def _element(name: str, text: str, statement: Statement, deck: Deck) -> Definition:
    place = statement.place
    match = _TYPE.fullmatch(text)
    if match is None:
        raise LatticeError(f"{place}: {name}: no type found in {shorten(text)!r}")
    word = _name(match["quoted"], match["bare"])
    attributes = _attributes(match["rest"] or "", f"{place}: {name}")
    likely = types_like(word)
    base = deck.elements.get(word) if likely != [word] else None
    if base is not None:
        word, kind = base.word, base.type
        attributes = base.attributes | attributes
    elif len(likely) == 1:
        kind = likely[0]
    else:
        reason = f"may be {', '.join(likely)}: write more of it" if likely else "is not known"
        raise LatticeError(f"{place}: {name}: type or element {shorten(word)!r} {reason}")
    return Definition(name, word, kind, attributes, statement, deck.stores.now)


def _attributes(text: str, place: str) -> dict[str, Attribute]:
    attributes: dict[str, Attribute] = {}
    for part in split_list(text):
        if not part:
            continue
        key, equals, value = part.partition("=")
        if not (key and equals and value):
            raise LatticeError(f"{place}: {shorten(part)!r} is not KEY=value")
        quoted = value[0] == value[-1] == '"' and len(value) > 1
        key = key.upper()
        attribute = Attribute(key, value.strip('"') if quoted else value, quoted)
        attributes[key.replace("_", "")] = attribute
    return attributes


def _items(text: str, place: str) -> list[Item]:
    """Entries of a line, in a loop: brackets nest as a file chooses."""
    open_lists: list[tuple[list[Item], int]] = []
    items: list[Item] = []
    position = 0
    while position < len(text):
        if text[position] in ",)":
            if text[position] == ")":
                if not open_lists:
                    raise LatticeError(f"{place}: ')' not opened in {shorten(text)!r}")
                (outer, count), inner = open_lists.pop(), items
                items = [*outer, Item(tuple(inner), count)]
            position += 1
            continue
        match = _ITEM.match(text, position)
        if match is None:
            raise LatticeError(f"{place}: {shorten(text[position:])!r} is no entry of a line")
        position = match.end()
        count = int(match["count"] or 1)
        reflected = bool(match["sign"]) != bool(match["second"])
        if match["open"] is None:
            items.append(Item(_name(match["quoted"], match["bare"]), count, reflected))
        elif reflected:
            raise LatticeError(
                f"{place}: -(...): elegant overlooks this sign: make the list a line and reflect it"
            )
        elif len(open_lists) >= _MAX_BRACKETS:
            raise LatticeError(f"{place}: brackets more than {_MAX_BRACKETS} deep")
        else:
            open_lists.append((items, count))
            items = []
    if open_lists:
        raise LatticeError(f"{place}: '(' is never closed in {shorten(text)!r}")
    return items


def number_of(attribute: Attribute) -> float | None:
    """Value of an attribute that is one plain number, as most are."""
    return float(attribute.text) if _NUMBER.fullmatch(attribute.text) else None


_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*")


def check_text(attribute: Attribute, where: str) -> None:
    """Refuse text that is neither a number nor, in quotes or as one word, an expression.

    Raises
    ------
    ExpressionError
    """
    if not attribute.quoted and not attribute.text[0].isalpha():
        raise ExpressionError(
            f"{where}: {shorten(attribute.text)!r} is not a number: an expression is put in quotes"
        )
