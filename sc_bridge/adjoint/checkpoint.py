"""Checkpoint: keep the bunch at some kicks, and compute the others again.

`every=k` keeps the bunch before every k-th kick; the backward pass runs each piece of k kicks
once more, keeping its states, before it goes through it. `memory=` keeps as many bunches as
fit and places them by the binomial schedule, which needs the fewest repeated stages: with c
bunches and r runs of every stage it covers binomial(c + r, c) stages. Autograd holds the
bunches of the forward pass until the end (a graph may be gone through twice), so that those
which the backward pass adds count besides them.

References
----------
Griewank & Walther, ACM Trans. Math. Softw. 26, 19 (2000), eq. 2 and proposition 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from sc_bridge.elements import Bunch

from ..counts import whole_number
from ..course import Observer
from ..errors import ScBridgeError
from ..units import to_si
from .replay import Entry, Journal, Recorded, Taped


@dataclass(frozen=True)
class Checkpoint(Taped):
    """Keep bunches at some kicks, and run the stages between them again.

    Parameters
    ----------
    every : int, optional
        Kicks from one kept bunch to the next.
    memory : str, quantity or float, optional, bytes
        What the kept bunches may take, such as "4 GiB"; placed by the binomial schedule.

    Cost: `every`: 6 coordinates a particle for every k-th kick, and for k kicks at a time also
    their potentials; one more forward run. `memory`: what it says, and more forward runs the
    less it is.
    Validity: first derivatives.

    Raises
    ------
    ScBridgeError
        If not exactly one is given, or it is out of range.
    """

    every: int | None = None
    memory: Any = None

    def __post_init__(self) -> None:
        if (self.every is None) == (self.memory is None):
            raise ScBridgeError("Checkpoint: give one of every= and memory=")
        if self.every is not None:
            whole_number("Checkpoint: every", self.every, ScBridgeError)
        if self.memory is not None:
            memory = float(to_si(self.memory, "B", "memory"))
            if memory <= 0.0:
                raise ScBridgeError(f"Checkpoint: memory = {memory:.4g} bytes: must be positive")
            object.__setattr__(self, "memory", memory)

    def record(self, journal: Journal, bunch: Bunch, observer: Observer | None) -> Recorded:
        n_stages = len(journal.course)
        slots = None if self.memory is None else self._slots(n_stages, bunch)
        kept = self._positions(n_stages, slots)
        tape = CheckpointTape(journal, {}, slots)
        for index in range(n_stages):
            if index in kept:
                tape.coordinates[index] = bunch.coordinates
            bunch = journal.run(index, bunch, observer)
        return bunch, tape

    def _positions(self, n_stages: int, slots: int | None) -> set[int]:
        """Stages before whose kick the first forward pass keeps the bunch."""
        if slots is None:
            return set(range(0, n_stages, self.every or 1))
        return set(binomial_positions(n_stages, slots))

    def _slots(self, n_stages: int, bunch: Bunch) -> int:
        """Bunches of the first forward pass, besides the incoming one, which the caller holds."""
        one = bunch.coordinates.numel() * bunch.coordinates.element_size()
        if self.memory < one:
            raise ScBridgeError(
                f"Checkpoint: memory = {self.memory:.4g} bytes: one bunch takes {one}: "
                "give more, or use Reversible"
            )
        return slots_within(n_stages, int(self.memory // one))


@dataclass
class CheckpointTape:
    """Bunches before some kicks; `slots` is how many there may be (None: one piece at a time)."""

    journal: Journal
    coordinates: dict[int, Tensor]
    slots: int | None

    def tensors(self) -> list[Tensor]:
        kept = list(self.coordinates.values())
        self.coordinates = dict.fromkeys(self.coordinates, torch.empty(0))
        return kept

    def backwards(self, tensors: list[Tensor]) -> Iterator[Entry]:
        kept = dict(zip(self.coordinates, tensors, strict=True))
        n_stages = len(self.journal.course)
        if self.slots is not None:
            yield from self._binomial(0, n_stages, kept, self.slots)
            return
        first = list(kept)
        for low, high in reversed(list(zip(first, [*first[1:], n_stages], strict=True))):
            yield from self._piece(low, high, kept.pop(low))

    def _piece(self, low: int, high: int, coordinates: Tensor) -> Iterator[Entry]:
        """Run stages low to high - 1 again, keeping all their states, then give them."""
        entries = []
        course, bunch = self.journal.course, self.journal.bunch(low, coordinates)
        with torch.no_grad():
            for index in range(low, high):
                entries.append(Entry(index, bunch, course.solve_field(index, bunch)))
                bunch = self.journal.repeat(index, bunch, entries[-1].field)
        while entries:
            yield entries.pop()

    def _binomial(
        self, low: int, high: int, kept: dict[int, Tensor], slots: int
    ) -> Iterator[Entry]:
        """Give stages high - 1 to low, with `slots` bunches to keep besides that at low."""
        while high - low > 1:
            if slots == 0:
                yield self._single(high - 1, self._advance(kept[low], low, high - 1))
                high -= 1
                continue
            middle = low + advance_by(high - low, slots)
            if middle not in kept:
                kept[middle] = self._advance(kept[low], low, middle)
            yield from self._binomial(middle, high, kept, slots - 1)
            del kept[middle]
            high = middle
        yield self._single(low, kept[low])

    def _single(self, index: int, coordinates: Tensor) -> Entry:
        return Entry(index, self.journal.bunch(index, coordinates), None)

    def _advance(self, coordinates: Tensor, low: int, high: int) -> Tensor:
        bunch = self.journal.bunch(low, coordinates)
        with torch.no_grad():
            for index in range(low, high):
                bunch = self.journal.repeat(index, bunch)
        return bunch.coordinates


def advance_by(n_stages: int, slots: int) -> int:
    """Return the number of stages to run before the next bunch is kept.

    Splits n stages so that both sides stay within what the binomial schedule covers.
    """
    bunches, repeats = slots + 1, 0  # the bunch at the start counts as well
    while math.comb(bunches + repeats, bunches) < n_stages:
        repeats += 1
    left = math.comb(bunches + repeats - 1, bunches)
    right = math.comb(slots + repeats - 1, slots)
    return max(1, min(left, n_stages - right))


def binomial_positions(n_stages: int, slots: int) -> list[int]:
    """Stages at which the first forward pass keeps the bunch; the first is always kept."""
    positions, low = [0], 0
    while slots > 0 and n_stages - low > 1:
        low += advance_by(n_stages - low, slots)
        positions.append(low)
        slots -= 1
    return positions


def bunches_besides(n_stages: int, slots: int) -> int:
    """Bunches of a binomial schedule that are there at once, the incoming one not counted.

    Those of the forward pass stay until the end; the backward pass adds as many as the
    schedule wants within one piece, and the one that it has just computed again.
    """
    positions = [*binomial_positions(n_stages, slots), n_stages]
    pieces = [high - low for low, high in pairwise(positions)]
    added = max(
        len(binomial_positions(length, slots - index)) - 1 for index, length in enumerate(pieces)
    )
    return len(pieces) - 1 + added + (n_stages > slots + 1)


def slots_within(n_stages: int, bunches: int) -> int:
    """Return the most slots with which no more than `bunches` are there at once, from 1."""
    slots = min(bunches, n_stages - 1)
    while slots > 0 and (excess := bunches_besides(n_stages, slots) - bunches) > 0:
        slots -= max(1, excess // 2)
    return max(0, slots)
