"""Overrides: a lattice with other values of its variables, as if the file had them."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace

import torch

from .kinds import KINDS
from .knobs import Knobs
from .lattice import Lattice, Record


def with_knobs(lattice: Lattice, values: Mapping[str, float]) -> Lattice:
    """Return a lattice with other values of some independent variables.

    What these variables drive follows: dependent variables, and the fields of records.

    Parameters
    ----------
    lattice : Lattice
    values : mapping of str to float
        By the name of the variable.

    Raises
    ------
    LatticeError
        If a name is none of an independent variable, or a value is not finite.
    ExpressionError
        If an expression has no value with these.
    """
    if not values:
        return lattice
    knobs = Knobs(lattice)
    for name, value in values.items():
        knobs[name] = value
    wanted = tuple(lattice.expressions)
    with torch.no_grad():
        known = knobs.evaluate(wanted, knobs.order(wanted))
        variables = {name: float(known[name]) for name in lattice.variables}
        elements = dict(lattice.elements)
        for (element, field, index), expression in lattice.field_expressions.items():
            if element in elements:
                value = float(expression.evaluate(known))
                elements[element] = _with_field(elements[element], field, index, value)
    return replace(lattice, variables=variables, elements=elements)


def with_fields(lattice: Lattice, values: Mapping[tuple[str, str, int | None], float]) -> Lattice:
    """Return a lattice with other values of free fields.

    Parameters
    ----------
    lattice : Lattice
    values : mapping of (str, str, int or None) to float
        By element, field, and component of a list; a list that is too short is continued with 0.
    """
    elements = dict(lattice.elements)
    for (name, field, index), value in values.items():
        record = elements[name]
        derived = KINDS[record.kind].derived
        fields = {key: entry for key, entry in record.fields.items() if key not in derived}
        elements[name] = _with_field(replace(record, fields=fields), field, index, value)
    return replace(lattice, elements=elements)


def _with_field(record: Record, field: str, index: int | None, value: float) -> Record:
    fields = copy.copy(record.fields)
    if index is None:
        fields[field] = value
    else:
        entries = list(fields.get(field, ()))
        entries += [0.0] * (index + 1 - len(entries))
        entries[index] = value
        fields[field] = entries
    return replace(record, fields=fields)
