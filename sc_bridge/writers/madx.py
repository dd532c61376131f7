"""A `Lattice` as a MAD-X sequence: variables, elements, positions, beam.

Independent variables are written as they are and dependent ones with `:=`, so that the knobs of
the lattice are those of the deck.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from sc_bridge.errors import LatticeError
from sc_bridge.expressions import Binary, Call, Expression, Negative, Number, Variable
from sc_bridge.expressions.algebra import ZERO
from sc_bridge.lattice import IMPLICIT_DRIFT, Lattice, Record, ReferenceFields
from sc_bridge.readers.madx.attributes import TYPES
from sc_bridge.readers.madx.beam import PARTICLES
from sc_bridge.readers.madx.commands import COMMANDS
from sc_bridge.readers.madx.dialect import CONSTANTS, FUNCTIONS
from sc_bridge.readers.options import Losses

from .fields import Describer
from .madx_elements import OUT, Attributes
from .names import Names

_WORDS = frozenset(
    {"line", "sequence", "endsequence", "macro", "if", "else", "elseif", "while", "call", "exec"}
    | {"return", "stop", "exit", "quit", "const", "real", "int", "shared"}
)
# Variables and elements may have the same names; each kind has words that it cannot be called.
_NOT_VARIABLES = _WORDS | CONSTANTS.keys() | FUNCTIONS.keys()
_NOT_ELEMENTS = _WORDS | TYPES.keys() | COMMANDS.keys()


def write_madx(lattice: Lattice, losses: Losses | None = None) -> str:
    """Return a deck that holds the lattice as one sequence.

    Parameters
    ----------
    lattice : Lattice
    losses : Losses, optional
        What may be left out, and the ledger of it.

    Raises
    ------
    LatticeError
        If MAD-X has nothing for a class, a field or a function of the lattice.
    """
    of_variables, of_elements = (
        Names(words, letters=".", fold=str.lower) for words in (_NOT_VARIABLES, _NOT_ELEMENTS)
    )
    variables = {name: of_variables.give(name) for name in lattice.variables}
    elements = {name: of_elements.give(name) for name in lattice.elements}
    written = [*_variables(lattice, variables), ""]
    if lattice.reference is not None:
        written += [_beam(lattice.reference), ""]
    writer = _ElementWriter(lattice, variables, losses or Losses())
    for name, record in lattice.elements.items():
        if record.source_type != IMPLICIT_DRIFT:
            written.append(f"{elements[name]}: {writer.definition(record)};")
    sequence = of_elements.give(lattice.name or "ring")
    written += ["", f"{sequence}: sequence, refer=entry, l={lattice.length!r};"]
    written += _places(lattice, elements)
    return "\n".join([*written, "endsequence;", f"use, sequence={sequence};", ""])


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


class _ElementWriter:
    """Definitions of elements."""

    def __init__(self, lattice: Lattice, names: Mapping[str, str], losses: Losses) -> None:
        self._describer = Describer(lattice, "MAD-X", losses)
        self._names = names

    def definition(self, record: Record) -> str:
        """Return `quadrupole, l=1, k1:=kqf` for a record."""
        type_, attributes = self._describer.describe(record, OUT)
        place = self._describer.lattice.place(record.name)
        return ", ".join([type_, *self._attributes(attributes, place)])

    def _attributes(self, attributes: Attributes, place: str) -> Iterator[str]:
        for key, value in attributes.items():
            if isinstance(value, str):
                yield f"{key}={value}"
            elif isinstance(value, list):
                if any(tree != ZERO for tree in value):
                    shown = ", ".join(_text(tree, self._names, place) for tree in value)
                    yield f"{key}{_sign(*value)}{{{shown}}}"
            elif value != ZERO:
                yield f"{key}{_sign(value)}{_text(value, self._names, place)}"


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
