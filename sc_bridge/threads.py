"""Threads: one at a time goes through what they share."""

from __future__ import annotations

from threading import RLock
from typing import Any


class OneAtATime:
    """A lock for `with`; the thread that holds it may take it again.

    A shallow copy of what it guards, which shares its parts, shares the lock as well; a deep
    copy has one of its own.
    """

    def __init__(self) -> None:
        self._lock = RLock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *error: object) -> None:
        self._lock.release()

    def __reduce__(self) -> tuple[Any, ...]:
        return OneAtATime, ()
