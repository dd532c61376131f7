"""What a MAD-X deck defines: elements with attributes, sequences, lines, beams."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from sc_bridge.errors import ExpressionError, LatticeError
from sc_bridge.expressions import Expression, Number, shorten
from sc_bridge.expressions.algebra import ZERO, call, divide, multiply
from sc_bridge.readers.beamline import Item
from sc_bridge.readers.options import Losses
from sc_bridge.readers.statements import Statement, split_list

from .attributes import TYPES, WORDS, Attribute, attribute_tree
from .beam import beam_values, merged_beam
from .variables import NoValue, Variables, parse


@dataclass(frozen=True)
class MadElement:
    """An element or a class of elements; `type` is MAD-X's own, such as "quadrupole"."""

    name: str
    type: str
    attributes: dict[str, Attribute]
    place: str = ""
    line: int | None = None
    file: str | None = None


@dataclass(frozen=True)
class Entry:
    """One place of a sequence, as written."""

    name: str
    at: Expression
    origin: str | None  # `from`
    place: str


@dataclass
class MadSequence:
    """A sequence being read or read."""

    name: str
    attributes: dict[str, Attribute]
    place: str
    entries: list[Entry] = field(default_factory=list)


@dataclass
class Deck:
    """Everything that the files define, so far."""

    losses: Losses
    variables: Variables = field(init=False)
    elements: dict[str, MadElement] = field(init=False)
    sequences: dict[str, MadSequence] = field(default_factory=dict)
    lines: dict[str, list[Item]] = field(default_factory=dict)
    templates: dict[str, tuple[list[str], str]] = field(default_factory=dict)
    line_places: dict[str, str] = field(default_factory=dict)
    beams: dict[str, dict[str, Attribute]] = field(default_factory=dict)  # "" is the default one
    beam_places: dict[str, str] = field(default_factory=dict)
    entries: int = 0  # of lines, from arguments
    used: str | None = None
    used_range: str | None = None  # of what is used, such as "q1/q3[2]"
    arc_of_rbend: bool = True  # option, rbarc: the length of an rbend is its chord

    def __post_init__(self) -> None:
        self.variables = Variables(self.losses, _References(self))
        # In MAD-X a type is an element too: "quadrupole, apertype=circle" changes its defaults.
        self.elements = {name: MadElement(name, name, {}) for name in TYPES}

    def define(
        self, name: str, parent: str, attributes: dict[str, Attribute], statement: Statement
    ) -> None:
        """Define an element of a class, whose attributes are copied.

        Raises
        ------
        LatticeError
            If there is no such class.
        """
        inherited = self.elements.get(parent)
        if inherited is None:
            raise LatticeError(
                f"{statement.place}: {name}: class {parent!r} is not defined: "
                "define it before, or correct its name"
            )
        self.elements[name] = MadElement(
            name,
            inherited.type,
            inherited.attributes | attributes,
            statement.place,
            statement.line,
            str(statement.source.path),
        )

    def update(self, name: str, attributes: dict[str, Attribute]) -> None:
        """Change attributes of an element; elements made from it keep theirs, as in MAD-X."""
        element = self.elements[name]
        self.elements[name] = replace(element, attributes=element.attributes | attributes)

    # ---- attributes ----------------------------------------------------------------------

    def read_attributes(self, parts: list[str], place: str) -> dict[str, Attribute]:
        """Return the attributes of `key = value`, `key := value`, `key` and `-key`."""
        attributes: dict[str, Attribute] = {}
        for part in parts:
            if not part:
                continue  # ", ," and a comma at the end
            key, equals, value = part.partition("=")
            live = key.endswith(":")
            key = key.removesuffix(":").strip().lower()
            switch = key[:1] if key[:1] in ("+", "-") and not equals else ""
            key = key.removeprefix(switch).strip()
            if not _KEY.fullmatch(key):
                shown = shorten(part, 60)
                raise LatticeError(f"{place}: {shown!r} is not understood: expected key = value")
            if equals:
                attributes[key] = self._value(key, value.strip(), live, f"{place}: {key}")
            else:
                attributes[key] = ZERO if switch == "-" else Number(1.0)
        return attributes

    def _value(self, key: str, text: str, live: bool, place: str) -> Attribute:
        if not text:
            raise LatticeError(f"{place}: no value after the equals sign")
        if text[0] in "'\"" or key in WORDS:
            return text.strip("'\"")
        if text[0] == "{":
            parts = [part for part in split_list(text.strip("{} \n\t")) if part]
            if any(part[0] in "'\"" for part in parts):
                return ", ".join(part.strip("'\"") for part in parts)
            return [self._number(part, live, place) for part in parts]
        if text.lower() in _SWITCHES:
            return Number(_SWITCHES[text.lower()])
        tree = parse(text, place)
        if live:
            return tree
        try:
            return Number(self.variables.evaluate(tree, place))
        except ExpressionError as error:
            return NoValue(str(error))  # refused where something needs it

    def _number(self, text: str, live: bool, place: str) -> Expression:
        tree = parse(text, place)
        return tree if live else Number(self.variables.evaluate(tree, place))

    # ---- beam ----------------------------------------------------------------------------

    def set_beam(self, attributes: dict[str, Attribute], place: str) -> None:
        """Define or change the beam of all sequences, or of the one that it names."""
        sequence = str(attributes.pop("sequence", "")).lower()
        self.beams[sequence] = merged_beam(self.beams.get(sequence, {}), attributes)
        self.beam_places[sequence] = place

    def beam_values(self, sequence: str = "") -> dict[str, float]:
        """Return mass, charge, energy, ... of the beam of a sequence, MAD-X's own units."""
        own = sequence if sequence in self.beams else ""
        beam = self.beams.get(own, {})
        return beam_values(beam, self.variables, self.beam_places.get(own, "beam"))


_KEY = re.compile(r"[a-z_][\w.$]*")
_SWITCHES = {"true": 1.0, "false": 0.0}


class _References(Mapping[str, Expression]):
    """Attributes by `q->k1` and `beam->pc`, as trees."""

    def __init__(self, deck: Deck) -> None:
        self.deck = deck

    def __getitem__(self, name: str) -> Expression:
        owner, _, key = name.partition("->")
        if owner == "beam":
            values = self.deck.beam_values()
            if key not in values:
                raise ExpressionError(f"{name} is not known: known are {', '.join(values)}")
            return Number(values[key])
        element = self.deck.elements.get(owner)
        if element is None and owner in self.deck.sequences:
            attributes = self.deck.sequences[owner].attributes
            return attribute_tree(attributes, key, self.deck.sequences[owner].place)
        if element is None:
            raise ExpressionError(f"{name}: no element {owner!r} is defined")
        if key not in element.attributes and key not in TYPES[element.type].attributes:
            raise ExpressionError(f"{name}: a {element.type} has no attribute {key!r}")
        if key == "l":
            return length_of(self.deck, element)
        return attribute_tree(element.attributes, key, element.place)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def length_of(deck: Deck, element: MadElement) -> Expression:
    """Return the length along the orbit: of an rbend, whose l is its chord, that of the arc."""
    length = attribute_tree(element.attributes, "l", element.place)
    if TYPES[element.type].takes_no_length:
        return ZERO
    if element.type != "rbend" or not deck.arc_of_rbend:
        return length
    angle = attribute_tree(element.attributes, "angle", element.place)
    return divide(length, call("sinc", multiply(angle, 0.5)))
