"""Maps over blocks of particles, so that what they compute on the way stays in cache.

A map moves each particle by itself; written in operations on tensors, it makes some thirty
temporaries of the size of one coordinate. Cut into blocks that leave a full share of work to
every thread, these are reused from block to block instead of being fetched from memory.
The results are those of the whole, to the last bit.

Cost: two more copies of the coordinates where a gradient is recorded, none otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce

import torch
from torch import Tensor

from . import buffers
from .modes import is_plain_reverse
from .shapes import broadcast_shape

# Particles per thread: torch shares out no less than 32768, and calls have a cost of their own.
_SHARE = 65536
# A block is a multiple of this, so that a particle keeps its lane in vector instructions: those
# at the end of an array, which fill no vector, differ in the last bit.
_LANES = 64

Move = Callable[[Tensor], tuple[Tensor, ...]]


def move(apply: Move, coordinates: Tensor) -> Tensor:
    """Apply a map of each particle by itself, in blocks where that is faster.

    Parameters
    ----------
    apply : callable
        Takes coordinates, (..., 6, n), and returns six of shapes that broadcast to (..., n).
    coordinates : Tensor, (..., 6, n_particles)

    Returns
    -------
    coordinates : Tensor, (..., 6, n_particles)
    """
    n = coordinates.shape[-1]
    share = _SHARE * torch.get_num_threads() if coordinates.device.type == "cpu" else n
    count = math.ceil(n / share)
    size = math.ceil(n / (count * _LANES)) * _LANES
    first, *rest = coordinates.split(size, dim=-1)
    rows = apply(first)
    if coordinates.device.type != "cpu" or _has_derivative(rows):
        done = [_stacked(rows), *(_stacked(apply(block)) for block in rest)]
        return torch.cat(done, dim=-1) if rest else done[0]
    shape = broadcast_shape(row.shape for row in rows)[:-1]
    dtype = reduce(torch.promote_types, (row.dtype for row in rows))
    result = buffers.empty((*shape, 6, n), dtype)
    places = result.split(size, dim=-1)
    _fill(places[0], rows)
    for place, block in zip(places[1:], rest, strict=True):
        _fill(place, apply(block))
    return result


def _has_derivative(rows: tuple[Tensor, ...]) -> bool:
    return not is_plain_reverse() or any(row.requires_grad for row in rows)


def _stacked(rows: tuple[Tensor, ...]) -> Tensor:
    return torch.stack(torch.broadcast_tensors(*rows), dim=-2)


def _fill(block: Tensor, rows: tuple[Tensor, ...]) -> None:
    for place, row in zip(block.unbind(-2), rows, strict=True):
        place.copy_(row)
