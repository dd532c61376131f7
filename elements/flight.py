"""Drifts of many particles with their gradient written by hand.

Autograd would keep about fifteen numbers a particle; the gradients in closed form need px, py
and pzeta, which the bunch holds anyway. With u = 1 + beta0^2 pzeta (the energy) and P its
momentum, P^2 = 1 + pzeta (1 + u), the expanded drift is, with r = 1/P,

    x + L r px,   y + L r py,   zeta + L (1 - u r - (px^2 + py^2) u r^3/2)

and, since dP/dpzeta = u r, d(u r)/dpzeta = -r^3/gamma0^2 and d(u r^3)/dpzeta =
r^3 (beta0^2 - 3 u^2 r^2). The exact one is, with r = 1/sqrt(P^2 - px^2 - py^2),

    x + L r px,   y + L r py,   zeta + L (1 - u r)

where dr = r^3 (px dpx + py dpy - u dpzeta), and u^2 - beta0^2/r^2 = 1/gamma0^2 +
beta0^2 (px^2 + py^2).

On the CPU one pass of a C kernel does either direction; operations on tensors, which do it
elsewhere, are its reference in the tests.

Not done here: derivatives with respect to the length and the reference, forward mode and
`torch.func`; `drift.py` leaves these to plain operations.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from . import buffers, kernels
from .modes import has_memory, is_plain_reverse

# Particles from which a kernel may be compiled for them, and that make a thread worth while.
FEW = 1000
_SHARE = 16384


class Flight(NamedTuple):
    """What a drift depends on besides the particles: floats, and whether it is exact."""

    length: float
    beta0_squared: float
    inverse_gamma0_squared: float
    exact: bool


class FlownRows(torch.autograd.Function):
    """Return x, y and zeta after a drift of six rows, each (..., n); px, py and pzeta stay.

    Cost: keeps px, py and pzeta. Its gradient can be differentiated again.
    """

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> tuple[Tensor, Tensor, Tensor]:
        *rows, flight = inputs
        ctx.save_for_backward(*rows[1::2])
        ctx.flight = flight
        if not _kernel_takes(rows):
            return _flown(flight, *rows)
        x, y, zeta = (torch.empty_like(row) for row in rows[::2])
        _run("drift", flight, rows[0].shape, rows[0], _at(*rows), _at(x, None, y, None, zeta, None))
        return x, y, zeta

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> tuple[Tensor | None, ...]:
        (px, py, pzeta), flight = ctx.saved_tensors, ctx.flight
        to_x, to_y, to_zeta = (gradient.contiguous() for gradient in grad_outputs)
        if torch.is_grad_enabled() or not _kernel_takes((px, py, pzeta, to_x, to_y, to_zeta)):
            to_px, to_py, to_pzeta = _gradient(flight, px, py, pzeta, to_x, to_y, to_zeta)
        else:
            to_px, to_py, to_pzeta = (torch.empty_like(row) for row in (px, py, pzeta))
            rows, by = (
                _at(None, px, None, py, None, pzeta),
                _at(to_x, None, to_y, None, to_zeta, None),
            )
            to = _at(None, to_px, None, to_py, None, to_pzeta)
            _run("drift_gradient", flight, px.shape, px, rows, by, to)
        return to_x, to_px, to_y, to_py, to_zeta, to_pzeta, None


class Flown(torch.autograd.Function):
    """Return coordinates, (..., 6, n), after a drift, by the kernel.

    Cost: keeps the coordinates. Its gradient can be differentiated again.
    """

    @staticmethod
    def forward(ctx: Any, coordinates: Tensor, flight: Flight) -> Tensor:  # pyright: ignore
        ctx.save_for_backward(coordinates)
        ctx.flight = flight
        return _fly(coordinates, flight)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # pyright: ignore
        (coordinates,), flight = ctx.saved_tensors, ctx.flight
        if torch.is_grad_enabled() or not (is_plain_reverse() and has_memory(gradient)):
            total = list(gradient.unbind(-2))
            own = _gradient(flight, *coordinates.unbind(-2)[1::2], *total[::2])
            total[1::2] = [a + b for a, b in zip(own, total[1::2], strict=True)]
            return torch.stack(total, dim=-2), None
        gradient = gradient.contiguous()
        out = buffers.empty(gradient.shape, gradient.dtype)
        rows, by, to = (_rows_at(value) for value in (coordinates, gradient, out))
        _run("drift_gradient", flight, coordinates.shape, coordinates, rows, by, to)
        return out, None


def fly(coordinates: Tensor, flight: Flight) -> Tensor | None:
    """Return coordinates, (..., 6, n), after a drift; None where no kernel does it."""
    if coordinates.shape[-1] < FEW or coordinates.device.type != "cpu" or kernels.load() is None:
        return None
    coordinates = coordinates.contiguous()
    if not (coordinates.requires_grad and torch.is_grad_enabled()):
        return _fly(coordinates, flight)
    return Flown.apply(coordinates, flight)  # pyright: ignore[reportReturnType]


# ---- the kernels -----------------------------------------------------------------------


def _kernel_takes(rows: Sequence[Tensor]) -> bool:
    """Whether rows are what the kernels work on, on a machine that has them."""
    first = rows[0]
    return (
        first.dim() == 1
        and first.numel() >= FEW
        and first.device.type == "cpu"
        and is_plain_reverse()
        and has_memory(*rows)
        and all(row.shape == first.shape and row.is_contiguous() for row in rows)
        and all(row.dtype == first.dtype for row in rows)
        and kernels.load() is not None
    )


def _fly(coordinates: Tensor, flight: Flight) -> Tensor:
    out = buffers.empty(coordinates.shape, coordinates.dtype)
    _run("drift", flight, coordinates.shape, coordinates, _rows_at(coordinates), _rows_at(out))
    return out


def _at(*rows: Tensor | None) -> array[int]:
    """Addresses of six rows, 0 where there is none."""
    return array("q", [0 if row is None else row.data_ptr() for row in rows])


def _rows_at(coordinates: Tensor) -> array[int]:
    """Addresses of the rows of the first bunch of a batch."""
    start, size = coordinates.data_ptr(), coordinates.shape[-1] * coordinates.element_size()
    return array("q", range(start, start + 6 * size, size))


def _run(
    kernel: str, flight: Flight, shape: torch.Size, like: Tensor, *addresses: array[int]
) -> None:
    """Call a kernel on rows of one bunch, (n,), or of a batch of them, (..., 6, n)."""
    n = shape[-1]
    batch = math.prod(shape[:-2])
    # past the keywords of xobjects, whose checks take longer than the particles
    call = _kernel(kernel, like.dtype)
    pointer = call.ffi_interface.from_buffer
    call.function(
        *(pointer("int64_t[]", rows) for rows in addresses),
        pointer("double[]", array("d", flight[:3])),
        flight.exact,
        n,
        batch,
        6 * n,
        min(torch.get_num_threads(), 1 + batch * n // _SHARE),
    )


def _kernel(name: str, dtype: torch.dtype) -> Any:
    loaded = kernels.load()
    if loaded is None:
        raise RuntimeError("flight: C kernels that were there are gone")
    return loaded[f"{name}_{'float32' if dtype == torch.float32 else 'float64'}"]


# ---- the same in operations on tensors ---------------------------------------------------


def _flown(
    flight: Flight, x: Tensor, px: Tensor, y: Tensor, py: Tensor, zeta: Tensor, pzeta: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    length, _, inverse_gamma0_squared, exact = flight
    total, square = _energy(pzeta, flight)
    transverse = torch.addcmul(px * px, py, py)
    if exact:
        pz = torch.sqrt(1.0 + square - transverse)
        # pz - u, without its cancellation
        late = torch.sub(square * inverse_gamma0_squared, transverse).div_(pz + total)
        late, inverse = late.div_(pz), pz.reciprocal_()
    else:
        inverse = torch.rsqrt(1.0 + square)
        ratio = total * inverse
        late = transverse.mul_(ratio).mul_(-0.5)
        # 1 - ratio, without its cancellation
        late.addcdiv_(square, 1.0 + ratio, value=inverse_gamma0_squared)
        late.mul_(inverse).mul_(inverse)
    return (
        torch.addcmul(x, px, inverse, value=length),
        torch.addcmul(y, py, inverse, value=length),
        torch.add(zeta, late, alpha=length),
    )


def _gradient(
    flight: Flight,
    px: Tensor,
    py: Tensor,
    pzeta: Tensor,
    to_x: Tensor,
    to_y: Tensor,
    to_zeta: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients by px, py and pzeta, from those by x, y and zeta."""
    length, beta0_squared, inverse_gamma0_squared, exact = flight
    total, square = _energy(pzeta, flight)
    transverse = torch.addcmul(px * px, py, py)
    across = torch.addcmul(px * to_x, py, to_y)
    inverse = torch.rsqrt(1.0 + square - transverse if exact else 1.0 + square)
    reach = length * inverse
    if exact:
        pull = (across - total * to_zeta) * inverse * inverse
        along = to_zeta * (inverse_gamma0_squared + beta0_squared * transverse)
        to_pzeta = (along - total * across) * inverse * inverse * reach
    else:
        ratio = total * inverse
        pull = -to_zeta * (ratio * inverse)
        # of the energy at fixed slopes, and through the slopes
        fall = 0.5 * transverse * (3.0 * ratio * ratio - beta0_squared)
        along = to_zeta * inverse * (inverse_gamma0_squared + fall)
        to_pzeta = (along - across * ratio) * inverse * reach
    return (to_x + px * pull) * reach, (to_y + py * pull) * reach, to_pzeta


def _energy(pzeta: Tensor, flight: Flight) -> tuple[Tensor, Tensor]:
    """Return u and P^2 - 1."""
    total = 1.0 + flight.beta0_squared * pzeta
    return total, torch.addcmul(pzeta, pzeta, total)
