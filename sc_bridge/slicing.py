"""Slicing: into how many slices each thick element is cut; `splitting` puts kicks into them.

A rule gives a number for one element (`Slicing`), or needs to see the line first
(`LineSlicing`): by name, or by optics as in `wavelengths`. Parts of an element are made once,
so that all its occurrences in a line have the same number of kicks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from sc_bridge.elements import Element

from .counts import is_whole, whole_number
from .errors import LatticeError
from .splitting import Splitting, kick_weights
from .units import to_si

if TYPE_CHECKING:
    from .sequence import KickedSequence

# A length within this fraction above a multiple of the spacing does not earn another kick.
_ROUNDING = 1e-9
# More in one element is a slip of the pen; so many slices take ten seconds and half a GiB to make.
_MOST_KICKS = 50_000


class Slicing(Protocol):
    """A rule for the number of slices, each with its kick, in one thick element."""

    def kicks(self, element: Element) -> int: ...


class LineSlicing(Protocol):
    """A rule that becomes one for elements when it sees their line, still without kicks."""

    def for_sequence(self, sequence: KickedSequence) -> Slicing: ...


AnySlicing: TypeAlias = Slicing | LineSlicing


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
        return kicks_at(element, self.spacing)


@dataclass(frozen=True)
class KicksPerElement:
    """The same number of kicks in every thick element, whatever its length.

    Cost: `number` times the thick elements of the line.

    Raises
    ------
    LatticeError
        If the number is below one.
    """

    number: int = 1

    def __post_init__(self) -> None:
        number = whole_number("slicing: kicks per element", self.number, LatticeError)
        object.__setattr__(self, "number", number)

    def kicks(self, element: Element) -> int:
        return self.number


@dataclass(frozen=True)
class PerElement:
    """A rule of its own for elements of certain names or classes; the last that fits holds.

    Parameters
    ----------
    rules : dict of str to rule
        The key is a name, with wildcards as in file names ("mb.*"), or a class ("Quadrupole").
        The rule is a number of kicks, a spacing such as "0.5 m", or any slicing.
    otherwise : rule
        For all other thick elements; one kick by default, the least that there can be.

    Cost: that of its rules.

    Raises
    ------
    LatticeError
        If a rule is none, or, once the line is known, a key fits no element that has a length.

    Examples
    --------
    >>> PerElement({"Quadrupole": 4, "mb.*": 2}, otherwise="0.5 m")
    """

    rules: Mapping[str, Any]
    otherwise: Any = 1

    def __post_init__(self) -> None:
        rules = {key: _as_rule(rule, repr(key)) for key, rule in self.rules.items()}
        object.__setattr__(self, "rules", rules)
        object.__setattr__(self, "otherwise", _as_rule(self.otherwise, "otherwise"))

    def for_sequence(self, sequence: KickedSequence) -> Slicing:
        by_name: dict[str, Slicing] = {}
        for key, rule in self.rules.items():
            settled = settle(rule, sequence)
            by_name |= dict.fromkeys(_names_that_fit(sequence, key), settled)
        return ByName(by_name, settle(self.otherwise, sequence))


@dataclass(frozen=True)
class ByName:
    """A rule for each name; `PerElement` on a certain line. Cost: that of its rules."""

    rules: Mapping[str, Slicing] = field(repr=False)
    otherwise: Slicing

    def kicks(self, element: Element) -> int:
        return self.rules.get(str(element.name), self.otherwise).kicks(element)


def settle(slicing: AnySlicing, sequence: KickedSequence) -> Slicing:
    """Return the rule for the elements of `sequence`, which has no kicks yet."""
    if hasattr(slicing, "for_sequence"):
        return slicing.for_sequence(sequence)  # pyright: ignore[reportAttributeAccessIssue]
    return slicing  # pyright: ignore[reportReturnType]


def weights_in(element: Element, slicing: Slicing, splitting: Splitting) -> list[float]:
    """Fractions of an element's length that its kicks carry, in their order.

    Raises
    ------
    LatticeError
        If the rule gives no number of kicks, or one of the kicks would have no length.
    """
    number = slicing.kicks(element)
    if not is_whole(number) or not 1 <= number <= _MOST_KICKS:
        raise LatticeError(
            f"slicing: {slicing!r} gives {element.label} {number!r} kicks: "
            f"must be a whole number from 1 to {_MOST_KICKS}"
        )
    weights = kick_weights(splitting, int(number))
    if any(length_of(element) * weight == 0.0 for weight in weights):
        raise LatticeError(
            f"{element.label}: {splitting!r} puts a kick of length zero into it: "
            "leave weights of 0 out of its scheme"
        )
    return weights


def kicks_at(element: Element, spacing: float, chosen: str = "spacing") -> int:
    """Return the number of kicks that are at most `spacing` apart, m, at least one.

    `chosen` is what the caller chose, for the message.

    Raises
    ------
    LatticeError
        If there are more than 50 000.
    """
    return number_of_kicks(length_of(element), spacing, element.label, chosen)


def number_of_kicks(length: float, spacing: float, label: str, chosen: str = "spacing") -> int:
    """As `kicks_at`, for a length in m; `label` names what has it."""
    length = abs(length)
    if not length <= _MOST_KICKS * spacing:
        raise LatticeError(
            f"slicing: {label}, {length:.6g} m long, at a spacing of {spacing:.3g} m: "
            f"more than {_MOST_KICKS} kicks: choose a larger {chosen}"
        )
    return max(1, math.ceil(length / spacing - _ROUNDING))


def length_of(element: Element) -> float:
    """Present length of an element, m; the largest of a batch, 0 for a thin one."""
    return element.length.detach().max().item() if element.isthick else 0.0


def is_slicing(value: Any) -> bool:
    """Whether a value is a rule, on its own or once it sees a line."""
    ready = hasattr(value, "kicks") or hasattr(value, "for_sequence")
    return ready and not isinstance(value, type)


def _as_rule(value: Any, key: str) -> AnySlicing:
    if is_slicing(value):
        return value
    if is_whole(value):
        return KicksPerElement(int(value))
    if isinstance(value, str) or hasattr(value, "magnitude"):
        return MaxSpacing(value)
    raise LatticeError(
        f"PerElement: {key}: {value!r}: must be a number of kicks, a spacing such as '0.5 m', "
        "or a rule"
    )


def _names_that_fit(sequence: KickedSequence, key: str) -> list[str]:
    """Names of the elements with a length that a key of `PerElement` fits."""
    lattice = sequence.lattice
    fitting = [
        name
        for name in dict.fromkeys(lattice.element_names)
        if key in (name, lattice.elements[name].kind, type(sequence[name]).__name__)
        or fnmatchcase(name, key)
    ]
    thick = [name for name in fitting if length_of(sequence[name]) != 0.0]
    if not fitting:
        raise LatticeError(
            f"PerElement: {key!r} fits no name and no class in {lattice.source}: "
            "correct it or leave it out"
        )
    if not thick:
        raise LatticeError(
            f"PerElement: {key!r} fits only elements of length zero in {lattice.source}, such as "
            f"{fitting[0]!r}: a kick there would have no length: leave it out"
        )
    return thick
