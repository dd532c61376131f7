"""Edits of a sequence between `seqedit` and `endedit`.

As in MAD-X, what is edited stands at a position of its own from then on, counted from where
elements were when the edits began, or were moved to; what is not edited follows its `from`.
Edits that need the flat, sorted sequence are left out by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from sc_bridge.errors import LatticeError
from sc_bridge.expressions import Expression, Number
from sc_bridge.expressions.algebra import ZERO, add
from sc_bridge.readers.statements import Statement, split_list

from .attributes import Attribute
from .deck import Deck, Entry, MadSequence
from .layout import centres_of
from .variables import parse

_NUMBERED = re.compile(r"(?P<name>[^\[\]\s]+)\s*(\[\s*(?P<number>\d{1,9})\s*\])?")


class Editing:
    """A sequence that is being edited, with where the centres of its entries are.

    Parameters
    ----------
    deck : Deck
    sequence : MadSequence
    """

    def __init__(self, deck: Deck, sequence: MadSequence) -> None:
        self.deck = deck
        self.sequence = sequence
        self.centres = centres_of(deck, sequence)

    def position(self, name: str) -> Expression | None:
        """Return where the first entry of a name is."""
        pairs = zip(self.sequence.entries, self.centres, strict=True)
        return next((centre for entry, centre in pairs if entry.name == name), None)

    def put(self, index: int, entry: Entry) -> None:
        """Put an entry in the place of another, or behind all."""
        self.sequence.entries[index : index + 1] = [entry]
        alone = replace(self.sequence, entries=[entry])
        self.centres[index : index + 1] = centres_of(self.deck, alone)

    def end(self) -> None:
        """Put the entries in the order of their places."""
        entries = self.sequence.entries
        values = [
            self.deck.variables.evaluate(centre, entry.place)
            for centre, entry in zip(centres_of(self.deck, self.sequence), entries, strict=True)
        ]
        entries[:] = [entries[i] for i in sorted(range(len(values)), key=values.__getitem__)]


class Edit:
    """One command of an edit.

    Parameters
    ----------
    editing : Editing
    word : str
        Such as "install".
    statement : Statement
    """

    def __init__(self, editing: Editing, word: str, statement: Statement) -> None:
        self.editing = editing
        self.deck = deck = editing.deck
        self.sequence = editing.sequence
        self.word = word
        self.statement = statement
        self.place = f"{statement.place}: {word}"
        self.attributes = deck.read_attributes(split_list(statement.text)[1:], statement.place)

    def run(self) -> None:
        """Edit the sequence.

        Raises
        ------
        LatticeError
            If the edit names what is not there, or is of a kind that is not read and not allowed.
        """
        selected = any(
            str(self.attributes.get(key, "")).lower() == "selected" for key in ("element", "from")
        )
        edit = None if selected else _EDITS.get(self.word)
        if edit is None:
            self.lose("of what is selected" if selected else f"{self.word!r}")
        else:
            edit(self)

    def lose(self, which: str) -> None:
        """Leave the edit out, if allowed."""
        self.deck.losses.leave_out(
            "seqedit", place=self.statement.place, name=self.sequence.name,
            what=f"the edit {which} of the sequence",
        )  # fmt: skip

    # ---- what an edit says ---------------------------------------------------------------

    def name(self, key: str) -> str | None:
        """Return a name, lower case."""
        value = self.attributes.get(key)
        return value.strip().lower() if isinstance(value, str) else None

    def distance(self, key: str) -> Expression:
        """Return a distance.

        Raises
        ------
        LatticeError
            If there is none.
        """
        value: Attribute | None = self.attributes.get(key)
        if isinstance(value, str):  # `by` and `to` are names in other commands
            place = f"{self.place}: {key}"
            value = Number(self.deck.variables.evaluate(parse(value, place), place))
        if not isinstance(value, Expression):
            raise LatticeError(f"{self.place}: has no {key} = position")
        return value

    def position(self, key: str) -> Expression:
        """Return a position in the sequence, from the element that `from` names."""
        origin = self.name("from")
        start = ZERO if origin is None else self.editing.position(origin)
        if start is None:
            raise LatticeError(
                f"{self.place}: from = {origin!r} is not in sequence {self.sequence.name}"
            )
        return add(start, self.distance(key))

    def target(self) -> int:
        """Return the index of the entry that `element` means, such as `q` or `q[2]`."""
        match = _NUMBERED.fullmatch(self.name("element") or "")
        if match is None:
            raise LatticeError(f"{self.place}: has no element = name")
        found = [i for i, e in enumerate(self.sequence.entries) if e.name == match["name"]]
        number = int(match["number"] or 1)
        if not 1 <= number <= len(found):
            raise LatticeError(
                f"{self.place}: {match[0]!r} is not in sequence {self.sequence.name}, which has "
                f"{len(found)} of this name"
            )
        return found[number - 1]

    def refuse_origin(self, index: int) -> None:
        """Refuse to take away what other places are counted from; MAD-X stops there."""
        name = self.sequence.entries[index].name
        others = [e for e in self.sequence.entries if e.origin == name]
        if others and sum(e.name == name for e in self.sequence.entries) == 1:
            raise LatticeError(
                f"{self.place}: {name!r} cannot go: {others[0].name} is placed from it"
            )


def _install(edit: Edit) -> None:
    name, parent = edit.name("element"), edit.name("class")
    if name is None:
        raise LatticeError(f"{edit.place}: has no element = name")
    if parent is not None and name != parent and name not in edit.deck.elements:
        edit.deck.define(name, parent, {}, edit.statement)
    if name not in edit.deck.elements:
        raise LatticeError(f"{edit.place}: {name!r} is not defined: give class =")
    entry = Entry(name, edit.position("at"), None, edit.statement.place)
    edit.editing.put(len(edit.sequence.entries), entry)


def _move(edit: Edit) -> None:
    index = edit.target()
    entry = edit.sequence.entries[index]
    if "to" in edit.attributes:
        at = edit.position("to")
    else:
        at = add(edit.editing.centres[index], edit.distance("by"))
        refer = str(edit.sequence.attributes.get("refer", "centre")).lower()
        if refer not in ("centre", "center"):
            edit.deck.losses.warn(
                edit.statement.place,
                f"refer = {refer}: move, by = puts {entry.name} where its centre was, as MAD-X",
            )
    edit.editing.put(index, replace(entry, at=at, origin=None))


def _remove(edit: Edit) -> None:
    index = edit.target()
    edit.refuse_origin(index)
    del edit.sequence.entries[index], edit.editing.centres[index]


def _replace(edit: Edit) -> None:
    index = edit.target()
    name = edit.name("by")
    if name is None or name not in edit.deck.elements:
        raise LatticeError(f"{edit.place}: by = {name!r}: no element of this name is defined")
    edit.refuse_origin(index)
    edit.sequence.entries[index] = replace(edit.sequence.entries[index], name=name)


def _flatten(edit: Edit) -> None:
    if any(entry.name in edit.deck.sequences for entry in edit.sequence.entries):
        edit.lose("'flatten' (which makes one of nested sequences)")


_EDITS: dict[str, Callable[[Edit], None]] = {
    "flatten": _flatten,
    "install": _install,
    "move": _move,
    "remove": _remove,
    "replace": _replace,
}
EDITS = frozenset({*_EDITS, "cycle", "reflect", "extract"})
