"""Nonlinear lens of an integrable ring such as IOTA."""

from __future__ import annotations

from typing import Unpack

import torch

from .base import Number, State
from .errors import ElementError
from .misalignment import Alignment, Misalignable
from .reference import Reference


class NonLinearLens(Misalignable):
    """Thin lens with the elliptic potential of Danilov and Nagaitsev.

    Parameters
    ----------
    knll : float or Tensor, m
        Integrated strength; its quadrupole term is k1 = 2 knll/cnll^2.
    cnll : float or Tensor, m
        Distance of the two singularities x = -cnll and x = cnll from the axis.

    Raises
    ------
    ElementError
        If `cnll` is not positive.

    Validity: off the cuts |x| >= cnll on y = 0. Symplectic.

    References
    ----------
    Danilov and Nagaitsev, Phys. Rev. ST Accel. Beams 13, 084002 (2010); as the derivative of
    the complex potential z asin(z)/sqrt(1 - z^2), z = (x + i y)/cnll, which has no cancellation
    on the axis: Mitchell, Ryne and Hwang, arXiv:1908.00036.
    """

    def __init__(
        self, knll: Number = 0.0, cnll: Number = 1.0, **alignment: Unpack[Alignment]
    ) -> None:
        super().__init__(**alignment)
        self._register(knll=knll, cnll=cnll)
        if not bool((self.cnll > 0).all()):
            raise ElementError(f"{self.label}: cnll = {self.cnll.tolist()} m: must be positive")

    def body(self, state: State, reference: Reference, weight: float) -> State:
        cnll = self._aligned("cnll", state.x)
        strength = self._aligned("knll", state.x) * weight / cnll
        z = torch.complex(state.x / cnll, state.y / cnll)
        square = 1.0 - z * z
        slope = (z + torch.asin(z) / torch.sqrt(square)) / square
        px, py = state.px - strength * slope.real, state.py + strength * slope.imag
        return state._replace(px=px, py=py)
