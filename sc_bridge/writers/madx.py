"""A `Lattice` as a MAD-X sequence: variables, elements, positions, beam.

Independent variables are written as they are and dependent ones with `:=`, so that the knobs of
the lattice are those of the deck.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from sc_bridge.errors import LatticeError
from sc_bridge.expressions import Binary, Call, Expression
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
from .printer import Printer

_WORDS = frozenset(
    {"line", "sequence", "endsequence", "macro", "if", "else", "elseif", "while", "call", "exec"}
    | {"return", "stop", "exit", "quit", "const", "real", "int", "shared"}
)
_OPERATORS = {"+": " + ", "-": " - ", "*": "*", "/": "/", "/0": "/", "**": "^"}
_FUNCTIONS = {name: name for name in FUNCTIONS}
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
    variables = of_variables.give_all(lattice.variables)
    elements = of_elements.give_all(lattice.elements)
    printer = Printer("MAD-X", variables, _OPERATORS, _FUNCTIONS, _has)
    written = [*_variables(lattice, printer), ""]
    if lattice.reference is not None:
        written += [_beam(lattice.reference), ""]
    writer = _ElementWriter(lattice, printer, losses or Losses())
    for name, record in lattice.elements.items():
        if record.source_type != IMPLICIT_DRIFT:
            written.append(f"{elements[name]}: {writer.definition(record)};")
    sequence = of_elements.give(lattice.name or "ring")
    written += ["", f"{sequence}: sequence, refer=entry, l={lattice.length!r};"]
    written += _places(lattice, elements)
    return "\n".join([*written, "endsequence;", f"use, sequence={sequence};", ""])


def _has(tree: Binary | Call) -> bool:
    """Whether MAD-X has it: its functions take one argument."""
    return isinstance(tree, Binary) or len(tree.arguments) == 1


def _variables(lattice: Lattice, printer: Printer) -> Iterator[str]:
    for name, value in lattice.variables.items():
        if name not in lattice.expressions:
            yield f"{printer.names[name]} = {value!r};"
    for name, tree in lattice.expressions.items():
        yield f"{printer.names[name]} := {printer.text(tree, f'variable {name!r}')};"


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

    def __init__(self, lattice: Lattice, printer: Printer, losses: Losses) -> None:
        self._describer = Describer(lattice, printer.format, losses)
        self._text = printer.text

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
                    shown = ", ".join(self._text(tree, place) for tree in value)
                    yield f"{key}{_sign(*value)}{{{shown}}}"
            elif value != ZERO:
                yield f"{key}{_sign(value)}{self._text(value, place)}"


def _sign(*trees: Expression) -> str:
    return ":=" if any(tree.variables() for tree in trees) else "="
