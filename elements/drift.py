"""Drift: field-free space, expanded (Xsuite's default) or exact."""

from __future__ import annotations

from abc import abstractmethod
from typing import Literal

import torch
from torch import Tensor

from .base import Element, Number, State
from .energy import Energy
from .flight import Flight, FlownRows, fly
from .modes import is_plain_reverse
from .reference import Reference
from .scalars import plain


def expanded_drift(state: State, reference: Reference, length: Number) -> State:
    """Drift with the square root of the Hamiltonian expanded to second order in px, py."""
    flight = _plain_flight(reference, length, exact=False)
    if flight is not None:
        return _fly(state, flight)
    return expanded_flight(state, Energy.of(state.pzeta, reference), length)


def exact_drift(state: State, reference: Reference, length: Number) -> State:
    """Straight flight, exact in px, py and energy."""
    flight = _plain_flight(reference, length, exact=True)
    if flight is not None:
        return _fly(state, flight)
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


def _fly(state: State, flight: Flight) -> State:
    x, y, zeta = FlownRows.apply(*state, flight)
    return state._replace(x=x, y=y, zeta=zeta)


def _plain_flight(reference: Reference, length: Number, exact: bool) -> Flight | None:
    """Return the numbers of a drift where only derivatives by the coordinates are asked."""
    if isinstance(length, Tensor) or not is_plain_reverse():
        return None
    momentum, mass = plain(reference.p0c), plain(reference.mass0)
    if isinstance(momentum, Tensor) or isinstance(mass, Tensor):
        return None
    square = (mass / momentum) ** 2
    return Flight(length, 1.0 / (1.0 + square), square / (1.0 + square), exact)


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

    def move(self, coordinates: Tensor, reference: Reference) -> Tensor:
        length = plain(self._aligned("length", coordinates))
        flight = _plain_flight(reference, length, self._is_exact)
        moved = None if flight is None else fly(coordinates, flight)
        return super().move(coordinates, reference) if moved is None else moved


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
