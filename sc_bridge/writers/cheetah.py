"""A `Lattice` as Cheetah's LatticeJSON: elements with numbers, one line of names.

The format has neither variables nor a reference particle. Numbers are written in full; Cheetah
itself loads them in its default precision, float32. The reference is said in `info`, in the
words that `--reference` takes.
"""

from __future__ import annotations

import json
from typing import Any

from sc_bridge.lattice import Lattice
from sc_bridge.readers.options import Losses

from .cheetah_elements import OUT
from .fields import Describer
from .names import Names

# Attributes of Cheetah's segments, and words that Cheetah would take for an element of that name.
_TAKEN = frozenset(
    {"training", "elements", "name", "metadata", "length", "standing_wave", "traveling_wave"}
    | {"rectangular", "elliptical"}
)


def write_cheetah(lattice: Lattice, losses: Losses | None = None) -> str:
    """Return the text of a Cheetah model, as `Segment.from_lattice_json` takes it.

    Parameters
    ----------
    lattice : Lattice
    losses : Losses, optional
        What may be left out: knobs, by the word "knobs", and fields.

    Raises
    ------
    LatticeError
        If Cheetah has nothing for a class or a field of the lattice, or knobs drive it and may
        not be lost.
    """
    losses = losses or Losses()
    _leave_knobs(lattice, losses)
    free = Names(_TAKEN)
    names = {name: free.give(name) for name in lattice.elements}
    describer = Describer(lattice, "Cheetah", losses, live=False)
    elements = {names[n]: list(describer.describe(r, OUT)) for n, r in lattice.elements.items()}
    root = free.give(lattice.name or "cell")
    head = {"version": "cheetah-0.8", "title": root, "info": _info(lattice), "root": root}
    shown = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
    shown.append(f'"elements": {_rows(elements)}')
    shown.append(f'"lattices": {_rows({root: [names[name] for name in lattice.element_names]})}')
    return "{\n  " + ",\n  ".join(shown) + "\n}\n"


def _rows(table: dict[str, Any]) -> str:
    rows = [f"    {json.dumps(key)}: {json.dumps(value)}" for key, value in table.items()]
    return "{\n" + ",\n".join(rows) + "\n  }"


def _info(lattice: Lattice) -> str:
    if lattice.reference is None:
        return f"from {lattice.format}"
    mass, charge, momentum = (getattr(lattice.reference, key) for key in ("mass0", "q0", "p0c"))
    return f"mass = {mass!r} eV, charge = {charge!r}, momentum = {momentum!r} eV/c"


def _leave_knobs(lattice: Lattice, losses: Losses) -> None:
    """Refuse, or note, that numbers stand where knobs drive fields."""
    driven = len(lattice.field_expressions)
    if driven:
        knobs = sorted({n for tree in lattice.field_expressions.values() for n in tree.variables()})
        shown = ", ".join(knobs[:5]) + (", ..." if len(knobs) > 5 else "")
        losses.leave_out(
            "knobs", place=lattice.source, name=lattice.name or "line",
            what=f"knobs that drive {driven} fields ({shown})",
        )  # fmt: skip
