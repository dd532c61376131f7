"""LINE: bodies such as (a, 3*b, -c, (d, e)), with arguments or without."""

from __future__ import annotations

import re

from sc_bridge.errors import LatticeError
from sc_bridge.readers.beamline import Item
from sc_bridge.readers.statements import split_list

from .deck import Deck

MAX_BRACKETS = 50  # in each other
MAX_ENTRIES = 20_000  # that come from arguments; the file may have any number of its own
_ENTRY = re.compile(r"(?P<sign>-?)\s*((?P<count>\d+)\s*\*)?\s*(?P<minus>-?)\s*(?P<body>.+)", re.S)
_CALLED = re.compile(r"(?P<name>[A-Za-z_][\w.$]*)\s*\((?P<args>.*)\)\Z", re.S)


def read_line(deck: Deck, match: re.Match[str], place: str) -> None:
    """Define a line from `name(args): line = body`."""
    name = match["name"].lower()
    arguments = [a.strip().lower() for a in (match["args"] or "").split(",") if a.strip()]
    body = match["body"].strip()
    if not (body.startswith("(") and body.endswith(")")):
        raise LatticeError(f"{place}: line {name}: must be a list in brackets")
    if arguments:
        deck.templates[name] = (arguments, body)
        return
    deck.lines[name] = _items(deck, body[1:-1], f"{place}: line {name}", 0)
    deck.line_places[name] = place
    deck.sequences.pop(name, None)


def _items(deck: Deck, text: str, place: str, depth: int) -> list[Item]:
    if depth > MAX_BRACKETS:
        raise LatticeError(f"{place}: more than {MAX_BRACKETS} brackets in each other")
    return [_item(deck, part, place, depth) for part in split_list(text) if part]


def _item(deck: Deck, text: str, place: str, depth: int) -> Item:
    match = _ENTRY.match(text)
    if match is None:
        raise LatticeError(f"{place}: {text!r} is not understood")
    count = int(match["count"]) if match["count"] and len(match["count"]) < 20 else None
    if match["count"] and count is None:
        raise LatticeError(f"{place}: {text!r}: a repetition beyond all bounds")
    reflected = (match["sign"] == "-") != (match["minus"] == "-")
    body = match["body"].strip()
    inside: str | tuple[Item, ...]
    if body.startswith("(") and body.endswith(")"):
        inside = tuple(_items(deck, body[1:-1], place, depth + 1))
    elif called := _CALLED.match(body):
        inside = tuple(_called(deck, called, place, depth))
    elif re.fullmatch(r"\"?[A-Za-z_][\w.$]*\"?", body):
        inside = body.strip('"').lower()
    else:
        raise LatticeError(f"{place}: {body!r} is not understood")
    return Item(inside, 1 if count is None else count, reflected)


def _called(deck: Deck, called: re.Match[str], place: str, depth: int) -> list[Item]:
    """Put the arguments of a line into its body."""
    name = called["name"].lower()
    given = split_list(called["args"])
    if name not in deck.templates:
        raise LatticeError(f"{place}: {name!r} is no line with arguments")
    arguments, body = deck.templates[name]
    if len(given) != len(arguments):
        raise LatticeError(f"{place}: line {name!r} takes {len(arguments)} arguments")
    values = dict(zip(arguments, given, strict=True))
    filled = re.sub(
        r"[A-Za-z_][\w.$]*", lambda m: values.get(m[0].lower(), m[0]), body.strip()[1:-1]
    )
    items = _items(deck, filled, place, depth + 1)
    deck.entries += len(items)
    if deck.entries > MAX_ENTRIES or len(filled) > 10 * MAX_ENTRIES:
        raise LatticeError(f"{place}: more than {MAX_ENTRIES} entries from lines with arguments")
    return items
