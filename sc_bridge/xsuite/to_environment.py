"""Several sequences back to one live `xt.Environment`, with what they have in common once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sc_bridge.errors import LatticeError
from sc_bridge.lattice import Lattice
from sc_bridge.sequence import KickedSequence
from sc_bridge.writers.xsuite_json import to_xsuite_dict

from .to_line import built_by_xtrack, insert_own_kicks, lattice_of
from .xtrack import import_xtrack


def to_environment(
    sequences: Mapping[str, KickedSequence] | Mapping[str, Lattice], kicks: bool = False
) -> Any:
    """Return an `xt.Environment` of its own with a line for each sequence.

    Elements and variables of the same name become one, so that they must be the same, as
    `sequences_from` makes them. Knobs and fields have their present values.

    Parameters
    ----------
    sequences : mapping of str to KickedSequence or Lattice
        By the names of the lines.
    kicks : bool
        Insert a `SpaceCharge3D` wherever a sequence has a kick.

    Raises
    ------
    LatticeError
        If two lines have another element or variable under one name, or one of them has no
        counterpart in Xsuite; see `to_line`.
    """
    xt = import_xtrack()
    if not isinstance(sequences, Mapping) or not sequences:
        raise LatticeError(
            f"to_environment: {type(sequences).__name__}: must be a mapping of names to sequences, "
            "as sequences_from returns; for one sequence call to_line"
        )
    lattices = {str(n): lattice_of(s, "to_environment") for n, s in sequences.items()}
    _check_common(lattices)
    environment = built_by_xtrack(xt.Environment, _described(lattices), "to_environment")
    if kicks:
        for name, sequence in sequences.items():
            insert_own_kicks(sequence, environment[str(name)])
    return environment


def _described(lattices: Mapping[str, Lattice]) -> dict[str, Any]:
    """Return the dictionary of an Environment: those of its lines, with the common parts once."""
    elements: dict[str, Any] = {}
    values: dict[str, float] = {}
    definitions: dict[str, str] = {}
    lines: dict[str, Any] = {}
    for name, lattice in lattices.items():
        line = to_xsuite_dict(lattice)
        elements |= line.pop("elements")
        values |= line.pop("_var_management_data")["var_values"]
        definitions |= dict(line.pop("_var_manager"))
        lines[name] = {**line, "name": name}
    return {
        "__class__": "Environment",
        "elements": elements,
        "_var_management_data": {"var_values": values},
        "_var_manager": [list(pair) for pair in definitions.items()],
        "lines": lines,
    }


def _check_common(lattices: Mapping[str, Lattice]) -> None:
    """Refuse what two lines have under one name and is not the same."""
    known: dict[str, tuple[str, dict[str, Any]]] = {}
    for line, lattice in lattices.items():
        for what, facts in _facts(lattice):
            before, first = known.setdefault(what, (line, facts))
            differing = [f for f in first | facts if first.get(f) != facts.get(f)]
            if differing:
                field = differing[0]
                raise LatticeError(
                    f"to_environment: {field} of {what} is {_shown(first.get(field))} in line "
                    f"{before!r} and {_shown(facts.get(field))} in line {line!r}: make them the "
                    "same, or write each line by itself with to_line"
                )


def _facts(lattice: Lattice) -> Iterator[tuple[str, dict[str, Any]]]:
    """What is said of every variable and element; an expression in place of its value."""
    for name, value in lattice.variables.items():
        yield f"variable {name!r}", {"value": lattice.expressions.get(name, value)}
    driven: dict[str, dict[str, Any]] = {name: {} for name in lattice.elements}
    for (name, field, index), expression in lattice.field_expressions.items():
        driven[name][field if index is None else f"{field}[{index}]"] = expression
    for name, record in lattice.elements.items():
        yield f"element {name!r}", {"class": record.kind, **record.fields, **driven[name]}


def _shown(value: Any) -> str:
    text = "not stated" if value is None else str(value)
    return text if len(text) <= 200 else f"{text[:197]}..."
