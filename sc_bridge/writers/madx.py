"""A `Lattice` as a MAD-X sequence: variables, elements, positions, beam.

Independent variables are written as they are and dependent ones with `:=`, so that the knobs of
the lattice are those of the deck.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sc_bridge.errors import LatticeError
from sc_bridge.expressions import Binary, Call, Expression, Negative, Number, Variable
from sc_bridge.expressions.algebra import ZERO
from sc_bridge.lattice import IMPLICIT_DRIFT, Lattice, Record, ReferenceFields
from sc_bridge.readers.madx.attributes import TYPES
from sc_bridge.readers.madx.beam import PARTICLES
from sc_bridge.readers.madx.commands import COMMANDS
from sc_bridge.readers.madx.dialect import CONSTANTS, FUNCTIONS

from .madx_elements import OUT, Attributes, Fields

_WORDS = frozenset(
    {"line", "sequence", "endsequence", "macro", "if", "else", "elseif", "while", "call", "exec"}
    | {"return", "stop", "exit", "quit", "const", "real", "int", "shared"}
)
# Variables and elements may have the same names; each kind has words that it cannot be called.
_NOT_VARIABLES = _WORDS | CONSTANTS.keys() | FUNCTIONS.keys()
_NOT_ELEMENTS = _WORDS | TYPES.keys() | COMMANDS.keys()


def write_madx(lattice: Lattice) -> str:
    """Return a deck that holds the lattice as one sequence.

    Raises
    ------
    LatticeError
        If MAD-X has nothing for a class, a field or a function of the lattice.
    """
    of_variables, of_elements = _Names(_NOT_VARIABLES), _Names(_NOT_ELEMENTS)
    variables = {name: of_variables.give(name) for name in lattice.variables}
    elements = {name: of_elements.give(name) for name in lattice.elements}
    written = [*_variables(lattice, variables), ""]
    if lattice.reference is not None:
        written += [_beam(lattice.reference), ""]
    writer = _ElementWriter(lattice, variables)
    for name, record in lattice.elements.items():
        if record.source_type != IMPLICIT_DRIFT:
            written.append(f"{elements[name]}: {writer.definition(record)};")
    sequence = of_elements.give(lattice.name or "ring")
    written += ["", f"{sequence}: sequence, refer=entry, l={lattice.length!r};"]
    written += _places(lattice, elements)
    return "\n".join([*written, "endsequence;", f"use, sequence={sequence};", ""])


class _Names:
    """Names that MAD-X understands, each given once."""

    def __init__(self, reserved: frozenset[str]) -> None:
        self._taken: set[str] = set(reserved)

    def give(self, name: str) -> str:
        valid = re.sub(r"[^\w.]", "_", name.lower(), flags=re.ASCII)
        if not re.match(r"[a-z]", valid):
            valid = f"x{valid}"
        while valid in self._taken:
            valid += "_"
        self._taken.add(valid)
        return valid


def _variables(lattice: Lattice, names: Mapping[str, str]) -> Iterator[str]:
    for name, value in lattice.variables.items():
        if name not in lattice.expressions:
            yield f"{names[name]} = {value!r};"
    for name, tree in lattice.expressions.items():
        yield f"{names[name]} := {_text(tree, names, f'variable {name!r}')};"


def _beam(reference: ReferenceFields) -> str:
    mass, pc = reference.mass0 * 1e-9, reference.p0c * 1e-9
    for particle, (known, charge) in PARTICLES.items():
        if charge == reference.q0 and math.isclose(known, mass, rel_tol=1e-15):
            return f"beam, particle={particle}, pc={pc!r};"
    return f"beam, particle=ion, mass={mass!r}, charge={reference.q0!r}, pc={pc!r};"


def _places(lattice: Lattice, names: Mapping[str, str]) -> Iterator[str]:
    # Sums of partial sums: a running total would drift by the rounding of thousands of terms.
    lengths: list[float] = []
    for (name, field, _), _tree in lattice.field_expressions.items():
        if field.startswith("length") and lattice.length_of(name) != 0:
            raise LatticeError(
                f"{lattice.place(name)}: its length follows a knob, which a sequence of fixed "
                "positions cannot: cut the tie or write another format"
            )
    for name, record in zip(lattice.element_names, lattice.records, strict=True):
        if record.source_type != IMPLICIT_DRIFT:
            yield f"  {names[name]}, at={math.fsum(lengths)!r};"
        lengths.append(lattice.length_of(name))
        if len(lengths) > 100:
            lengths = [math.fsum(lengths)]


@dataclass
class _ElementWriter:
    """Definitions of elements."""

    lattice: Lattice
    names: Mapping[str, str]

    def __post_init__(self) -> None:
        self._driven: dict[str, dict[tuple[str, int | None], Expression]] = {}
        for (name, field, index), tree in self.lattice.field_expressions.items():
            self._driven.setdefault(name, {})[field, index] = tree

    def definition(self, record: Record) -> str:
        """Return `quadrupole, l=1, k1:=kqf` for a record."""
        out = OUT.get(record.kind)
        place = self.lattice.place(record.name)
        fields = Fields(record, self._trees(record), self.lattice.reference)
        if out is None:
            raise LatticeError(f"{place}: MAD-X has nothing for a {record.kind}")
        type_, attributes = out(fields)
        for field in fields.left_over():
            raise LatticeError(
                f"{place}: {record.kind}.{field} = {record.fields[field]!r} would be lost: a MAD-X "
                f"{type_} has nothing for it"
            )
        return ", ".join([type_, *self._attributes(attributes, place)])

    def _trees(self, record: Record) -> dict[str, Any]:
        """Fields with trees in place of numbers."""
        driven = self._driven.get(record.name, {})
        trees: dict[str, Any] = {}
        for field, value in record.fields.items():
            if isinstance(value, list):
                trees[field] = [driven.get((field, i), _number(v)) for i, v in enumerate(value)]
            else:
                trees[field] = _number(value)
        return trees | {field: tree for (field, index), tree in driven.items() if index is None}

    def _attributes(self, attributes: Attributes, place: str) -> Iterator[str]:
        for key, value in attributes.items():
            if isinstance(value, str):
                yield f"{key}={value}"
            elif isinstance(value, list):
                if any(tree != ZERO for tree in value):
                    shown = ", ".join(_text(tree, self.names, place) for tree in value)
                    yield f"{key}{_sign(*value)}{{{shown}}}"
            elif value != ZERO:
                yield f"{key}{_sign(value)}{_text(value, self.names, place)}"


def _number(value: Any) -> Any:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return Number(float(value)) if is_number else value


def _sign(*trees: Expression) -> str:
    return ":=" if any(tree.variables() for tree in trees) else "="


def _text(tree: Expression, names: Mapping[str, str], place: str) -> str:
    """Text of a tree for MAD-X; brackets wherever MAD-X might read otherwise."""
    match tree:
        case Number(value):
            return f"({value!r})" if value < 0 else repr(value)
        case Variable(name):
            return names[name]
        case Negative(operand):
            return f"(-{_text(operand, names, place)})"
        case Binary(operator, left, right) if operator in _OPERATORS:
            shown = (_text(side, names, place) for side in (left, right))
            return f"({_OPERATORS[operator].join(shown)})"
        case Call(function, (argument,)) if function in FUNCTIONS:
            return f"{function}({_text(argument, names, place)})"
    raise LatticeError(f"{place}: MAD-X has no expression like {str(tree)[:80]!r}")


_OPERATORS = {"+": " + ", "-": " - ", "*": "*", "/": "/", "/0": "/", "**": "^"}
