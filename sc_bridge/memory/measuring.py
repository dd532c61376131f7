"""Measure the memory of a run and of its backward pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sc_bridge.elements import Bunch

from ..adjoint import StoreStates, track
from ..adjoint.protocol import Adjoint
from ..sequence import KickedSequence
from .footprint import ResidentRise, SavedBytes, uncollected
from .trace import AllocationTrace


@dataclass(frozen=True)
class Measurement:
    """Memory of one run forwards and backwards, bytes.

    Peaks are bytes of tensors alive at once, as torch's allocators count them, the incoming
    bunch included. Work space of the C kernels, and the cache of Green functions, are no part
    of them: they are there before, whatever the strategy.

    Parameters
    ----------
    n_particles, n_cells, n_kicks : int
        Kicks of all turns together.
    dtype : torch.dtype
    strategy : str
    kept : int
        Storages that are kept for the backward pass, each counted once, besides the bunch.
    peak_forward, peak_backward : int
        Most bytes alive in the forward pass and in the backward pass.
    peak_resident : int, optional
        Rise of the resident memory of the process in both passes; None if not asked for, or
        not to be had.
    """

    n_particles: int
    n_cells: int
    n_kicks: int
    dtype: torch.dtype
    strategy: str
    kept: int
    peak_forward: int
    peak_backward: int
    peak_resident: int | None = None

    @property
    def peak(self) -> int:
        """Most bytes alive in both passes."""
        return max(self.peak_forward, self.peak_backward)


@dataclass(frozen=True)
class Observed:
    """Memory of a function and of its backward pass, bytes, besides what was `held`."""

    kept: int
    peak_forward: int
    peak_backward: int


def measure(
    sequence: KickedSequence,
    bunch: Bunch,
    adjoint: Adjoint | None = None,
    turns: int = 1,
    resident: bool = False,
    warm_up: bool = True,
) -> Measurement:
    """Track a bunch and take one backward pass, and measure the memory of both.

    Gradients go to the incoming coordinates and to every parameter of the sequence that asks
    for one.

    Parameters
    ----------
    sequence : KickedSequence
    bunch : Bunch
    adjoint : Adjoint, optional
        `StoreStates()` by default.
    turns : int
    resident : bool
        Whether to run once more and measure the rise of resident memory too (Linux). For exact
        figures: one measurement a process, before anything is planned or measured in it, and
        the environment that `ResidentRise` asks for.
    warm_up : bool
        Whether to run once before, so that work space and Green functions are there.

    Returns
    -------
    Measurement

    Raises
    ------
    ScBridgeError
        As `track`.

    Cost: two or three runs, forwards and backwards.
    """
    adjoint = StoreStates() if adjoint is None else adjoint
    start = bunch.replace(coordinates=bunch.coordinates.detach().clone().requires_grad_())
    parameters = [p for p in sequence.parameters() if p.requires_grad]
    wanted = [start.coordinates, *parameters]
    more: dict[str, Any] = {} if turns == 1 else {"turns": turns}

    def forward() -> Tensor:
        return track(sequence, start, adjoint=adjoint, **more).coordinates

    if warm_up:
        _there_and_back(forward, wanted)
    rise = ResidentRise()
    if resident:  # first, since a process that was traced rises further
        with rise:
            _there_and_back(forward, wanted)
    held = (start.coordinates, start.weight, start.alive, *parameters)
    seen = observe(forward, wanted, held)
    incoming = bunch_bytes(start)
    settings = sequence.space_charge
    nx, ny, nz = settings.grid if settings is not None else (0, 0, 0)
    return Measurement(
        n_particles=start.coordinates.numel() // 6,
        n_cells=nx * ny * nz,
        n_kicks=sequence.n_kicks * turns,
        dtype=start.coordinates.dtype,
        strategy=repr(adjoint),
        kept=seen.kept,
        peak_forward=incoming + seen.peak_forward,
        peak_backward=incoming + seen.peak_backward,
        peak_resident=None if rise.count is None else incoming + rise.count,
    )


def observe(
    forward: Callable[[], Tensor], wanted: Sequence[Tensor], held: Sequence[Tensor] = ()
) -> Observed:
    """Call a function, take the gradients of the sum of its result, and measure both.

    Parameters
    ----------
    forward : callable
        Of a run of any code that computes with torch.
    wanted : sequence of Tensor
        What to differentiate with respect to.
    held : sequence of Tensor
        Exist before and after, so that they do not count as kept.
    """
    device = wanted[0].device
    if device.type == "cuda":
        return _observe_cuda(forward, wanted, held)
    saved = SavedBytes(held)
    with uncollected(), AllocationTrace(device) as trace:
        with saved:
            out = forward()
        trace.mark("backward")
        _backward(out, wanted)
        trace.mark("end")
        del out
    return Observed(
        saved.count, trace.peak(until="backward"), trace.peak(since="backward", until="end")
    )


def _observe_cuda(
    forward: Callable[[], Tensor], wanted: Sequence[Tensor], held: Sequence[Tensor]
) -> Observed:
    """As `observe`, by the statistics of the allocator of the GPU."""
    device, saved = wanted[0].device, SavedBytes(held)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    with saved:
        out = forward()
    highest = torch.cuda.max_memory_allocated(device) - before
    torch.cuda.reset_peak_memory_stats(device)
    _backward(out, wanted)
    return Observed(saved.count, highest, torch.cuda.max_memory_allocated(device) - before)


def _there_and_back(forward: Callable[[], Tensor], wanted: Sequence[Tensor]) -> None:
    _backward(forward(), wanted)


def _backward(out: Tensor, wanted: Sequence[Tensor]) -> None:
    torch.autograd.grad(out, wanted, torch.ones_like(out), allow_unused=True)


def bunch_bytes(bunch: Bunch) -> int:
    """Bytes of the tensors of a bunch; a weight that all particles share is one number."""
    tensors = (bunch.coordinates, bunch.weight, bunch.alive)
    return sum(tensor.untyped_storage().nbytes() for tensor in tensors)
