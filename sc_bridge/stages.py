"""Stages: what lies between two kicks, as tracking and the backward pass go through it.

A stage is a kick and the row of elements up to the next one. A run of plain maps is applied in
one go; an aperture is a gate, whose losses are noted so that a replay loses the same particles;
an element that changes the reference, and a probe that looks at the bunch, stand alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial, reduce
from itertools import groupby
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor

from sc_bridge.elements import Aperture, Bunch, Element
from sc_bridge.elements.apertures import keep_inside
from sc_bridge.elements.bunch import remember_whole
from sc_bridge.elements.passing import move_through, track_map

from .slicing import length_of

# Gate number of particles that are never lost.
NEVER = torch.iinfo(torch.int32).max


class Look(Protocol):
    """What a monitor takes from a bunch: tensors that gradients flow through."""

    def __call__(self, bunch: Bunch) -> tuple[Tensor, ...]: ...


@dataclass(frozen=True)
class Probe:
    """A place where a monitor looks at the bunch; `name` is the monitor's, `s` in m."""

    name: str
    look: Look
    n_tensors: int  # that `look` returns
    s: float


@dataclass
class Losses:
    """At which gate each particle was lost; gates are numbered in the order of passing.

    Cost: 4 bytes a particle once the first is lost, however many gates there are.
    """

    alive: Tensor  # at the start, (..., n_particles)
    lost_at: Tensor | None = None  # (..., n_particles), int32
    replaying: bool = False

    def replay(self) -> Losses:
        """Return a view that loses the same particles again, whatever their coordinates."""
        return Losses(self.alive, self.lost_at, replaying=True)

    def before(self, gate: int) -> Tensor:
        """Particles alive when the bunch comes to a gate, (..., n_particles)."""
        return self.alive if self.lost_at is None else self.alive & (self.lost_at >= gate)

    def pass_gate(self, gate: int, aperture: Element, bunch: Bunch) -> Bunch:
        if self.replaying:
            return bunch if self.lost_at is None else keep_inside(bunch, self.before(gate + 1))
        after = aperture.track(bunch)
        lost = bunch.alive & ~after.alive
        if not bool(lost.any()):
            return bunch  # with what is known of it
        if self.lost_at is None:
            self.lost_at = torch.full_like(self.alive, NEVER, dtype=torch.int32)
        self.lost_at = torch.where(lost, gate, self.lost_at)
        remember_whole(after.alive, False)
        return after


@dataclass
class Passage:
    """One pass of a bunch through stages: losses, and what probes see."""

    losses: Losses
    first_gate: int = 0  # number of the first gate of this turn
    looks: list[tuple[Tensor, ...]] = field(default_factory=list)


class Section(Protocol):
    """A piece of a stage that is applied as one."""

    def apply(self, bunch: Bunch, passage: Passage) -> Bunch: ...

    def undo(self, bunch: Bunch, passage: Passage) -> Bunch: ...


@dataclass(frozen=True, slots=True)
class Maps:
    """A run of plain maps."""

    parts: tuple[Element, ...]

    def apply(self, bunch: Bunch, passage: Passage) -> Bunch:
        return track_map(partial(move_through, self.parts), bunch)

    def undo(self, bunch: Bunch, passage: Passage) -> Bunch:
        return track_map(partial(move_through, self.parts, backwards=True), bunch)


@dataclass(frozen=True, slots=True)
class Gate:
    """An aperture; `number` counts the gates of one turn."""

    aperture: Element
    number: int

    def apply(self, bunch: Bunch, passage: Passage) -> Bunch:
        return passage.losses.pass_gate(passage.first_gate + self.number, self.aperture, bunch)

    def undo(self, bunch: Bunch, passage: Passage) -> Bunch:
        return bunch.replace(alive=passage.losses.before(passage.first_gate + self.number))


@dataclass(frozen=True, slots=True)
class Alone:
    """An element that changes the reference."""

    part: Element

    def apply(self, bunch: Bunch, passage: Passage) -> Bunch:
        return self.part.track(bunch)

    def undo(self, bunch: Bunch, passage: Passage) -> Bunch:
        return self.part.undo_track(bunch)


@dataclass(frozen=True, slots=True)
class Sight:
    """A probe."""

    probe: Probe

    def apply(self, bunch: Bunch, passage: Passage) -> Bunch:
        passage.looks.append(self.probe.look(bunch))
        return bunch

    def undo(self, bunch: Bunch, passage: Passage) -> Bunch:
        return bunch


@dataclass(frozen=True, slots=True)
class Kick:
    """A kick; `part` is the slice whose length it carries, `s` its position in m."""

    part: Element
    s: float


Item: TypeAlias = Kick | Element | Probe


@dataclass(frozen=True, slots=True)
class Stage:
    """A kick and the row up to the next one; the first stage of a sequence has no kick.

    `kick` is the slice whose length the kick carries; `s` its position, m; `first_gate` the
    number of its first aperture within a turn. `sections` and `probes` are those of the row.

    Cost: made whole with the sequence, so that no run adds to what a stage takes.
    """

    index: int
    kick: Element | None
    row: tuple[Element | Probe, ...]
    s: float
    first_gate: int = 0
    sections: tuple[Section, ...] = field(init=False, repr=False, compare=False)
    probes: tuple[Probe, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sections", tuple(_sections(self.row, self.first_gate)))
        probes = tuple(item for item in self.row if isinstance(item, Probe))
        object.__setattr__(self, "probes", probes)

    @property
    def maps(self) -> tuple[Element, ...]:
        return tuple(item for item in self.row if isinstance(item, Element))

    @property
    def n_gates(self) -> int:
        return sum(isinstance(section, Gate) for section in self.sections)

    @property
    def gates(self) -> tuple[tuple[Element, float], ...]:
        """Every aperture and its position, m."""
        s, found = self.s, []
        for part in self.maps:
            if isinstance(part, Aperture):
                found.append((part, s))
            s += length_of(part)
        return tuple(found)

    def apply(self, bunch: Bunch, passage: Passage) -> Bunch:
        """Apply everything but the kick."""
        return reduce(lambda bunch, part: part.apply(bunch, passage), self.sections, bunch)

    def undo(self, bunch: Bunch, passage: Passage) -> Bunch:
        """Apply the exact inverse of `apply`; who was lost where is known from `passage`."""
        backwards = reversed(self.sections)
        return reduce(lambda bunch, part: part.undo(bunch, passage), backwards, bunch)


def _sections(row: tuple[Element | Probe, ...], first_gate: int) -> Iterator[Section]:
    gate = first_gate
    for plain, group in groupby(row, key=_is_map):
        if plain:
            yield Maps(tuple(group))  # pyright: ignore[reportArgumentType]
            continue
        for item in group:
            if isinstance(item, Probe):
                yield Sight(item)
            elif isinstance(item, Aperture):
                yield Gate(item, gate)
                gate += 1
            else:
                yield Alone(item)


def _is_map(item: Element | Probe) -> bool:
    return isinstance(item, Element) and item.is_map


def build_stages(items: Iterable[Item]) -> Iterator[Stage]:
    """Cut a line of kicks, elements and probes into stages."""
    kick: Any = None
    row: list[Element | Probe] = []
    index, s, gate = 0, 0.0, 0
    for item in items:
        if not isinstance(item, Kick):
            row.append(item)
            continue
        stage = Stage(index, kick, tuple(row), s, gate)
        yield stage
        kick, row, index, s, gate = item.part, [], index + 1, item.s, gate + stage.n_gates
    yield Stage(index, kick, tuple(row), s, gate)
