"""The expanded drift of a bunch with its gradient written by hand.

Autograd would keep about fifteen numbers a particle; the gradient in closed form needs px, py
and pzeta, which the bunch holds anyway. With u = 1 + beta0^2 pzeta (the energy), P its momentum
and r = 1/P the map is

    x + L r px,   y + L r py,   zeta + L (1 - u r - (px^2 + py^2) u r^3/2)

and, since dP/dpzeta = u r, d(u r)/dpzeta = -r^3/gamma0^2 and d(u r^3)/dpzeta =
r^3 (beta0^2 - 3 u^2 r^2).

Not done here: derivatives with respect to the length and the reference, forward mode and
`torch.func`; `drift.expanded_drift` leaves these to plain operations.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor


class Flight(NamedTuple):
    """What the drift depends on besides the particles, as floats."""

    length: float
    beta0_squared: float
    inverse_gamma0_squared: float


class ExpandedDrift(torch.autograd.Function):
    """Return x, y and zeta after a drift; px, py and pzeta stay.

    Cost: keeps px, py and pzeta. Its gradient can be differentiated again.
    """

    @staticmethod
    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any,
        x: Tensor,
        px: Tensor,
        y: Tensor,
        py: Tensor,
        zeta: Tensor,
        pzeta: Tensor,
        flight: Flight,
    ) -> tuple[Tensor, Tensor, Tensor]:
        ctx.save_for_backward(px, py, pzeta)
        ctx.flight = flight
        length, _, inverse_gamma0_squared = flight
        square, inverse, ratio = _energy(pzeta, flight)
        squared_inverse = inverse * inverse
        excess = (px * px).addcmul_(py, py).mul_(ratio).mul_(-0.5)
        # 1 - ratio, without its cancellation
        excess.addcdiv_(square, 1.0 + ratio, value=inverse_gamma0_squared)
        return (
            torch.addcmul(x, px, inverse, value=length),
            torch.addcmul(y, py, inverse, value=length),
            torch.addcmul(zeta, excess, squared_inverse, value=length),
        )

    @staticmethod
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, to_x: Tensor, to_y: Tensor, to_zeta: Tensor
    ) -> tuple[Tensor | None, ...]:
        px, py, pzeta = ctx.saved_tensors
        length, beta0_squared, inverse_gamma0_squared = ctx.flight
        _, inverse, ratio = _energy(pzeta, ctx.flight)
        reach = length * inverse
        tilt = to_zeta * (ratio * inverse)
        to_px = (to_x - px * tilt) * reach
        to_py = (to_y - py * tilt) * reach
        # of the energy at fixed slopes, and through the slopes
        half_square = 0.5 * torch.addcmul(px * px, py, py)
        fall = torch.addcmul(half_square * -beta0_squared, half_square, ratio * ratio, value=3.0)
        along = to_zeta * inverse * (inverse_gamma0_squared + fall)
        across = torch.addcmul(px * to_x, py, to_y) * ratio
        to_pzeta = (along - across) * inverse * reach
        return to_x, to_px, to_y, to_py, to_zeta, to_pzeta, None


def _energy(pzeta: Tensor, flight: Flight) -> tuple[Tensor, Tensor, Tensor]:
    """Return P^2 - 1, 1/P and u/P."""
    total = 1.0 + flight.beta0_squared * pzeta
    square = torch.addcmul(pzeta, pzeta, total)
    inverse = torch.rsqrt(1.0 + square)
    return square, inverse, total * inverse
