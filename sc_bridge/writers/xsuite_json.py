"""A `Lattice` to Xsuite JSON, as `xt.Line.from_json` and our own reader take it.

What came from Xsuite JSON comes back the same: elements, order, variables, expressions and the
reference particle. Expressions that came from another format are written with Xsuite's names.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sc_bridge.errors import ExpressionError, LatticeError
from sc_bridge.expressions import (
    Binary,
    Call,
    Expression,
    Negative,
    Number,
    Variable,
    order_of_evaluation,
)
from sc_bridge.lattice import Lattice
from sc_bridge.readers.options import Losses

_DEFAULT_CONFIG = {
    "XTRACK_MULTIPOLE_NO_SYNRAD": True,
    "XFIELDS_BB3D_NO_BEAMSTR": True,
    "XFIELDS_BB3D_NO_BHABHA": True,
    "XTRACK_GLOBAL_XY_LIMIT": 1.0,
}


def write_xsuite_json(lattice: Lattice, losses: Losses | None = None) -> str:
    """Return the text of a Line in Xsuite JSON, which loses nothing: `losses` stays as it is.

    Raises
    ------
    LatticeError
        If an expression has no counterpart in Xsuite.
    """
    return json.dumps(to_xsuite_dict(lattice), indent=1) + "\n"


def to_xsuite_dict(lattice: Lattice) -> dict[str, Any]:
    """Return the dictionary of an Xsuite Line: plain lists, numbers and strings.

    Raises
    ------
    LatticeError
        If an expression has no counterpart in Xsuite.
    """
    line: dict[str, Any] = {
        "__class__": "Line",
        "elements": _elements(lattice),
        "element_names": list(lattice.labels),
        "config": _DEFAULT_CONFIG,
        "_var_management_data": {"var_values": _values(lattice)},
        "_var_manager": [list(pair) for pair in _definitions(lattice)],
        "metadata": {},
    }
    if lattice.name:
        line["name"] = lattice.name
    if lattice.reference is not None:
        reference = lattice.reference
        line["particle_ref"] = {
            "mass0": reference.mass0,
            "q0": reference.q0,
            "p0c": [reference.p0c],
        }
    return line


def _elements(lattice: Lattice) -> dict[str, dict[str, Any]]:
    elements: dict[str, dict[str, Any]] = {
        name: {"__class__": record.kind, **record.fields}
        for name, record in lattice.elements.items()
    }
    for label, root in zip(lattice.labels, lattice.element_names, strict=True):
        if label not in elements:
            elements[label] = {"__class__": "Replica", "parent_name": root}
    return elements


def _values(lattice: Lattice) -> dict[str, float]:
    fields = lattice.field_variables
    return {name: value for name, value in lattice.variables.items() if name not in fields}


def _definitions(lattice: Lattice) -> list[tuple[str, str]]:
    """Targets and expressions, each after those that it depends on.

    Xsuite takes none without a variable (`2 * 3`): there the value stands by itself.
    """
    text = _Text(lattice)
    fields = lattice.field_variables
    names = order_of_evaluation(lattice.expressions, lattice.expressions)
    pairs = [(text.variable(name), lattice.expressions[name]) for name in names]
    for key, expression in lattice.field_expressions.items():
        # a field that stands for itself is written under its variable
        if not (isinstance(expression, Variable) and fields.get(expression.name) == key):
            pairs.append((_field(*key), expression))
    return [(target, text.of(tree)) for target, tree in pairs if tree.variables()]


def _field(element: str, name: str, index: int | None) -> str:
    place = "" if index is None else f"[{index}]"
    return f"element_refs[{element!r}].{name}{place}"


class _Text:
    """Text of expressions in xdeps' notation, fully bracketed."""

    def __init__(self, lattice: Lattice) -> None:
        self._source = lattice.source
        self._values: Mapping[str, float] = lattice.variables
        self._fields = lattice.field_variables

    def variable(self, name: str) -> str:
        return _field(*self._fields[name]) if name in self._fields else f"vars[{name!r}]"

    def of(self, node: Expression) -> str:
        if isinstance(node, Number):
            return repr(node.value)
        if isinstance(node, Variable):
            return self.variable(node.name)
        if isinstance(node, Negative):
            return f"(-{self.of(node.operand)})"
        if isinstance(node, Call):
            return f"f.{node.function}({', '.join(map(self.of, node.arguments))})"
        if isinstance(node, Binary):
            return f"({self.of(node.left)} {self._operator(node)} {self.of(node.right)})"
        raise LatticeError(f"{self._source}: expression {node}: has no counterpart in Xsuite")

    def _operator(self, node: Binary) -> str:
        if node.operator != "/0":
            return node.operator
        try:
            denominator = float(node.right.evaluate(self._values))
        except ExpressionError:
            denominator = 0.0
        if denominator == 0.0:
            raise LatticeError(
                f"{self._source}: expression {node}: divides by zero, which is 0 in MAD-X and an "
                "error in Xsuite: give the denominator a value"
            )
        return "/"
