"""Cavity: a sinusoidal accelerating field."""

from __future__ import annotations

import math
from typing import Unpack

import torch
from torch import Tensor

from .base import Number, State
from .errors import ElementError
from .misalignment import Alignment
from .reference import Reference
from .rf import RFElement
from .scalars import is_active, plain


class Cavity(RFElement):
    """RF cavity: dE = |q0| voltage sin(phase + lag - 2 pi frequency zeta/(beta0 c)).

    The reference is not accelerated; px and py are kept, as in Xsuite.

    Parameters
    ----------
    length : float or Tensor, m
        0 for a thin kick; otherwise the kicks sit between drifts.
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
    absolute_time : bool
        Only False: a bunch here has no time of day, and every turn sees the same phase.
    num_kicks : int
        0 is one kick.
    model : {"adaptive", "drift-kick-drift-expanded", "drift-kick-drift-exact", ...}
        "adaptive" is expanded; Xsuite's other names are the exact drift.
    integrator : {"adaptive", "teapot", "uniform", "yoshida-4", "yoshida-6", "yoshida-8"}
        "adaptive" is "uniform".

    Raises
    ------
    ElementError
        If the model is unknown, `absolute_time` is wanted, or `harmonic` is used without a
        circumference.

    Validity: no transverse focusing and no change of the reference; a linac's structure is a
    `LinacCavity`.
    """

    def __init__(
        self,
        length: Number = 0.0,
        voltage: Number = 0.0,
        frequency: Number = 0.0,
        phase: Number = 0.0,
        lag: Number = 0.0,
        harmonic: Number = 0.0,
        line_length: Number = 0.0,
        absolute_time: bool = False,
        num_kicks: int = 0,
        model: str = "adaptive",
        integrator: str = "adaptive",
        **alignment: Unpack[Alignment],
    ) -> None:
        super().__init__(**alignment)
        if torch.as_tensor(frequency).any() and torch.as_tensor(harmonic).any():
            raise ElementError(
                f"Cavity: frequency = {frequency} Hz and harmonic = {harmonic}: give one of them"
            )
        refuse_absolute_time(self.label, absolute_time)
        self._choose(num_kicks, model, integrator)
        self._register(
            length=length,
            voltage=voltage,
            frequency=frequency,
            phase=phase,
            lag=lag,
            harmonic=harmonic,
            line_length=line_length,
        )

    def kick(self, state: State, reference: Reference, weight: float) -> State:
        strength = plain(self._aligned("voltage", state.x)) * weight
        # a particle of the reference's charge gains |q0| V, a pzeta of that over beta0 P0
        strength = strength * reference.q0.abs() / (reference.beta0 * reference.p0c)
        phase = self._phase(state, reference)
        return state._replace(pzeta=state.pzeta + strength * torch.sin(phase))

    def wave_number(self, reference: Reference) -> Tensor:
        """RF phase advance per zeta, 2 pi f/(beta0 c), rad/m, (...)."""
        wave = super().wave_number(reference)
        if is_active(self.harmonic):
            wave = wave + self._harmonic_wave(self.harmonic, self.line_length)
        return wave

    def _wave_number(self, state: State, reference: Reference) -> Number:
        wave = super()._wave_number(state, reference)
        if is_active(self.harmonic):
            fields = (self._aligned(name, state.x) for name in ("harmonic", "line_length"))
            wave = wave + self._harmonic_wave(*fields)
        return wave

    def _harmonic_wave(self, harmonic: Tensor, line_length: Tensor) -> Tensor:
        if not bool((line_length > 0).all()):
            raise ElementError(
                f"{self.label}: harmonic = {self.harmonic.tolist()} needs the circumference: "
                "give line_length, or use frequency"
            )
        return 2.0 * math.pi * harmonic / line_length


def refuse_absolute_time(label: str, absolute_time: bool) -> None:
    """Raise if an element is to follow the time of day."""
    if absolute_time:
        raise ElementError(
            f"{label}: absolute_time = {absolute_time}: a bunch has no time of day here: "
            "put the phase at the bunch's arrival into `phase`"
        )
