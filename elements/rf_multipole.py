"""RF multipole: thin multipoles that oscillate, each with its own phase."""

from __future__ import annotations

import math
from typing import TypeAlias, Unpack

import torch
from torch import Tensor

from .base import Number, Numbers, State
from .errors import ElementError
from .misalignment import Alignment
from .reference import Reference
from .rf import RFElement, add_energy
from .scalars import components, is_active, plain

_Term: TypeAlias = tuple[Number, Number]
_STRENGTH_OF = {"phase_n": "knl", "phase_s": "ksl", "pn": "knl", "ps": "ksl"}


class RFMultipole(RFElement):
    """Thin RF multipole, with an accelerating voltage of its own.

    Parameters
    ----------
    knl, ksl : list of float or Tensor, (..., order + 1), m^-n
        Integrated normal and skew strengths at the crest.
    phase_n, phase_s : list of float or Tensor, (..., order + 1), rad
        Phases of the normal and skew components; a missing one is 0.
    pn, ps : list of float or Tensor, (..., order + 1), deg
        Added to them; Xsuite's deprecated names.
    frequency : float or Tensor, Hz
    voltage : float or Tensor, V
    phase : float or Tensor, rad
    lag : float or Tensor, deg
        Of the voltage, as of `Cavity`.

    Raises
    ------
    ElementError
        If there are more phases than components.

    Validity: symplectic; thin. Cost: a sine and a cosine for each component that is not 0.
    """

    isthick = False

    def __init__(
        self,
        knl: Numbers = (),
        ksl: Numbers = (),
        phase_n: Numbers = (),
        phase_s: Numbers = (),
        pn: Numbers = (),
        ps: Numbers = (),
        frequency: Number = 0.0,
        voltage: Number = 0.0,
        phase: Number = 0.0,
        lag: Number = 0.0,
        **alignment: Unpack[Alignment],
    ) -> None:
        super().__init__(**alignment)
        self._register_multipoles(knl=knl, ksl=ksl, phase_n=phase_n, phase_s=phase_s, pn=pn, ps=ps)
        self._register(frequency=frequency, voltage=voltage, phase=phase, lag=lag)
        for phases, strengths in _STRENGTH_OF.items():
            self._check_lengths(strengths, phases)

    def _check_lengths(self, strengths: str, phases: str) -> None:
        known, found = (getattr(self, name).shape[-1] for name in (strengths, phases))
        if bool(getattr(self, phases)[..., known:].any()):
            raise ElementError(
                f"{self.label}: {phases} has {found} entries and {strengths} has {known}: "
                "every phase needs its strength"
            )

    def body(self, state: State, reference: Reference, weight: float) -> State:
        return self.kick(state, reference, weight)

    def coasting_body(self, state: State, reference: Reference, weight: float) -> State:
        return state

    def kick(self, state: State, reference: Reference, weight: float) -> State:
        state = self._transverse(state, reference, weight)
        if not is_active(self.voltage):
            return state
        voltage = plain(self._aligned("voltage", state.x)) * weight
        energy = reference.q0.abs() * voltage * torch.sin(self._phase(state, reference))
        return add_energy(state, reference, energy)

    def _transverse(self, state: State, reference: Reference, weight: float) -> State:
        x, y = state.x, state.y
        wave = self._wave_number(state, reference)
        advance = wave * state.zeta
        normal, skew = (
            self._terms("knl", "phase_n", "pn", x),
            self._terms("ksl", "phase_s", "ps", x),
        )
        px, py, pzeta = state.px, state.py, state.pzeta
        real, imaginary = torch.ones_like(x), torch.zeros_like(x)  # of (x + i y)^n
        for n in range(max(len(normal), len(skew))):
            field = (real, imaginary)
            real, imaginary = real * x - imaginary * y, real * y + imaginary * x
            size = weight / math.factorial(n)
            for terms, of_field, of_potential in (
                (normal, field, real),
                (skew, (-field[1], field[0]), -imaginary),  # a normal one of i (x + i y)^n
            ):
                if n >= len(terms) or not is_active(terms[n][0]):
                    continue
                strength, angle = terms[n][0] * size, terms[n][1] - advance
                kick = strength * torch.cos(angle)
                px, py = px - kick * of_field[0], py + kick * of_field[1]
                slope = strength / (n + 1.0) * wave
                pzeta = pzeta - slope * torch.sin(angle) * of_potential
        return state._replace(px=px, py=py, pzeta=pzeta)

    def _terms(self, strengths: str, phases: str, degrees: str, like: Tensor) -> list[_Term]:
        """List strength and phase by order."""
        names = (strengths, phases, degrees)
        sizes, radians, lags = (components(self._aligned(name, like)) for name in names)
        terms = []
        for n, size in enumerate(sizes):
            phase = radians[n] if n < len(radians) else 0.0
            lag = lags[n] if n < len(lags) else 0.0
            terms.append((size, phase + lag * (math.pi / 180.0)))
        return terms
