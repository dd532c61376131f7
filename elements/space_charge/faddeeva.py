"""The Faddeeva function w(z) = exp(-z^2) erfc(-iz), with derivatives of any order.

Values come from scipy, on the CPU; the derivative is w' = -2 z w + 2i/sqrt(pi), in closed form.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from scipy.special import wofz
from torch import Tensor

_TWO_OVER_SQRT_PI = 2.0 / math.sqrt(math.pi)


def faddeeva(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Real and imaginary part of w(x + iy), each of the shape of `x`.

    Validity: float64 to about 1e-13 relative; y >= 0 (it overflows far below the real axis).
    Any order of derivative.
    """
    return _Faddeeva.apply(x, y)  # pyright: ignore[reportReturnType]


class _Faddeeva(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(x, y)
        z = torch.complex(x.detach().double(), y.detach().double()).cpu().numpy()
        w = torch.from_numpy(wofz(z)).to(x.device)
        return w.real.to(x.dtype), w.imag.to(x.dtype)

    @staticmethod
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, real: Tensor, imaginary: Tensor
    ) -> tuple[Tensor, Tensor]:
        x, y = ctx.saved_tensors
        u, v = faddeeva(x, y)
        # w' = a + ib; Cauchy and Riemann give the derivatives of both parts
        a = -2.0 * (x * u - y * v)
        b = -2.0 * (x * v + y * u) + _TWO_OVER_SQRT_PI
        return real * a + imaginary * b, imaginary * a - real * b
