"""Wire: a straight current beside the beam, for long-range compensation."""

from __future__ import annotations

from typing import Unpack

import torch
from scipy.constants import c as C_LIGHT

from .base import Number, State
from .misalignment import Alignment, Misalignable
from .reference import Reference
from .scalars import plain


class Wire(Misalignable):
    """Thin kick by a wire parallel to the beam.

    Parameters
    ----------
    L_phy, L_int : float or Tensor, m
        Length of the wire, and length over which its field is integrated.
    current : float or Tensor, A
    xma, yma : float or Tensor, m
        Position of the wire.
    post_subtract_px, post_subtract_py : float or Tensor, rad
        Taken off the kick, for instance that on the closed orbit.

    Validity: outside the wire, which has no thickness. Symplectic.

    References
    ----------
    xtrack 0.118.4, wire.h; mu0 is 4 pi 1e-7 H/m, as there.
    """

    def __init__(
        self,
        L_phy: Number = 0.0,
        L_int: Number = 0.0,
        current: Number = 0.0,
        xma: Number = 0.0,
        yma: Number = 0.0,
        post_subtract_px: Number = 0.0,
        post_subtract_py: Number = 0.0,
        **alignment: Unpack[Alignment],
    ) -> None:
        super().__init__(**alignment)
        self._register(
            L_phy=L_phy,
            L_int=L_int,
            current=current,
            xma=xma,
            yma=yma,
            post_subtract_px=post_subtract_px,
            post_subtract_py=post_subtract_py,
        )

    def body(self, state: State, reference: Reference, weight: float) -> State:
        physical, integrated, current, xma, yma, px, py = (
            plain(self._aligned(name, state.x))
            for name in (
                "L_phy",
                "L_int",
                "current",
                "xma",
                "yma",
                "post_subtract_px",
                "post_subtract_py",
            )
        )
        dx, dy = state.x - xma, state.y - yma
        square = dx * dx + dy * dy
        longer = torch.sqrt((integrated + physical) ** 2 + 4.0 * square)
        shorter = torch.sqrt((integrated - physical) ** 2 + 4.0 * square)
        # longer - shorter, without its cancellation
        difference = 4.0 * integrated * physical / (longer + shorter)
        strength = 1e-7 * current * reference.q0 * C_LIGHT / reference.p0c * difference / square
        return state._replace(
            px=state.px - weight * (strength * dx + px),
            py=state.py - weight * (strength * dy + py),
        )
