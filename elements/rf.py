"""What sinusoidal elements share: fields, the phase that a particle sees, and thick bodies."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable

import torch
from scipy.constants import c as C_LIGHT
from torch import Tensor

from .base import Number, State
from .drift import exact_flight, expanded_flight
from .energy import Energy
from .integrators import INTEGRATORS, integrate
from .misalignment import Misalignable
from .reference import Reference
from .scalars import is_active, plain

_Drift = Callable[[State, Energy, Number], State]
# Xsuite's names; without a curvature its "rot" models are exact drifts.
DRIFTS: dict[str, _Drift] = {
    "adaptive": expanded_flight,
    "drift-kick-drift-expanded": expanded_flight,
    "drift-kick-drift-exact": exact_flight,
    "rot-kick-rot-low-order": exact_flight,
    "rot-kick-rot-high-order": exact_flight,
}


class RFElement(Misalignable):
    """Base of thin and thick elements that kick by a sine of the particle's time of arrival.

    Cost: one drift and one kick per step; autograd keeps about ten coordinates a kick.
    """

    isthick = True
    num_kicks: int
    model: str
    integrator: str

    def _choose(self, num_kicks: int, model: str, integrator: str) -> None:
        self._check_choice("model", model, *DRIFTS)
        self._check_choice("integrator", integrator, "adaptive", *INTEGRATORS)
        self._check_count("num_kicks", num_kicks)
        self.num_kicks, self.model, self.integrator = num_kicks, model, integrator

    def body(self, state: State, reference: Reference, weight: float) -> State:
        if not is_active(self.length):
            return self.kick(state, reference, weight)
        length = plain(self._aligned("length", state.x))
        move = DRIFTS[self.model]

        def drift(state: State, fraction: float) -> State:
            energy = Energy.of(state.pzeta, reference)
            return move(state, energy, length * fraction)

        def kick(state: State, fraction: float) -> State:
            return self.kick(state, reference, fraction)

        integrator = "uniform" if self.integrator == "adaptive" else self.integrator
        kicks = max(1, math.ceil(self.num_kicks * abs(weight)))
        return integrate(state, drift, kick, weight, integrator, kicks, is_flow=True)

    def coasting_body(self, state: State, reference: Reference, weight: float) -> State:
        length = plain(self._aligned("length", state.x))
        energy = Energy.of(state.pzeta, reference)
        return DRIFTS[self.model](state, energy, length * weight)

    @abstractmethod
    def kick(self, state: State, reference: Reference, weight: float) -> State:
        """Apply a fraction of the integrated field at one place."""

    def wave_number(self, reference: Reference) -> Tensor:
        """RF phase advance per zeta, 2 pi f/(beta0 c), rad/m, (...)."""
        return 2.0 * math.pi * self.frequency / (reference.beta0 * C_LIGHT)

    def _wave_number(self, state: State, reference: Reference) -> Number:
        frequency = plain(self._aligned("frequency", state.x))
        return frequency * (2.0 * math.pi / C_LIGHT) / reference.beta0

    def _phase(self, state: State, reference: Reference) -> Tensor:
        """Phase that each particle sees, rad, (..., n_particles)."""
        offset = phase_of(plain(self._aligned("phase", state.x)), self._aligned("lag", state.x))
        return offset - self._wave_number(state, reference) * state.zeta


def phase_of(phase: Number, lag: Tensor) -> Number:
    """Sum of a phase in rad and Xsuite's deprecated one in deg."""
    return phase + torch.deg2rad(lag) if is_active(lag) else phase


def add_energy(state: State, reference: Reference, energy: Number) -> State:
    """Add energy, eV, to each particle; px and py are kept, as in Xsuite."""
    return state._replace(pzeta=state.pzeta + energy / (reference.beta0 * reference.p0c))
