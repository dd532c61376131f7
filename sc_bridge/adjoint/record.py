"""RecordAll: plain automatic differentiation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sc_bridge.elements import Bunch

from ..course import Course, Observer
from ..stages import Losses
from .conditions import Living
from .protocol import Outcome


@dataclass(frozen=True)
class RecordAll:
    """Plain automatic differentiation: every intermediate of every map is recorded.

    Cost: memory grows with every operation of every map and kick; no extra work.
    Validity: any order of derivative, forward mode, torch.func.
    """

    def run(self, course: Course, bunch: Bunch, observer: Observer | None = None) -> Outcome:
        start, losses = bunch, Losses(bunch.alive)
        looks: list[tuple[Tensor, ...]] = []
        with course.sequence.one_at_a_time:
            for index in range(len(course)):
                passage = course.passage(index, losses)
                bunch = course.run(index, bunch, passage, observer)
                looks += passage.looks
        _watch(start, [bunch.coordinates, *(tensor for look in looks for tensor in look)])
        return Outcome(bunch, looks, losses)


def _watch(start: Bunch, results: list[Tensor]) -> None:
    """Let the backward pass refuse a mask of living particles that was changed in between."""
    if torch._C._are_functorch_transforms_active():  # pyright: ignore
        return
    check = Living.of(start.alive).check
    for tensor in results:
        # a line may give back what it was given, which belongs to the caller
        if tensor.grad_fn is not None and tensor is not start.coordinates:
            tensor.register_hook(check)
