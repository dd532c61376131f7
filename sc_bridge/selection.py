"""Selection: a part of a lattice, from one element to another."""

from __future__ import annotations

import re
from dataclasses import replace

from .errors import LatticeError
from .lattice import Lattice, ReferenceFields

# MAD-X's names of the two ends of a line.
_ENDS = {"#s": 0, "#e": -1}
_ACCELERATE = ("LinacCavity", "ReferenceEnergyIncrease")


def between(lattice: Lattice, first: str, last: str) -> Lattice:
    """Return the lattice from one place to another, both included.

    The reference of the part is that which arrives there: what accelerates before it counts.
    What was left out is that of the elements in the part, and of none.

    Parameters
    ----------
    lattice : Lattice
    first, last : str
        Names of elements; `name[2]` is the second occurrence, `#s` and `#e` are the ends. Case
        counts only where it tells two names apart.

    Raises
    ------
    LatticeError
        If a place is not on the line, or the last is before the first.
    """
    begin = _position(lattice, first, 0)
    end = _position(lattice, last, begin)
    if end < begin:
        raise LatticeError(f"{lattice.source}: range {first}/{last}: {last} is before {first}")
    part = lattice.element_names[begin : end + 1]
    outside = lattice.elements.keys() - set(part)
    return replace(
        lattice,
        element_names=part,
        labels=lattice.labels[begin : end + 1],
        reference=_reference_behind(lattice, lattice.element_names[:begin]),
        left_out=tuple(entry for entry in lattice.left_out if entry.name not in outside),
    )


def _reference_behind(lattice: Lattice, names: tuple[str, ...]) -> ReferenceFields | None:
    """Reference behind the first elements of the line; only those that change it are built."""
    changing = tuple(name for name in names if lattice.elements[name].kind in _ACCELERATE)
    if lattice.reference is None or not changing:
        return lattice.reference
    from .inspection import outgoing_reference
    from .sequence import KickedSequence

    head = replace(lattice, element_names=changing, labels=changing)
    found = outgoing_reference(KickedSequence(head))
    return ReferenceFields(found.mass0.item(), found.q0.item(), found.p0c.item())


def range_of(lattice: Lattice, text: str) -> Lattice:
    """Return the part of a lattice that "FROM/TO" names.

    Raises
    ------
    LatticeError
        If the text is no range, or a place is not on the line.
    """
    first, slash, last = text.partition("/")
    if not slash or not first.strip() or not last.strip():
        raise LatticeError(f"range {text!r}: must be FROM/TO, such as '#s/qf[2]'")
    return between(lattice, first.strip(), last.strip())


def _position(lattice: Lattice, place: str, start: int) -> int:
    """Index of a place along the line, at or behind `start` unless an occurrence is named."""
    if place.lower() in _ENDS:
        return _ENDS[place.lower()] % max(1, len(lattice.element_names))
    counted = re.fullmatch(r"(.+)\[(\d+)\]", place)
    name, number = (counted[1], int(counted[2])) if counted else (place, None)
    found = _occurrences(lattice, name)
    if not found:
        raise LatticeError(f"{lattice.source}: range: no element {name!r} on the line")
    if number is None:
        return next((index for index in found if index >= start), found[0])
    if not 1 <= number <= len(found):
        raise LatticeError(
            f"{lattice.source}: range: {place!r}: {name!r} occurs {len(found)} time(s)"
        )
    return found[number - 1]


def _occurrences(lattice: Lattice, name: str) -> list[int]:
    pairs = list(zip(lattice.element_names, lattice.labels, strict=True))
    exact = [index for index, pair in enumerate(pairs) if name in pair]
    if exact:
        return exact
    folded = name.casefold()
    return [i for i, pair in enumerate(pairs) if folded in (pair[0].casefold(), pair[1].casefold())]
