"""Patterns: the allocations of a run as a function of particles and cells.

What a run allocates, and in which order, does not depend on how many particles and cells
there are, only the sizes do, once there are enough particles for kernels or too few. So a run
at a few tiny sizes tells, allocation by allocation, the bytes per particle, per cell and
besides; from them follow the bytes alive at any moment of a run of any size, and their peak,
whichever of its parts dominates.

Cost: a few runs of a hundred or a thousand particles on 8 nodes along each axis.
Validity: operations whose temporaries are linear in particles and cells; so are all of ours.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from sc_bridge.elements import program

from ..errors import ScBridgeError
from .trace import AllocationTrace

Grid3 = tuple[int, int, int]


class Size(NamedTuple):
    """Size of a run; of all bunches of a batch together, but for `grid`."""

    n_particles: int
    grid: Grid3
    n_bunches: int = 1

    @property
    def n_cells(self) -> int:
        return self.n_bunches * math.prod(self.grid)

    @property
    def features(self) -> NDArray[np.float64]:
        """What bytes are linear in."""
        return np.array([self.n_particles, self.n_cells, 1.0])


Sizes = tuple[Size, ...]
HOST = torch.device("cpu")


def _sizes(few: int, more: int) -> Sizes:
    """As many sizes as there are features, and independent."""
    return Size(few, (8, 8, 8)), Size(more, (8, 8, 8)), Size(few, (8, 8, 16))


TINY = _sizes(64, 96)
# From so many particles on, drifts go through kernels, which allocate in their own way.
_TINY_WITH_KERNELS = _sizes(program.FEW, program.FEW + 512)


# Libraries of a GPU may fetch work space of their own in one of several runs.
_ATTEMPTS = 4
# The allocator of a GPU rounds up to 512 bytes, and small blocks alone no further.
_ON_GPU = (
    Size(2048, (16, 16, 16)),
    Size(3072, (16, 16, 16)),
    Size(2048, (16, 16, 32)),
)


def tiny_like(size: Size, device: torch.device = HOST) -> Sizes:
    """Return tiny sizes that go the same ways through the code as one of any size."""
    if device.type != "cpu":
        return _ON_GPU
    per_bunch = size.n_particles // size.n_bunches
    return _TINY_WITH_KERNELS if per_bunch >= program.FEW else TINY


def by_feature(sizes: NDArray[Any], tiny: Sizes = TINY) -> NDArray[np.float64]:
    """Split bytes that were found at each of some sizes, (..., 3), by feature of the size."""
    features = np.array([size.features for size in tiny])
    return np.linalg.solve(features, sizes.T.astype(np.float64)).T.astype(np.float64)


@dataclass(frozen=True)
class Pattern:
    """Bytes of every allocation and release of a run, in order, by feature of the size.

    `coefficients` is (n_changes, 3); `work` is +1 where a solve by the C kernels begins and -1
    where it ends.
    """

    coefficients: NDArray[np.float64]
    work: NDArray[np.float64]

    def peak(self, size: Size, work: float = 0.0) -> float:
        """Most bytes alive at once; a solve takes `work` bytes besides."""
        changes = self.coefficients @ size.features + work * self.work
        return float(np.cumsum(changes).max(initial=0.0))


def find_pattern(
    run: Callable[[Size], None], name: str, tiny: Sizes = TINY, device: torch.device = HOST
) -> Pattern:
    """Trace a run at tiny sizes and find its pattern.

    Parameters
    ----------
    run : callable
        Called with a size; it must release all that it allocates.
    name : str
        For messages.
    tiny : tuple of Size
        As `tiny_like` gives them.
    device : torch.device
        Whose allocations count.

    Raises
    ------
    ScBridgeError
        If the order of allocations depends on the size.
    """
    for size in tiny:  # fills caches
        run(size)
    traces = [_trace(run, size, device) for size in tiny]
    attempts = 1 if device == HOST else _ATTEMPTS
    while len(counts := {len(trace.changes) for trace in traces}) > 1 and attempts > 1:
        traces = [_trace(run, size, device) for size in tiny]
        attempts -= 1
    if len(counts) > 1:
        raise ScBridgeError(
            f"plan: {name} allocates {sorted(counts)} times, depending on the size of the run: "
            "its memory cannot be predicted; measure it with sc_bridge.memory.measure"
        )
    sizes = np.array([[change.size for change in trace.changes] for trace in traces])
    return _with_solves(by_feature(sizes.T, tiny), traces[0])


def _trace(run: Callable[[Size], None], size: Size, device: torch.device) -> AllocationTrace:
    with AllocationTrace(device) as trace:
        run(size)
    return trace


def _with_solves(coefficients: NDArray[np.float64], trace: AllocationTrace) -> Pattern:
    """Put begin and end of solves, which allocate nothing themselves, between the changes."""
    times = [change.time for change in trace.changes]
    begins = [(begin, 1.0) for begin, _ in trace.solves]
    ends = [(end, -1.0) for _, end in trace.solves]
    events = sorted([*begins, *ends])
    places = np.searchsorted(times, [time for time, _ in events])
    work = np.insert(np.zeros(len(times)), places, [sign for _, sign in events])
    return Pattern(np.insert(coefficients, places, 0.0, axis=0), work)
