"""Lattice: what a file says, in Xsuite's vocabulary, before anything is built."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .errors import LatticeError
from .expressions import Expression

# Xsuite classes that have a `length` without taking any: it is the length that a kick stands for.
THIN_WITH_LENGTH = frozenset(
    {
        "ElectronCloud",
        "ElectronCooler",
        "ElectronLensInterpolated",
        "Misalignment",
        "ScBridgeSpaceCharge3D",
        "SimpleThinBend",
        "SpaceCharge3D",
        "SpaceChargeBiGaussian",
    }
)

IMPLICIT_DRIFT = "implicit drift"


@dataclass(frozen=True)
class Record:
    """One element of a file.

    Parameters
    ----------
    name : str
    kind : str
        Xsuite class name, such as "Quadrupole".
    fields : dict
        Only what the file states, under Xsuite's field names, SI; numbers, lists, strings, bools.
    line : int, optional
        Line in the source file, from 1.
    file : str, optional
        The file of that line, where the lattice has several.
    source_type : str, optional
        What the file calls this kind of element, such as "hkicker"; IMPLICIT_DRIFT where the
        file leaves a gap; "" for a part of the element beside it (the aperture of a magnet);
        None if that is `kind`.
    """

    name: str
    kind: str
    fields: dict[str, Any]
    line: int | None = None
    file: str | None = None
    source_type: str | None = None


@dataclass(frozen=True)
class LeftOut:
    """Something of the file that the lattice does not have, because the caller allowed it.

    Parameters
    ----------
    name : str
        Of the element.
    word : str
        The word of `allow` that accepted it.
    what : str
        What is lost.
    place : str
        File and line.
    """

    name: str
    word: str
    what: str
    place: str

    def __str__(self) -> str:
        return f"{self.place}: {self.name}: {self.what} ({self.word})"


@dataclass(frozen=True)
class ReferenceFields:
    """Reference particle of a file: mass0 [eV], q0 [elementary charges], p0c [eV]."""

    mass0: float
    q0: float
    p0c: float


@dataclass(frozen=True)
class Lattice:
    """An ordered list of element records, with the variables that drive them.

    Parameters
    ----------
    source : str
        Path or description, for messages.
    format : str
        Such as "xsuite-json".
    name : str
        Name of the line, "" if it has none.
    elements : dict of str to Record
        Every element that the line uses, and the parents of its slices.
    element_names : tuple of str
        Order along the line; a name that occurs again is the same element.
    variables : dict of str to float
        Every numeric variable and its value in the file.
    expressions : dict of str to Expression
        Variables that are defined by an expression.
    field_expressions : dict of (element, field, index) to Expression
        Fields that are driven; the index is that within knl, ksl and the like, else None.
    reference : ReferenceFields, optional
    labels : tuple of str
        The name of each place along the line as the file has it: that of `element_names`
        except where the file gives an alias of an element its own name (Xsuite's Replica).
    field_variables : dict of str to (element, field, index)
        Variables that the file does not have: fields of elements that expressions refer to.
    left_out : tuple of LeftOut
        What the file has and the lattice has not, by leave of the caller.
    warnings : tuple of str
        What the reader had to assume, such as the value of a name that is not defined.
    """

    source: str
    format: str
    name: str
    elements: dict[str, Record]
    element_names: tuple[str, ...]
    variables: dict[str, float] = field(default_factory=dict)
    expressions: dict[str, Expression] = field(default_factory=dict)
    field_expressions: dict[tuple[str, str, int | None], Expression] = field(default_factory=dict)
    reference: ReferenceFields | None = None
    labels: tuple[str, ...] = ()
    field_variables: dict[str, tuple[str, str, int | None]] = field(default_factory=dict)
    left_out: tuple[LeftOut, ...] = ()
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.labels:
            object.__setattr__(self, "labels", self.element_names)

    def __repr__(self) -> str:
        name = f", line {self.name!r}" if self.name else ""
        return (
            f"Lattice({self.source!r}{name}, {len(self.element_names)} places, "
            f"{len(self.elements)} elements, {len(self.variables)} variables)"
        )

    @property
    def records(self) -> list[Record]:
        """Records in the order of the line, one for each place."""
        return [self.elements[name] for name in self.element_names]

    @property
    def source_counts(self) -> dict[str, int]:
        """Places along the line by what the file calls them; gaps under IMPLICIT_DRIFT."""
        types = (r.kind if r.source_type is None else r.source_type for r in self.records)
        return dict(Counter(name for name in types if name))

    @property
    def length(self) -> float:
        """Length of the line, m."""
        lengths = {name: self.length_of(name) for name in dict.fromkeys(self.element_names)}
        try:
            return math.fsum(lengths[name] for name in self.element_names)
        except OverflowError:
            longest = max(lengths, key=lambda name: lengths[name])
            raise LatticeError(
                f"{self.place(longest)}: length = {lengths[longest]!r} m: too long"
            ) from None

    def length_of(self, name: str) -> float:
        """Length that an element takes along the line, m."""
        record = self.elements[name]
        if is_slice(record):
            if not record.kind.startswith(("ThickSlice", "DriftSlice", "DriftExactSlice")):
                return 0.0
            return self.length_of(record.fields["parent_name"]) * self._number(record, "weight")
        if record.kind in THIN_WITH_LENGTH:
            return 0.0
        if record.kind == "Multipole" and not record.fields.get("isthick", False):
            return 0.0
        if record.kind == "RBend" and "length_straight" in record.fields:
            return self._arc_length(record)
        return self._number(record, "length")

    def place(self, name: str) -> str:
        """File, line and name of an element, for messages: `psb.json:123: qf`."""
        record = self.elements.get(name)
        line = f":{record.line}" if record is not None and record.line is not None else ""
        source = (record.file if record is not None else None) or self.source
        return f"{source}{line}: {name}"

    def _arc_length(self, record: Record) -> float:
        """Length of the arc of an RBend, which states its chord; xtrack's formula."""
        straight, angle, difference = (
            self._number(record, name) for name in ("length_straight", "angle", "rbend_angle_diff")
        )
        sines = math.sin((angle - difference) / 2) + math.sin((angle + difference) / 2)
        return straight if sines == 0 else straight * angle / sines

    def _number(self, record: Record, name: str) -> float:
        value = record.fields.get(name, 0.0)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise LatticeError(
                f"{self.place(record.name)}: {name} = {value!r}: the length needs a number"
            )
        return float(value)


def is_slice(record: Record) -> bool:
    """Whether a record is a slice of another element, its field `parent_name`."""
    return "Slice" in record.kind


def stated_value(
    elements: Mapping[str, Record], element: str, field_name: str, index: int | None
) -> float | None:
    """Return the number that a file states for a field, None if it states none."""
    record = elements.get(element)
    value = record.fields.get(field_name) if record is not None else None
    if index is not None and isinstance(value, list):
        value = value[index] if index < len(value) else 0.0
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value)
