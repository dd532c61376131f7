"""Symplectic compositions of drift and kick, with Xsuite's names and step counts.

Drift and kick are functions of a state and the fraction of the body that they carry. Every
scheme is palindromic, so that a negative body undoes a positive one exactly.

References
----------
Yoshida, Phys. Lett. A 150, 262 (1990): table 1, solution A (order 6); eq. 2.11 (order 4).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

Motion = TypeVar("Motion")

YOSHIDA_4 = (1.3512071919596578, -1.7024143839193155, 1.3512071919596578)
YOSHIDA_6 = (
    0.78451361047755996,
    0.23557321335935699,
    -1.1776799841788701,
    1.3151863206839063,
    -1.1776799841788701,
    0.23557321335935699,
    0.78451361047755996,
)
UNIFORM = (1.0,)


def compose(
    state: Motion,
    drift: Callable[[Motion, float], Motion],
    kick: Callable[[Motion, float], Motion],
    weight: float,
    scheme: tuple[float, ...],
    steps: int,
) -> Motion:
    """Apply `steps` equal steps of a scheme over a fraction `weight` of the body.

    Each kick of the scheme sits between two half drifts of its own weight; neighbouring
    half drifts are merged.
    """
    for _ in range(steps):
        state = drift(state, 0.5 * scheme[0] * weight / steps)
        for this, following in zip(scheme, (*scheme[1:], 0.0), strict=True):
            state = kick(state, this * weight / steps)
            state = drift(state, 0.5 * (this + following) * weight / steps)
    return state


def steps_for(kicks: int, scheme: tuple[float, ...]) -> int:
    """Number of steps of a scheme that hold at least `kicks` kicks."""
    return -(-kicks // len(scheme))
