"""Units: the border behind which everything is SI (energies in eV, momenta in eV/c).

Text is matched against "one number, then units" before pint sees its units, so that nothing
in a study file is ever evaluated as an expression.
"""

from __future__ import annotations

import functools
import math
import re
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .errors import UnitError

if TYPE_CHECKING:
    import pint

_NUMBER = r"[+-]?(?:\d+(?:_\d+)*\.?(?:\d+(?:_\d+)*)?|\.\d+)(?:[eE][+-]?\d{1,4})?"
_NAME = r"[A-Za-zµμΩ°%‰][A-Za-zµμΩ]{0,30}"
_UNIT = rf"(?:1\s*/\s*)?{_NAME}(?:\^-?\d|\*\*-?\d|[²³])?"
_QUANTITY = re.compile(rf"\s*({_NUMBER})\s*((?:{_UNIT}(?:\s*[*/·]\s*|\s+|$)){{0,6}})\s*")

# Constants of pint that people do not mean when they write them ("2 pi mm mrad").
_REFUSED = frozenset({"pi", "e", "k", "h", "hbar"})
# What a number without dimension may carry; an angle is not one of them.
_FRACTIONS = frozenset({"", "%", "‰", "percent", "permille", "ppm"})

_DIMENSIONS = {
    "": ("a number without unit", "1e-3"),
    "m": ("a length", "1.5 mm"),
    "eV": ("an energy", "160 MeV"),
    "eV/c": ("a momentum", "1.4 GeV/c"),
    "eV/c^2": ("a mass", "938.272 MeV/c^2"),
    "e": ("a charge", "1 e"),
    "rad": ("an angle", "3 mrad"),
    "deg": ("an angle", "30 deg"),
    "B": ("a number of bytes", "8 GiB"),
    "V": ("a voltage", "8 kV"),
    "Hz": ("a frequency", "1.3 GHz"),
    "s": ("a time", "20 ns"),
}


@functools.cache
def registry() -> pint.UnitRegistry:
    """Return the one pint registry of sc_bridge, made at its first use."""
    import pint

    return pint.UnitRegistry()


def to_si(value: Any, unit: str, key: str) -> float | Tensor:
    """Return a quantity as a number of `unit`.

    Parameters
    ----------
    value : str, pint.Quantity, float or Tensor
        Text needs a unit unless `unit` is ""; numbers and tensors are taken as being in `unit`
        already, and a tensor is returned as it is, with its graph.
    unit : str
        "m", "eV", "eV/c", ... or "" for a number without dimension.
    key : str
        What the quantity is called, for messages: "bunch.nemitt_x".

    Returns
    -------
    float or Tensor

    Raises
    ------
    UnitError
        If the unit is missing or unknown, the dimension is another, or the number is not finite.
    """
    if isinstance(value, str):
        return parse_quantity(value, unit, key)
    if isinstance(value, Tensor):
        if not bool(torch.isfinite(value.detach()).all()):
            raise UnitError(f"{key} = {value.tolist()}: must be finite")
        return value
    if hasattr(value, "magnitude") and hasattr(value, "units"):
        if getattr(value.magnitude, "ndim", 0):
            raise UnitError(f"{key} = {value}: {_wanted(unit)}{_one_number(value)}")
        return _finite(_convert(value, str(value.units), unit, key, str(value)), key, value)
    if isinstance(value, bool) or not hasattr(value, "__float__") or getattr(value, "ndim", 0):
        raise UnitError(f"{key} = {value!r}: {_wanted(unit)}{_one_number(value)}")
    try:
        number = float(value)
    except OverflowError:  # a whole number beyond floats
        number = math.inf
    return _finite(number, key, value)


def parse_quantity(text: str, unit: str, key: str) -> float:
    """Read text such as "160 MeV" as a number of `unit`; a bare number is refused.

    Raises
    ------
    UnitError
        As `to_si`.
    """
    shown = _shorten(text)
    match = _QUANTITY.fullmatch(text) if len(text) <= 100 else None
    if match is None:
        raise UnitError(f"{key} = {shown!r}: is no number with a unit: {_wanted(unit)}")
    number, found = float(match[1]), match[2].strip()
    if not found:
        if unit:
            raise UnitError(f"{key} = {shown!r}: the unit is missing: {_wanted(unit)}")
        return _finite(number, key, text)
    if not unit and found not in _FRACTIONS:
        raise UnitError(f"{key} = {shown!r}: has the unit {found!r}: {_wanted(unit)}")
    quantity = registry().Quantity(number, _parse_unit(found, unit, key, shown))
    return _finite(_convert(quantity, found, unit, key, shown), key, text)


def derivative_unit(numerator: str, denominator: str) -> str:
    """Unit of d(numerator)/d(denominator): "m^3" for ("m", "1/m^2"), "1" for equal ones."""
    return product_unit((numerator or "1", 1), (denominator or "1", -1))


def product_unit(*factors: tuple[str, float]) -> str:
    """Unit of a product of powers: "m^3" for ("m", 1) and ("m", 2)."""
    product = _compile("1")
    for unit, power in factors:
        product = product * _compile(unit) ** power
    return f"{product:~C}".replace("**", "^").replace("dimensionless", "") or "1"


def _compile(unit: str) -> Any:
    return registry().parse_units("" if unit == "1" else unit)


def _parse_unit(found: str, unit: str, key: str, shown: str) -> Any:
    import pint

    names = re.findall(_NAME, found)
    unknown = next((name for name in names if name in _REFUSED - {unit}), None)
    if unknown is None:
        try:
            return registry().parse_units(found.replace("²", "^2").replace("³", "^3"))
        except (
            pint.errors.PintError,
            ArithmeticError,
            AttributeError,
            LookupError,
            TypeError,
            ValueError,
        ):
            unknown = next((name for name in names if not _known(name)), found)
    raise UnitError(f"{key} = {shown!r}: unknown unit {unknown!r}: {_wanted(unit)}{_hint(unknown)}")


def _known(name: str) -> bool:
    return name in registry()


def _hint(name: str) -> str:
    common = [p + u for u in ("eV", "m", "V", "Hz", "s", "rad") for p in ("", *"munkMGT")]
    common += [p + "B" for p in ("k", "M", "G", "T", "Ki", "Mi", "Gi", "Ti")]
    near = [unit for unit in common if unit.lower() == name.lower()]
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""


def _convert(quantity: Any, found: str, unit: str, key: str, shown: str) -> float:
    import pint

    try:
        converted = quantity.to(unit or "dimensionless")
        # an angle is a number to pint, but nobody means one by a length over a length
        angle = unit in ("rad", "deg")
        if angle and not _is_angle(quantity):
            raise UnitError(f"{key} = {shown!r}: has the unit {found!r}: {_wanted(unit)}")
        return float(converted.magnitude)
    except (pint.errors.PintError, TypeError, ValueError, ArithmeticError) as error:
        if isinstance(error, UnitError):
            raise
        raise UnitError(f"{key} = {shown!r}: has the unit {found!r}: {_wanted(unit)}") from None


def _is_angle(quantity: Any) -> bool:
    return {str(name) for name in quantity.to_root_units().units._units} == {"radian"}


def _finite(number: float, key: str, value: Any) -> float:
    if not math.isfinite(number):
        raise UnitError(f"{key} = {_shorten(str(value))}: must be finite")
    return number


def example_of(unit: str) -> str:
    """Text that a quantity of this unit may be written as."""
    return _DIMENSIONS.get(unit, ("", f"1 {unit}"))[1]


def _wanted(unit: str) -> str:
    kind = _DIMENSIONS.get(unit, (f"a quantity in {unit}",))[0]
    example = example_of(unit)
    return f"write {kind}, such as {example!r}"


def _one_number(value: Any) -> str:
    return "; an array is not one" if getattr(value, "ndim", 0) else ""


def _shorten(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
