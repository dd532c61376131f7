"""Audit: the counts and lengths on which the kick total rests, from file to sequence.

Three independent tallies are compared: what the file's records say, what was built, and what
the steps of the sliced sequence add up to. Any difference is an error, never a warning.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sc_bridge.elements import Element
from sc_bridge.elements.curved import CurvedMagnet
from sc_bridge.elements.parts import Part, whole_of
from sc_bridge.elements.space_charge import SpaceChargeKick

from .errors import AuditError
from .slicing import length_of

if TYPE_CHECKING:
    from .sequence import KickedSequence, Step

# Lengths are sums of a few thousand terms: rounding stays far below a nanometre.
LENGTH_TOLERANCE = 1e-9
COLUMNS = (
    "type",
    "in file",
    "built",
    "sliced",
    "length [m]",
    "slices",
    "kicks",
    "kick length [m]",
)


@dataclass(frozen=True)
class AuditRow:
    """One element type; lengths in m."""

    type: str
    in_file: int
    built: int
    sliced: int
    length_in_file: float
    length_built: float
    length_sliced: float
    slices: int
    kicks: int
    kick_length: float


@dataclass(frozen=True)
class Audit:
    """Result of an audit that passed; `str` gives a table.

    Lengths in m, angle in rad.
    """

    source: str
    rows: tuple[AuditRow, ...]
    length: float
    angle: float
    kicks: int
    kick_length: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return asdict(self)

    def table(self) -> list[tuple[str, ...]]:
        """Return the header, a row for each type, and the totals, as text."""
        counts = ("in_file", "built", "sliced")
        total = [str(sum(getattr(row, name) for row in self.rows)) for name in counts]
        slices = sum(row.slices for row in self.rows)
        return [
            COLUMNS,
            *(
                (
                    row.type,
                    *(str(getattr(row, name)) for name in counts),
                    *_kicked(row.length_sliced, row.slices, row.kicks, row.kick_length),
                )
                for row in self.rows
            ),
            ("total", *total, *_kicked(self.length, slices, self.kicks, self.kick_length)),
        ]

    @property
    def summary(self) -> str:
        """What was compared, in one line."""
        return (
            f"bend angle {self.angle:.9f} rad, {self.kicks} kicks over {self.kick_length:.9f} m: "
            "file, built elements and slices agree"
        )

    def __repr__(self) -> str:
        elements = sum(row.built for row in self.rows)
        return (
            f"Audit({self.source!r}: {elements} elements, {self.length:.9g} m, {self.kicks} kicks, "
            "all counts agree)"
        )

    def __str__(self) -> str:
        table = self.table()
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = [
            "  ".join(
                [row[0].ljust(widths[0])]
                + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
            )
            for row in table
        ]
        rule = "-" * len(lines[0])
        return "\n".join([self.source, lines[0], rule, *lines[1:-1], rule, lines[-1], self.summary])


def _kicked(length: float, slices: int, kicks: int, kick_length: float) -> tuple[str, ...]:
    return f"{length:.6f}", str(slices), str(kicks), f"{kick_length:.6f}"


def audit_sequence(sequence: KickedSequence) -> Audit:
    """Compare file, built elements and sliced sequence.

    Raises
    ------
    AuditError
        Naming the first quantity that differs, with the numbers.
    """
    built = [sequence[name] for name in sequence.lattice.element_names]
    rows = tuple(_rows(sequence, built))
    for row in rows:
        _check_row(sequence, row)
    angle = _check_angle(sequence, built)
    planned = planned_kicks(sequence)
    kicks = sum(row.kicks for row in rows)
    _same(sequence, "kicks", {"planned": planned, "sliced": kicks, "n_kicks": sequence.n_kicks})
    length = math.fsum(row.length_sliced for row in rows)
    _same(sequence, "length [m]", {"elements": length, "sequence": sequence.length})
    kick_length = math.fsum(sequence.kick_lengths.detach().tolist())
    if sequence.slicing is not None:
        thick = math.fsum(length_of(element) for element in built)
        _same(sequence, "kick length [m]", {"kicks": kick_length, "thick elements": thick})
    return Audit(sequence.lattice.source, rows, length, angle, kicks, kick_length)


def _rows(sequence: KickedSequence, built: list[Element]) -> Iterable[AuditRow]:
    records = sequence.lattice.records
    in_file = Counter(record.kind for record in records)
    built_count = Counter(element.kind for element in built)
    occurrences = _occurrences(sequence)
    for kind in sorted(in_file | built_count):
        steps = [step for step in sequence.steps if sequence[step.name].kind == kind]
        maps = [step for step in steps if step.kind == "map"]
        kicks = [step for step in steps if step.kind == "kick"]
        yield AuditRow(
            type=kind,
            in_file=in_file[kind],
            built=built_count[kind],
            sliced=sum(
                number for name, number in occurrences.items() if sequence[name].kind == kind
            ),
            length_in_file=_length_in_file(sequence, kind),
            length_built=math.fsum(length_of(element) for element in built if element.kind == kind),
            length_sliced=math.fsum(step.s_end - step.s_start for step in maps),
            slices=sum(length_of(step.part) != 0 for step in maps),
            kicks=len(kicks),
            kick_length=math.fsum(length_of(step.part) for step in kicks),
        )


def _occurrences(sequence: KickedSequence) -> Counter[str]:
    """How often each element passes by in the steps, by the weight of its slices."""
    weights: dict[str, list[float]] = {}
    for step in sequence.steps:
        if step.kind == "map" or step.part is sequence[step.name]:
            weights.setdefault(step.name, []).append(_share(sequence, step))
    return Counter({name: round(math.fsum(parts)) for name, parts in weights.items()})


def _share(sequence: KickedSequence, step: Step) -> float:
    """Fraction that a map is of the element of its name, which may be a slice itself."""
    if step.part is sequence[step.name]:
        return 1.0
    return step.part.share if isinstance(step.part, Part) else 1.0


def _length_in_file(sequence: KickedSequence, kind: str) -> float:
    """Lengths that the records state; where a knob drives one, its present value."""
    lattice = sequence.lattice
    driven = {name for name, field, _ in lattice.field_expressions if "length" in field}
    return math.fsum(
        length_of(sequence[record.name])
        if driven & {record.name, record.fields.get("parent_name")}
        else lattice.length_of(record.name)
        for record in lattice.records
        if record.kind == kind and sequence[record.name].isthick
    )


def _check_row(sequence: KickedSequence, row: AuditRow) -> None:
    counts = {"in file": row.in_file, "built": row.built, "sliced": row.sliced}
    _same(sequence, f"number of {row.type}", counts)
    lengths = {
        "in file": row.length_in_file,
        "built": row.length_built,
        "sliced": row.length_sliced,
    }
    _same(sequence, f"length of {row.type} [m]", lengths)


def _check_angle(sequence: KickedSequence, built: list[Element]) -> float:
    total = math.fsum(map(_angle, built))
    sliced = math.fsum(_angle(step.part) for step in sequence.steps if step.kind == "map")
    _same(sequence, "bend angle [rad]", {"built": total, "sliced": sliced})
    return total


def _angle(element: Element) -> float:
    """Angle by which the reference orbit turns, rad; the largest of a batch."""
    whole, share = whole_of(element)
    return whole.angle.detach().max().item() * share if isinstance(whole, CurvedMagnet) else 0.0


def planned_kicks(sequence: KickedSequence, elements: Mapping[str, Element] | None = None) -> int:
    """Kicks that the slicing rule asks for at the lengths of the elements, by default its own."""
    find = sequence.__getitem__ if elements is None else elements.__getitem__
    return sum(_planned_kicks(sequence, find(name)) for name in sequence.lattice.element_names)


def _planned_kicks(sequence: KickedSequence, element: Element) -> int:
    if sequence.carries_kicks and isinstance(element, SpaceChargeKick):
        return 1
    if sequence.slicing is None or length_of(element) == 0.0:
        return 0
    return sequence.slicing.kicks(element) * len(sequence.splitting.scheme)


def _same(sequence: KickedSequence, quantity: str, values: Mapping[str, float]) -> None:
    low, high = min(values.values()), max(values.values())
    if not high - low <= LENGTH_TOLERANCE * max(1.0, abs(high)):
        listed = ", ".join(f"{name} {value:.12g}" for name, value in values.items())
        raise AuditError(
            f"{sequence.lattice.source}: {quantity} differs: {listed}; "
            "build the sequence again from the lattice"
        )
