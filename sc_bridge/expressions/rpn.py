"""RPN text to trees: the stack calculator of elegant's lattice files.

Operands precede their operator (`36 pi * 180 /`). Text is read token by token onto a stack of
trees; nothing is evaluated. Words are those of the SDDS toolkit's `rpn` and of its file of
definitions, as far as they are functions of numbers: no loops, no conditions, no files.

Cost: linear in the length of the text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from sc_bridge.errors import ExpressionError

from . import algebra
from .tree import MAX_DEPTH, MAX_LENGTH, Binary, Call, Expression, Negative, Number, shorten

_MAX_STACK = 1000
# Nodes of one tree: "=" copies the top, so that n words can make 2^n nodes.
_MAX_NODES = 20_000

# Values of defns.rpn of the SDDS toolkit (CODATA 1986), which elegant's files are written with.
CONSTANTS: dict[str, float] = {
    "pi": math.pi,
    "c_cgs": 2.99792458e10,
    "c_mks": 2.99792458e8,
    "e_cgs": 4.80325e-10,
    "e_mks": 1.60217733e-19,
    "me_cgs": 9.1093897e-28,
    "me_mks": 9.1093897e-31,
    "re_cgs": 2.81794092e-13,
    "re_mks": 2.81794092e-15,
    "kb_cgs": 1.380658e-16,
    "kb_mks": 1.380658e-23,
    "mev": 0.51099906,
    "hbar_mks": 1.0545887e-34,
    "hbar_MeVs": 6.582173e-22,
    "mp_mks": 1.6726485e-27,
    "mu_o": 4e-7 * math.pi,
    "eps_o": 1e7 / (4 * math.pi) / 2.99792458e8**2,
}

_DEGREE = Number(math.pi / 180)


def _square(x: Expression) -> Expression:
    return Binary("**", x, Number(2.0))


def _root_of_square(x: Expression, offset: float) -> Expression:
    return Call("sqrt", (Binary("+", _square(x), Number(offset)),))


def _inverse_root(x: Expression) -> Expression:
    """1/sqrt(1 - x^2)."""
    below = Binary("-", Number(1.0), _square(x))
    return Binary("/", Number(1.0), Call("sqrt", (below,)))


def _degrees(name: str) -> Callable[[Expression], Expression]:
    return lambda x: Call(name, (algebra.multiply(x, _DEGREE),))


def _in_degrees(name: str) -> Callable[[Expression], Expression]:
    return lambda x: Binary("/", Call(name, (x,)), _DEGREE)


_UNARY: dict[str, Callable[[Expression], Expression]] = {
    "sqr": _square,
    "chs": Negative,
    "rec": lambda x: Binary("/", Number(1.0), x),
    "ln": lambda x: Call("log", (x,)),
    "log": lambda x: Call("log10", (x,)),
    "10x": lambda x: Binary("**", Number(10.0), x),
    "int": lambda x: Call("trunc", (x,)),
    "dtor": lambda x: algebra.multiply(x, _DEGREE),
    "rtod": lambda x: Binary("/", x, _DEGREE),
    # momentum p = beta gamma, energy gamma
    "beta.p": lambda x: Binary("/", x, _root_of_square(x, 1.0)),
    "gamma.p": lambda x: _root_of_square(x, 1.0),
    "p.gamma": lambda x: _root_of_square(x, -1.0),
    "gamma.beta": _inverse_root,
    "p.beta": lambda x: Binary("*", x, _inverse_root(x)),
}
for _name in (
    "sqrt", "exp", "abs", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh",
):  # fmt: skip
    _UNARY[_name] = lambda x, name=_name: Call(name, (x,))
for _name in ("sin", "cos", "tan"):
    _UNARY[f"d{_name}"] = _degrees(_name)
    _UNARY[f"da{_name}"] = _in_degrees(f"a{_name}")

_BINARY: dict[str, Callable[[Expression, Expression], Expression]] = {
    "+": lambda a, b: Binary("+", a, b),
    "-": lambda a, b: Binary("-", a, b),
    "*": lambda a, b: Binary("*", a, b),
    "/": lambda a, b: Binary("/", a, b),
    "pow": lambda a, b: Binary("**", a, b),
    "max2": lambda a, b: Call("max", (a, b)),
    "min2": lambda a, b: Call("min", (a, b)),
    "hypot": lambda a, b: Call("sqrt", (Binary("+", _square(a), _square(b)),)),
}

_ONE_LEVEL = frozenset("+-*/") | {"pow", "sqr", "chs", "sqrt", "sin", "cos", "tan", "exp", "ln"}
_COPYING = frozenset({"beta.p", "p.beta"})  # their operand occurs twice

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_NAME = re.compile(r"[A-Za-z_][\w.:\[\]]*")


@dataclass(frozen=True)
class _Entry:
    """A tree on the stack, with what bounds it."""

    tree: Expression
    depth: int = 1
    nodes: int = 1


class RpnParser:
    """Reads RPN expressions and stores.

    Parameters
    ----------
    variable : callable
        Gives the tree of a name, or None where the name is not defined.
    store : callable, optional
        Takes the name and the tree of `sto`; without it, storing is refused.

    Examples
    --------
    >>> str(RpnParser(Variable).parse("36 pi * 180 /", "psr.lte:14: B1.ANGLE"))
    '36 * 3.141592653589793 / 180'
    """

    def __init__(
        self,
        variable: Callable[[str], Expression | None],
        store: Callable[[str, Expression], None] | None = None,
    ) -> None:
        self._variable = variable
        self._store = store

    def parse(self, text: str, where: str) -> Expression:
        """Return the tree that is on top of the stack at the end.

        Parameters
        ----------
        text : str
        where : str
            File, line and what the expression is for, for messages.

        Raises
        ------
        ExpressionError
            If a word is not known, operands are missing, or nothing is left.
        """
        stack = self.run(text, where)
        if not stack:
            raise ExpressionError(f"{where}: expression {shorten(text)!r}: it leaves no value")
        return stack[-1]

    def run(self, text: str, where: str) -> list[Expression]:
        """Read a text that may leave any number of values, bottom first."""
        if len(text) > MAX_LENGTH:
            raise ExpressionError(
                f"{where}: expression {shorten(text)!r}: {len(text)} characters, "
                f"more than {MAX_LENGTH}: split it into variables"
            )
        stack: list[_Entry] = []
        words = iter(text.split())
        try:
            for word in words:
                if word == "sto":
                    self._keep(next(words, ""), stack)
                else:
                    self._read(word, stack)
        except ExpressionError as error:
            raise ExpressionError(f"{where}: expression {shorten(text)!r}: {error}") from None
        return [entry.tree for entry in stack]

    def _read(self, word: str, stack: list[_Entry]) -> None:
        if _NUMBER.fullmatch(word):
            value = float(word)
            if not math.isfinite(value):
                raise ExpressionError(f"{word} is too large a number")
            stack.append(_Entry(Number(value)))
        elif word in _STACK:
            _STACK[word](stack)
        elif word in _BINARY:
            second, first = _pop(stack, word), _pop(stack, word)
            _push(stack, word, _BINARY[word](first.tree, second.tree), first, second)
        elif word in _UNARY:
            operand = _pop(stack, word)
            _push(stack, word, _UNARY[word](operand.tree), operand)
        else:
            stack.append(_Entry(self._named(word)))
        if len(stack) > _MAX_STACK:
            raise ExpressionError(f"more than {_MAX_STACK} values on the stack")

    def _named(self, word: str) -> Expression:
        tree = self._variable(word)
        if tree is not None:
            return tree
        if word in CONSTANTS:
            return Number(CONSTANTS[word])
        raise ExpressionError(f"{word!r} is neither a number, an operator nor a stored name")

    def _keep(self, name: str, stack: list[_Entry]) -> None:
        if self._store is None:
            raise ExpressionError("'sto' is not allowed here: store in a line that begins with %")
        if not _NAME.fullmatch(name):
            raise ExpressionError(f"'sto' {name!r}: a name must follow")
        if not stack:
            raise ExpressionError(f"'sto {name}': the stack is empty")
        self._store(name, stack[-1].tree)


def _pop(stack: list[_Entry], word: str) -> _Entry:
    if not stack:
        raise ExpressionError(f"{word!r}: an operand is missing")
    return stack.pop()


def _push(stack: list[_Entry], word: str, tree: Expression, *operands: _Entry) -> None:
    depth = (1 if word in _ONE_LEVEL else 5) + max(entry.depth for entry in operands)
    copies = 2 if word in _COPYING else 1
    nodes = 6 + copies * sum(entry.nodes for entry in operands)
    if depth > MAX_DEPTH or nodes > _MAX_NODES:
        raise ExpressionError("too large an expression: split it into variables")
    stack.append(_Entry(tree, depth, nodes))


def _duplicate(stack: list[_Entry]) -> None:
    top = _pop(stack, "=")
    stack += [top, top]


def _swap(stack: list[_Entry]) -> None:
    second, first = _pop(stack, "swap"), _pop(stack, "swap")
    stack += [second, first]


def _drop(stack: list[_Entry]) -> None:
    _pop(stack, "pop")


_STACK: dict[str, Callable[[list[_Entry]], None]] = {
    "=": _duplicate,
    "swap": _swap,
    "pop": _drop,
    "cle": lambda stack: stack.clear(),
}
