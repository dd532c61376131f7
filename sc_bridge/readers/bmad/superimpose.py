"""Superposition: elements put on top of others, which are cut where they begin and end."""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass, replace

from sc_bridge.errors import LatticeError
from sc_bridge.expressions.algebra import multiply
from sc_bridge.readers.recording import Context

from .bends import arc_length
from .deck import BmadElement, Deck
from .view import BmadView

_SAME_PLACE = 1e-9  # m: rounding of sums of lengths
_ORIGINS = {"beginning": 0.0, "center": 0.5, "end": 1.0}
# Fields that are shared by the pieces of an element in proportion to their lengths.
_SHARED = ("length", "angle", "knl", "ksl", "hxl", "voltage")
_MOST_PLACES = 200_000  # that superpositions may go to
_MOST_DIGITS = 9  # of the number behind ##
_EMPTY = ("drift", "pipe")


@dataclass(frozen=True)
class Spot:
    """One place along the line: an element, or a piece of one between two fractions of it."""

    name: str
    turned: bool = False
    begin: float = 0.0
    end: float = 1.0


class Superposition:
    """Positions along an expanded line, with elements put in.

    What is put in takes the place of as much drift, so that positions stay; they are kept, and
    searched by bisection: linear in the number of superpositions.

    Parameters
    ----------
    deck : Deck
    spots : list of Spot
    """

    def __init__(self, deck: Deck, spots: list[Spot]) -> None:
        self.deck = deck
        self.spots = spots
        self._lengths: dict[str, float] = {}
        self._searched = 0
        self._starts: list[float] = []  # of the spots, m
        self._by_name: dict[str, list[float]] = {}  # where an element, or its beginning, starts
        self._total = 0.0

    def run(self) -> list[Spot]:
        """Put in every element that is to be superimposed, in the order of the deck."""
        waiting = [
            element
            for element in self.deck.elements.values()
            if element.attributes.get("superimpose") in ("default", "t", "true", "")
        ]
        if waiting:
            self._measure(waiting[0])
        for element in waiting:
            self._put_all(element)
        return self.spots

    def _measure(self, first: BmadElement) -> None:
        for spot in self.spots:
            self._starts.append(self._total)
            self._by_name.setdefault(spot.name, []).append(self._total)
            self._total += self._extent(spot)
        if not math.isfinite(self._total):
            raise LatticeError(f"{first.place}: {first.name}: superimposed on an endless line")

    def length(self, name: str) -> float:
        """Length of a whole element along the orbit, m."""
        if name not in self._lengths:
            view = BmadView(
                Context(self.deck.definitions, self.deck.losses), self.deck.elements[name], False
            )
            self._lengths[name] = view.number(arc_length(view), "l")
        return self._lengths[name]

    def _extent(self, spot: Spot) -> float:
        return self.length(spot.name) * (spot.end - spot.begin)

    def _put_all(self, element: BmadElement) -> None:
        reference = element.attributes.get("ref", element.attributes.get("reference"))
        if reference is None or str(reference) == "beginning":
            self._put(element, 0.0, 0.0)
            return
        found = self._references(element, str(reference))
        if not found:
            self.deck.losses.leave_out(
                "superimpose", place=element.place, name=element.name,
                what=f"ref = {reference} is not in the line: the superposition",
            )  # fmt: skip
        self._searched += len(found)
        if self._searched > _MOST_PLACES:
            raise LatticeError(f"{element.place}: {element.name}: too many superpositions: refused")
        for start, name in reversed(found):
            self._put(element, start, self.length(name))

    def _references(self, element: BmadElement, text: str) -> list[tuple[float, str]]:
        """Where the elements start that `ref` means, in order; `name##n` is the n-th of them."""
        pattern, occurrence, number = (part.strip() for part in text.partition("##"))
        named = pattern in self._by_name
        targets = () if named else self.deck.matching(pattern, element.place)
        names = [pattern] if named else [target.name for target in targets]
        found = sorted((at, name) for name in names for at in self._by_name.get(name, ()))
        if not occurrence:
            return found
        if not number.isdecimal() or len(number) > _MOST_DIGITS or number.strip("0") == "":
            raise LatticeError(
                f"{element.place}: {element.name}: ref = {text}: behind ## must be 1, 2, ..."
            )
        return found[int(number) - 1 : int(number)]

    def _put(self, element: BmadElement, start: float, extent: float) -> None:
        number = BmadView(Context(self.deck.definitions, self.deck.losses), element, False)
        length = self.length(element.name)
        where = start + extent * self._origin(element, "ref_origin") + number.value("offset")
        first = where - length * self._origin(element, "ele_origin")
        if first < -_SAME_PLACE:
            first += self._total
        if not -_SAME_PLACE <= first <= self._total + _SAME_PLACE:
            raise LatticeError(
                f"{element.place}: {element.name}: superimposed at {first:.9g} m, beyond the "
                f"{self._total:.9g} m of the line"
            )
        begin = self._cut(first, after_markers=length == 0.0)
        end = self._cut(first + length, after_markers=False) if length else begin
        covered = self.spots[begin:end]
        if any(self.deck.elements[s.name].type not in _EMPTY for s in covered if self._extent(s)):
            self.deck.losses.leave_out(
                "superimpose", place=element.place, name=element.name,
                what="an element on top of another that is no drift",
            )  # fmt: skip
            return
        self._exchange(begin, end, Spot(element.name), first)

    def _exchange(self, begin: int, end: int, new: Spot, first: float) -> None:
        """Put a spot in the place of others; what has no length stays behind it."""
        placed = list(zip(self.spots[begin:end], self._starts[begin:end], strict=True))
        kept = [(spot, start) for spot, start in placed if not self._extent(spot)]
        for spot, start in placed:
            self._forget(spot, start)
        behind = first + self._extent(new)
        self._total = max(self._total, behind)
        self.spots[begin:end] = [new, *(spot for spot, _ in kept)]
        self._starts[begin:end] = [first, *(behind for _ in kept)]
        self._by_name.setdefault(new.name, []).append(first)
        for spot, _ in kept:
            self._by_name[spot.name].append(behind)

    def _forget(self, spot: Spot, start: float) -> None:
        found = self._by_name[spot.name]
        if spot.begin == 0.0 and start in found:
            found.remove(start)

    def _origin(self, element: BmadElement, key: str) -> float:
        word = str(element.attributes.get(key, "center"))
        if word not in _ORIGINS:
            raise LatticeError(f"{element.place}: {element.name}: {key} = {word!r} is not known")
        return _ORIGINS[word]

    def _cut(self, where: float, after_markers: bool) -> int:
        """Cut what lies at a position, and return the index of what begins there."""
        index = max(0, bisect.bisect_left(self._starts, where - _SAME_PLACE) - 1)
        while index < len(self.spots):
            spot, position = self.spots[index], self._starts[index]
            extent = self._extent(spot)
            if abs(where - position) <= _SAME_PLACE and (extent > 0.0 or not after_markers):
                return index
            if position + _SAME_PLACE < where < position + extent - _SAME_PLACE:
                self._halve(index, where, (where - position) / extent)
                return index + 1
            index += 1
        return index

    def _halve(self, index: int, where: float, share: float) -> None:
        """Cut a spot in two at a share of its extent along the line."""
        spot, position = self.spots[index], self._starts[index]
        middle = spot.begin + (spot.end - spot.begin) * (1.0 - share if spot.turned else share)
        halves = [replace(spot, end=middle), replace(spot, begin=middle)]
        if spot.turned:
            halves.reverse()
            if spot.begin == 0.0:
                self._forget(spot, position)
                self._by_name[spot.name].append(where)
        self.spots[index : index + 1] = halves
        self._starts.insert(index + 1, where)


def take_piece(view: BmadView, spot: Spot) -> None:
    """Make the records of an element those of a piece of it."""
    share = spot.end - spot.begin
    record = next(r for r in view.records if r.source_type)
    if record.kind == "RBend":
        view.lose("superimpose", "the cut of a rectangular bend")
        return
    for key in _SHARED:
        value = record.fields.get(key)
        if isinstance(value, list):
            record.fields[key] = [entry * share for entry in value]
        elif isinstance(value, float):
            record.fields[key] = value * share
    for place, tree in view.driven.items():
        if place[1] in _SHARED:
            view.driven[place] = multiply(tree, share)
    view.gain *= share
    inner = (spot.begin > 0.0, spot.end < 1.0)
    for side, cut in zip(("entry", "exit"), inner[::-1] if view.turned else inner, strict=True):
        if cut and record.kind == "Bend":
            record.fields[f"edge_{side}_active"] = False
        if cut and record.kind == "LinacCavity":
            record.fields[f"{side}_focusing"] = False
    view.drop_beside(front=inner[0], back=inner[1])
