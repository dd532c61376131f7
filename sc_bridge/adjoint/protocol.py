"""What every adjoint strategy has in common, and `track`, which takes one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

from sc_bridge.elements import Bunch

from ..sequence import KickedSequence

# Called at the start, after every kick and at the end, with (s [m], bunch without gradients,
# kicks done).
Observer: TypeAlias = Callable[[float, Bunch, int], None]


class Adjoint(Protocol):
    """A way to run a sequence so that gradients can flow back through it."""

    def run(
        self, sequence: KickedSequence, bunch: Bunch, observer: Observer | None = None
    ) -> Bunch: ...
