"""What a Bmad deck defines: variables, elements with attributes, lines."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from sc_bridge.errors import ExpressionError, LatticeError
from sc_bridge.expressions import Expression, Number, Variable
from sc_bridge.expressions.algebra import ZERO, substitute
from sc_bridge.readers.definitions import Definitions, size_of
from sc_bridge.readers.options import Losses
from sc_bridge.readers.statements import Statement

from .dialect import parse
from .types import CONTROLS, GLOBAL, TYPES, WORDS, type_of

_LARGEST_REFERENCE = 200  # nodes of a tree that a reference copies; beyond, its value


class NoValue:
    """What an attribute has whose text is no expression, until something needs it."""

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def __str__(self) -> str:
        return f"no value ({self.reason})"


Attribute: TypeAlias = Expression | str | NoValue


@dataclass
class BmadElement:
    """An element or controller; `body` is the list in braces of an overlay or group."""

    name: str
    type: str
    attributes: dict[str, Attribute]
    place: str
    line: int | None = None
    file: str | None = None
    body: str = ""


@dataclass
class Template:
    """A line as text, with the names of its arguments."""

    name: str
    text: str
    place: str
    arguments: tuple[str, ...] = ()
    multipass: bool = False
    is_list: bool = False


@dataclass
class Deck:
    """Everything that the files define, so far."""

    losses: Losses
    definitions: Definitions = field(default_factory=Definitions)
    elements: dict[str, BmadElement] = field(default_factory=dict)
    lines: dict[str, Template] = field(default_factory=dict)
    used: list[str] = field(default_factory=list)
    _current: dict[str, str] = field(default_factory=dict)  # variables that are redefined
    _versions: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in GLOBAL:
            self.elements[name] = BmadElement(name, "global", {}, name)

    # ---- variables -----------------------------------------------------------------------

    def assign(self, name: str, text: str, place: str) -> None:
        """Define a variable; a second definition holds from there on."""
        tree = self.tree(text, f"{place}: {name}")
        count = self._versions.get(name, 0) + 1
        full = name if count == 1 else f"{name}#{count}"
        self._versions[name] = count
        if count > 1:
            self.losses.warn(
                place, f"{name!r} is defined again: what was read before keeps its value"
            )
        self._current[name] = full
        self.definitions.define(full, tree)

    def tree(self, text: str, place: str) -> Expression:
        """Return the tree of an expression, with references to attributes as they are now.

        Raises
        ------
        ExpressionError
            If it is no expression, or names something that is not defined.
        """
        tree = parse(text, place)
        values: dict[str, Expression] = {}
        for name in tree.variables():
            if name.endswith("]"):
                values[name] = self._reference(name, place)
            elif name not in self._current:
                raise ExpressionError(f"{place}: {name!r} is not defined")
            elif self._current[name] != name:
                values[name] = Variable(self._current[name])
        return substitute(tree, values) if values else tree

    def _reference(self, name: str, place: str) -> Expression:
        owner, _, key = name[:-1].partition("[")
        element = self.elements.get(owner)
        if element is None:
            raise ExpressionError(f"{place}: {name}: no element {owner!r} is defined")
        if element.type in CONTROLS:
            return Variable(name)
        value = element.attributes.get(key, ZERO)
        if not isinstance(value, Expression):
            raise ExpressionError(f"{place}: {name} is {value}: no number")
        if size_of(value, _LARGEST_REFERENCE) > _LARGEST_REFERENCE:
            return Number(self.definitions.value(value, place))
        return value

    # ---- elements ------------------------------------------------------------------------

    def define(
        self,
        name: str,
        word: str,
        attributes: dict[str, Attribute],
        statement: Statement,
        body: str,
    ) -> None:
        """Define an element of a type, or like another element.

        Raises
        ------
        LatticeError
            If there is no such type or element.
        """
        parent = self.elements.get(word)
        kind = parent.type if parent is not None else type_of(word, statement.place)
        if kind is None:
            raise LatticeError(
                f"{statement.place}: {name}: {word!r} is no type of element, nor an element that "
                "is defined before"
            )
        inherited = dict(parent.attributes) if parent is not None else {}
        self.elements[name] = BmadElement(
            name, kind, inherited | attributes, statement.place, statement.line,
            str(statement.source.path), body or (parent.body if parent is not None else ""),
        )  # fmt: skip

    def read_attributes(self, parts: list[str], place: str) -> dict[str, Attribute]:
        """Return the attributes of `key = value` and `key`."""
        found: dict[str, Attribute] = {}
        for part in parts:
            if part:
                key, equals, value = part.partition("=")
                key = "".join(key.split()).lower().removesuffix(":")
                found[key] = self.attribute(key, value.strip(), place) if equals else "default"
        return found

    def attribute(self, key: str, text: str, place: str) -> Attribute:
        """Return the value of an attribute: a tree, or text."""
        stripped = text.strip("'\" ")
        if key in WORDS or text[:1] in ("'", '"', "{"):
            return stripped.lower() if text[:1] != "{" else text
        if stripped.lower() in _SWITCHES and stripped.lower() not in self._current:
            return Number(_SWITCHES[stripped.lower()])
        try:
            return self.tree(text, f"{place}: {key}")
        except ExpressionError as error:
            return NoValue(str(error))

    def matching(self, pattern: str, place: str) -> list[BmadElement]:
        """Return the elements that a name, a pattern or `type::pattern` stands for."""
        kind, colons, name = pattern.rpartition("::")
        if not colons and pattern in self.elements:
            return [self.elements[pattern]]
        wanted = type_of(kind, place) if colons and kind != "*" else None
        if colons and kind != "*" and wanted is None:
            raise LatticeError(f"{place}: {pattern!r}: {kind!r} is no type of element")
        return [
            element
            for element in self.elements.values()
            if element.type in TYPES
            and (wanted is None or element.type == wanted)
            and matches(name, element.name)
        ]

    # ---- the reference -------------------------------------------------------------------

    def stated(self, key: str) -> Attribute | None:
        """Return what `beginning` or `parameter` says, in this order."""
        for owner in ("beginning", "parameter"):
            value = self.elements[owner].attributes.get(key)
            if value is not None:
                return value
        return None


_SWITCHES = {
    **dict.fromkeys(("t", "true", ".true.", ".t."), 1.0),
    **dict.fromkeys(("f", "false", ".false.", ".f."), 0.0),
}


def matches(pattern: str, name: str) -> bool:
    """Whether a name matches a pattern with `*` for any text and `%` for any character."""
    reached = {0}
    for mark in pattern:
        if mark == "*":
            reached = set(range(min(reached), len(name) + 1)) if reached else set()
        else:
            reached = {i + 1 for i in reached if i < len(name) and mark in ("%", name[i])}
        if not reached:
            return False
    return len(name) in reached
