"""Shapes that several shapes broadcast to."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch


def broadcast_shape(shapes: Iterable[tuple[int, ...]]) -> torch.Size:
    """Return the shape that all of these broadcast to.

    torch's own function takes seven times as long, and half a second when it is first called.

    Raises
    ------
    ValueError
        If they do not fit together.
    """
    first, *others = shapes
    if all(shape == first for shape in others):
        return torch.Size(first)
    return torch.Size(np.broadcast_shapes(first, *others))
