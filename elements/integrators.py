"""Symplectic compositions of drift and kick, with Xsuite's names and step counts.

Drift and kick are functions of a state and the fraction of the body that they carry. Every
scheme is palindromic, so that a negative body undoes a positive one exactly.

References
----------
Yoshida, Phys. Lett. A 150, 262 (1990): table 1, solution A (order 6); table 2
(order 8); eq. 2.11 (order 4).
Burkhardt, De Maria, Giovannozzi and Risselada, IPAC 2013, MOPWO027 (teapot).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
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
YOSHIDA_8 = (
    0.91484424622974003,
    0.253693336566229,
    -1.4448522368604799,
    -0.15824063536824301,
    1.9381391376227599,
    -1.96061023297549,
    0.102799849391985,
    1.7084530707869978,
    0.102799849391985,
    -1.96061023297549,
    1.9381391376227599,
    -0.15824063536824301,
    -1.4448522368604799,
    0.253693336566229,
    0.91484424622974003,
)
UNIFORM = (1.0,)
SCHEMES = {
    "uniform": UNIFORM,
    "yoshida-4": YOSHIDA_4,
    "yoshida-6": YOSHIDA_6,
    "yoshida-8": YOSHIDA_8,
}
INTEGRATORS = ("teapot", *SCHEMES)


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


def integrate(
    state: Motion,
    drift: Callable[[Motion, float], Motion],
    kick: Callable[[Motion, float], Motion],
    weight: float,
    integrator: str,
    kicks: int,
    is_flow: bool,
) -> Motion:
    """Apply at least `kicks` kicks over a fraction `weight` of the body, by Xsuite's integrators.

    Parameters
    ----------
    integrator : str
        One of `INTEGRATORS`.
    is_flow : bool
        Two drifts in a row make the drift of their sum, so that they may be merged.
    """
    for moves, fraction in schedule(integrator, kicks, is_flow):
        state = (drift if moves else kick)(state, fraction * weight)
    return state


@lru_cache(maxsize=256)
def schedule(integrator: str, kicks: int, is_flow: bool) -> tuple[tuple[bool, float], ...]:
    """List what an integrator applies: (True, fraction) is a drift, (False, fraction) a kick."""
    if integrator == "teapot":
        return _teapot(kicks)
    scheme = SCHEMES[integrator]
    steps = steps_for(kicks, scheme)
    step: list[tuple[bool, float]] = [(True, 0.5 * scheme[0] / steps)]
    for this, following in zip(scheme, (*scheme[1:], 0.0), strict=True):
        step += [(False, this / steps), (True, 0.5 * (this + following) / steps)]
    if not is_flow:
        return tuple(step) * steps
    joint = (True, scheme[0] / steps)
    return (*step[:-1], *(joint, *step[1:-1]) * (steps - 1), step[-1])


def steps_for(kicks: int, scheme: tuple[float, ...]) -> int:
    """Number of steps of a scheme that hold at least `kicks` kicks."""
    return -(-kicks // len(scheme))


def _teapot(kicks: int) -> tuple[tuple[bool, float], ...]:
    if kicks == 1:
        return ((True, 0.5), (False, 1.0), (True, 0.5))
    edge, inner = 0.5 / (1.0 + kicks), kicks / (kicks**2 - 1.0)
    kick = (False, 1.0 / kicks)
    return ((True, edge), *(kick, (True, inner)) * (kicks - 1), kick, (True, edge))
