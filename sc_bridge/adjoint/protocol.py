"""What every adjoint strategy has in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from sc_bridge.elements import Bunch

from ..course import Course, Observer
from ..stages import Losses


@dataclass(frozen=True)
class Outcome:
    """What comes out of a run: the bunch, what every probe saw in turn, and the losses."""

    bunch: Bunch
    looks: list[tuple[Tensor, ...]]
    losses: Losses


class Adjoint(Protocol):
    """A way to run a course so that gradients can flow back through it."""

    def run(self, course: Course, bunch: Bunch, observer: Observer | None = None) -> Outcome: ...
