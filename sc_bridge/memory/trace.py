"""AllocationTrace: every allocation and release of tensor memory, in order.

torch's own allocators report to its profiler; unlike a look at tensors from Python this sees
what an operation needs inside, and gradients on their way through the backward pass.
"""

from __future__ import annotations

import itertools
import os
from types import TracebackType
from typing import Any, NamedTuple

import torch
from torch._C._autograd import DeviceType
from torch.autograd.profiler import profile, record_function

from sc_bridge.elements import buffers

_MARK = "sc_bridge.memory: "
# What the C kernels call their field solve in a profile.
SOLVE = "sc_bridge::solve"


class Change(NamedTuple):
    """Bytes that were allocated (positive) or released, at a time in seconds from the start."""

    time: float
    size: int


class AllocationTrace:
    """Context that records allocations and releases of tensors, on one kind of device.

    `changes` has them in order of time; `mark(name)` notes the present moment, and
    `marks[name]` has its times in seconds; `solves` has begin and end of each field solve by
    the C kernels, whose work space torch does not allocate. What was allocated before the
    context is not seen, nor is its release; buffers of large results (`elements.buffers`) rest.

    Cost: microseconds for every operation, and about a kilobyte; for thousands of kicks use
    `ResidentRise`.
    """

    def __init__(self, device: torch.device | None = None) -> None:
        self.changes: list[Change] = []
        self.marks: dict[str, list[float]] = {}
        self.solves: list[tuple[float, float]] = []
        on_gpu = device is not None and device.type == "cuda"
        self._kind = DeviceType.CUDA if on_gpu else DeviceType.CPU
        # Kineto tells stderr about every start and stop, unless told not to before the first
        os.environ.setdefault("KINETO_LOG_LEVEL", "99")
        self._without_buffers = buffers.unused()
        self._profile = profile(profile_memory=True, use_device="cuda" if on_gpu else None)

    def mark(self, name: str) -> None:
        """Note the present moment under a name; a name may come many times."""
        with record_function(_MARK + name):
            pass

    def alive(self) -> list[int]:
        """Bytes alive after each change."""
        return list(itertools.accumulate(change.size for change in self.changes))

    def peak(self, since: str | None = None, until: str | None = None) -> int:
        """Most bytes alive at once, from the first mark `since` to the first mark `until`."""
        first = self.marks[since][0] if since else -1.0
        last = self.marks[until][0] if until else float("inf")
        alive, highest = 0, 0
        for change in self.changes:
            if change.time > last:
                break
            if change.time >= first:
                highest = max(highest, alive)
            alive += change.size
        return max(highest, alive)

    def at(self, mark: str) -> int:
        """Bytes alive at the first mark of that name."""
        return sum(change.size for change in self.changes if change.time <= self.marks[mark][0])

    def __enter__(self) -> AllocationTrace:
        self._without_buffers.__enter__()
        self._profile.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._profile.__exit__(kind, error, trace)
        self._without_buffers.__exit__(None, None, None)
        if error is None:
            self._read(self._profile.kineto_results)

    def _read(self, results: Any) -> None:
        start = results.trace_start_ns()
        for event in results.events():
            name = event.name()
            if name == "[memory]":
                if event.device_type() == self._kind:
                    time = 1e-9 * (event.start_ns() - start)
                    self.changes.append(Change(time, event.nbytes()))
            elif name == SOLVE:
                time = 1e-9 * (event.start_ns() - start)
                self.solves.append((time, time + 1e-9 * event.duration_ns()))
            elif name.startswith(_MARK):
                time = 1e-9 * (event.start_ns() - start)
                self.marks.setdefault(name.removeprefix(_MARK), []).append(time)
        self.changes.sort(key=lambda change: change.time)
