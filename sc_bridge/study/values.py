"""Values: single inputs of a study by name, and what a user gives them as text."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..errors import StudyError, UnitError
from ..sequence import KickedSequence
from ..units import parse_quantity
from .inputs import Input, find_inputs
from .model import Study


def find_input(study: Study, sequence: KickedSequence, name: str, key: str) -> Input:
    """Find one knob, field or number of the beam by its name.

    Raises
    ------
    StudyError
        If it is none, or a wildcard fits several.
    """
    inputs = find_inputs(study, sequence, (name,), key)
    if len(inputs) != 1:
        fitting = ", ".join(found.name for found in inputs[:8])
        raise StudyError(f"{study.path}: {key}: {name!r} fits {fitting}: name one")
    (found,) = inputs
    return found


def parse_values(
    study: Study, found: Input, texts: Sequence[str], key: str = "scan: "
) -> tuple[float, ...]:
    """Read values of an input: knobs as plain numbers, or with the unit that they have.

    `key` is where they are from, for messages.

    Raises
    ------
    StudyError
        If one of them is no number.
    UnitError
        If a unit is missing where the study wants one, or is of another dimension.
    """
    where = f"{study.path}: {key}{found.name}"
    return tuple(_parse(where, found, text) for text in texts)


def _parse(where: str, found: Input, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        if found.unit is None:
            raise StudyError(
                f"{where} = {text!r}: the lattice does not tell its unit: give a plain number"
            ) from None
        return parse_quantity(text, "" if found.unit == "1" else found.unit, where)
    if found.of_beam and found.unit not in (None, "1"):
        raise UnitError(f"{where} = {text!r}: the unit is missing: it is measured in {found.unit}")
    if not math.isfinite(number):
        raise StudyError(f"{where} = {text!r}: must be finite")
    return number
