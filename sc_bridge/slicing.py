"""Slicing: into how many slices each thick element is cut; `splitting` puts kicks into them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

from sc_bridge.elements import Element

from .errors import LatticeError
from .units import to_si

# A length within this fraction above a multiple of the spacing does not earn another kick.
_ROUNDING = 1e-9


class Slicing(Protocol):
    """A rule for the number of slices, each with its kick, in one thick element."""

    def kicks(self, element: Element) -> int: ...


@dataclass(frozen=True)
class MaxSpacing:
    """At most `spacing` between kicks: ceil(length/spacing) of them in every thick element.

    Parameters
    ----------
    spacing : str, quantity or float, m

    A drift of negative length gets kicks of negative length, so that they add up to the line.

    Cost: about (length of the line)/spacing kicks, plus up to one per element.

    Raises
    ------
    UnitError
        If the spacing is no length.
    LatticeError
        If it is not positive.
    """

    spacing: Any

    def __post_init__(self) -> None:
        metres = float(to_si(self.spacing, "m", "spacing"))
        if not metres > 0:
            raise LatticeError(f"slicing: spacing = {self.spacing!r}: must be positive")
        object.__setattr__(self, "spacing", metres)

    def kicks(self, element: Element) -> int:
        return max(1, math.ceil(abs(length_of(element)) / self.spacing - _ROUNDING))


@dataclass(frozen=True)
class KicksPerElement:
    """The same number of kicks in every thick element, whatever its length.

    Raises
    ------
    LatticeError
        If the number is below one.
    """

    number: int = 1

    def __post_init__(self) -> None:
        if not isinstance(self.number, int) or self.number < 1:
            raise LatticeError(
                f"slicing: {self.number!r} kicks per element: must be a whole number from 1"
            )

    def kicks(self, element: Element) -> int:
        return self.number


def length_of(element: Element) -> float:
    """Present length of an element, m; the largest of a batch, 0 for a thin one."""
    return element.length.detach().max().item() if element.isthick else 0.0
