"""The kick of a magnet: multipoles, the turn of the frame, and their coupling."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from .base import Number, State
from .energy import Energy
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


class Kick:
    """The part of a magnet's body that is no drift, as a function of a fraction of it.

    Parameters
    ----------
    energy : Energy
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

    def __init__(
        self,
        energy: Energy,
        normal: Sequence[Number],
        skew: Sequence[Number],
        turn: Number = 0.0,
        h: Number = 0.0,
        k0l: Number = 0.0,
        k1l: Number = 0.0,
        correction: Number = 0.0,
    ) -> None:
        self.energy = energy
        self.normal, self.skew = normal, skew
        self.turn, self.h, self.k0l, self.k1l = turn, h, k0l, k1l
        self.correction = correction
        self.is_curved = is_active(h) and (is_active(k0l) or is_active(k1l))
        self.is_empty = not (
            is_active(turn) or self.is_curved or any(map(is_active, (*normal, *skew)))
        )

    @property
    def is_planar(self) -> bool:
        """Whether it is a function of x and px alone: the coupling of field and curvature."""
        strengths = (*self.normal, *self.skew, self.turn, self.k1l, self.correction)
        return not any(map(is_active, strengths))

    def __call__(self, state: State, fraction: float) -> State:
        corrected = is_active(self.correction)
        if corrected:
            state = self._correct_path(state, 0.5 * fraction)
        if not self.is_empty:
            state = self._kick(state, fraction)
        return self._correct_path(state, 0.5 * fraction) if corrected else state

    def _kick(self, state: State, fraction: float) -> State:
        x, y = state.x, state.y
        state = multipole_kick(
            state, [k * fraction for k in self.normal], [k * fraction for k in self.skew]
        )
        px, py, zeta = state.px, state.py, state.zeta
        if is_active(self.turn):
            momentum, total, _ = self.energy
            turn = self.turn * fraction
            px = px + turn * momentum
            zeta = zeta - turn * x * total / momentum
        if self.is_curved:
            k0, k1 = self.h * self.k0l * fraction, self.h * self.k1l * fraction
            px = px - k0 * x - k1 * (x * x - 0.5 * y * y)
            py = py + k1 * x * y
        return State(x, px, y, py, zeta, state.pzeta)

    def _correct_path(self, state: State, fraction: float) -> State:
        """Add what an exact drift has and an expanded one leaves out."""
        x, px, y, py, zeta, pzeta = state
        momentum, total, _ = self.energy
        length = self.correction * fraction
        square = px * px + py * py
        pz = torch.sqrt(momentum * momentum - square)
        # 1/pz - 1/momentum, without its cancellation
        flight = length * square / (pz * momentum * (pz + momentum))
        path = 0.5 * square * length / (momentum * momentum) - momentum * flight
        zeta = zeta + path * total / momentum
        return State(x + px * flight, px, y + py * flight, py, zeta, pzeta)
