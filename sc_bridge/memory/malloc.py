"""MallocRise: by how much the bytes that the C library has handed out rise within a block.

Resident memory holds pages that nobody uses (holes in the heap, its end), and Linux counts it to
some 32 pages for every processor: hundreds of kilobytes. What malloc has handed out and not got
back is exact: tensors, work space of kernels, NumPy's arrays, nodes of autograd, and with
PYTHONMALLOC=malloc in the environment of the process every Python object too.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Callable

from .footprint import give_back_free_memory

_SHORTEST = 2e-4  # s; a kick of a small bunch takes some milliseconds


class _Info(ctypes.Structure):
    """`struct mallinfo2` of glibc."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    ]


def _look() -> Callable[[], int] | None:
    """Return a function that gives the bytes in use; None where the C library has none."""
    ask = getattr(ctypes.CDLL(None), "mallinfo2", None) if sys.platform == "linux" else None
    if ask is None:
        return None
    ask.restype = _Info

    def in_use() -> int:
        info = ask()
        return info.uordblks + info.hblkhd  # in the heaps, and mapped one by one

    return in_use


class MallocRise:
    """Context that measures by how much the bytes in use by malloc rise within it at the most.

    Parameters
    ----------
    period : float, s
        Between the looks that a thread takes. What is there for a shorter time may be missed:
        repeat a run of few kicks within.

    glibc from 2.33; `count` is None elsewhere. Set GLIBC_TUNABLES=glibc.malloc.tcache_count=0
    in the environment of the process, or the free memory that glibc keeps at hand for every
    thread (200 kB at most) counts as in use.

    Cost: some 0.5 ms a look.
    """

    def __init__(self, period: float = _SHORTEST) -> None:
        self.count: int | None = None
        self._period = period
        self._watch: _Watch | None = None

    def __enter__(self) -> MallocRise:
        in_use = _look()
        if in_use is not None:
            give_back_free_memory()
            self._watch = _Watch(in_use, self._period)
            self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._watch is not None:
            self.count = self._watch.finish()


class _Watch(threading.Thread):
    """Thread that looks at a number again and again, and keeps by how much it rose at the most."""

    def __init__(self, look: Callable[[], int], period: float) -> None:
        super().__init__(daemon=True)
        self._look, self._period = look, period
        self._over = threading.Event()
        self._interval = sys.getswitchinterval()
        sys.setswitchinterval(_SHORTEST)  # or it would wait 5 ms for its turn
        self._before = self._highest = look()

    def run(self) -> None:
        while not self._over.wait(self._period):
            self._highest = max(self._highest, self._look())

    def finish(self) -> int:
        self._over.set()
        self.join()
        sys.setswitchinterval(self._interval)
        return self._highest - self._before
