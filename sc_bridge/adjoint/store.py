"""StoreStates: keep the bunch before every kick, and the kick's potential."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from sc_bridge.elements import Bunch
from sc_bridge.elements.space_charge import Field

from ..sequence import KickedSequence
from .protocol import Observer, run_stage
from .replay import Entry, Taped


@dataclass(frozen=True)
class StoreStates(Taped):
    """Keep six coordinates per particle and one number per node for every kick.

    Cost: 48 bytes a particle and 8 a node for every kick in float64, half of that in float32;
    the maps are computed once more in the backward pass.
    Validity: first derivatives.
    """

    def record(
        self, sequence: KickedSequence, bunch: Bunch, observer: Observer | None
    ) -> tuple[Bunch, StoredStates]:
        tape = StoredStates(sequence, bunch)
        for stage in sequence.stages:
            found = sequence.solve_field(stage, bunch)
            tape.add(bunch, found)
            bunch = run_stage(sequence, stage, bunch, observer, found)
        return bunch, tape


@dataclass
class StoredStates:
    """The bunch before every kick, and the field where there is one."""

    sequence: KickedSequence
    start: Bunch
    coordinates: list[Tensor] = field(default_factory=list)
    fields: list[Field | None] = field(default_factory=list)

    def add(self, bunch: Bunch, found: Field | None) -> None:
        self.coordinates.append(bunch.coordinates)
        self.fields.append(found)

    def tensors(self) -> list[Tensor]:
        potentials = [found.potential for found in self.fields if found is not None]
        kept = [*self.coordinates, *potentials]
        # autograd holds them from here on
        self.coordinates = []
        self.fields = [
            None if found is None else found._replace(potential=torch.empty(0))
            for found in self.fields
        ]
        return kept

    def backwards(self, tensors: list[Tensor]) -> Iterator[Entry]:
        n_stages = len(self.sequence.stages)
        potentials = tensors[n_stages:]
        for stage in reversed(self.sequence.stages):
            found = self.fields[stage.index]
            if found is not None:
                found = found._replace(potential=potentials.pop())
            coordinates = tensors[stage.index]
            yield Entry(stage, self.start.replace(coordinates=coordinates), found)
