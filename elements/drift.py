"""Drift: field-free space, expanded (Xsuite's default) or exact."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from .base import Element, Number, State
from .bunch import delta_of, rvv_minus_one
from .reference import Reference


def expanded_drift(state: State, reference: Reference, length: Tensor) -> State:
    """Drift with the square root of the Hamiltonian expanded to second order in px, py."""
    x, px, y, py, zeta, pzeta = state
    delta = delta_of(pzeta, reference)
    xp, yp = px / (1.0 + delta), py / (1.0 + delta)
    slowness = rvv_minus_one(pzeta, delta, reference)
    path = (slowness - 0.5 * (xp**2 + yp**2)) / (1.0 + slowness)
    return State(x + xp * length, px, y + yp * length, py, zeta + length * path, pzeta)


def exact_drift(state: State, reference: Reference, length: Tensor) -> State:
    """Straight flight, exact in px, py and energy."""
    x, px, y, py, zeta, pzeta = state
    delta = delta_of(pzeta, reference)
    transverse = px**2 + py**2
    pz = torch.sqrt((1.0 + delta) ** 2 - transverse)
    slowness = rvv_minus_one(pzeta, delta, reference)
    path = (slowness - transverse / (pz * (pz + 1.0 + delta))) / (1.0 + slowness)
    return State(x + px / pz * length, px, y + py / pz * length, py, zeta + length * path, pzeta)


class Drift(Element):
    """Field-free space.

    Parameters
    ----------
    length : float or Tensor, m
    model : {"adaptive", "expanded", "exact"}
        "adaptive" is "expanded", as in Xsuite.

    Validity: "expanded" drops fourth order in px, py; both are exact in energy.

    Raises
    ------
    ElementError
        If the model is unknown.
    """

    isthick = True

    def __init__(
        self,
        length: Number = 0.0,
        model: Literal["adaptive", "expanded", "exact"] = "adaptive",
    ) -> None:
        super().__init__()
        self._check_choice("model", model, "adaptive", "expanded", "exact")
        self.model = model
        self._register(length=length)

    def body(self, state: State, reference: Reference, weight: float) -> State:
        drift = exact_drift if self.model == "exact" else expanded_drift
        return drift(state, reference, self._aligned("length", state.x) * weight)
