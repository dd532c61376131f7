"""The kick of a magnet: multipoles, the turn of the frame, and their coupling."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import zip_longest
from typing import NamedTuple

import torch
from torch import Tensor

from .base import Number, State
from .energy import Energy
from .moves import Kind, Move, Moves
from .scalars import is_active, minus, plus, times


def multipole_field(
    x: Tensor, y: Tensor, normal: Sequence[Number], skew: Sequence[Number]
) -> tuple[Number, Number]:
    """Sum (normal_n + i skew_n)(x + i y)^n / n!, as real and imaginary part.

    A strength that is the float 0 costs nothing.
    """
    real: Number = 0.0
    imaginary: Number = 0.0
    order = max(len(normal), len(skew)) - 1
    for n in range(order, -1, -1):
        factorial = float(math.factorial(n))
        a = normal[n] / factorial if n < len(normal) else 0.0
        b = skew[n] / factorial if n < len(skew) else 0.0
        real, imaginary = (
            plus(minus(times(real, x), times(imaginary, y)), a),
            plus(plus(times(real, y), times(imaginary, x)), b),
        )
    return real, imaginary


def multipole_kick(state: State, normal: Sequence[Number], skew: Sequence[Number]) -> State:
    """Kick by dpx - i dpy = -sum_n (knl_n + i ksl_n)(x + i y)^n / n!.

    Parameters
    ----------
    normal, skew : sequence of float or Tensor, m^-n
        Integrated strengths knl and ksl by order.
    """
    real, imaginary = multipole_field(state.x, state.y, normal, skew)
    return state._replace(px=minus(state.px, real), py=plus(state.py, imaginary))


class Strengths(NamedTuple):
    """All that a kick kicks by.

    Parameters
    ----------
    normal, skew : sequence of float or Tensor, m^-n
        Strengths to kick by, integrated over the whole body.
    turn : float or Tensor, rad
        Angle by which the frame turns in the kick: 0 if the drift follows the frame.
    h : float or Tensor, 1/m
        Curvature that couples to the field.
    k0l, k1l : float or Tensor, 1, 1/m
        Integrated field and gradient that couple to the curvature: terms h k0 x^2/2 and
        h k1 (x^3/3 - x y^2/2) of the Hamiltonian.
    correction : float or Tensor, m
        Length over which the expanded path is made exact, half before and half after.

    References
    ----------
    MAD-8 Physics Methods Manual, eq. 5.15, by Hamilton's equations.
    """

    normal: Sequence[Number]
    skew: Sequence[Number]
    turn: Number = 0.0
    h: Number = 0.0
    k0l: Number = 0.0
    k1l: Number = 0.0
    correction: Number = 0.0

    @property
    def is_curved(self) -> bool:
        return is_active(self.h) and (is_active(self.k0l) or is_active(self.k1l))

    @property
    def is_empty(self) -> bool:
        """Whether nothing is kicked by, a correction of the path aside."""
        strengths = (self.turn, *self.normal, *self.skew)
        return not (self.is_curved or any(map(is_active, strengths)))

    @property
    def is_planar(self) -> bool:
        """Whether it is a function of x and px alone: the coupling of field and curvature."""
        strengths = (*self.normal, *self.skew, self.turn, self.k1l, self.correction)
        return not any(map(is_active, strengths))

    @property
    def coupling(self) -> tuple[Number, Number]:
        """Field and gradient that the curvature makes one order higher, 1/m, 1/m^2."""
        return (self.h * self.k0l, self.h * self.k1l) if self.is_curved else (0.0, 0.0)

    def moves(self, fraction: float) -> Moves | None:
        """Return a fraction of the kick as moves; None if it corrects the path."""
        if is_active(self.correction):
            return None
        if self.is_empty:
            return ()
        numbers: list[Number] = [k * fraction for k in (self.turn, *self.coupling)]
        for n, (a, b) in enumerate(zip_longest(self.normal, self.skew, fillvalue=0.0)):
            share = fraction / math.factorial(n)
            numbers += [a * share, b * share]
        return (Move(Kind.KICK, tuple(numbers), _kick_by),)


def _kick_by(
    state: State,
    energy: Energy,
    turn: Number,
    field: Number,
    gradient: Number,
    *strengths: Number,
) -> State:
    """Kick by numbers in the order of the move."""
    factorials = [float(math.factorial(n)) for n in range(len(strengths) // 2)]
    normal, skew = (
        [k * factor for k, factor in zip(strengths[first::2], factorials, strict=True)]
        for first in (0, 1)
    )
    return _kick_and_turn(multipole_kick(state, normal, skew), energy, turn, field, gradient)


def _kick_and_turn(
    state: State, energy: Energy, turn: Number, field: Number, gradient: Number
) -> State:
    """Turn the frame, and kick by what its curvature makes of field and gradient."""
    x, px, y, py, zeta, pzeta = state
    if is_active(turn):
        px = px + turn * energy.momentum
        zeta = zeta - turn * x * energy.total / energy.momentum
    if is_active(field) or is_active(gradient):
        px = px - field * x - gradient * (x * x - 0.5 * y * y)
        py = py + gradient * x * y
    return State(x, px, y, py, zeta, pzeta)


class Kick:
    """The part of a magnet's body that is no drift, as a function of a fraction of it."""

    def __init__(self, strengths: Strengths, energy: Energy) -> None:
        self.strengths, self.energy = strengths, energy
        self.is_empty = strengths.is_empty
        self.is_corrected = is_active(strengths.correction)
        self.others = (strengths.turn, *strengths.coupling)

    def __call__(self, state: State, fraction: float) -> State:
        if self.is_corrected:
            state = self._correct_path(state, 0.5 * fraction)
        if not self.is_empty:
            normal, skew = (
                [k * fraction for k in part]
                for part in (self.strengths.normal, self.strengths.skew)
            )
            state = multipole_kick(state, normal, skew)
            state = _kick_and_turn(state, self.energy, *(k * fraction for k in self.others))
        return self._correct_path(state, 0.5 * fraction) if self.is_corrected else state

    def _correct_path(self, state: State, fraction: float) -> State:
        """Add what an exact drift has and an expanded one leaves out."""
        x, px, y, py, zeta, pzeta = state
        momentum, total, _ = self.energy
        length = self.strengths.correction * fraction
        square = px * px + py * py
        pz = torch.sqrt(momentum * momentum - square)
        # 1/pz - 1/momentum, without its cancellation
        flight = length * square / (pz * momentum * (pz + momentum))
        path = 0.5 * square * length / (momentum * momentum) - momentum * flight
        zeta = zeta + path * total / momentum
        return State(x + px * flight, px, y + py * flight, py, zeta, pzeta)
