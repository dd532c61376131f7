"""Drift: field-free space, expanded (Xsuite's default) or exact."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from .base import Element, Number, State
from .energy import Energy
from .flight import ExpandedDrift, Flight
from .modes import is_plain_reverse
from .reference import Reference
from .scalars import plain


def expanded_drift(state: State, reference: Reference, length: Number) -> State:
    """Drift with the square root of the Hamiltonian expanded to second order in px, py."""
    flight = _plain_flight(reference, length)
    if flight is not None:
        x, y, zeta = ExpandedDrift.apply(*state, flight)
        return state._replace(x=x, y=y, zeta=zeta)
    return expanded_flight(state, Energy.of(state.pzeta, reference), length)


def exact_drift(state: State, reference: Reference, length: Number) -> State:
    """Straight flight, exact in px, py and energy."""
    return exact_flight(state, Energy.of(state.pzeta, reference), length)


def expanded_flight(state: State, energy: Energy, length: Number) -> State:
    """Do as `expanded_drift` where the energy is known already."""
    x, px, y, py, zeta, pzeta = state
    momentum, total, slip = energy
    xp, yp = px / momentum, py / momentum
    path = slip - 0.5 * (xp * xp + yp * yp) * total / momentum
    return State(x + xp * length, px, y + yp * length, py, zeta + path * length, pzeta)


def exact_flight(state: State, energy: Energy, length: Number) -> State:
    """Do as `exact_drift` where the energy is known already."""
    x, px, y, py, zeta, pzeta = state
    momentum, total, slip = energy
    transverse = px * px + py * py
    pz = torch.sqrt(momentum * momentum - transverse)
    path = slip - transverse * total / (pz * momentum * (pz + momentum))
    flight = length / pz
    return State(x + px * flight, px, y + py * flight, py, zeta + path * length, pzeta)


def _plain_flight(reference: Reference, length: Number) -> Flight | None:
    """Return the numbers of a drift where only derivatives by the coordinates are asked."""
    square, rest = plain(reference.beta0**2), plain(reference.inverse_gamma0_squared)
    if isinstance(length, Tensor) or isinstance(square, Tensor) or isinstance(rest, Tensor):
        return None
    return Flight(length, square, rest) if is_plain_reverse() else None


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
        return drift(state, reference, plain(self._aligned("length", state.x)) * weight)


class DriftExact(Element):
    """Field-free space, exact: Xsuite's older name of `Drift(model="exact")`.

    Parameters
    ----------
    length : float or Tensor, m

    Validity: exact, as long as the particle goes forward.
    """

    isthick = True

    def __init__(self, length: Number = 0.0) -> None:
        super().__init__()
        self._register(length=length)

    def body(self, state: State, reference: Reference, weight: float) -> State:
        return exact_drift(state, reference, plain(self._aligned("length", state.x)) * weight)
