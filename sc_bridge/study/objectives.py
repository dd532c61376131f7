"""Objectives: what is differentiated or optimised, as text that is parsed, never evaluated.

Names are moments of the final bunch (`sigma_x`), or those at a monitor: `screen.sigma_x` at its
last look, `screen[0].sigma_x` at its first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from sc_bridge.elements import Bunch

from ..errors import ExpressionError, StudyError
from ..expressions.infix import Dialect, InfixParser
from ..expressions.tree import Binary, Call, Expression, Negative, Number, Variable, constant
from ..moments import MOMENTS, moment
from ..monitors import BunchRecord
from ..units import product_unit
from .messages import near

if TYPE_CHECKING:
    from .model import Study

MONITOR_NAME = re.compile(r"[A-Za-z_]\w*")
_NAME = re.compile(r"(?:([A-Za-z_]\w*)(?:\[(\d+)\])?\.)?([A-Za-z_]\w*)")
# Steps have no useful slope, so that they are not among the functions.
_FUNCTIONS = (
    *("sqrt", "log", "log10", "exp", "sin", "cos", "tan", "asin", "acos", "atan", "atan2"),
    *("sinh", "cosh", "tanh", "abs", "min", "max"),
)
_DIALECT = Dialect(
    "study",
    functions={name: name for name in _FUNCTIONS},
    names=r"[A-Za-z_]\w*(?:(?:\[\d+\])?\.[A-Za-z_]\w*)?",
    ignore_case=False,
)
_COUNTS = frozenset({"n_alive", "n_lost", "losses", "lost", "n_particles"})


@dataclass(frozen=True)
class Objective:
    """A number made of moments.

    Parameters
    ----------
    text : str
    expression : Expression
    unit : str or None
        None where units do not tell, as in a sum of metres and radians.
    """

    text: str
    expression: Expression
    unit: str | None

    @property
    def monitors(self) -> frozenset[str]:
        """Names of the monitors that it looks at."""
        found = (_split(name)[0] for name in self.expression.variables())
        return frozenset(name for name in found if name)

    @property
    def counts_losses(self) -> bool:
        """Whether it is made of the intensity, of which the lost are no part."""
        return any(_split(name)[2] == "intensity" for name in self.expression.variables())

    def value(self, bunch: Bunch, records: Mapping[str, Any] | None = None) -> Tensor:
        """Value for an outgoing bunch and the records of monitors, ().

        Without `records` the moments of the bunch stand for those at monitors: what a plan of
        memory needs.
        """
        known = {name: _moment(name, bunch, records) for name in self.expression.variables()}
        try:
            value = self.expression.evaluate(known)
        except ExpressionError as error:
            raise StudyError(f"{self.text!r}: {error}") from None
        return torch.as_tensor(value, dtype=torch.float64)

    def check_alive(self, bunch: Bunch, records: Mapping[str, Any]) -> None:
        """Refuse moments of nobody: they are 0, and no derivative means anything.

        Raises
        ------
        StudyError
            If all particles are lost where one of its moments is taken.
        """
        for name in sorted(self.expression.variables()):
            if _split(name)[2] != "intensity" and not bool(_moment(name, bunch, records, True)):
                raise StudyError(
                    f"{self.text!r}: no particle is left there: widen the aperture, or take "
                    "moments at a monitor before it"
                )


@lru_cache(maxsize=256)
def parse_objective(text: str, where: str) -> Objective:
    """Read an objective.

    Parameters
    ----------
    text : str
    where : str
        Key of the study, for messages.

    Raises
    ------
    StudyError
        If it is no expression of moments.
    """
    try:
        expression = InfixParser(_DIALECT, _variable).parse(text, where)
    except ExpressionError as error:
        raise StudyError(f"{error}") from None
    if not expression.variables():
        raise StudyError(f"{where}: {text!r}: names no moment: known are {', '.join(MOMENTS)}")
    return Objective(text, expression, _unit(expression))


def objectives_of(study: Study) -> tuple[Objective, ...]:
    """What a study differentiates."""
    section = study.model.derivatives
    return tuple(
        parse_objective(text, "derivatives.of") for text in (section.of if section else ())
    )


def outputs_of(study: Study, bunch: Bunch, records: Mapping[str, Any] | None = None) -> Tensor:
    """Values of all that a study differentiates, (n_objectives,)."""
    return torch.stack([objective.value(bunch, records) for objective in objectives_of(study)])


def _variable(name: str) -> Expression:
    _, _, what = _split(name)
    if what in _COUNTS:
        raise ExpressionError(
            f"{what!r} counts particles: it changes in steps, so that its derivative is zero or "
            "nothing; take moments, such as sigma_x before the aperture"
        )
    if what not in MOMENTS:
        raise ExpressionError(f"no moment {what!r}{near(what, MOMENTS)}")
    return Variable(name)


def _split(name: str) -> tuple[str, int, str]:
    """Monitor ("" for the final bunch), index of its look (-1 for the last), and moment."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise ExpressionError(f"{name!r} is no name of a moment")
    return match[1] or "", -1 if match[2] is None else int(match[2]), match[3]


def _moment(
    name: str, bunch: Bunch, records: Mapping[str, Any] | None, count: bool = False
) -> Tensor:
    """A moment, or the living particles that it is of."""
    monitor, index, what = _split(name)
    what = "n_alive" if count else what
    if not monitor or records is None:
        return moment(bunch, what)
    record = records[monitor]
    looks = len(record.s)
    if index >= looks:
        raise StudyError(f"{name!r}: the monitor looks {looks} times: the last is {looks - 1}")
    if isinstance(record, BunchRecord):
        return moment(record[index], what)
    try:
        return getattr(record, what)[index]
    except AttributeError:
        raise StudyError(
            f'{name!r}: a monitor of moments does not record {what}: take kind = "bunch"'
        ) from None


def _unit(node: Expression) -> str | None:
    if isinstance(node, Variable):
        return MOMENTS[_split(node.name)[2]]
    if isinstance(node, Number):
        return "1"
    if isinstance(node, Negative):
        return _unit(node.operand)
    if isinstance(node, Call):
        return _unit_of_call(node)
    return _unit_of_binary(node) if isinstance(node, Binary) else None


def _unit_of_call(node: Call) -> str | None:
    units = {_unit(argument) for argument in node.arguments}
    unit = units.pop() if len(units) == 1 else None
    if node.function in ("abs", "min", "max"):
        return unit
    if node.function == "sqrt":
        return None if unit is None else product_unit((unit, 0.5))
    # the logarithm of a quantity has a slope in 1/input, whatever its unit
    return "1" if node.function in ("log", "log10") or unit == "1" else None


def _unit_of_binary(node: Binary) -> str | None:
    left, right = _unit(node.left), _unit(node.right)
    if left is None or right is None:
        return None
    if node.operator in ("*", "/"):
        return product_unit((left, 1), (right, 1 if node.operator == "*" else -1))
    if node.operator == "**":
        power = constant(node.right)
        return None if power is None else product_unit((left, power))
    return left if left == right else None
