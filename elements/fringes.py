"""Fringe fields: the hard-edge limit of a dipole's and of a multipole's face.

Each map is explicit one way and implicit the other. The inverse is found by iteration to
rounding, through which derivatives flow like through any other map.

Cost: 60 to 100 operations a particle; three or four iterations of that for an inverse.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .base import Number, State
from .energy import Energy
from .errors import ElementError
from .scalars import is_active, known

# Below this gap integral [m] Xsuite leaves out the term in 1/(hgap fint).
_SHARP = 1e-9
_MAX_ITERATIONS = 30
_ROUNDING = 8.0  # an iteration has converged when its step is below this many units of rounding


class _Slopes(NamedTuple):
    """The fringe angle of a dipole's face, and the derivatives of b0 tan(angle)."""

    angle: Tensor
    kx: Tensor
    ky: Tensor
    kz: Tensor  # over -E/E0


def dipole_fringe(
    state: State, energy: Energy, k0: Number, fint: Number, hgap: Number, sign: int
) -> State:
    """Fringe of a dipole's face that is perpendicular to the axis.

    Parameters
    ----------
    k0 : float or Tensor, 1/m
        Curvature behind an entry face; its negative at an exit face.
    fint, hgap : float or Tensor, 1 and m
        Fringe integral and half gap.
    sign : int
        -1 undoes the map.

    Validity: to second order in the vertical position and in the gap; exact in slopes and
    energy; symplectic.

    References
    ----------
    Forest, Leemann, Schmidt, KEK Preprint 2005-109, eq. 34; as in MAD-NG and Xsuite.
    """
    x, px, y, py, zeta, pzeta = state
    momentum, total, _ = energy
    gap = fint * hgap
    cubic = _saddle(k0, gap) / momentum

    def slopes(source: Tensor) -> _Slopes:
        return _slopes(px, source, momentum, k0, 2.0 * k0 * gap)

    def kicked(source: Tensor, at: Tensor) -> Tensor:
        return 4.0 * cubic * at * at * at + k0 * torch.tan(slopes(source).angle) * at

    if sign > 0:
        found = slopes(py)
        out = 2.0 * y / (1.0 + torch.sqrt(1.0 - 2.0 * found.ky * y))
        new_y, new_py = out, py - kicked(py, out)
    else:
        (source,) = _solve(lambda guess: (py + kicked(guess[0], y),), (py,), "dipole")
        found, out = slopes(source), y
        new_y, new_py = y - 0.5 * found.ky * y * y, source
    square = out * out
    delay = 0.5 * found.kz * square + cubic * square * square / (momentum * momentum)
    return State(
        x + sign * 0.5 * found.kx * square, px, new_y, new_py, zeta - sign * total * delay, pzeta
    )


def _saddle(k0: Number, gap: Number) -> Number:
    """Strength of the octupole-like term, k0^2/(72 gap), left out where there is no gap."""
    value = known(gap)
    if value is not None:
        return k0 * k0 / (72.0 * gap) if value > _SHARP else 0.0
    wide = torch.as_tensor(gap > _SHARP)
    return torch.where(wide, k0 * k0 / (72.0 * torch.where(wide, gap, 1.0)), 0.0)


def _slopes(px: Tensor, py: Tensor, momentum: Tensor, k0: Number, gap: Number) -> _Slopes:
    """Fringe angle and its derivatives; `gap` is 2 k0 fint hgap."""
    pz = torch.sqrt(momentum * momentum - px * px - py * py)
    xp, yp = px / pz, py / pz
    xp2, yp2 = xp * xp, 1.0 + yp * yp
    u = xp / yp2
    u_yp = -2.0 * u * yp / yp2
    widening = 1.0 / (1.0 + u * u)
    term = (1.0 + xp2 * (1.0 + yp2)) * widening
    term_xp = (2.0 * xp * (1.0 + yp2) - 2.0 * u * term / yp2) * widening
    term_yp = (2.0 * xp2 * yp - 2.0 * u * u_yp * term) * widening
    angle = torch.atan(u) - gap * term / pz
    scale = k0 / torch.cos(angle) ** 2
    by_xp = scale * (widening / yp2 - gap * term_xp / pz)
    by_yp = scale * (u_yp * widening - gap * term_yp / pz)
    by_pz = scale * gap * term / (pz * pz)
    return _Slopes(
        angle,
        (by_xp * (1.0 + xp2) + by_yp * xp * yp) / pz - by_pz * xp,
        (by_xp * xp * yp + by_yp * yp2) / pz - by_pz * yp,
        ((by_xp * xp + by_yp * yp) / pz - by_pz) / pz,
    )


class _Shift(NamedTuple):
    """Displacement by a multipole's fringe times the momentum, and its derivatives."""

    x: Number
    y: Number
    xx: Number
    xy: Number
    yx: Number
    yy: Number


def multipole_fringe(
    state: State,
    energy: Energy,
    normal: Sequence[Number],
    skew: Sequence[Number],
    is_exit: bool,
    sign: int,
) -> State:
    """Hard-edge fringe of all multipoles.

    Parameters
    ----------
    normal, skew : sequence of float or Tensor, m^-(n+1)
        Strengths (not integrated) by order n; the normal dipole is left out.
    is_exit : bool
        The face is the exit of the magnet.
    sign : int
        -1 undoes the map.

    Validity: to the order n + 2 of each multipole; symplectic.

    References
    ----------
    Forest and Milutinovic, Nucl. Instrum. Meth. A 269, 474 (1988); as in MAD-NG and Xsuite.
    """
    if not any(map(is_active, (*normal[1:], *skew))):
        return state
    x, px, y, py, zeta, pzeta = state
    momentum, total, _ = energy
    scale = (1.0 if is_exit else -1.0) / momentum

    def shift(x: Tensor, y: Tensor) -> _Shift:
        return _multipole_shift(x, y, normal, skew, scale)

    if sign > 0:
        f = shift(x, y)
        a, b, c, d = 1.0 - f.xx, -f.yx, -f.xy, 1.0 - f.yy
        determinant = a * d - b * c
        new_px, new_py = (d * px - b * py) / determinant, (a * py - c * px) / determinant
        delay = new_px * f.x + new_py * f.y
        return State(
            x - f.x, new_px, y - f.y, new_py, zeta + total * delay / (momentum * momentum), pzeta
        )

    def newton(guess: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        f = shift(*guess)
        a, b, c, d = 1.0 - f.xx, -f.yx, -f.xy, 1.0 - f.yy
        determinant = a * d - b * c
        miss_x, miss_y = guess[0] - f.x - x, guess[1] - f.y - y
        return (
            guess[0] - (d * miss_x - c * miss_y) / determinant,
            guess[1] - (a * miss_y - b * miss_x) / determinant,
        )

    source_x, source_y = _solve(newton, (x, y), "multipole")
    f = shift(source_x, source_y)
    delay = px * f.x + py * f.y
    return State(
        source_x,
        (1.0 - f.xx) * px - f.yx * py,
        source_y,
        (1.0 - f.yy) * py - f.xy * px,
        zeta - total * delay / (momentum * momentum),
        pzeta,
    )


def _multipole_shift(
    x: Tensor, y: Tensor, normal: Sequence[Number], skew: Sequence[Number], scale: Tensor
) -> _Shift:
    """Sum over the orders; `scale` is the sign of the face over the momentum."""
    total = [torch.zeros_like(x) for _ in range(6)]
    power: tuple[Number, Number] = (1.0, 0.0)  # (x + i y)^n
    for n in range(max(len(normal), len(skew))):
        below, power = power, (power[0] * x - power[1] * y, power[0] * y + power[1] * x)
        k = normal[n] if 0 < n < len(normal) else 0.0
        ks = skew[n] if n < len(skew) else 0.0
        if not (is_active(k) or is_active(ks)):
            continue
        component = n + 1.0
        weight = 1.0 / (4.0 * (component + 1.0) * math.factorial(n))
        k, ks = k * weight, ks * weight
        ratio = (component + 2.0) / component
        u, v = k * power[0] - ks * power[1], k * power[1] + ks * power[0]
        u_x = component * (k * below[0] - ks * below[1])
        v_x = component * (k * below[1] + ks * below[0])
        terms = (
            u * x + ratio * v * y,
            u * y - ratio * v * x,
            u_x * x + ratio * v_x * y + u,
            -v_x * x + ratio * (u_x * y + v),
            u_x * y - ratio * (v_x * x + v),
            -v_x * y - ratio * u_x * x + u,
        )
        total = [sum_ + term for sum_, term in zip(total, terms, strict=True)]
    return _Shift(*(scale * term for term in total))


def _solve(
    step: Callable[[tuple[Tensor, ...]], tuple[Tensor, ...]],
    start: tuple[Tensor, ...],
    kind: str,
) -> tuple[Tensor, ...]:
    """Repeat a contracting step to rounding."""
    guess = start
    moving = torch.zeros_like(start[0], dtype=torch.bool)
    for _ in range(_MAX_ITERATIONS):
        before, guess = guess, step(guess)
        moving = _moving(before, guess, start)
        if not bool(moving.any()):
            return step(guess)
    raise ElementError(
        f"inverse of a {kind} fringe: no convergence for {int(moving.sum())} particles: they are "
        "too far from the axis to have come through this face"
    )


def _moving(
    before: tuple[Tensor, ...], after: tuple[Tensor, ...], start: tuple[Tensor, ...]
) -> Tensor:
    """Tell which particles a step still moved; what is not a number is let through."""
    size = sum(value.detach().abs() for value in (*after, *start))
    step = sum((new - old).detach().abs() for new, old in zip(after, before, strict=True))
    rounding = _ROUNDING * torch.finfo(start[0].dtype).eps
    return torch.as_tensor(step > rounding * size)
