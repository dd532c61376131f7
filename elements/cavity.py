"""Cavity: a sinusoidal accelerating field."""

from __future__ import annotations

import math
from typing import Literal

import torch
from scipy.constants import c as C_LIGHT
from torch import Tensor

from .base import Element, Number, State
from .drift import expanded_drift
from .errors import ElementError
from .integrators import UNIFORM, compose
from .multipole import is_inactive
from .reference import Reference


class Cavity(Element):
    """RF cavity: dE = |q0| voltage sin(phase + lag - 2 pi frequency zeta/(beta0 c)).

    The reference is not accelerated; px and py are kept, as in Xsuite.

    Parameters
    ----------
    length : float or Tensor, m
        0 for a thin kick; otherwise the kick sits between two expanded drifts.
    voltage : float or Tensor, V
    frequency : float or Tensor, Hz
    phase : float or Tensor, rad
        Seen by the reference particle; 0 bunches below transition.
    lag : float or Tensor, deg
        Added to `phase`; Xsuite's deprecated name.
    harmonic : float or Tensor
        Adds harmonic times the revolution frequency beta0 c/line_length.
    line_length : float or Tensor, m, optional
        Circumference, for `harmonic`; set when a lattice is built.
    num_kicks : int
        0 is one kick.
    model : {"adaptive", "drift-kick-drift-expanded"}

    Raises
    ------
    ElementError
        If the model is unknown, or `harmonic` is used without a circumference.
    """

    isthick = True

    def __init__(
        self,
        length: Number = 0.0,
        voltage: Number = 0.0,
        frequency: Number = 0.0,
        phase: Number = 0.0,
        lag: Number = 0.0,
        harmonic: Number = 0.0,
        line_length: Number = 0.0,
        num_kicks: int = 0,
        model: Literal["adaptive", "drift-kick-drift-expanded"] = "adaptive",
    ) -> None:
        super().__init__()
        self._check_choice("model", model, "adaptive", "drift-kick-drift-expanded")
        if torch.as_tensor(frequency).any() and torch.as_tensor(harmonic).any():
            raise ElementError(
                f"Cavity: frequency = {frequency} Hz and harmonic = {harmonic}: give one of them"
            )
        self._check_count("num_kicks", num_kicks)
        self.model = model
        self.num_kicks = num_kicks
        self._register(
            length=length,
            voltage=voltage,
            frequency=frequency,
            phase=phase,
            lag=lag,
            harmonic=harmonic,
            line_length=line_length,
        )

    def body(self, state: State, reference: Reference, weight: float) -> State:
        def drift(state: State, fraction: float) -> State:
            return expanded_drift(state, reference, self._aligned("length", state.x) * fraction)

        def kick(state: State, fraction: float) -> State:
            return self._kick(state, reference, fraction)

        if is_inactive(self.length):
            return kick(state, weight)
        kicks = max(1, math.ceil(self.num_kicks * abs(weight)))
        return compose(state, drift, kick, weight, UNIFORM, kicks)

    def coast(self, state: State, reference: Reference) -> State:
        return expanded_drift(state, reference, self._aligned("length", state.x))

    def wave_number(self, reference: Reference) -> Tensor:
        """RF phase advance per zeta, 2 pi f/(beta0 c), rad/m, (...)."""
        return self._wave_number(reference, self.frequency, self.harmonic, self.line_length)

    def _wave_number(
        self,
        reference: Reference,
        frequency: Tensor,
        harmonic: Tensor,
        line_length: Tensor,
    ) -> Tensor:
        wave = frequency / (reference.beta0 * C_LIGHT)
        if not is_inactive(harmonic):
            if not bool((line_length > 0).all()):
                raise ElementError(
                    f"{self.label}: harmonic = {self.harmonic.tolist()} needs the circumference: "
                    "give line_length, or use frequency"
                )
            wave = wave + harmonic / line_length
        return 2.0 * math.pi * wave

    def _kick(self, state: State, reference: Reference, fraction: float) -> State:
        voltage, phase, lag = (self._aligned(n, state.x) for n in ("voltage", "phase", "lag"))
        rf = (self._aligned(n, state.x) for n in ("frequency", "harmonic", "line_length"))
        angle = phase + torch.deg2rad(lag) - self._wave_number(reference, *rf) * state.zeta
        energy = reference.q0.abs() * voltage * fraction * torch.sin(angle)
        return state._replace(pzeta=state.pzeta + energy / (reference.beta0 * reference.p0c))
