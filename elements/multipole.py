"""Multipole kicks: the thin element and the kick that thick magnets share."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .base import Element, Number, Numbers, State
from .bunch import delta_of, rvv_minus_one
from .reference import Reference


def multipole_kick(state: State, knl: Tensor, ksl: Tensor) -> State:
    """Kick by dpx - i dpy = -sum_n (knl_n + i ksl_n)(x + i y)^n / n!.

    Parameters
    ----------
    state : State
    knl, ksl : Tensor, (..., order + 1), m^-n
        Integrated normal and skew strengths.
    """
    x, px, y, py, zeta, pzeta = state
    order = max(knl.shape[-1], ksl.shape[-1]) - 1
    real: Tensor | float = 0.0
    imaginary: Tensor | float = 0.0
    for n in range(order, -1, -1):
        normal = knl[..., n] / float(math.factorial(n)) if n < knl.shape[-1] else 0.0
        skew = ksl[..., n] / float(math.factorial(n)) if n < ksl.shape[-1] else 0.0
        real, imaginary = (
            real * x - imaginary * y + normal,
            real * y + imaginary * x + skew,
        )
    return State(x, px - real, y, py + imaginary, zeta, pzeta)


def curvature_kick(state: State, h: Tensor, k0l: Tensor, k1l: Tensor) -> State:
    """Kick by the terms h k0 x^2/2 and h k1 (x^3/3 - x y^2/2) of a curved frame.

    References
    ----------
    MAD-8 Physics Methods Manual, eq. 5.15, by Hamilton's equations.
    """
    x, px, y, py, zeta, pzeta = state
    px = px - h * (k0l * x + k1l * (x**2 - 0.5 * y**2))
    return State(x, px, y, py + h * k1l * x * y, zeta, pzeta)


def is_inactive(*strengths: Tensor) -> bool:
    """Whether every strength is zero and none asks for a gradient: the kick may be left out."""
    return not any(value.requires_grad or bool(value.any()) for value in strengths)


class Multipole(Element):
    """Thin multipole.

    Parameters
    ----------
    knl, ksl : list of float or Tensor, (..., order + 1), m^-n
        Integrated normal and skew strengths.
    hxl : float or Tensor, rad
        Angle by which the reference orbit turns here.
    length : float or Tensor, m
        Length over which `hxl` is spread (only for the coupling of curvature and strength);
        the element itself is thin.
    """

    def __init__(
        self,
        knl: Numbers = (),
        ksl: Numbers = (),
        hxl: Number = 0.0,
        length: Number = 0.0,
    ) -> None:
        super().__init__()
        self._register_multipoles(knl=knl, ksl=ksl)
        self._register(hxl=hxl, length=length)

    def body(self, state: State, reference: Reference, weight: float) -> State:
        knl, ksl, hxl = (self._aligned(name, state.x) * weight for name in ("knl", "ksl", "hxl"))
        state = multipole_kick(state, knl, ksl)
        return state if is_inactive(self.hxl) else self._turn_frame(state, reference, knl, hxl)

    def _turn_frame(self, state: State, reference: Reference, knl: Tensor, hxl: Tensor) -> State:
        x, px, y, py, zeta, pzeta = state
        delta = delta_of(pzeta, reference)
        rvv = 1.0 + rvv_minus_one(pzeta, delta, reference)
        state = State(x, px + hxl * (1.0 + delta), y, py, zeta - hxl * x / rvv, pzeta)
        length = self._aligned("length", state.x)
        if not bool(length.any()):
            return state
        k1l = knl[..., 1] if knl.shape[-1] > 1 else torch.zeros_like(knl[..., 0])
        return curvature_kick(state, self._aligned("hxl", x) / length, knl[..., 0], k1l)
