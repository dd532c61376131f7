"""A `Lattice` as a PALS facility: variables, elements, one line, in YAML or JSON.

Independent variables are numbers and dependent ones expressions, so that the knobs of the lattice
are those of the document. Every element is written out: no inheritance, no repetition.
"""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Mapping
from typing import Any

from sc_bridge.errors import ExpressionError, LatticeError
from sc_bridge.expressions import (
    Binary,
    Call,
    Expression,
    Number,
    order_of_evaluation,
)
from sc_bridge.lattice import Lattice, ReferenceFields
from sc_bridge.readers.common_names import CONSTANTS, FUNCTIONS
from sc_bridge.readers.options import Losses
from sc_bridge.species import SPECIES

from .fields import Describer
from .names import Names
from .pals_elements import OUT
from .printer import Printer
from .yaml_text import flow

_WRAPPED: dict[str, Any] = {
    "width": 100, "subsequent_indent": " " * 8, "break_long_words": False,
    "break_on_hyphens": False,
}  # fmt: skip
_SAME_MASS = 1e-8  # relative: editions of CODATA
_WORDS = frozenset(
    {"constants", "variables", "include", "use", "sets", "set", "superimpose", "name", "kind"}
    | {"type", "line", "branches", "inherit", "repeat", "direction", "placement", "PALS", "load"}
    | {"expand_lattice", "extension_labels", "facility"}
)


def write_pals(lattice: Lattice, losses: Losses | None = None) -> str:
    """Return the lattice as a PALS document in YAML, an item a line.

    Parameters
    ----------
    lattice : Lattice
    losses : Losses, optional
        What may be left out, and the ledger of it.

    Raises
    ------
    LatticeError
        If PALS has nothing for a class, a field, a function or the particle of the lattice.
    """
    lines = ["PALS:", "  facility:"]
    for item in pals_items(lattice, losses or Losses()):
        ((name, body),) = item.items()
        if name == "variables":
            lines.append("    - variables:")
            lines += [f"        {flow(key)}: {flow(value)}" for key, value in body.items()]
        else:
            # A line break counts as a blank, within quotes too.
            lines += textwrap.wrap(f"    - {flow(name)}: {flow(body)}", **_WRAPPED)
    return "\n".join([*lines, ""])


def write_pals_json(lattice: Lattice, losses: Losses | None = None) -> str:
    """Return the lattice as a PALS document in JSON; as `write_pals`."""
    items = pals_items(lattice, losses or Losses())
    rows = ",\n  ".join(json.dumps(item) for item in items)
    return f'{{"PALS": {{"facility": [\n  {rows}\n]}}}}\n'


def pals_items(lattice: Lattice, losses: Losses) -> list[dict[str, Any]]:
    """Return the items of the facility, plain data."""
    variables = Names(CONSTANTS.keys() | FUNCTIONS.keys())
    text = _Text(lattice, variables.give_all(lattice.variables))
    free = Names(_WORDS, letters=".")
    names = free.give_all(lattice.elements)
    items: list[dict[str, Any]] = []
    if lattice.variables:
        items.append({"variables": text.definitions()})
    line = []
    if lattice.reference is not None:
        beginning = free.give("begin")
        reference = _reference(lattice, lattice.reference)
        items.append({beginning: {"kind": "BeginningEle", "ReferenceP": reference}})
        line.append(beginning)
    describer = Describer(lattice, "PALS", losses)
    for name, record in lattice.elements.items():
        kind, body = describer.describe(record, OUT)
        items.append({names[name]: {"kind": kind, **text.plain(body, lattice.place(name))}})
    line += [names[name] for name in lattice.element_names]
    title = free.give(lattice.name or "ring")
    items.append({title: {"kind": "BeamLine", "line": line}})
    whole = free.give("machine")
    return [*items, {whole: {"kind": "Lattice", "branches": [title]}}, {"use": whole}]


def _reference(lattice: Lattice, reference: ReferenceFields) -> dict[str, Any]:
    for name, species in SPECIES.items():
        if species.q0 == reference.q0 and math.isclose(
            species.mass0, reference.mass0, rel_tol=_SAME_MASS
        ):
            return {"species_ref": name, "pc_ref": reference.p0c}
    raise LatticeError(
        f"{lattice.source}: reference: a particle of mass {reference.mass0!r} eV and charge "
        f"{reference.q0!r}: PALS knows particles by name: {', '.join(SPECIES)}"
    )


_OPERATORS = {"+": " + ", "-": " - ", "*": " * ", "/": " / ", "/0": " / ", "**": " ^ "}
# Our functions by the names of PALS
_FUNCTIONS = {own: name for name, own in FUNCTIONS.items() if isinstance(own, str)}


class _Text:
    """Expressions of PALS: numbers where nothing varies, else text, fully bracketed."""

    def __init__(self, lattice: Lattice, names: Mapping[str, str]) -> None:
        self._lattice = lattice
        self._names = names
        self._printer = Printer("PALS", names, _OPERATORS, _FUNCTIONS, self._has)

    def definitions(self) -> dict[str, Any]:
        """Return every variable by its new name, each behind those that it depends on."""
        trees = self._lattice.expressions
        dependent = order_of_evaluation(trees, trees)
        values = {self._names[n]: v for n, v in self._lattice.variables.items() if n not in trees}
        where = self._lattice.source
        return values | {
            self._names[n]: self.plain(trees[n], f"{where}: variable {n!r}") for n in dependent
        }

    def plain(self, value: Any, place: str) -> Any:
        """Return groups, lists and trees as plain data."""
        if isinstance(value, dict):
            return {key: self.plain(entry, place) for key, entry in value.items()}
        if isinstance(value, list):
            return [self.plain(entry, place) for entry in value]
        if isinstance(value, Number):
            return value.value
        is_tree = isinstance(value, Expression)
        return self._printer.text(value, place) if is_tree else value or None

    def _has(self, tree: Binary | Call) -> bool:
        """Whether PALS has it: a quotient that is 0 by x/0 = 0 it has not."""
        if isinstance(tree, Call) or tree.operator != "/0":
            return True
        try:
            return float(tree.right.evaluate(self._lattice.variables)) != 0.0
        except ExpressionError:
            return False
