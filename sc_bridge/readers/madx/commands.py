"""Commands of MAD-X: what they do to a lattice, in tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sc_bridge.errors import LatticeError
from sc_bridge.expressions import Expression

from .deck import Deck

# Commands that change no lattice, besides those of PTC; nothing that they name is executed.
_HARMLESS = frozenset(
    {
        "aperture", "assign", "beta0", "coguess", "copyfile", "create", "delete", "dumpsequ",
        "dynap", "emit", "end", "endmatch", "endtrack", "eprint", "esave", "estore", "fill",
        "fill_knob", "help", "ibs", "makedir", "plot", "print", "printf", "readmytable",
        "readtable", "removefile", "renamefile", "resbeam", "resplot", "save", "savebeta",
        "savestate", "select", "set", "setplot", "show", "shrink", "sixtrack", "sodd",
        "stopwatch", "survey", "system", "tabstring", "threader", "title", "touschek", "twiss",
        "usekick", "usemonitor", "value", "write",
    }
)  # fmt: skip
# Those that open a block which another command ends.
BLOCKS = {"track": "endtrack"}


def is_harmless(word: str) -> bool:
    """Whether a command changes no lattice."""
    return word in _HARMLESS or word in BLOCKS or word.startswith("ptc_")


@dataclass(frozen=True)
class Change:
    """A command that changes the lattice in a way that is not read here.

    Parameters
    ----------
    word : str
        What `allow` calls it.
    what : str
        For messages: what would be lost.
    until : str, optional
        The command that ends its block.
    """

    word: str
    what: str
    until: str | None = None


CHANGES: dict[str, Change] = {
    "match": Change("match", "the values that the match would find", "endmatch"),
    "ealign": Change("misalignment", "the alignment errors"),
    "efcomp": Change("field errors", "the field errors"),
    "eoption": Change("field errors", "options of errors"),
    "seterr": Change("field errors", "errors from a table"),
    "correct": Change("match", "the values that the orbit correction would find"),
    "makethin": Change("makethin", "slicing into thin lenses (thick elements are kept)"),
    "setvars": Change("match", "variables taken from a table"),
    "setvars_lin": Change("match", "variables taken from a table"),
}


def _option(deck: Deck, parts: list[str], place: str) -> None:
    attributes = deck.read_attributes(parts, place)
    value = attributes.get("rbarc")
    if isinstance(value, Expression):
        deck.arc_of_rbend = deck.variables.evaluate(value, place) != 0


def _use(deck: Deck, parts: list[str], place: str) -> None:
    attributes = deck.read_attributes(parts, place)
    name = attributes.get("sequence", attributes.get("period"))
    if name is None and parts and "=" not in parts[0]:
        name = parts[0]
    if not isinstance(name, str):
        raise LatticeError(f"{place}: use: no sequence = name")
    part = attributes.get("range")
    deck.used_range = part if isinstance(part, str) else None
    deck.used = name.lower()


def _beam(deck: Deck, parts: list[str], place: str) -> None:
    deck.set_beam(deck.read_attributes(parts, place), place)


COMMANDS: dict[str, Callable[[Deck, list[str], str], None]] = {
    "beam": _beam,
    "option": _option,
    "use": _use,
}
