"""Variables and expressions of an Xsuite file: `_var_management_data` and `_var_manager`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sc_bridge.errors import ExpressionError, LatticeError
from sc_bridge.expressions import Expression, Value, Variable, order_of_evaluation, shorten
from sc_bridge.lattice import Record, stated_value

from .xsuite_expressions import (
    FieldTarget,
    OtherTarget,
    VariableTarget,
    parse_expression,
    parse_target,
)

# Fields that are 0 where a file does not state them.
_ZERO_BY_DEFAULT = frozenset(
    {"length", "angle", "k1", "k2", "k3", "k0s", "k1s", "k2s", "k3s", "ks", "knl", "ksl", "hxl"}
    | {"voltage", "frequency", "phase", "lag", "shift_x", "shift_y", "shift_s", "rot_s_rad"}
    | {f"edge_{side}_{name}" for side in ("entry", "exit") for name in ("angle", "fint", "hgap")}
)
# Fields that follow from others, whatever number the file holds for them.
_DERIVED = frozenset({("Bend", "h"), ("RBend", "h"), ("RBend", "length")})
_AGREEMENT = 1e-9  # an expression against its value in the file, both rounded in float64

# Far above any magnet; a larger index would only take memory.
_HIGHEST_ORDER = 100


@dataclass
class Variables:
    """What a file says of its variables, being read."""

    source: str
    elements: Mapping[str, Record]
    root_of: Mapping[str, str]  # names of elements and of their aliases
    used: frozenset[str]
    values: dict[str, float] = field(default_factory=dict)
    expressions: dict[str, Expression] = field(default_factory=dict)
    field_expressions: dict[tuple[str, str, int | None], Expression] = field(default_factory=dict)
    field_variables: dict[str, tuple[str, str, int | None]] = field(default_factory=dict)

    def variable_of(self, target: FieldTarget) -> str:
        """Return the variable that stands for an element's field in expressions."""
        root = self.root_of.get(target.element)
        if root is None:
            raise ExpressionError(
                f"{self.source}: an expression refers to {target}: no element {target.element!r}"
            )
        name = str(FieldTarget(root, target.field, target.index))
        key = (root, target.field, target.index)
        if self.field_variables.setdefault(name, key) != key or name in self.values:
            raise ExpressionError(
                f"{self.source}: an expression refers to {name}, and a variable has that name: "
                "rename the variable"
            )
        return name


def read_variables(
    data: Mapping[str, Any], variables: Variables, driven_reference: str | None
) -> None:
    """Fill `variables` from the dictionary of a Line or Environment.

    Parameters
    ----------
    data : mapping
    variables : Variables
    driven_reference : str, optional
        Name of the reference particle: an expression that drives it is refused.

    Raises
    ------
    LatticeError
        If an expression is outside the whitelist, drives what cannot be driven, has no value,
        or disagrees with the value that the file states.
    """
    management = _mapping(data.get("_var_management_data"), "_var_management_data", variables)
    values = _mapping(management.get("var_values"), "var_values", variables)
    variables.values.update(
        (name, float(value))
        for name, value in values.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    )
    for pair in _pairs(data.get("_var_manager"), variables.source):
        _read_definition(*pair, variables, driven_reference)
    _promote_fields(variables)
    _check_values(variables)


def _mapping(value: Any, what: str, variables: Variables) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise LatticeError(f"{variables.source}: {what} must be an object")
    return value


def _pairs(manager: Any, source: str) -> list[tuple[Any, Any]]:
    if manager is None:
        return []
    if not isinstance(manager, list) or not all(
        isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in manager
    ):
        raise LatticeError(f"{source}: _var_manager must be a list of [target, expression] pairs")
    return [(pair[0], pair[1]) for pair in manager]


def _read_definition(
    left: Any, right: Any, variables: Variables, driven_reference: str | None
) -> None:
    target = parse_target(left, variables.source)
    if isinstance(target, OtherTarget):
        _check_other(target, variables.source, driven_reference)
        return
    if isinstance(target, VariableTarget):
        where = f"{variables.source}: variable {target.name!r}"
        variables.expressions[target.name] = parse_expression(right, where, variables.variable_of)
        return
    where = _place(variables, target.element) + str(target)[len(target.element) :]
    if target.index is not None and not 0 <= target.index <= _HIGHEST_ORDER:
        raise LatticeError(f"{where}: an order of a multipole is from 0 to {_HIGHEST_ORDER}")
    expression = parse_expression(right, where, variables.variable_of)
    root = variables.root_of.get(target.element)
    if root is None:
        raise LatticeError(f"{where}: an expression drives it, and there is no such element")
    variables.field_expressions[root, target.field, target.index] = expression


def _check_other(target: OtherTarget, source: str, driven_reference: str | None) -> None:
    """Let pass what no particle can notice; refuse the rest."""
    if target.container == "element_refs" and target.field == "extra":
        return
    if target.container == "particles" and target.key != driven_reference:
        return
    raise LatticeError(
        f"{source}: an expression drives {target.container}[{target.key!r}], which cannot follow "
        "a variable here: set it to a number in Xsuite and save again"
    )


def _place(variables: Variables, name: str) -> str:
    record = variables.elements.get(variables.root_of.get(name, name))
    line = f":{record.line}" if record is not None and record.line is not None else ""
    return f"{variables.source}{line}: {name}"


def _promote_fields(variables: Variables) -> None:
    """Make every field that an expression refers to a variable that drives the field itself.

    So `q2.k1 = 2 * q1.k1` follows q1.k1 whoever sets it, and gradients reach it.
    """
    driven = variables.field_expressions
    fields = variables.field_variables
    variables.expressions.update((n, driven[key]) for n, key in fields.items() if key in driven)
    for key in [key for key in driven if key[0] not in variables.used]:
        del driven[key]
    needed = _needed(variables)
    for name, key in list(fields.items()):
        if name not in needed:
            del fields[name]
            variables.expressions.pop(name, None)
            continue
        if name not in variables.expressions:
            variables.values[name] = _stated(variables, name, key)
        if key[0] in variables.used:
            driven[key] = Variable(name)


def _needed(variables: Variables) -> set[str]:
    """Variables that the fields of the line or variables of the file depend on."""
    expressions, fields = variables.expressions, variables.field_variables
    wanted = set().union(*(e.variables() for e in variables.field_expressions.values()))
    wanted |= expressions.keys() - fields.keys()
    order = _order(variables, wanted)
    return wanted.union(*(expressions[name].variables() for name in order))


def _stated(variables: Variables, name: str, key: tuple[str, str, int | None]) -> float:
    record, field_name = variables.elements[key[0]], key[1]
    value = stated_value(variables.elements, *key)
    if value is None and field_name not in record.fields and field_name in _ZERO_BY_DEFAULT:
        value = 0.0
    if value is None or (record.kind, field_name) in _DERIVED:
        raise ExpressionError(
            f"{_place(variables, key[0])}: an expression refers to {name}, for which the file "
            "states no number of its own: refer to a variable instead"
        )
    return value


def _order(variables: Variables, wanted: Iterable[str]) -> tuple[str, ...]:
    try:
        return order_of_evaluation(variables.expressions, sorted(wanted))
    except ExpressionError as error:
        raise ExpressionError(f"{variables.source}: {error}") from None


def _check_values(variables: Variables) -> None:
    """Evaluate every expression that a field needs, and compare with what the file states.

    A file whose numbers and expressions disagree means two different machines.
    """
    _order(variables, variables.expressions)
    roots = frozenset().union(*(e.variables() for e in variables.field_expressions.values()))
    known: dict[str, Value] = {
        name: value for name, value in variables.values.items() if name not in variables.expressions
    }
    for name in _order(variables, roots):
        where = f"{variables.source}: variable {name!r}"
        known[name] = _evaluated(variables.expressions[name], known, where)
    for key, expression in variables.field_expressions.items():
        where = _place(variables, key[0]) + str(FieldTarget(*key))[len(key[0]) :]
        value = _evaluated(expression, known, where)
        stated = stated_value(variables.elements, *key)
        if stated is not None and not math.isclose(
            stated, value, rel_tol=_AGREEMENT, abs_tol=_AGREEMENT * 1e-6
        ):
            raise LatticeError(
                f"{where} = {stated!r} in the file, but its expression {shorten(expression)!r} "
                f"gives {value!r}: load the file in Xsuite, set a variable again, and save"
            )
    for name in variables.expressions:
        if name in known:
            variables.values[name] = float(known[name])


def _evaluated(expression: Expression, known: Mapping[str, Value], where: str) -> float:
    try:
        value = float(expression.evaluate(known))
    except ExpressionError as error:
        raise ExpressionError(f"{where}: expression {shorten(expression)!r}: {error}") from None
    if not math.isfinite(value):
        raise ExpressionError(
            f"{where}: expression {shorten(expression)!r}: a variable in it is {value}"
        )
    return value
