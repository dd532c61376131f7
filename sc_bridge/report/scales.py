"""Scales of charts: units that suit the size of values, ticks, and paths of many points."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

_LENGTHS = ((1.0, "m"), (1e3, "mm"), (1e6, "µm"), (1e9, "nm"))
_PURE = ((1.0, "1"), (1e3, "10⁻³"), (1e6, "10⁻⁶"), (1e9, "10⁻⁹"))
# A quantity that does not change is drawn as a line in the middle of this part of its size.
_LEAST_RANGE = 0.02


def suited_unit(values: Sequence[float], unit: str) -> tuple[float, str]:
    """Return (factor, name) of the unit in which the largest of values in m or 1 is 1 to 1000."""
    known = {"m": _LENGTHS, "1": _PURE}.get(unit)
    largest = max(map(abs, values), default=0.0)
    if known is None or largest == 0.0 or not math.isfinite(largest):
        return (known or ((1.0, unit),))[0]
    # of two that would do, the one with fewer zeros
    return next(((f, name) for f, name in known if largest * f >= 0.5), known[-1])


_RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def shown(value: float, digits: int = 4) -> str:
    """Return a number as people write it: 1.6×10¹², −0.25."""
    if not math.isfinite(value):
        return "not finite"
    text = f"{value:.{digits}g}"
    if 1e-4 <= abs(value) < 1e6:
        text = f"{float(text):.{max(0, digits)}f}".rstrip("0").rstrip(".") if "e" in text else text
    mantissa, _, exponent = text.partition("e")
    mantissa = mantissa.replace("-", "−")
    return f"{mantissa}×10{raised(str(int(exponent)))}" if exponent else mantissa


def raised(text: str) -> str:
    """Return digits as superscripts."""
    return text.translate(_RAISED)


def shown_unit(unit: str) -> str:
    """Return a unit with its powers raised: m^3 becomes m³, and 1 nothing."""
    return "" if unit == "1" else re.sub(r"\^(-?\d+)", lambda m: raised(m[1]), unit)


def limits(values: Sequence[float], from_zero: bool = False) -> tuple[float, float]:
    """Return where an axis begins and ends, with some space around the values."""
    low, high = min(values), max(values)
    if from_zero and low >= 0.0:
        return 0.0, 1.05 * high if high > 0.0 else 1.0
    least = _LEAST_RANGE * max(abs(low), abs(high)) or 1.0
    space = max(0.06 * (high - low), 0.5 * (least - (high - low)))
    return low - space, high + space


def ticks(low: float, high: float, number: int) -> list[float]:
    """Return about `number` round values between two limits."""
    step = 10.0 ** math.floor(math.log10((high - low) / number))
    step = next(s for m in (1, 2, 5, 10) if (high - low) / (s := m * step) <= number)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [index * step for index in range(first, last + 1)]


def tick_texts(places: Sequence[float]) -> list[str]:
    """Return ticks as text, with as many decimals as tell them apart."""
    step = min((b - a for a, b in pairwise(places)), default=1.0)
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    if max(map(abs, places), default=0.0) >= 1e5 or decimals > 6:
        return [f"{place:.4g}" for place in places]
    return [f"{place:.{decimals}f}".replace("-", "−") for place in places]


@dataclass(frozen=True)
class Scale:
    """Straight map from values to pixels."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return self.start + (self.end - self.start) * (value - self.low) / (self.high - self.low)


def path(across: Scale, up: Scale, x: Sequence[float], y: Sequence[float]) -> str:
    """Return a line as the data of an SVG path.

    Of many points in one pixel only the first, the lowest, the highest and the last are kept, so
    that the picture is the same.
    """
    points = [(across(a), up(b)) for a, b in zip(x, y, strict=True)]
    columns: dict[int, list[tuple[float, float]]] = {}
    if len(points) > 4 * abs(across.end - across.start):
        for point in points:
            columns.setdefault(math.floor(point[0]), []).append(point)
        points = [point for column in columns.values() for point in _outline(column)]
    return "M" + "L".join(f"{a:.2f} {b:.2f}" for a, b in points)


def _outline(column: list[tuple[float, float]]) -> list[tuple[float, float]]:
    heights = [point[1] for point in column]
    kept = {0, heights.index(min(heights)), heights.index(max(heights)), len(column) - 1}
    return [column[index] for index in sorted(kept)]
