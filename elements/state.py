"""What maps take and give: the coordinates of particles, and numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

from torch import Tensor

from .reference import Reference

Number: TypeAlias = float | Tensor
Numbers: TypeAlias = Sequence[float] | Tensor


class State(NamedTuple):
    """The six coordinates of a bunch, each (..., n_particles)."""

    x: Tensor
    px: Tensor
    y: Tensor
    py: Tensor
    zeta: Tensor
    pzeta: Tensor


Transport: TypeAlias = Callable[[State, Reference], State]
