"""RecordAll: plain automatic differentiation."""

from __future__ import annotations

from dataclasses import dataclass

from sc_bridge.elements import Bunch

from ..sequence import KickedSequence
from .protocol import Observer, run_stage


@dataclass(frozen=True)
class RecordAll:
    """Plain automatic differentiation: every intermediate of every map is recorded.

    Cost: memory grows with every operation of every map and kick; no extra work.
    Validity: any order of derivative, forward mode, torch.func.
    """

    def run(
        self, sequence: KickedSequence, bunch: Bunch, observer: Observer | None = None
    ) -> Bunch:
        for stage in sequence.stages:
            bunch = run_stage(sequence, stage, bunch, observer)
        return bunch
