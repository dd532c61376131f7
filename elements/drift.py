"""Drift: field-free space, expanded (Xsuite's default) or exact."""

from __future__ import annotations

from abc import abstractmethod
from typing import Literal

import torch
from torch import Tensor

from .base import Element, Number, State
from .energy import Energy
from .moves import Kind, Move, Moves
from .reference import Reference
from .scalars import plain


def expanded_drift(state: State, reference: Reference, length: Number) -> State:
    """Drift with the square root of the Hamiltonian expanded to second order in px, py."""
    return expanded_flight(state, Energy.of(state.pzeta, reference), length)


def exact_drift(state: State, reference: Reference, length: Number) -> State:
    """Straight flight, exact in px, py and energy."""
    return exact_flight(state, Energy.of(state.pzeta, reference), length)


def drift_move(length: Number, exact: bool) -> Move:
    """Return either drift as a move."""
    if exact:
        return Move(Kind.EXACT, (length,), exact_flight)
    return Move(Kind.EXPANDED, (length,), expanded_flight)


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


class _FieldFree(Element):
    """Base of drifts."""

    isthick = True

    @property
    @abstractmethod
    def _is_exact(self) -> bool:
        """Whether it flies straight, or as expanded in px and py."""

    def body(self, state: State, reference: Reference, weight: float) -> State:
        drift = exact_drift if self._is_exact else expanded_drift
        return drift(state, reference, plain(self._aligned("length", state.x)) * weight)

    def body_moves(self, like: Tensor, weight: float) -> Moves | None:
        return (drift_move(plain(self._aligned("length", like)) * weight, self._is_exact),)


class Drift(_FieldFree):
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

    def __init__(
        self,
        length: Number = 0.0,
        model: Literal["adaptive", "expanded", "exact"] = "adaptive",
    ) -> None:
        super().__init__()
        self._check_choice("model", model, "adaptive", "expanded", "exact")
        self.model = model
        self._register(length=length)

    @property
    def _is_exact(self) -> bool:
        return self.model == "exact"


class DriftExact(_FieldFree):
    """Field-free space, exact: Xsuite's older name of `Drift(model="exact")`.

    Parameters
    ----------
    length : float or Tensor, m

    Validity: exact, as long as the particle goes forward.
    """

    def __init__(self, length: Number = 0.0) -> None:
        super().__init__()
        self._register(length=length)

    @property
    def _is_exact(self) -> bool:
        return True
