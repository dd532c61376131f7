"""Programs: rows of moves, applied to many particles in one pass, with their gradient by hand.

Autograd keeps some ten numbers a particle for every map, and a thousand for a bend in steps.
A program keeps the coordinates that enter it, which the bunch holds anyway: its backward pass
goes through the moves once more, a block of particles at a time that stays in the cache, and
then back, by the derivatives of each move. It gives the gradients by the coordinates and by every
number of the program, from where autograd takes them to fields, knobs and reference.

On the CPU C kernels do either direction. Elsewhere, for second derivatives, and for many gradients
at a time, operations on tensors do, which are their reference in the tests.

Not done here: numbers that differ within a batch, forward mode and `torch.func`; the elements
do these by plain operations, as they do with few particles.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from . import blocks, buffers, kernels
from .energy import Energy
from .modes import has_memory, is_plain_reverse
from .moves import Move
from .reference import Reference
from .scalars import plain
from .state import Number, State

# Particles from which a kernel may be compiled for them, and what makes a thread worth while.
FEW = 1000
_SHARE = 16384  # particles times moves
# Particles of a block: as many as the second cache holds for a few moves, as the first one holds
# for many, and those of which the notes of a thread stay in the second one.
_BLOCK = 2048  # as in state.c
_SMALL_BLOCK = 256
_LEAST_BLOCK = 16
_NOTES = 2**19  # bytes
_FEW_MOVES = 4
# Numbers of a kick whose gradients are asked for one by one: the others are its strengths.
_OTHERS = 3
# Bytes of a result from which it is written past the caches.
_STREAMED = 2**24


class Program:
    """A row of moves for particles of one reference.

    Parameters
    ----------
    moves : sequence of Move
        The same object more than once has its numbers once.
    rest : float or Tensor
        1/gamma0^2.
    """

    def __init__(self, moves: Sequence[Move], rest: Number) -> None:
        self.moves = moves
        self.values: list[Number] = [rest]
        self.codes = array("q")
        places: dict[int, int] = {}
        for move in moves:
            place = places.get(id(move))
            if place is None:
                place = places[id(move)] = len(self.values)
                self.values += move.numbers
            self.codes.extend((move.kind, place, len(move.numbers), _wanted(move.numbers)))

    @property
    def is_batched(self) -> bool:
        """Whether any number differs from bunch to bunch."""
        return any(isinstance(value, Tensor) and value.dim() for value in self.values)

    def numbers(self) -> Tensor:
        """All numbers, (n_numbers,), float64; gradients flow to where they come from."""
        tensors = [value for value in self.values if isinstance(value, Tensor)]
        if not tensors:
            return torch.tensor(self.values, dtype=torch.float64)
        as_tensor = partial(torch.as_tensor, dtype=torch.float64, device=tensors[0].device)
        return torch.stack([as_tensor(value) for value in self.values])

    def on_tensors(self, coordinates: Tensor, numbers: Tensor) -> tuple[Tensor, ...]:
        """Apply the moves as operations on tensors; return six rows, (..., n_particles)."""
        is_plain = numbers.device.type == "cpu" and not numbers.requires_grad
        values = numbers.tolist() if is_plain else numbers.unbind()
        state = State(*coordinates.unbind(-2))
        energy = Energy.of_rest(state.pzeta, values[0])
        for move, place, count in zip(self.moves, self.codes[1::4], self.codes[2::4], strict=True):
            state = move.on_tensors(state, energy, *values[place : place + count])
        return state


def _wanted(numbers: Sequence[Number]) -> int:
    """Return a bit for each of the first numbers that has a gradient, one for all others."""
    bits = 0
    for place, number in enumerate(numbers):
        if isinstance(number, Tensor) and number.requires_grad:
            bits |= 1 << min(place, _OTHERS)
    return bits


class Moved(torch.autograd.Function):
    """Return coordinates, (..., 6, n_particles), behind a program.

    Cost: keeps the coordinates and the numbers. Its gradient can be differentiated again.
    """

    @staticmethod
    def forward(ctx: Any, coordinates: Tensor, numbers: Tensor, program: Program) -> Tensor:  # pyright: ignore
        ctx.save_for_backward(coordinates, numbers)
        ctx.program = program
        return _move(program, coordinates, numbers)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore
        coordinates, numbers = ctx.saved_tensors
        wanted = ctx.needs_input_grad[:2]
        if torch.is_grad_enabled() or not (has_memory(gradient) and _has_kernel(coordinates)):
            return *_replayed(ctx.program, coordinates, numbers, wanted, gradient), None
        result, sums = _run_back(ctx.program, coordinates, numbers, gradient.contiguous())
        return result, sums if wanted[1] else None, None


def takes(coordinates: Tensor, reference: Reference) -> bool:
    """Whether particles are so many that a program is worth while, and their reference is one."""
    return coordinates.shape[-1] >= FEW and serves(reference)


def serves(reference: Reference) -> bool:
    """Whether the reference is no batch, and no derivative under way that programs have not."""
    return reference.p0c.dim() == reference.mass0.dim() == 0 and is_plain_reverse()


def run(moves: Sequence[Move], coordinates: Tensor, reference: Reference) -> Tensor | None:
    """Return coordinates, (..., 6, n), behind a row of moves; None if a number is a batch."""
    program = Program(moves, _rest(reference))
    if program.is_batched:
        return None
    coordinates, numbers = coordinates.contiguous(), program.numbers()
    if torch.is_grad_enabled() and (coordinates.requires_grad or numbers.requires_grad):
        return Moved.apply(coordinates, numbers, program)  # pyright: ignore[reportReturnType]
    return _move(program, coordinates, numbers)


def _rest(reference: Reference) -> Number:
    """Return 1/gamma0^2, as a float where no derivative is asked of it: that is faster."""
    momentum, mass = plain(reference.p0c), plain(reference.mass0)
    if isinstance(momentum, Tensor) or isinstance(mass, Tensor):
        return reference.inverse_gamma0_squared
    square = (mass / momentum) ** 2
    return square / (1.0 + square)


def _move(program: Program, coordinates: Tensor, numbers: Tensor) -> Tensor:
    if _has_kernel(coordinates):
        return _run(program, coordinates, numbers)
    with torch.no_grad():
        return blocks.move(lambda block: program.on_tensors(block, numbers), coordinates)


def _replayed(
    program: Program,
    coordinates: Tensor,
    numbers: Tensor,
    wanted: tuple[bool, bool],
    gradient: Tensor,
) -> list[Tensor | None]:
    """Gradients by coordinates and numbers, by autograd through the moves as operations."""
    again = torch.is_grad_enabled()
    inputs = [coordinates, numbers]
    if not again:
        inputs = [t.detach().requires_grad_(w) for t, w in zip(inputs, wanted, strict=True)]
    with torch.enable_grad():
        rows = program.on_tensors(*inputs)
        out = torch.stack(torch.broadcast_tensors(*rows), dim=-2)
    asked = [tensor for tensor, want in zip(inputs, wanted, strict=True) if want]
    found = iter(
        # a row of markers uses no number
        torch.autograd.grad(out, asked, gradient, create_graph=again, materialize_grads=True)
    )
    return [next(found) if want else None for want in wanted]


# ---- the kernels -----------------------------------------------------------------------


def _has_kernel(coordinates: Tensor) -> bool:
    return coordinates.device.type == "cpu" and kernels.load() is not None


def _run(program: Program, coordinates: Tensor, numbers: Tensor) -> Tensor:
    out = buffers.empty(coordinates.shape, coordinates.dtype)
    call = _Call("program", coordinates.dtype)
    call.function(
        *(call.real(tensor) for tensor in (coordinates, out)),
        call.whole(program.codes),
        len(program.moves),
        call.double(numbers),
        _block(program, coordinates, notes=0),
        *_work(program, coordinates),
    )
    return out


def _run_back(
    program: Program, coordinates: Tensor, numbers: Tensor, gradient: Tensor
) -> tuple[Tensor, Tensor]:
    out = buffers.empty(coordinates.shape, coordinates.dtype)
    work = _work(program, coordinates)
    threads = work[-1]
    notes = 4 * (len(program.moves) - 1) * coordinates.element_size()
    size = _block(program, coordinates, notes)
    tape = np.empty(threads * (notes + 4 * coordinates.element_size()) * size, np.uint8)
    sums = np.zeros((threads, len(program.values)))
    call = _Call("program_gradient", coordinates.dtype)
    call.function(
        *(call.real(tensor) for tensor in (coordinates, gradient, out)),
        call.whole(program.codes),
        len(program.moves),
        call.double(numbers),
        len(program.values),
        call.double(torch.from_numpy(sums)),
        call.real(torch.from_numpy(tape)),
        size,
        *work,
    )
    return out, torch.from_numpy(sums.sum(0))


def _block(program: Program, coordinates: Tensor, notes: int) -> int:
    """Particles of a block, of which each needs some bytes of notes."""
    streams = coordinates.nbytes >= _STREAMED and len(program.moves) <= _FEW_MOVES
    most = _BLOCK if streams else _SMALL_BLOCK
    room = _NOTES // notes if notes > 0 else most
    return min(most, max(_LEAST_BLOCK, room // _LEAST_BLOCK * _LEAST_BLOCK))


def _work(program: Program, coordinates: Tensor) -> tuple[int, int, bool, int]:
    """Particles of a bunch, bunches, whether the result is streamed, and threads."""
    n, batch = coordinates.shape[-1], math.prod(coordinates.shape[:-2])
    work = batch * n * max(1, len(program.moves))
    threads = min(torch.get_num_threads(), 1 + work // _SHARE)
    return n, batch, coordinates.nbytes >= _STREAMED, threads


class _Call:
    """A kernel, past the keywords of xobjects, whose checks take longer than the particles."""

    def __init__(self, name: str, dtype: torch.dtype) -> None:
        loaded = kernels.load()
        if loaded is None:
            raise RuntimeError("program: C kernels that were there are gone")
        single = dtype == torch.float32
        kernel = loaded[f"{name}_{'float32' if single else 'float64'}"]
        self.function = kernel.function
        self._ffi = kernel.ffi_interface
        self._real = "float *" if single else "double *"

    def real(self, tensor: Tensor) -> Any:
        return self._ffi.cast(self._real, tensor.data_ptr())

    def double(self, tensor: Tensor) -> Any:
        return self._ffi.cast("double *", tensor.data_ptr())

    def whole(self, numbers: array[int]) -> Any:
        return self._ffi.from_buffer("int64_t[]", numbers)
