"""From the definitions of a deck to a `Lattice`."""

from __future__ import annotations

from pathlib import Path

from sc_bridge.errors import ExpressionError, LatticeError
from sc_bridge.expressions import Expression, Number, Variable, order_of_evaluation
from sc_bridge.lattice import IMPLICIT_DRIFT, Lattice, Record
from sc_bridge.readers.beamline import roots_of
from sc_bridge.readers.options import Losses, ReadOptions, choose_sequence
from sc_bridge.readers.source import SourceFiles
from sc_bridge.selection import between

from .attributes import attribute_tree
from .beam import reference_of
from .deck import Deck
from .interpreter import Interpreter
from .layout import Gap, Spot, layout
from .mapping import read_element
from .variables import Known
from .view import FieldKey, View

FORMAT = "madx"


def read_madx(paths: tuple[Path, ...], options: ReadOptions) -> Lattice:
    """Read MAD-X files in order: definitions, strengths, and commands between them."""
    losses = Losses(options.allow)
    files = SourceFiles(paths, options.allow_paths)
    deck = Interpreter(files, losses).run()
    name = _chosen(deck, options, files.shown)
    _check_direction(deck, name, files.shown)
    _promote_references(deck)
    assembly = _Assembly(deck, name)
    for item in layout(deck, name):
        assembly.add(item)
    values, expressions = _variables(deck, assembly.driven)
    lattice = Lattice(
        source=files.shown,
        format=FORMAT,
        name=name,
        elements=assembly.records,
        element_names=tuple(assembly.names),
        variables=values,
        expressions=expressions,
        field_expressions=assembly.driven,
        reference=reference_of(deck.beam_values(name)) if deck.beams else None,
        left_out=tuple(losses.left_out),
        warnings=tuple(losses.warnings),
    )
    if deck.used_range is None or options.sequence is not None:
        return lattice
    first, _, last = deck.used_range.partition("/")
    return between(lattice, first.strip(), (last or first).strip())


def _chosen(deck: Deck, options: ReadOptions, source: str) -> str:
    every = [*deck.sequences, *deck.lines]
    wanted = options.sequence or deck.used
    if wanted is None:
        nested = {e.name for s in deck.sequences.values() for e in s.entries}
        roots = [name for name in deck.sequences if name not in nested] + roots_of(deck.lines)
        return choose_sequence(roots, None, source)
    return choose_sequence(every, wanted, source)


def _check_direction(deck: Deck, name: str, source: str) -> None:
    if deck.beams and deck.beam_values(name).get("bv", 1.0) == -1.0:
        deck.losses.leave_out(
            "bv", place=source, name=name, what="bv = -1 (the beam runs against the sequence)"
        )


def _promote_references(deck: Deck) -> None:
    """Make every attribute that a live expression refers to a variable that drives it.

    So `q2, k1 := 2 * q1->k1` follows q1 whoever sets it.
    """
    waiting = list(_live_references(deck))
    done: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in done:
            continue
        done.add(name)
        tree = deck.variables.definitions[name]
        waiting.extend(used for used in tree.variables() if "->" in used)
        owner, _, key = name.partition("->")
        element = deck.elements.get(owner)
        if isinstance(tree, Number):
            deck.variables.values[name] = tree.value
        else:
            deck.variables.deferred[name] = tree
        if element is not None and attribute_tree(element.attributes, key, element.place) == tree:
            deck.update(owner, {key: Variable(name)})
    deck.variables.definitions.promoted = True


def _live_references(deck: Deck) -> set[str]:
    trees: list[Expression] = list(deck.variables.deferred.values())
    for element in deck.elements.values():
        for value in element.attributes.values():
            trees.extend(value if isinstance(value, list) else [value])  # pyright: ignore
    for sequence in deck.sequences.values():
        trees.extend(entry.at for entry in sequence.entries)
        trees.extend(v for v in sequence.attributes.values() if isinstance(v, Expression))
    return {
        name
        for tree in trees
        if isinstance(tree, Expression)
        for name in tree.variables()
        if "->" in name
    }


class _Assembly:
    """Records, names along the line and live fields, element by element."""

    def __init__(self, deck: Deck, sequence: str) -> None:
        self.deck = deck
        self.sequence = sequence
        self.records: dict[str, Record] = {}
        self.names: list[str] = []
        self.driven: dict[FieldKey, Expression] = {}
        self._parts: dict[str, tuple[str, ...]] = {}
        self._gaps = 0

    def add(self, item: Spot | Gap) -> None:
        if isinstance(item, Gap):
            self._add_gap(item)
        elif item.is_marker:
            self.records.setdefault(
                item.name, Record(item.name, "Marker", {}, source_type="marker")
            )
            self.names.append(item.name)
        else:
            if item.name not in self._parts:
                self._parts[item.name] = self._read(item.name)
            self.names.extend(self._parts[item.name])

    def _read(self, name: str) -> tuple[str, ...]:
        view = View(self.deck, self.deck.elements[name], self.sequence)
        read_element(view)
        for record in view.records:
            if record.name in self.records:
                raise LatticeError(
                    f"{view.place}: {record.name}: another element has this name: rename it"
                )
            self.records[record.name] = record
        self.driven |= view.driven
        return tuple(record.name for record in view.records)

    def _add_gap(self, gap: Gap) -> None:
        while (name := f"drift_{self._gaps}") in self.deck.elements or name in self.records:
            self._gaps += 1
        length = self.deck.variables.evaluate(gap.length, gap.place)
        self.records[name] = Record(name, "Drift", {"length": length}, source_type=IMPLICIT_DRIFT)
        if not isinstance(gap.length, Number):
            self.driven[name, "length", None] = gap.length
        self.names.append(name)


def _variables(
    deck: Deck, driven: dict[FieldKey, Expression]
) -> tuple[dict[str, float], dict[str, Expression]]:
    """Values of all variables and the trees of the dependent ones.

    What no field needs and has no value (the result of a match, a circle) is left aside with a
    warning.
    """
    state = deck.variables
    needed = set[str]().union(*(tree.variables() for tree in driven.values()))
    known = Known(state, "variables")
    expressions: dict[str, Expression] = {}
    remaining = dict(state.deferred)
    for name in [*sorted(needed), *state.deferred]:
        try:
            for each in order_of_evaluation(remaining, (name,)):
                known[each] = float(remaining[each].evaluate(known))
                expressions[each] = remaining.pop(each)
            known.setdefault(name, known[name])
        except ExpressionError as error:
            if name in needed:
                raise ExpressionError(f"variable {name!r}: {error}") from None
            remaining.pop(name, None)
            state.forget(name, str(error))
            deck.losses.warn("variables", f"{name!r} has no value and is left aside: {error}")
    used = set[str]().union(*(tree.variables() for tree in expressions.values()))
    values = {name: float(known[name]) for name in sorted(used - known.keys())}
    return state.values | values | {k: float(v) for k, v in known.items()}, expressions
