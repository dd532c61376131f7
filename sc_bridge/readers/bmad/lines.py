"""Lines of a Bmad deck: nested, with arguments, repeated, backwards and turned round."""

from __future__ import annotations

import re

from sc_bridge.errors import LatticeError
from sc_bridge.expressions import shorten
from sc_bridge.readers.beamline import MAX_PLACES
from sc_bridge.readers.directions import Entry
from sc_bridge.readers.options import ReadOptions, choose_sequence
from sc_bridge.readers.statements import split_list

from .deck import Deck, Template

_MAX_LINES = 20_000  # made from arguments and brackets
_MAX_TEXT = 1_000_000  # characters of all of them
_ENTRY = re.compile(
    r"(?:(?P<tag>[\w.]+)\s*=\s*)?(?P<signs>[-+]*)\s*(?:(?P<count>\d+)\s*\*\s*)?"
    r"(?P<after>-{0,2})\s*(?P<name>[\w.\\#]*)\s*(?P<bracket>\(.*\))?\s*(?:\[[^\]]*\])?\Z",
    re.DOTALL,
)


class Lines:
    """Entries of the lines that a root needs.

    Parameters
    ----------
    deck : Deck
    """

    def __init__(self, deck: Deck) -> None:
        self.deck = deck
        self.entries: dict[str, list[Entry]] = {}
        self.lists: dict[str, list[Entry]] = {}
        self.places: dict[str, str] = {}
        self._text = 0

    def read(self, root: str) -> None:
        """Read a line and all that it uses.

        Raises
        ------
        LatticeError
            If an entry is none, or arguments make lines without end.
        """
        template = self.deck.lines[root]
        waiting = [(root, template.text, template)]
        while waiting:
            name, text, template = waiting.pop()
            if name in self.entries:
                continue
            self._text += len(text)
            if len(self.entries) >= _MAX_LINES or self._text > _MAX_TEXT:
                raise LatticeError(
                    f"{template.place}: {shorten(name)}: lines with arguments make more than "
                    f"{_MAX_LINES} lines: refused"
                )
            if template.multipass:
                self.deck.losses.warn(
                    template.place,
                    f"{name}: in a multipass line strengths hold for the momentum of each pass",
                )
            self.places[name] = template.place
            self.entries[name] = []
            for number, part in enumerate(p for p in split_list(text) if p):
                entry, further = self._entry(part, f"{name}({number})", template)
                self.entries[name].append(entry)
                if further is not None:
                    waiting.append(further)

    def _entry(
        self, text: str, inner: str, template: Template
    ) -> tuple[Entry, tuple[str, str, Template] | None]:
        match = _ENTRY.match(text.strip())
        if match is None or not (match["name"] or match["bracket"]):
            raise LatticeError(f"{template.place}: {shorten(text)!r} is no entry of a line")
        signs = match["signs"].replace("+", "") + match["after"]
        count, name, bracket = int(match["count"] or 1), match["name"], match["bracket"]
        backwards, turned = len(signs) == 1, len(signs) == 2
        if len(signs) > 2:
            raise LatticeError(f"{template.place}: {shorten(text)!r}: more than two minus signs")
        if not name:  # (a, b) within a line
            return Entry(inner, count, backwards, turned), (inner, bracket[1:-1], template)
        called = self.deck.lines.get(name)
        if called is None:
            return Entry(name, count, False, turned), None
        if called.is_list:
            self._read_list(called)
            return Entry(name, count, False, turned), None
        if not called.arguments:
            return Entry(name, count, backwards, turned), (name, called.text, called)
        given = split_list(bracket[1:-1]) if bracket else []
        if len(given) != len(called.arguments):
            raise LatticeError(
                f"{template.place}: {shorten(text)!r}: {name} takes "
                f"{len(called.arguments)} arguments, {len(given)} given"
            )
        values = dict(zip(called.arguments, given, strict=True))
        filled = re.sub(r"[\w.\\#]+", lambda word: values.get(word[0], word[0]), called.text)
        full = f"{name}({', '.join(given)})"
        return Entry(full, count, backwards, turned), (full, filled, called)

    def _read_list(self, template: Template) -> None:
        """A replacement list: each place of its name takes the next of its entries."""
        if template.name not in self.lists:
            parts = [p for p in split_list(template.text) if p]
            entries = [self._entry(part, template.name, template)[0] for part in parts]
            if any(entry.name in self.deck.lines for entry in entries):
                raise LatticeError(f"{template.place}: {template.name}: a list holds elements only")
            if sum(entry.count for entry in entries) > MAX_PLACES:
                raise LatticeError(f"{template.place}: {template.name}: too many entries")
            self.lists[template.name] = entries


def chosen(deck: Deck, options: ReadOptions, source: str) -> str:
    """Return the name of the line to read: wanted, used, or the only root."""
    every = [name for name, line in deck.lines.items() if not line.is_list and not line.arguments]
    if options.sequence is not None:
        return choose_sequence(every, options.sequence, source)
    for name in deck.used:
        if name not in every:
            raise LatticeError(f"{source}: use, {name}: no such line is defined")
    if deck.used:
        return choose_sequence(deck.used, None, source)
    words = {
        word
        for name, line in deck.lines.items()
        for word in re.findall(r"[\w.\\#]+", line.text)
        if word != name
    }
    return choose_sequence([name for name in every if name not in words], None, source, every)
