"""StoreStates: keep the bunch before every kick, and the kick's potential."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from sc_bridge.elements import Bunch
from sc_bridge.elements.space_charge import Field

from ..course import Observer
from .replay import Entry, Journal, Recorded, Taped


@dataclass(frozen=True)
class StoreStates(Taped):
    """Keep six coordinates per particle and one number per node for every kick.

    Cost: 48 bytes a particle and 8 a node for every kick in float64, half of that in float32;
    the maps are computed once more in the backward pass.
    Validity: first derivatives.
    """

    def record(self, journal: Journal, bunch: Bunch, observer: Observer | None) -> Recorded:
        tape = StoredStates(journal)
        for index in range(len(journal.course)):
            found = journal.course.solve_field(index, bunch)
            tape.add(bunch, found)
            bunch = journal.run(index, bunch, observer, found)
        return bunch, tape


@dataclass
class StoredStates:
    """The bunch before every kick, and the field where there is one."""

    journal: Journal
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
        n_stages = len(self.journal.course)
        potentials = tensors[n_stages:]
        for index in reversed(range(n_stages)):
            found = self.fields[index]
            if found is not None:
                found = found._replace(potential=potentials.pop())
            yield Entry(index, self.journal.bunch(index, tensors[index]), found)
