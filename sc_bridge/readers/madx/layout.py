"""From sequences and lines to elements one after the other, with the drifts between them.

Positions may be live expressions; then so are the drifts that follow from them.

Cost: linear in the number of places.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sc_bridge.errors import LatticeError
from sc_bridge.expressions import Expression, Number
from sc_bridge.expressions.algebra import ZERO, add, multiply, subtract
from sc_bridge.readers.beamline import expand_line

from .attributes import attribute_tree
from .deck import Deck, Entry, MadSequence, length_of

TOLERANCE = 1e-6  # m; MAD-X leaves out smaller drifts, and refuses overlaps beyond it
MAX_NESTING = 50  # sequences in each other
MAX_PLACES = 200_000  # in one sequence, nested ones counted
_REFER = {"entry": 0.0, "centre": 0.5, "center": 0.5, "exit": 1.0}


@dataclass(frozen=True)
class Spot:
    """An element where it begins; `start` and `length` in m."""

    name: str
    start: Expression
    length: Expression
    place: str
    is_marker: bool = False  # the start or end of a sequence


@dataclass(frozen=True)
class Gap:
    """An implicit drift."""

    length: Expression
    place: str


@dataclass(frozen=True)
class Flat:
    """A sequence without nested ones; positions from its start."""

    spots: Sequence[Spot]
    length: Expression


def layout(deck: Deck, name: str) -> list[Spot | Gap]:
    """Return the elements of a sequence or line in order, with the gaps between them.

    Raises
    ------
    LatticeError
        If elements overlap, a name is not defined, or the places are too many.
    """
    if name in deck.lines:
        return list(_line(deck, name))
    flat = _Flattening(deck).flatten(name, ())
    result: list[Spot | Gap] = []
    cursor: Expression = ZERO
    before = "the start"
    for spot in flat.spots:
        gap = subtract(spot.start, cursor)
        value = deck.variables.evaluate(gap, spot.place)
        if value <= -TOLERANCE:
            raise LatticeError(
                f"{spot.place}: {spot.name} begins {-value:.9g} m before {before} ends, "
                f"in {name}: correct at = or the lengths"
            )
        if value >= TOLERANCE or not isinstance(gap, Number):
            result.append(Gap(gap, spot.place))
        result.append(spot)
        cursor, before = add(spot.start, spot.length), spot.name
    return result


def centres_of(deck: Deck, sequence: MadSequence) -> list[Expression]:
    """Return where the centres of the entries of a sequence are."""
    flattening = _Flattening(deck)
    inner = {
        entry.name: flattening.flatten(entry.name, (sequence.name,))
        for entry in sequence.entries
        if entry.name in deck.sequences
    }
    return [
        add(start, multiply(flattening.length(entry, inner), 0.5))
        for start, entry in zip(flattening.starts(sequence, inner), sequence.entries, strict=True)
    ]


def _line(deck: Deck, name: str) -> list[Spot]:
    """Elements of a line; they follow each other, whatever their lengths become."""

    def place(of: str) -> str:
        return deck.line_places.get(of, of)

    def spot(of: str, is_marker: bool) -> Spot:
        return Spot(of, ZERO, ZERO, place(name), is_marker)

    spots = [spot(f"{name}$start", True)]
    known: dict[str, Spot] = {}
    for placed in expand_line(name, deck.lines, place):
        if placed.name not in known:
            if placed.name not in deck.elements:
                what = "a sequence" if placed.name in deck.sequences else "not defined"
                raise LatticeError(f"{place(placed.path[-1])}: {placed.name} in a line is {what}")
            known[placed.name] = spot(placed.name, False)
        spots.append(known[placed.name])
    return [*spots, spot(f"{name}$end", True)]


class _Flattening:
    """Flattens sequences, each once."""

    def __init__(self, deck: Deck) -> None:
        self.deck = deck
        self.known: dict[str, Flat] = {}

    def flatten(self, name: str, path: tuple[str, ...]) -> Flat:
        if name in self.known:
            return self.known[name]
        sequence = self.deck.sequences[name]
        if name in path or len(path) > MAX_NESTING:
            shown = " -> ".join([*path, name][-6:])
            raise LatticeError(f"{sequence.place}: sequences contain each other: {shown}")
        length = attribute_tree(sequence.attributes, "l", sequence.place)
        if "l" not in sequence.attributes:
            raise LatticeError(f"{sequence.place}: sequence {name} has no length: give it l =")
        inner = {
            entry.name: self.flatten(entry.name, (*path, name))
            for entry in sequence.entries
            if entry.name in self.deck.sequences
        }
        count = sum(
            len(inner[entry.name].spots) if entry.name in inner else 1 for entry in sequence.entries
        )
        if count > MAX_PLACES:
            raise LatticeError(
                f"{sequence.place}: {name} has {count} places, more than {MAX_PLACES}"
            )
        spots = [Spot(f"{name}$start", ZERO, ZERO, sequence.place, True)]
        starts = self.starts(sequence, inner)
        for entry, start in zip(sequence.entries, starts, strict=True):
            nested = inner.get(entry.name)
            if nested is None:
                spots.append(Spot(entry.name, start, self.length(entry, inner), entry.place))
            else:
                spots.extend(
                    Spot(s.name, add(start, s.start), s.length, s.place, s.is_marker)
                    for s in nested.spots
                )
        spots.append(Spot(f"{name}$end", length, ZERO, sequence.place, True))
        flat = self.known[name] = Flat(spots, length)
        return flat

    def length(self, entry: Entry, inner: dict[str, Flat]) -> Expression:
        """Return the length of what an entry places."""
        if entry.name in inner:
            return inner[entry.name].length
        return length_of(self.deck, self.deck.elements[entry.name])

    def starts(self, sequence: MadSequence, inner: dict[str, Flat]) -> list[Expression]:
        """Return where the entries of a sequence begin."""
        refer = str(sequence.attributes.get("refer", "centre")).lower()
        if refer not in _REFER:
            raise LatticeError(
                f"{sequence.place}: refer = {refer!r}: must be entry, centre or exit"
            )
        index = {}
        for number, entry in enumerate(sequence.entries):
            index.setdefault(entry.name, number)
        centres: dict[int, Expression] = {}
        starts: dict[int, Expression] = {}
        for number in range(len(sequence.entries)):
            chain = self._chain(sequence, number, index, starts)
            while chain:
                current = chain.pop()
                entry = sequence.entries[current]
                length = self.length(entry, inner)
                origin = centres[index[entry.origin]] if entry.origin else ZERO
                at = add(origin, entry.at)
                starts[current] = start = subtract(at, self._offset(entry, inner, length, refer))
                centres[current] = add(start, multiply(length, 0.5))
        return [starts[number] for number in range(len(sequence.entries))]

    def _chain(
        self, sequence: MadSequence, number: int, index: dict[str, int], done: dict
    ) -> list[int]:
        """The entry and those that its position is counted from, as far as not known."""
        chain: list[int] = []
        while number not in done and number not in chain:
            chain.append(number)
            entry = sequence.entries[number]
            if entry.origin is None:
                return chain
            if entry.origin not in index:
                raise LatticeError(
                    f"{entry.place}: {entry.name}: from = {entry.origin!r} is not in "
                    f"sequence {sequence.name}"
                )
            number = index[entry.origin]
        if number in chain:
            entry = sequence.entries[number]
            raise LatticeError(f"{entry.place}: {entry.name}: from = leads back to itself")
        return chain

    def _offset(
        self, entry: Entry, inner: dict[str, Flat], length: Expression, refer: str
    ) -> Expression:
        """Distance from the start of what is placed to the point that `at` means."""
        nested = inner.get(entry.name)
        wanted = None
        if nested is not None:
            wanted = self.deck.sequences[entry.name].attributes.get("refpos")
        if nested is None or not wanted:
            return multiply(length, _REFER[refer])
        for spot in nested.spots:
            if spot.name == str(wanted).lower():
                return add(spot.start, multiply(spot.length, 0.5))
        raise LatticeError(f"{entry.place}: {entry.name}: refpos = {wanted!r} is not in it")
