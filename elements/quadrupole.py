"""Quadrupole: the matrix of the expanded Hamiltonian, with multipole errors as kicks."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from .base import Element, Number, Numbers, State
from .bunch import delta_of, rvv_minus_one
from .integrators import UNIFORM, compose
from .multipole import is_inactive, multipole_kick
from .reference import Reference
from .special import cosine_and_sine


def quadrupole_matrix(state: State, reference: Reference, length: Tensor, k1: Tensor) -> State:
    """Thick quadrupole, exact for the Hamiltonian expanded to second order in px, py.

    Smooth where k1 crosses zero. The path length is that of the expanded Hamiltonian.
    """
    x, px, y, py, zeta, pzeta = state
    delta = delta_of(pzeta, reference)
    slowness = rvv_minus_one(pzeta, delta, reference)
    strength = k1 / (1.0 + delta)
    x, xp, x_path = _focus(x, px / (1.0 + delta), length, strength)
    y, yp, y_path = _focus(y, py / (1.0 + delta), length, -strength)
    zeta = zeta + (length * slowness - x_path - y_path) / (1.0 + slowness)
    return State(x, xp * (1.0 + delta), y, yp * (1.0 + delta), zeta, pzeta)


def _focus(
    u: Tensor, up: Tensor, length: Tensor, strength: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """One plane: position, slope, and the path length in excess of `length`."""
    cosine, sine = cosine_and_sine(strength * length**2)
    sine = sine * length
    # integral of u'^2/2 along the trajectory
    excess = (
        0.25 * strength * u**2 * (length - sine * cosine)
        + 0.25 * up**2 * (length + sine * cosine)
        - 0.5 * strength * u * up * sine**2
    )
    return u * cosine + up * sine, up * cosine - strength * u * sine, excess


class Quadrupole(Element):
    """Quadrupole, as Xsuite's default `mat-kick-mat` with a uniform integrator.

    Parameters
    ----------
    length : float or Tensor, m
    k1, k1s : float or Tensor, 1/m^2
        Normal and skew gradient; k1 > 0 focuses in x. k1s acts as a kick.
    knl, ksl : list of float or Tensor, (..., order + 1), m^-n
        Integrated multipole errors, as kicks.
    num_multipole_kicks : int
        0 chooses one kick where there is anything to kick, as Xsuite does.
    model : {"adaptive", "mat-kick-mat"}

    Validity: fourth order in px, py is dropped; exact in energy.

    Raises
    ------
    ElementError
        If the model is unknown or the number of kicks is negative.
    """

    isthick = True

    def __init__(
        self,
        length: Number = 0.0,
        k1: Number = 0.0,
        k1s: Number = 0.0,
        knl: Numbers = (),
        ksl: Numbers = (),
        num_multipole_kicks: int = 0,
        model: Literal["adaptive", "mat-kick-mat"] = "adaptive",
    ) -> None:
        super().__init__()
        self._check_choice("model", model, "adaptive", "mat-kick-mat")
        self._check_count("num_multipole_kicks", num_multipole_kicks)
        self.model = model
        self.num_multipole_kicks = num_multipole_kicks
        self._register(length=length, k1=k1, k1s=k1s)
        self._register_multipoles(knl=knl, ksl=ksl)

    def body(self, state: State, reference: Reference, weight: float) -> State:
        length, k1 = (self._aligned(name, state.x) for name in ("length", "k1"))

        def drift(state: State, fraction: float) -> State:
            return quadrupole_matrix(state, reference, length * fraction, k1)

        if is_inactive(self.k1s, self.knl, self.ksl):
            return drift(state, weight)
        return compose(state, drift, self._kick, weight, UNIFORM, self._kicks(weight))

    def _kick(self, state: State, fraction: float) -> State:
        knl, ksl = (self._aligned(name, state.x) for name in ("knl", "ksl"))
        skew = self._aligned("k1s", state.x) * self._aligned("length", state.x)
        state = multipole_kick(state, knl * fraction, ksl * fraction)
        linear = torch.stack([torch.zeros_like(skew), skew * fraction], dim=-1)
        return multipole_kick(state, torch.zeros_like(linear), linear)

    def _kicks(self, weight: float) -> int:
        return max(1, math.ceil(self.num_multipole_kicks * abs(weight)))
