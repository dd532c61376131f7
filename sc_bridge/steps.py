"""Steps: the maps and kicks of a sequence in their order, each with its place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from sc_bridge.elements import Element
from sc_bridge.elements.parts import Slice
from sc_bridge.elements.space_charge import SpaceChargeKick

from .slicing import Slicing, length_of, weights_in
from .splitting import Splitting, map_weights

Kind: TypeAlias = Literal["map", "kick"]


@dataclass(frozen=True)
class Step:
    """One map or kick of a sequence.

    `part` is what is applied (a map), or the slice whose length a kick carries; positions in m.
    """

    kind: Kind
    name: str
    part: Element
    s_start: float
    s_end: float
    position: int = 0  # of the element in the lattice


def build_steps(
    names: Iterable[str],
    elements: Mapping[str, Element],
    slicing: Slicing | None,
    splitting: Splitting,
    carries_kicks: bool,
) -> Iterator[Step]:
    """Cut the elements of a line and put kicks between; parts of an element are made once.

    With `carries_kicks`, a SpaceChargeKick of the line is a kick; without, an element.
    """
    parts: dict[str, list[tuple[Kind, Element]]] = {}
    s = 0.0
    for position, name in enumerate(names):
        element = elements[name]
        if name not in parts:
            carried = carries_kicks and isinstance(element, SpaceChargeKick)
            parts[name] = list(_interleave(element, slicing, splitting, carried))
        for kind, part in parts[name]:
            s_start, s = s, _end_of(kind, part, s)
            yield Step(kind, name, part, s_start, s, position)


def moved(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """Return the steps at the places where the present lengths put them; the same if none moves.

    Cost: nothing that grows with the steps, if none moves: every run begins with this.
    """
    s = 0.0
    for number, step in enumerate(steps):
        s_start, s = s, _end_of(step.kind, step.part, s)
        if step.s_start != s_start or step.s_end != s:
            return (*steps[:number], *_placed(steps[number:], s_start))
    return steps


def _placed(steps: tuple[Step, ...], s: float) -> Iterator[Step]:
    """Place steps one behind the other, from s on, m."""
    for step in steps:
        s_start, s = s, _end_of(step.kind, step.part, s)
        yield replace(step, s_start=s_start, s_end=s)


def _interleave(
    element: Element, slicing: Slicing | None, splitting: Splitting, carried: bool
) -> Iterator[tuple[Kind, Element]]:
    if carried:
        yield "kick", element
        return
    if slicing is None or length_of(element) == 0.0:
        yield "map", element
        return
    kicks = weights_in(element, slicing, splitting)
    entry, first, *others, exit_ = element.slices(map_weights(kicks))
    if _has_face(element, "entry"):
        yield "map", entry
    yield "map", first
    for weight, body in zip(kicks, others, strict=True):
        yield "kick", Slice(element, weight)
        yield "map", body
    if _has_face(element, "exit"):
        yield "map", exit_


def _end_of(kind: Kind, part: Element, s_start: float) -> float:
    """Position behind a map or a kick, m; a kick takes no length."""
    return s_start + length_of(part) if kind == "map" else s_start


def _has_face(element: Element, side: Literal["entry", "exit"]) -> bool:
    return getattr(type(element), side) is not getattr(Element, side)
