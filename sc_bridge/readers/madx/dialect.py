"""How MAD-X writes numbers, names and expressions; its constants and functions."""

from __future__ import annotations

import math
from collections.abc import Callable

from sc_bridge.expressions import Call, Dialect, Expression, Variable
from sc_bridge.expressions.algebra import subtract
from sc_bridge.readers.statements import StatementSyntax

SYNTAX = StatementSyntax(
    line_comments=("!", "//"),
    block_comments=(("/*", "*/"),),
    block=r"(if|elseif|else|while)\b|[\w.$]+\s*(\([^)]*\))?\s*:\s*macro\b",
)
NAME = r"[A-Za-z_][\w.$]*"

_ELECTRON, _PROTON = 0.51099895000e-3, 0.93827208816
_RADIUS = 2.8179403262e-15

# Values of MAD-X 5.09 (mad_const.h, CODATA 2018); energies in GeV. Read-only in MAD-X.
CONSTANTS: dict[str, float] = {
    "pi": math.pi,
    "twopi": 2 * math.pi,
    "degrad": 180 / math.pi,
    "raddeg": math.pi / 180,
    "e": math.e,
    "amu0": 4e-7 * math.pi,
    "emass": _ELECTRON,
    "mumass": 0.1056583755,
    "pmass": _PROTON,
    "nmass": 0.93956542052,
    "umass": 0.93149410242,
    "clight": 299792458.0,
    "qelect": 1.602176634e-19,
    "hbar": 6.582119569e-25,
    "erad": _RADIUS,
    "prad": _RADIUS * _ELECTRON / _PROTON,
}

# Functions whose value depends on a run; a variable of that name stands for it, so that only
# what needs the value is refused.
_OF_A_RUN = ("ranf", "gauss", "tgauss", "user0", "user1", "user2", "user3", "table", "exist")


def _of_a_run(name: str) -> Callable[..., Expression]:
    def stand_in(*arguments: Expression) -> Expression:
        return Variable(f"{name}()")

    return stand_in


def _fraction(x: Expression) -> Expression:
    """MAD-X's frac keeps the sign: frac(-1.3) = -0.3."""
    return subtract(x, Call("trunc", (x,)))


FUNCTIONS: dict[str, str | Callable[..., Expression]] = {
    name: name
    for name in (
        "sqrt", "log", "log10", "exp", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh",
        "tanh", "sinc", "abs", "erf", "erfc", "floor", "ceil", "round", "atan2",
    )
}  # fmt: skip

DIALECT = Dialect(
    "MAD-X",
    functions=FUNCTIONS | {"frac": _fraction} | {name: _of_a_run(name) for name in _OF_A_RUN},
    constants=CONSTANTS,
    names=NAME,
    references=rf"{NAME}\s*->\s*[A-Za-z_]\w*",
    left_associative=True,
    zero_division=True,
)
