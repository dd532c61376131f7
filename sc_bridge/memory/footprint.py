"""Footprint: what a run keeps for its backward pass, and how far resident memory rises."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import re
import resource
import sys
import weakref
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType

import torch
from torch import Tensor

from sc_bridge.elements import buffers

_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")
_BEGUN = 10  # length of a tuple whose length CPython does not know yet


class SavedBytes:
    """Context that counts the bytes of storages that autograd keeps at once.

    A storage that several operations save counts once, and no longer than it is kept.
    `count` is the most that was kept at any time, and `now` what is kept at present, in bytes,
    without the storages of the tensors `held`, which the caller keeps anyway.

    Cost: a look at every saved tensor; none is copied.
    """

    def __init__(self, held: Iterable[Tensor] = ()) -> None:
        self.count = 0
        self.now = 0
        self._held = {tensor.untyped_storage().data_ptr() for tensor in held}
        self._users: Counter[int] = Counter()
        self._hooks = torch.autograd.graph.saved_tensors_hooks(self._pack, lambda kept: kept.tensor)

    def _pack(self, tensor: Tensor) -> _Kept:
        storage = tensor.untyped_storage()
        place, size = storage.data_ptr(), storage.nbytes()
        if place in self._held:
            return _Kept(tensor)
        self._users[place] += 1
        if self._users[place] == 1:
            self.now += size
            self.count = max(self.count, self.now)
        kept = _Kept(tensor)
        weakref.finalize(kept, self._release, place, size).atexit = False
        return kept

    def _release(self, place: int, size: int) -> None:
        self._users[place] -= 1
        if self._users[place] == 0:
            self.now -= size

    def __enter__(self) -> SavedBytes:
        self._hooks.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._hooks.__exit__(kind, error, trace)


class _Kept:
    """A saved tensor; lives as long as autograd needs it."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor.detach()  # an output would hold its own node, and never go


def peak_resident() -> int:
    """Largest resident size of this process so far, bytes.

    Linux counts in `ru_maxrss` what the process had that started this one; its /proc does not.
    """
    with contextlib.suppress(OSError):
        return _status("VmHWM")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def settled_resident() -> int:
    """Resident size of this process once free memory is given back, bytes.

    Where the kernel does not tell, the largest so far.
    """
    give_back_free_memory()
    try:
        return _status("VmRSS")
    except OSError:
        return peak_resident()


def peak_memory(device: torch.device) -> int:
    """Most bytes so far: resident of this process, or of tensors if the run is on a GPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return peak_resident()


def settled_memory(device: torch.device) -> int:
    """Bytes that are taken before a run: as `settled_resident`, or by tensors on a GPU."""
    return torch.cuda.memory_allocated(device) if device.type == "cuda" else settled_resident()


class ResidentRise:
    """Context that measures by how much resident memory rises within it at the most.

    Linux only, where the kernel keeps the highest value and can be told to forget it; `count`
    is None elsewhere. Memory that was freed before, and that the C library holds back, is
    given to the kernel first. Set MALLOC_MMAP_THRESHOLD_=65536 in the environment of the process
    for figures without the holes that glibc leaves in its heap.

    Cost: none while it runs.
    """

    def __init__(self) -> None:
        self.count: int | None = None
        self._before: int | None = None

    def __enter__(self) -> ResidentRise:
        give_back_free_memory()
        try:
            _RESET.write_text("5", encoding="ascii")
            self._before = _status("VmRSS")
        except OSError:
            self._before = None
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            self.count = _status("VmHWM") - self._before


def _status(key: str) -> int:
    """Entry of /proc/self/status, bytes."""
    found = re.search(rf"^{key}:\s*(\d+) kB$", _STATUS.read_text(encoding="ascii"), re.MULTILINE)
    if found is None:
        raise OSError(f"{_STATUS}: no {key}")
    return int(found[1]) * 1024


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Keep Python from collecting garbage, which would come at another moment in every run."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def give_back_free_memory() -> None:
    """Free what nobody holds, and bring what CPython keeps for later to where a run brings it."""
    gc.collect()
    buffers.release()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
    _fill_free_lists()


def _fill_free_lists() -> None:
    """Let CPython keep all the freed tuples that it ever keeps, 2000 of each length up to 20.

    A collection of garbage empties these lists, and a long run fills them again little by
    little: megabytes that belong to the interpreter, however many kicks there are. Only those of
    10 stay few: every tuple of a generator begins as one of them, and is then shortened.
    """
    held = [tuple(range(n)) for n in range(1, 21) if n != _BEGUN for _ in range(2000)]
    del held
