"""The largest derivatives of a run, as percent of change for one percent of change."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from ..study import Derivative, Outcome

_MOST = 12  # bars
_NOTHING = 1e-12  # % per %; rounding of what does not depend on the input


@dataclass(frozen=True)
class Sensitivity:
    """d ln(of) / d ln(with respect to), and the derivative itself."""

    of: str
    input: str
    relative: float
    value: float
    unit: str


def relative(entry: Derivative) -> float | None:
    """Return d ln(of) / d ln(input), None where one of the two is zero or not finite."""
    if not entry.of_value or not entry.input.value:
        return None
    value = entry.value * entry.input.value / entry.of_value
    return value if math.isfinite(value) else None


def largest(outcome: Outcome) -> list[Sensitivity]:
    """Return what moves something, the most sensitive first."""
    found = sorted(_sensitivities(outcome), key=lambda entry: -abs(entry.relative))
    return found[:_MOST]


def _sensitivities(outcome: Outcome) -> Iterator[Sensitivity]:
    for entry in outcome.derivatives:
        value = relative(entry)
        if value is not None and abs(value) > _NOTHING:
            yield Sensitivity(entry.of, entry.input.name, value, entry.value, entry.unit)
