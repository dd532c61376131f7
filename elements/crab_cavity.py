"""Crab cavity: a sinusoidal transverse kick."""

from __future__ import annotations

from typing import Unpack

import torch

from .base import Number, State
from .cavity import refuse_absolute_time
from .misalignment import Alignment
from .reference import Reference
from .rf import RFElement
from .scalars import plain


class CrabCavity(RFElement):
    """Horizontal RF deflector: dpx = |q0| crab_voltage/p0c sin(phase - 2 pi f zeta/(beta0 c)).

    The energy kick is the one that makes this symplectic (Panofsky-Wenzel).

    Parameters
    ----------
    length : float or Tensor, m
        0 for a thin kick; otherwise the kicks sit between drifts.
    crab_voltage : float or Tensor, V
    frequency : float or Tensor, Hz
    phase : float or Tensor, rad
        Seen by the reference particle; 0 leaves the middle of the bunch in place.
    lag : float or Tensor, deg
        Added to `phase`; Xsuite's deprecated name.
    absolute_time : bool
        Only False, as of `Cavity`.
    num_kicks, model, integrator
        As of `Cavity`.

    Raises
    ------
    ElementError
        If a choice is unknown, or `absolute_time` is wanted.

    Validity: linear in x; a deflector in another plane is this one rotated (`rot_s_rad`).

    References
    ----------
    Panofsky and Wenzel, Rev. Sci. Instrum. 27, 967 (1956).
    """

    def __init__(
        self,
        length: Number = 0.0,
        crab_voltage: Number = 0.0,
        frequency: Number = 0.0,
        phase: Number = 0.0,
        lag: Number = 0.0,
        absolute_time: bool = False,
        num_kicks: int = 0,
        model: str = "adaptive",
        integrator: str = "adaptive",
        **alignment: Unpack[Alignment],
    ) -> None:
        super().__init__(**alignment)
        refuse_absolute_time(self.label, absolute_time)
        self._choose(num_kicks, model, integrator)
        self._register(
            length=length, crab_voltage=crab_voltage, frequency=frequency, phase=phase, lag=lag
        )

    def kick(self, state: State, reference: Reference, weight: float) -> State:
        voltage = plain(self._aligned("crab_voltage", state.x)) * weight
        strength = voltage * reference.q0.abs() / reference.p0c
        wave, phase = self._wave_number(state, reference), self._phase(state, reference)
        return state._replace(
            px=state.px + strength * torch.sin(phase),
            pzeta=state.pzeta - strength * wave * torch.cos(phase) * state.x,
        )
