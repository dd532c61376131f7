"""Particles whose six coordinates lie in memory as those of a `Bunch` do.

xtrack's arrays of particles are fields of one structure of xobjects, each found by an offset
that the structure holds, all of one size. xtrack writes them in the order zeta, x, y, px, py,
pzeta. Here the offsets of these six are exchanged, so that x, px, y, py, zeta, pzeta follow each
other at one distance: C kernels and Python find them through the offsets as before, and
one tensor of shape (6, n) spans them without a copy.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sc_bridge.elements.bunch import COORDINATES

from .xtrack import import_xtrack

_OFFSET = np.dtype(np.int64)


def lay_out(particles: Any) -> Any:
    """Return new particles over the buffer of these, with the coordinates in the order of a bunch.

    Values of the coordinates are to be written afterwards; the old object is not to be used.
    In a ContextCupy the head of the structure is read and written on the GPU.
    """
    xt = import_xtrack()
    structure = particles._xobject
    buffer, start = structure._buffer, structure._offset
    head = buffer.buffer[start:].view(_OFFSET) if start % 8 == 0 else None
    if head is None:
        return particles
    places = {field.name: field.offset // _OFFSET.itemsize for field in structure._fields}
    offsets = sorted(int(head[places[name]]) for name in COORDINATES)
    for name, offset in zip(COORDINATES, offsets, strict=True):
        head[places[name]] = offset
    return xt.Particles(_xobject=type(structure)._from_buffer(buffer, start))
