"""Memory of large results, used again once nobody holds the tensor that had it.

A map writes new coordinates. The system gives fresh memory page by page, and clears each: that
takes longer than a light map takes to compute. In a row of maps every result but the last is
dropped as soon as the next one is there, so that two buffers serve the whole row.

Cost: up to two buffers are kept that nobody uses, of `LARGEST` bytes at most each.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

# Bytes from which fresh memory is felt, and up to which a buffer is kept.
SMALLEST = 2**20
LARGEST = 2**27
_KEPT = 2

_idle: list[np.ndarray] = []
_at_rest = 0  # contexts of `unused`


@contextmanager
def unused() -> Iterator[None]:
    """Let torch allocate every result, so that its profiler sees it."""
    global _at_rest
    _at_rest += 1
    try:
        yield
    finally:
        _at_rest -= 1


def empty(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """Return a tensor of any values on the CPU, in memory that was in use before if there is any.

    Parameters
    ----------
    shape : sequence of int
    dtype : torch.dtype
    """
    size = math.prod(shape) * dtype.itemsize
    if _at_rest or not SMALLEST <= size <= LARGEST:
        return torch.empty(*shape, dtype=dtype)
    memory = _take(size)
    lent = memory[:]  # lives as long as the tensor's storage
    weakref.finalize(lent, _give_back, memory).atexit = False
    return torch.from_numpy(lent).view(dtype).view(*shape)


def release() -> None:
    """Give the memory that nobody uses back to the system."""
    _idle.clear()


def _take(size: int) -> np.ndarray:
    while True:
        try:
            memory = _idle.pop()
        except IndexError:
            return np.empty(size, np.uint8)
        if memory.size == size:  # one of another size is of no use any more
            return memory


def _give_back(memory: np.ndarray) -> None:
    _idle.append(memory)
    del _idle[:-_KEPT]
