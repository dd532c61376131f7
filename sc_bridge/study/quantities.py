"""Values of a study file: text with a unit in, numbers in SI out."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from ..errors import StudyError
from ..units import example_of, parse_quantity, to_si


def quantity(unit: str) -> BeforeValidator:
    """Text with a unit, as a number of that unit. The key is put before the message later."""

    def read(value: Any) -> float:
        if isinstance(value, str):
            return parse_quantity(value, unit, "")
        if unit and isinstance(value, (int, float)) and not isinstance(value, bool):
            return parse_quantity(f"{value}", unit, "")
        return float(to_si(value, unit, ""))

    example = example_of(unit)
    if unit:
        return BeforeValidator(read, Annotated[str, Field(examples=[example])])
    return BeforeValidator(read, float | str)


def positive(value: float) -> float:
    if not value > 0:
        raise StudyError(f" = {value:.9g}: must be positive")
    return value


def not_negative(value: float) -> float:
    if value < 0:
        raise StudyError(f" = {value:.9g}: must not be negative")
    return value


Positive = AfterValidator(positive)
NotNegative = AfterValidator(not_negative)
Length = Annotated[float, quantity("m")]
Energy = Annotated[float, quantity("eV"), Positive]
Momentum = Annotated[float, quantity("eV/c"), Positive]
Bytes = Annotated[float, quantity("B"), Positive]
Pure = Annotated[float, quantity("")]


# One text, or a list of them.
Texts = Annotated[
    list[str], BeforeValidator(lambda v: [v] if isinstance(v, str) else v, str | list[str])
]


class Section(BaseModel):
    """Base of all sections: no other keys, no other types than those stated."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
