"""What every adjoint strategy has in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

from sc_bridge.elements import Bunch
from sc_bridge.elements.space_charge import Field

from ..sequence import KickedSequence, Stage

# Called at the start, after every kick and at the end, with (s [m], bunch without gradients,
# kicks done).
Observer: TypeAlias = Callable[[float, Bunch, int], None]


class Adjoint(Protocol):
    """A way to run a sequence so that gradients can flow back through it."""

    def run(
        self, sequence: KickedSequence, bunch: Bunch, observer: Observer | None = None
    ) -> Bunch: ...


def run_stage(
    sequence: KickedSequence,
    stage: Stage,
    bunch: Bunch,
    observer: Observer | None = None,
    field: Field | None = None,
) -> Bunch:
    """Apply the kick and the maps of one stage, and show the observer what it asks for."""
    bunch = sequence.apply_kick(stage, bunch, field=field)
    if observer is not None:
        observer(stage.s, bunch.detach(), stage.index)
    bunch = stage.apply_maps(bunch)
    if observer is not None and stage is sequence.stages[-1]:
        observer(sequence.length, bunch.detach(), sequence.n_kicks)
    return bunch
