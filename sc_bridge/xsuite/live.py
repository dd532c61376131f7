"""Sequences that follow a live line: built from it, and brought up to date with it."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from torch import nn
from torch.autograd.graph import increment_version

from sc_bridge.audit import planned_kicks
from sc_bridge.build import build_elements
from sc_bridge.elements import Cavity, Element, Reference
from sc_bridge.errors import LatticeError
from sc_bridge.knobs import Knobs
from sc_bridge.lattice import Lattice, Record
from sc_bridge.sequence import KickedSequence

from .line import from_line
from .xtrack import import_xtrack

Sequence = TypeVar("Sequence", bound=KickedSequence)

_AGAIN = "build the sequence again with KickedSequence.from_line"


def sequence_from(
    kind: type[Sequence], line: Any, name: str | None = None, **options: Any
) -> Sequence:
    """Build a sequence from a live line; see `KickedSequence.from_line`."""
    lattice = from_line(line, name)
    if lattice.reference is None and options.get("reference") is None:
        raise LatticeError(
            f"{lattice.source}: no particle_ref: set line.particle_ref = xt.Particles('proton', "
            "kinetic_energy0=160e6), or pass reference=sc_bridge.reference('proton', "
            "kinetic_energy='160 MeV')"
        )
    return kind(lattice, **options)


def sequences_from(environment: Any, **options: Any) -> dict[str, KickedSequence]:
    """Build a sequence from every line of an Environment; they share knobs and elements.

    A variable, or a field of an element, that two lines have in common is one and the same
    parameter, so that its gradient is the sum over the lines.

    Parameters
    ----------
    environment : xtrack.Environment
    **options
        Arguments of `KickedSequence`, the same for all lines.

    Returns
    -------
    dict of str to KickedSequence
        By the names of the lines.

    Raises
    ------
    LatticeError
        If it is no Environment, or one of its lines cannot be built.
    """
    xt = import_xtrack()
    if not isinstance(environment, xt.Environment):
        raise LatticeError(
            f"sequences_from: {type(environment).__name__}: must be an xtrack.Environment; for one "
            "line call KickedSequence.from_line"
        )
    sequences: dict[str, KickedSequence] = {}
    for name in environment.lines:
        sequences[name] = sequence_from(KickedSequence, environment, name, **options)
    knobs: dict[str, nn.Parameter] = {}
    fields: dict[tuple[str, str], nn.Parameter] = {}
    for sequence in sequences.values():
        for name, parameter in sequence.knobs.items():
            sequence.knobs[name] = knobs.setdefault(name, parameter)
        for name, element in sequence.wholes.items():
            for field, parameter in list(element.named_parameters(recurse=False)):
                element.register_parameter(field, fields.setdefault((name, field), parameter))
    return sequences


def pull(sequence: KickedSequence, line: Any, name: str | None = None) -> None:
    """Bring a sequence up to date with its line; see `KickedSequence.pull`."""
    old, new = sequence.lattice, from_line(line, name)
    _check_same_structure(sequence, old, new)
    knobs = Knobs(new)
    fresh = build_elements(new, knobs, sequence.bend_model)
    pulled = {name_: _with_its_length(sequence[name_], e) for name_, e in fresh.items()}
    planned = planned_kicks(sequence, pulled)
    if planned != sequence.n_kicks:
        raise LatticeError(
            f"pull: {new.source}: its lengths ask for {planned} kicks by {sequence.slicing!r}, and "
            f"the sequence has {sequence.n_kicks}: {_AGAIN}"
        )
    for name_, element in sequence.wholes.items():
        _copy_fields(element, fresh[name_])
        _check_fields_read(old.elements[name_], new.elements[name_], element, new)
    for name_ in sequence.knobs:
        sequence.knobs[name_] = knobs[name_].detach()
    if new.reference is not None and new.reference != old.reference:
        fields = new.reference
        sequence.reference = Reference(fields.mass0, fields.q0, fields.p0c)
    sequence.lattice = new
    sequence.update_places()


def _check_same_structure(sequence: KickedSequence, old: Lattice, new: Lattice) -> None:
    if old.labels != new.labels or old.element_names != new.element_names:
        raise LatticeError(f"pull: {new.source}: its elements are others than before: {_AGAIN}")
    for name, record in old.elements.items():
        if new.elements[name].kind != record.kind:
            raise LatticeError(
                f"pull: {new.source}: {name} was a {record.kind} and is a "
                f"{new.elements[name].kind}: {_AGAIN}"
            )
    for name in (*sequence.knobs, *sequence.knobs.expressions):
        known = name in new.variables or name in new.expressions
        if not known or old.expressions.get(name) != new.expressions.get(name):
            raise LatticeError(
                f"pull: {new.source}: variable {name!r} is defined in another way than before: "
                f"{_AGAIN}"
            )
    if old.field_expressions != new.field_expressions:
        changed = old.field_expressions.items() ^ new.field_expressions.items()
        element, field, _ = min(key for key, _ in changed)
        raise LatticeError(
            f"pull: {new.source}: {element}.{field} follows another expression than before: "
            f"{_AGAIN}"
        )


def _with_its_length(element: Element, fresh: Element) -> Element:
    """Return which of the two has the length after a pull: that which was cut free stays."""
    cut_free = "length" in fresh.drivers and "length" not in element.drivers
    return element if cut_free else fresh


def _copy_fields(element: Element, fresh: Element) -> None:
    """Copy the values of free fields that the line does not drive either."""
    values = dict(fresh.named_parameters(recurse=False))
    with torch.no_grad():
        for field, parameter in element.named_parameters(recurse=False):
            if field in fresh.drivers and field not in element.drivers:
                continue  # cut free on our side
            value = values[field].detach().to(parameter.device)
            if parameter.shape == value.shape:
                parameter.copy_(value)
            else:
                parameter.data = value.clone()
                increment_version(parameter)  # as copying into it does: graphs notice
    if isinstance(element, Cavity) and isinstance(fresh, Cavity):
        element.line_length = fresh.line_length


def _check_fields_read(old: Record, new: Record, element: Element, lattice: Lattice) -> None:
    """Refuse a change of what is no number that a parameter holds, such as a model."""
    for field in sorted(old.fields.keys() | new.fields.keys()):
        was, now = old.fields.get(field), new.fields.get(field)
        if was != now and field not in element.field_ranks and field not in _FOLLOWS:
            raise LatticeError(
                f"pull: {lattice.place(new.name)}: {field} was {was!r} and is {now!r}: {_AGAIN}"
            )


# What Xsuite's file repeats of other fields.
_FOLLOWS = frozenset({"order", "length", "h"})
