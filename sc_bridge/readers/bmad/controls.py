"""Overlays and groups: their variables are knobs, and attributes follow them.

An overlay assigns: the attribute is the sum of what all its overlays say. A group adds what
its expression has changed by since the variable had its old value, 0 unless stated.
"""

from __future__ import annotations

import re

from sc_bridge.errors import ExpressionError, LatticeError
from sc_bridge.expressions import Expression, Number, Variable, shorten
from sc_bridge.expressions.algebra import ZERO, add, multiply, substitute, subtract
from sc_bridge.readers.statements import split_list

from .deck import BmadElement, Deck
from .dialect import parse
from .types import NO_PHYSICS

_SLAVE = re.compile(
    r"((?:[\w*]+::)?[\w.*%\\#]+)\s*(?:\[\s*([\w.()]+)\s*\])?\s*(?::(.*))?\Z", re.DOTALL
)
_MISALIGNMENT = frozenset(
    {"x_offset", "y_offset", "z_offset", "x_pitch", "y_pitch", "tilt", "ref_tilt", "roll"}
)


def apply_controls(deck: Deck) -> None:
    """Make the attributes of slaves follow their overlays and groups.

    Raises
    ------
    LatticeError
        If a controller is not understood.
    """
    controls = [e for e in deck.elements.values() if e.type in ("overlay", "group")]
    overlaid: dict[tuple[str, str], Expression] = {}
    added: list[tuple[BmadElement, str, Expression]] = []
    for control in controls:
        variables = _variables(control)
        for element, key, tree in _slaves(deck, control, variables):
            if control.type == "overlay":
                place = (element.name, key)
                overlaid[place] = add(overlaid.get(place, ZERO), tree)
            else:
                added.append((element, key, _difference(deck, control, variables, tree)))
    for (name, key), tree in overlaid.items():
        deck.elements[name].attributes[key] = tree
    for element, key, tree in added:
        base = element.attributes.get(key, ZERO)
        if not isinstance(base, Expression):
            raise LatticeError(f"{element.place}: {element.name}[{key}]: {base}")
        element.attributes[key] = add(base, tree)
    for control in controls:
        _define_variables(deck, control)
    for girder in (e for e in deck.elements.values() if e.type in ("girder", "ramper")):
        _check_girder(deck, girder)


def _variables(control: BmadElement) -> list[str]:
    """Names of the variables of a controller, `var = {a, b}` or the one attribute of old decks."""
    text = control.attributes.get("var")
    if isinstance(text, str):
        return [name.strip().lower() for name in split_list(text.strip("{} ")) if name.strip()]
    named = [key for key in control.attributes if key not in NO_PHYSICS]
    return named[:1] or ["command"]


def _slaves(
    deck: Deck, control: BmadElement, variables: list[str]
) -> list[tuple[BmadElement, str, Expression]]:
    found: list[tuple[BmadElement, str, Expression]] = []
    for part in split_list(control.body):
        if not part:
            continue
        match = _SLAVE.match(part)
        if match is None:
            raise LatticeError(f"{control.place}: {control.name}: {shorten(part)!r} not understood")
        pattern, key = match[1], match[2] or variables[0]
        text = (match[3] or "1").strip()
        if text.startswith("{"):
            deck.losses.leave_out(
                "knots", place=control.place, name=control.name, what="control by a table",
                also=(control.type,),
            )  # fmt: skip
            continue
        tree = _control_tree(deck, control, variables, text)
        targets = deck.matching(pattern, control.place)
        if not targets:
            deck.losses.warn(control.place, f"{control.name}: {pattern!r} matches no element")
        found.extend((element, key, tree) for element in targets)
    return found


def _control_tree(deck: Deck, control: BmadElement, variables: list[str], text: str) -> Expression:
    """Tree of an expression in the controller's variables; a constant is a factor of the first."""
    place = f"{control.place}: {control.name}"
    own = {name: Variable(f"{control.name}[{name}]") for name in variables}
    tree = parse(text, place)
    used = own.keys() & tree.variables()
    others = {name: deck.tree(name, place) for name in tree.variables() - used}
    tree = substitute(tree, {**{name: own[name] for name in used}, **others})
    return (
        tree
        if used
        else multiply(own[variables[0]], 1.0)
        if text == "1"
        else multiply(tree, own[variables[0]])
    )


def _difference(
    deck: Deck, control: BmadElement, variables: list[str], tree: Expression
) -> Expression:
    """What a group adds: its expression now, less that at the old values."""
    old: dict[str, Expression] = {}
    for name in variables:
        value = control.attributes.get(f"old_{name}", ZERO)
        old[f"{control.name}[{name}]"] = value if isinstance(value, Expression) else ZERO
    before = substitute(tree, old)
    try:
        return subtract(tree, Number(deck.definitions.value(before, control.place)))
    except ExpressionError:
        return subtract(tree, before)


def _define_variables(deck: Deck, control: BmadElement) -> None:
    for name in _variables(control):
        value = control.attributes.get(name, ZERO)
        if value == "default":
            value = ZERO
        if not isinstance(value, Expression):
            raise LatticeError(f"{control.place}: {control.name}[{name}] is {value}")
        deck.definitions.define(f"{control.name}[{name}]", value)


def _check_girder(deck: Deck, girder: BmadElement) -> None:
    """A girder that stands where it should moves nothing; a ramper acts in time."""
    if girder.type == "ramper":
        deck.losses.leave_out(
            "ramper", place=girder.place, name=girder.name, what="the change with time"
        )
    elif any(girder.attributes.get(key, ZERO) != ZERO for key in _MISALIGNMENT):
        deck.losses.leave_out(
            "misalignment", place=girder.place, name=girder.name, what="the shift of the girder",
            also=("girder",),
        )  # fmt: skip
