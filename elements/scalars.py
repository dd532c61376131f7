"""Numbers in maps: Python floats where nothing is lost by it, tensors otherwise.

A field without a batch and without a gradient costs an operation on tensors at every use,
and a map that knows its sign needs one branch instead of two.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch._C._functorch import is_functorch_wrapped_tensor
from torch.autograd.forward_ad import unpack_dual

from .state import Number


def plain(value: Tensor) -> Number:
    """Return the float behind a zero-dimensional tensor that no derivative is asked of."""
    if value.dim() or value.requires_grad or not _is_readable(value):
        return value
    return value.item()


def components(value: Tensor) -> list[Number]:
    """Split a list of multipoles, (..., order + 1), into one number for each order."""
    if value.dim() == 1 and not value.requires_grad and _is_readable(value):
        return list(value.tolist())
    return list(value.unbind(-1))


def known(number: Number) -> float | None:
    """Return the value of one number, to choose a branch by; None if there are many."""
    if not isinstance(number, Tensor):
        return number
    detached = number.detach()
    return detached.item() if detached.dim() == 0 and _is_readable(detached) else None


def is_active(number: Number) -> bool:
    """Whether a strength does anything: it is not zero, or a gradient is asked of it.

    A batch does, even of zeros: it gives its shape to the coordinates.
    """
    if not isinstance(number, Tensor):
        return number != 0.0
    return number.dim() > 0 or _is_set(number)


def is_inactive(*strengths: Tensor) -> bool:
    """Whether every strength is zero and none asks for a gradient: the kick may be left out."""
    return not any(_is_set(value) for value in strengths)


def sine(angle: Number) -> Number:
    return math.sin(angle) if not isinstance(angle, Tensor) else torch.sin(angle)


def cosine(angle: Number) -> Number:
    return math.cos(angle) if not isinstance(angle, Tensor) else torch.cos(angle)


def tangent(angle: Number) -> Number:
    return math.tan(angle) if not isinstance(angle, Tensor) else torch.tan(angle)


def root(number: Number) -> Number:
    return math.sqrt(number) if not isinstance(number, Tensor) else torch.sqrt(number)


def times(first: Number, second: Number) -> Number:
    """Multiply; the float 0 makes 0 of anything, which then costs nothing."""
    return 0.0 if _is_nothing(first) or _is_nothing(second) else first * second


def plus(first: Number, second: Number) -> Number:
    """Add; the float 0 costs nothing."""
    if _is_nothing(second):
        return first
    return second if _is_nothing(first) else first + second


def minus(first: Number, second: Number) -> Number:
    """Subtract; the float 0 costs nothing."""
    return first if _is_nothing(second) else first - second


def ratio_or_zero(dividend: Number, divisor: Number) -> Number:
    """Return the ratio, and 0 with no gradient where the divisor is 0."""
    if not isinstance(divisor, Tensor):
        return dividend / divisor if divisor else 0.0
    if _is_nothing(dividend):
        return 0.0
    empty = divisor == 0
    return torch.where(empty, 0.0, dividend / torch.where(empty, 1.0, divisor))


def _is_nothing(number: Number) -> bool:
    return not isinstance(number, Tensor) and number == 0.0


def _is_set(value: Tensor) -> bool:
    return value.requires_grad or not _is_readable(value) or bool(value.any())


def _is_readable(value: Tensor) -> bool:
    """Whether its value can be read without waiting for a device or losing a derivative."""
    return (
        value.device.type == "cpu"
        and not is_functorch_wrapped_tensor(value)
        and unpack_dual(value).tangent is None
    )
