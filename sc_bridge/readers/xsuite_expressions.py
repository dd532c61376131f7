"""Xsuite's expression strings to trees, by a whitelist over Python's syntax tree.

xdeps writes `(3.0 * vars['a'])`, `f.sin(vars['b'])`, `element_refs['q'].knl[2]` and, on
loading, hands them to Python's `eval`. Here the text is parsed, never compiled or run: every
node that is not listed is refused.
"""

from __future__ import annotations

import ast
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn, TypeAlias

from sc_bridge.errors import ExpressionError
from sc_bridge.expressions import (
    FUNCTIONS,
    MAX_DEPTH,
    MAX_LENGTH,
    Binary,
    Call,
    Expression,
    Negative,
    Number,
    Variable,
    shorten,
)

_OPERATORS: dict[type[ast.operator], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.Pow: "**",
}
_ALLOWED = (
    "allowed are numbers, + - * / // % **, vars['name'], element_refs['name'].field "
    f"and the functions {', '.join(sorted(FUNCTIONS))}"
)


@dataclass(frozen=True)
class VariableTarget:
    """`vars['name']`."""

    name: str


@dataclass(frozen=True)
class FieldTarget:
    """`element_refs['element'].field`, or `.field[index]`."""

    element: str
    field: str
    index: int | None = None

    def __str__(self) -> str:
        return f"{self.element}.{self.field}" + ("" if self.index is None else f"[{self.index}]")


@dataclass(frozen=True)
class OtherTarget:
    """Anything else that an expression may drive: `container['key']...`."""

    container: str
    key: str
    field: str


Target: TypeAlias = VariableTarget | FieldTarget | OtherTarget


def parse_expression(
    text: object, where: str, field_variable: Callable[[FieldTarget], str] | None = None
) -> Expression:
    """Return the tree of an Xsuite expression.

    Parameters
    ----------
    text : object
        What the file holds; anything but a string is refused.
    where : str
        File and variable or field, for messages.
    field_variable : callable, optional
        Gives the variable that stands for a field of an element on the right-hand side;
        without it, such a reference is refused.

    Raises
    ------
    ExpressionError
        If the text is not an expression of the whitelist.
    """
    return _Parser(str(text), where, field_variable).expression(_syntax_tree(text, where), 1)


def parse_target(text: object, where: str) -> Target:
    """Return what the left-hand side of a definition names.

    Raises
    ------
    ExpressionError
        If it is none of `vars['x']`, `element_refs['q'].k1`, `element_refs['q'].knl[2]` or a
        reference into another container.
    """
    target = _target(_syntax_tree(text, where))
    if target is None:
        raise ExpressionError(
            f"{where}: cannot drive {shorten(text)!r}: expected vars['name'], "
            "element_refs['name'].field or element_refs['name'].field[index]"
        )
    return target


def _target(node: ast.expr) -> Target | None:
    """Return what a reference names, None if it is not one."""
    index = None
    attributes: list[str] = []
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Attribute):
        index = _constant(node.slice)
        if index is None:
            return None
        node = node.value
    while isinstance(node, ast.Attribute):
        attributes.insert(0, node.attr)
        node = node.value
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
        return _named(node.value.id, _constant(node.slice), attributes, index)
    return None


def _named(container: str, key: object, attributes: list[str], index: object) -> Target | None:
    if not isinstance(key, str):
        return None
    if container == "vars":
        return VariableTarget(key) if not attributes and index is None else None
    if container != "element_refs":
        return OtherTarget(container, key, attributes[0] if attributes else "")
    if len(attributes) != 1:
        return None
    if index is None:
        return FieldTarget(key, attributes[0])
    if type(index) is int and index >= 0:
        return FieldTarget(key, attributes[0], index)
    return OtherTarget(container, key, "extra") if attributes == ["extra"] else None


def _constant(node: ast.expr) -> object:
    return node.value if isinstance(node, ast.Constant) else None


def _syntax_tree(text: object, where: str) -> ast.expr:
    if not isinstance(text, str):
        raise ExpressionError(f"{where}: expression {shorten(text)!r}: must be a string")
    if len(text) > MAX_LENGTH:
        raise ExpressionError(
            f"{where}: expression {shorten(text)!r}: {len(text)} characters, "
            f"more than {MAX_LENGTH}: split it into variables"
        )
    try:
        with warnings.catch_warnings():
            # Python warns about text such as "1if 2"; what is not listed is refused anyway.
            warnings.simplefilter("ignore")
            return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = "too deeply nested" if isinstance(error, (RecursionError, MemoryError)) else ""
        reason = reason or getattr(error, "msg", None) or str(error)
        raise ExpressionError(f"{where}: expression {shorten(text)!r}: {reason}") from None


class _Parser:
    """Walks one syntax tree; every method returns a node or refuses."""

    def __init__(
        self, text: str, where: str, field_variable: Callable[[FieldTarget], str] | None
    ) -> None:
        self.text = text
        self.where = where
        self.field_variable = field_variable

    def refuse(self, reason: str) -> NoReturn:
        raise ExpressionError(f"{self.where}: expression {shorten(self.text)!r}: {reason}")

    def expression(self, node: ast.expr, depth: int) -> Expression:
        if depth > MAX_DEPTH:
            self.refuse(f"more than {MAX_DEPTH} levels deep: split it into variables")
        match node:
            case ast.Constant(value=value):
                return self.number(value)
            case ast.BinOp(op=operator) if type(operator) in _OPERATORS:
                left = self.expression(node.left, depth + 1)
                right = self.expression(node.right, depth + 1)
                return Binary(_OPERATORS[type(operator)], left, right)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return Negative(self.expression(operand, depth + 1))
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self.expression(operand, depth + 1)
            case ast.Call():
                return self.call(node, depth)
            case ast.Subscript() | ast.Attribute():
                return self.reference(node)
        self.refuse(f"{type(node).__name__} is not allowed: {_ALLOWED}")

    def number(self, value: object) -> Expression:
        if type(value) not in (int, float):
            self.refuse(f"{shorten(repr(value))} is not a real number: {_ALLOWED}")
        try:
            number = float(value)  # pyright: ignore[reportArgumentType]
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            self.refuse("it holds a number that is too large")
        return Number(number)

    def call(self, node: ast.Call, depth: int) -> Expression:
        match node.func:
            # xdeps writes Python's own round and abs without the prefix
            case ast.Attribute(value=ast.Name(id="f"), attr=name) | ast.Name(id=name):
                pass
            case ast.Subscript(value=ast.Name(id="f"), slice=ast.Constant(value=str(name))):
                pass
            case _:
                self.refuse(f"only functions of a fixed list may be called: {_ALLOWED}")
        if name not in FUNCTIONS:
            self.refuse(f"function {name!r} is not known: {_ALLOWED}")
        arity = FUNCTIONS[name].arity
        if node.keywords or len(node.args) != arity:
            self.refuse(f"function {name!r} takes {arity} argument{'s' * (arity > 1)}")
        return Call(name, tuple(self.expression(argument, depth + 1) for argument in node.args))

    def reference(self, node: ast.expr) -> Expression:
        target = _target(node)
        if isinstance(target, VariableTarget):
            return Variable(target.name)
        if isinstance(target, FieldTarget) and self.field_variable is not None:
            return Variable(self.field_variable(target))
        self.refuse(f"a reference that is not allowed: {_ALLOWED}")
