"""A sequence back to a live `xt.Line`, with its present values."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import torch

from sc_bridge.elements import Multipole
from sc_bridge.elements.parts import whole_of
from sc_bridge.errors import LatticeError
from sc_bridge.lattice import Lattice
from sc_bridge.present import present_lattice
from sc_bridge.sequence import KickedSequence
from sc_bridge.writers.xsuite_json import to_xsuite_dict

from .element import ScBridgeSpaceCharge3D
from .install import Place, insert_kicks
from .xtrack import import_xtrack

# What xtrack raises where a dictionary is not to its liking.
_FAILURES = (AssertionError, AttributeError, KeyError, TypeError, ValueError)
# Xsuite says aloud what it reads, unless told.
_QUIET = {"Line": {"verbose": False}}


def to_line(sequence: KickedSequence | Lattice, kicks: bool = False) -> Any:
    """Return an `xt.Line` of its own with the elements, variables and expressions of a sequence.

    Parameters
    ----------
    sequence : KickedSequence or Lattice
        Knobs and fields have their present values; a Lattice is taken as it is.
    kicks : bool
        Insert a `SpaceCharge3D` where the sequence has a kick, so that xtrack tracks the line
        as the sequence does. Without it elements are whole.

    Raises
    ------
    LatticeError
        If an expression or a value has no counterpart in Xsuite, or kicks are asked of a
        sequence that has none, or whose splitting goes backwards.
    """
    xt = import_xtrack()
    lattice = lattice_of(sequence, "to_line")
    line = built_by_xtrack(xt.Line, to_xsuite_dict(lattice), "to_line")
    if lattice.name:
        line = _named(line, lattice.name)
    if kicks:
        insert_own_kicks(sequence, line)
    return line


def lattice_of(sequence: KickedSequence | Lattice, what: str) -> Lattice:
    """Return a lattice with the present values of a sequence; a Lattice as it is."""
    if isinstance(sequence, Lattice):
        return sequence
    if not isinstance(sequence, KickedSequence):
        raise LatticeError(
            f"{what}: {type(sequence).__name__}: must be a KickedSequence or Lattice"
        )
    return present_lattice(sequence)


def built_by_xtrack(kind: Any, described: dict[str, Any], what: str) -> Any:
    """Return the Line or Environment that a dictionary describes.

    Raises
    ------
    LatticeError
        If xtrack cannot build it; naming the element that it stops at.
    """
    try:
        return kind.from_dict(described, with_progress=False, **_QUIET.get(kind.__name__, {}))
    except _FAILURES as error:
        name, reason = _culprit(described["elements"]) or ("the line", error)
        raise LatticeError(f"{what}: xtrack cannot build {name}: {_shown(reason)}") from error


def _culprit(elements: dict[str, Any]) -> tuple[str, Exception] | None:
    """Return the first element that xtrack cannot build by itself, and why."""
    xt = import_xtrack()
    for name, entry in elements.items():
        described = {"elements": {name: entry}, "element_names": []}
        try:
            xt.Line.from_dict(described, verbose=False, with_progress=False)
        except _FAILURES as error:
            return f"{entry['__class__']} {name!r}", error
    return None


def _shown(error: Exception) -> str:
    """Say what xtrack says; it looks classes up in a dictionary."""
    if isinstance(error, KeyError):
        return f"it knows no {error.args[0]}"
    return f"{type(error).__name__} {error}".rstrip()


def _named(line: Any, name: str) -> Any:
    """Return the same line under a name; only an environment gives one."""
    named = line.env.new_line(name=name, components=list(line.element_names))
    named.composer = None
    named.particle_ref = line.particle_ref
    return named


def insert_own_kicks(sequence: KickedSequence | Lattice, line: Any) -> None:
    """Insert a `SpaceCharge3D` into a line wherever the sequence has a kick."""
    if not isinstance(sequence, KickedSequence) or sequence.space_charge is None:
        raise LatticeError("to_line: kicks=True: must be a sequence with space charge")
    if sequence.carries_kicks:
        return
    steps = [step for step in sequence.steps if step.kind == "kick"]
    lengths = sequence.kick_lengths.detach().tolist()
    if any(length < 0 for length in lengths):
        raise LatticeError(
            "to_line: kicks=True: the splitting has kicks of negative length, which xtrack cannot "
            "place: choose Strang()"
        )
    for step in steps:
        whole, _ = whole_of(step.part)
        if isinstance(whole, Multipole) and bool((torch.as_tensor(whole.hxl) != 0).any()):
            raise LatticeError(
                f"to_line: kicks=True: {whole.label} has hxl, and xtrack gives every slice the "
                "whole of it: choose a slicing rule that leaves it in one piece"
            )
    places = [Place(step.s_start, length) for step, length in zip(steps, lengths, strict=True)]
    settings = sequence.space_charge
    kick = ScBridgeSpaceCharge3D(**{f.name: getattr(settings, f.name) for f in fields(settings)})
    insert_kicks(line, places, kick)
