"""Infix text to trees, for every dialect whose operators are + - * / and a power.

One LALR(1) grammar (lark) serves MAD-X, Bmad, ImpactX and the like; what differs between them
is a `Dialect`: spelling of powers and numbers, whether powers group to the left, functions,
constants, and what a reference to an element's attribute looks like. Nothing is evaluated
while text is read.

Cost: linear in the length of the text, some microseconds a token.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from sc_bridge.errors import ExpressionError

from .tree import (
    FUNCTIONS,
    MAX_DEPTH,
    MAX_LENGTH,
    Binary,
    Call,
    Expression,
    Negative,
    Number,
    shorten,
)

# A sign binds less than a power (-2^2 = -4) and may follow another operator (2*-3, 2^-1).
_GRAMMAR = r"""
?start: sum
?sum: product | sum "+" product -> add | sum "-" product -> subtract
?product: signed | product "*" signed -> multiply | product "/" signed -> divide
?signed: power | "-" signed -> negative | "+" signed
{power}
?exponent: atom | "-" exponent -> negative | "+" exponent
?atom: NUMBER -> number
     | REFERENCE -> reference
     | NAME -> name
     | NAME "(" [sum ("," sum)*] ")" -> call
     | "(" sum ")"
NUMBER: /{number}/
REFERENCE.3: /{reference}/
NAME.1: /{name}/
POWER.4: {spelling}
%ignore /\s+/
"""
_LEFT = "?power: atom | power POWER exponent -> power"
_RIGHT = '?power: atom | atom POWER raised -> power\n?raised: power | "-" raised -> negative'
_NEVER = r"\x00\x00"  # no text holds it


@dataclass(frozen=True)
class Dialect:
    """How one format writes expressions.

    Parameters
    ----------
    name : str
        For messages, such as "MAD-X".
    functions : mapping of str to (str or callable)
        Functions by the name in the file: a name of `FUNCTIONS`, or what makes a tree of the
        arguments.
    constants : mapping of str to float
        Names that are numbers wherever they are not variables of the file.
    names : str
        Regular expression of a name.
    numbers : str
        Regular expression of an unsigned number; a letter d or D stands for e.
    references : str
        Regular expression of a reference to an attribute, such as `q1->k1` or `q1[k1]`.
    powers : tuple of str
        Spellings of the power.
    left_associative : bool
        Whether 2^3^2 is 64 (MAD-X) rather than 512.
    zero_division : bool
        Whether x/0 is 0 (MAD-X) rather than an error.
    ignore_case : bool
        Whether names are the same in any case; they are handed on in lower case.
    """

    name: str
    functions: Mapping[str, str | Callable[..., Expression]] = field(
        default_factory=lambda: {name: name for name in FUNCTIONS}, hash=False
    )
    constants: Mapping[str, float] = field(default_factory=dict, hash=False)
    names: str = r"[A-Za-z_][A-Za-z0-9_.]*"
    numbers: str = r"(\d+\.?\d*|\.\d+)([eEdD][+-]?\d+)?"
    references: str = _NEVER
    powers: tuple[str, ...] = ("^", "**")
    left_associative: bool = False
    zero_division: bool = False
    ignore_case: bool = True


class InfixParser:
    """Reads the expressions of one dialect.

    Parameters
    ----------
    dialect : Dialect
    variable : callable
        Gives the tree of a name: normally `Variable`, or what refuses an unknown name.
    reference : callable, optional
        Gives the tree of a reference to an attribute, from its text without blanks.

    Examples
    --------
    >>> parser = InfixParser(Dialect("MAD-X", left_associative=True), Variable)
    >>> str(parser.parse("-kq^2 / 3", "ring.madx:7: qf.k1"))
    '-kq**2 / 3'
    """

    def __init__(
        self,
        dialect: Dialect,
        variable: Callable[[str], Expression],
        reference: Callable[[str], Expression] | None = None,
    ) -> None:
        self.dialect = dialect
        self._variable = variable
        self._reference = reference
        self._lark = _lark(
            dialect.names, dialect.numbers, dialect.references, dialect.powers,
            dialect.left_associative,
        )  # fmt: skip
        self._rules: dict[str, Callable[..., Expression]] = {
            "add": lambda a, b: Binary("+", a, b),
            "subtract": lambda a, b: Binary("-", a, b),
            "multiply": lambda a, b: Binary("*", a, b),
            "divide": self._divide,
            "power": lambda a, _, b: Binary("**", a, b),
            "negative": Negative,
            "number": self._number,
            "name": self._name,
            "call": self._call,
            "reference": self._refer,
        }

    def parse(self, text: str, where: str) -> Expression:
        """Return the tree of an expression.

        Parameters
        ----------
        text : str
        where : str
            File, line and what the expression is for, for messages.

        Raises
        ------
        ExpressionError
            If the text is not an expression of the dialect; the message shows where.
        """
        simple = _plain_number(text)
        if simple is not None:
            return Number(simple)
        if len(text) > MAX_LENGTH:
            raise ExpressionError(
                f"{where}: expression {shorten(text)!r}: {len(text)} characters, "
                f"more than {MAX_LENGTH}: split it into variables"
            )
        try:
            return self._build(self._lark.parse(text))
        except ExpressionError as error:
            raise ExpressionError(f"{where}: expression {shorten(text)!r}: {error}") from None
        except UnexpectedInput as error:
            reason = _reason(error, text)
            raise ExpressionError(f"{where}: expression {shorten(text)!r}: {reason}") from None

    def _build(self, root: Tree[Token] | Token) -> Expression:
        """Tree of nodes from the syntax tree, in a loop: text may nest deeply."""
        done: list[tuple[Expression | Token | None, int]] = []
        waiting: list[tuple[Any, bool]] = [(root, False)]
        while waiting:
            node, ready = waiting.pop()
            if not isinstance(node, Tree):
                done.append((node, 0))
            elif not ready:
                waiting.append((node, True))
                waiting.extend((child, False) for child in reversed(node.children))
            else:
                count = len(node.children)
                children = done[len(done) - count :]
                del done[len(done) - count :]
                depth = 1 + max(level for _, level in children)
                if depth > MAX_DEPTH:
                    raise ExpressionError(f"more than {MAX_DEPTH} levels deep: split it up")
                rule = self._rules[node.data]
                done.append((rule(*(child for child, _ in children)), depth))
        return done[0][0]  # pyright: ignore[reportReturnType]

    def _divide(self, a: Expression, b: Expression) -> Expression:
        safe = isinstance(b, Number) and b.value != 0
        return Binary("/0" if self.dialect.zero_division and not safe else "/", a, b)

    def _number(self, token: Token) -> Expression:
        value = float(token.lower().replace("d", "e"))
        if not math.isfinite(value):
            raise ExpressionError("it holds a number that is too large")
        return Number(value)

    def _fold(self, token: str) -> str:
        return str(token).lower() if self.dialect.ignore_case else str(token)

    def _name(self, token: Token) -> Expression:
        return self._variable(self._fold(token))

    def _refer(self, token: Token) -> Expression:
        if self._reference is None:
            raise ExpressionError(f"a reference to {str(token)!r} is not allowed here")
        return self._reference("".join(self._fold(token).split()))

    def _call(self, token: Token, *arguments: Expression | None) -> Expression:
        name, given = self._fold(token), [a for a in arguments if a is not None]
        function = self.dialect.functions.get(name)
        if function is None:
            known = ", ".join(sorted(self.dialect.functions))
            raise ExpressionError(f"function {name!r} is not known: known are {known}")
        if callable(function):
            return function(*given)
        arity = FUNCTIONS[function].arity
        if len(given) != arity:
            raise ExpressionError(f"function {name!r} takes {arity} argument{'s' * (arity > 1)}")
        return Call(function, tuple(given))


@functools.lru_cache(maxsize=32)
def _lark(names: str, numbers: str, references: str, powers: tuple[str, ...], left: bool) -> Lark:
    grammar = _GRAMMAR.format(
        name=names,
        number=numbers,
        reference=references,
        power=_LEFT if left else _RIGHT,
        spelling=" | ".join(f'"{power}"' for power in powers),
    )
    return Lark(grammar, parser="lalr", maybe_placeholders=False)


_SIMPLE = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eEdD][+-]?\d+)?\s*\Z")


def _plain_number(text: str) -> float | None:
    """Value of text that is one number, as most are; the grammar says the same, slower."""
    if not _SIMPLE.match(text):
        return None
    value = float(text.lower().replace("d", "e"))
    return value if math.isfinite(value) else None


def _reason(error: UnexpectedInput, text: str) -> str:
    if isinstance(error, UnexpectedCharacters):
        return f"{text[error.pos_in_stream]!r} is not understood"
    if isinstance(error, UnexpectedToken) and error.token.type != "$END":
        after = shorten(text[: error.token.start_pos or 0].rstrip()[-20:])
        return f"unexpected {shorten(str(error.token))!r}" + (f" after {after!r}" if after else "")
    return "it ends too early" if text.strip() else "it is empty"
