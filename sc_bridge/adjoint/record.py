"""RecordAll: plain automatic differentiation."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from sc_bridge.elements import Bunch

from ..course import Course, Observer
from ..stages import Losses
from .protocol import Outcome


@dataclass(frozen=True)
class RecordAll:
    """Plain automatic differentiation: every intermediate of every map is recorded.

    Cost: memory grows with every operation of every map and kick; no extra work.
    Validity: any order of derivative, forward mode, torch.func.
    """

    def run(self, course: Course, bunch: Bunch, observer: Observer | None = None) -> Outcome:
        losses = Losses(bunch.alive)
        looks: list[tuple[Tensor, ...]] = []
        with course.sequence.one_at_a_time:
            for index in range(len(course)):
                passage = course.passage(index, losses)
                bunch = course.run(index, bunch, passage, observer)
                looks += passage.looks
        return Outcome(bunch, looks, losses)
