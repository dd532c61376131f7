"""Present: the lattice of a sequence with the values that its knobs and fields have now."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from sc_bridge.elements import Element

from .build import build_elements
from .errors import LatticeError
from .kinds import KINDS
from .knobs import FieldDriver, Knobs
from .lattice import Lattice, Record, ReferenceFields

if TYPE_CHECKING:
    from .sequence import KickedSequence


def present_lattice(sequence: KickedSequence) -> Lattice:
    """Return the lattice that a sequence was built from, with its present values.

    Values of knobs, of fields and of the reference are those of the sequence; expressions stay,
    but for those of fields that were cut free. A model chosen with `bend_model` is not in it.

    Raises
    ------
    LatticeError
        If a value is a batch, or has no place in the records.
    """
    lattice = sequence.lattice
    original = build_elements(lattice, Knobs(lattice))
    elements = dict(lattice.elements)
    freed: set[tuple[str, str]] = set()
    for name, now in sequence.wholes.items():
        was = original[name]
        freed |= {(name, field) for field in was.drivers if field not in now.drivers}
        elements[name] = _present_record(lattice, elements[name], was, now)
    _check_freed(lattice, freed)
    return replace(
        lattice,
        elements=elements,
        variables={
            name: _number(f"{lattice.source}: variable {name!r}", sequence.knobs.value(name))
            if name in sequence.knobs or name in sequence.knobs.expressions
            else value
            for name, value in lattice.variables.items()
        },
        field_expressions={
            key: expression
            for key, expression in lattice.field_expressions.items()
            if key[:2] not in freed
        },
        reference=_reference(sequence),
    )


def _present_record(lattice: Lattice, record: Record, was: Element, now: Element) -> Record:
    changed = {
        field: getattr(now, field).detach()
        for field in now.field_ranks
        if _is_stated(now, field) and not _same(was, now, field)
    }
    if not changed:
        return record
    place = lattice.place(record.name)
    derived = KINDS[record.kind].derived
    fields = {field: value for field, value in record.fields.items() if field not in derived}
    for field, value in changed.items():
        if field not in KINDS[record.kind].fields:
            raise LatticeError(
                f"{place}: {field} was changed, and {record.kind} has no field of that name in a "
                "file: set it back"
            )
        fields[field] = _plain(f"{place}.{field}", value, now.field_ranks[field])
    return replace(record, fields=fields)


def _is_stated(element: Element, field: str) -> bool:
    """Whether a field is free or driven by knobs: not one that follows from others, as k0."""
    return isinstance(element.drivers.get(field), FieldDriver | None)


def _same(was: Element, now: Element, field: str) -> bool:
    if field in was.drivers and field not in now.drivers:
        return False  # cut free: what drove it may not come back
    first, second = getattr(was, field), getattr(now, field)
    return first.shape == second.shape and bool(torch.equal(first.cpu(), second.cpu()))


def _plain(place: str, value: Tensor, rank: int) -> Any:
    if value.dim() > rank:
        raise LatticeError(
            f"{place}: a batch of shape {tuple(value.shape)}: a lattice has one value"
        )
    return value.tolist()


def _number(place: str, value: Tensor) -> float:
    return _plain(place, value.detach(), 0)


def _check_freed(lattice: Lattice, freed: set[tuple[str, str]]) -> None:
    for name, key in lattice.field_variables.items():
        if key[:2] in freed:
            raise LatticeError(
                f"{lattice.place(key[0])}.{key[1]}: was cut free, and other expressions refer to "
                f"it: set the knob {name!r} instead"
            )


def _reference(sequence: KickedSequence) -> ReferenceFields:
    where, reference = f"{sequence.lattice.source}: reference", sequence.reference
    return ReferenceFields(
        *(_number(f"{where}: {n}", getattr(reference, n)) for n in ("mass0", "q0", "p0c"))
    )
