"""Course: the stages that a bunch goes through, over all turns, with monitors in place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import torch
from torch import Tensor

from sc_bridge.elements import Aperture, Bunch, Element, Slice
from sc_bridge.elements.space_charge import Field

from .errors import LatticeError
from .monitors import Monitor
from .sequence import KickedSequence, Step, check_turns
from .slicing import length_of
from .stages import NEVER, Item, Kick, Losses, Passage, Probe, Stage, build_stages

# Called at the start, after every kick and at the end, with (s [m] from the start of the first
# turn, bunch without gradients, kicks done).
Observer: TypeAlias = Callable[[float, Bunch, int], None]

# Positions closer than this are the same place, m.
_SAME_PLACE = 1e-9


@dataclass(frozen=True)
class Loss:
    """Particles lost at one aperture in one turn; `s` in m within the turn."""

    name: str
    s: float
    turn: int
    n_particles: int


@dataclass(frozen=True)
class LostAt:
    """Where each particle was lost, (..., n_particles); -1 and NaN for those that were not.

    Parameters
    ----------
    element : Tensor, int64
        Index of the aperture along the line, in `Lattice.element_names`.
    s : Tensor, m
        Position of the aperture, within the turn.
    turn : Tensor, int64
    """

    element: Tensor
    s: Tensor
    turn: Tensor


@dataclass(frozen=True)
class Course:
    """Stages of one turn, run `turns` times; they are counted through all turns."""

    sequence: KickedSequence
    stages: tuple[Stage, ...]
    turns: int = 1

    def __len__(self) -> int:
        return self.turns * len(self.stages)

    def stage(self, index: int) -> Stage:
        return self.stages[index % len(self.stages)]

    def turn(self, index: int) -> int:
        return index // len(self.stages)

    @cached_property
    def n_kicks(self) -> int:
        return self.turns * self.sequence.n_kicks

    @cached_property
    def length(self) -> float:
        """Length of one turn, m."""
        return self.sequence.length

    @cached_property
    def places(self) -> tuple[tuple[Probe, int], ...]:
        """Every probe and its turn, in the order of passing."""
        return tuple(
            (probe, turn)
            for turn in range(self.turns)
            for stage in self.stages
            for probe in stage.probes
        )

    def passage(self, index: int, losses: Losses) -> Passage:
        return Passage(losses, self.turn(index) * self.sequence.n_gates)

    def alive(self, index: int, losses: Losses) -> Tensor:
        """Particles alive at the beginning of a stage, (..., n_particles)."""
        gate = self.turn(index) * self.sequence.n_gates + self.stage(index).first_gate
        return losses.before(gate)

    def run(
        self,
        index: int,
        bunch: Bunch,
        passage: Passage,
        observer: Observer | None = None,
        field: Field | None = None,
    ) -> Bunch:
        """Apply kick and row of one stage, and show the observer what it asks for."""
        stage, turn = self.stage(index), self.turn(index)
        bunch = self.sequence.apply_kick(stage, bunch, field=field, turn=turn)
        if observer is not None and (stage.kick is not None or turn == 0):
            kicks = turn * (self.n_kicks // self.turns) + stage.index
            observer(turn * self.length + stage.s, bunch.detach(), kicks)
        bunch = stage.apply(bunch, passage)
        if observer is not None and index == len(self) - 1:
            observer(self.turns * self.length, bunch.detach(), self.n_kicks)
        return bunch

    def solve_field(
        self, index: int, bunch: Bunch, cell_size: Tensor | None = None
    ) -> Field | None:
        """Field of the bunch in the kick of a stage, without gradients; None if it has none."""
        return self.sequence.solve_field(self.stage(index), bunch, cell_size, self.turn(index))

    def undo(
        self, index: int, bunch: Bunch, losses: Losses, cell_size: Tensor | None
    ) -> tuple[Bunch, Field | None]:
        """Return the bunch before a stage, and the field of its kick."""
        stage = self.stage(index)
        bunch = stage.undo(bunch, self.passage(index, losses))
        field = self.solve_field(index, bunch, cell_size)
        back = self.sequence.apply_kick(stage, bunch, -1, field, self.turn(index))
        return back, field

    def losses(self, losses: Losses) -> tuple[Loss, ...]:
        """Report where and how many particles were lost, in the order of passing."""
        if losses.lost_at is None:
            return ()
        gates = [gate for stage in self.stages for gate in stage.gates]
        lost = losses.lost_at[losses.lost_at != NEVER]
        numbers, counts = torch.unique(lost, return_counts=True)
        return tuple(
            Loss(str(gates[n % len(gates)][0].name), gates[n % len(gates)][1], n // len(gates), k)
            for n, k in zip(numbers.tolist(), counts.tolist(), strict=True)
        )

    def lost_at(self, losses: Losses) -> LostAt:
        """Say of every particle where it was lost."""
        number = losses.lost_at
        if number is None:
            number = torch.full_like(losses.alive, NEVER, dtype=torch.int32)
        lost = number != NEVER
        gates = [s for stage in self.stages for _, s in stage.gates] or [0.0]
        places = [
            step.position for step in self.sequence.steps if isinstance(step.part, Aperture)
        ] or [0]
        within = torch.where(lost, number, 0).long() % len(gates)
        return LostAt(
            torch.where(lost, torch.tensor(places, device=number.device)[within], -1),
            torch.where(lost, torch.tensor(gates, device=number.device)[within], torch.nan),
            torch.where(lost, number.long() // len(gates), -1),
        )


def plan_course(
    sequence: KickedSequence, turns: int = 1, monitors: Mapping[str, Monitor] | None = None
) -> Course:
    """Put monitors into the stages of a sequence.

    Raises
    ------
    LatticeError
        If `turns` is no whole number from 1, or a monitor's place is not on the line.
    """
    check_turns("track", turns)
    sequence.update_places()
    if monitors is not None and not isinstance(monitors, Mapping):
        raise LatticeError(
            f"track: monitors = {monitors!r}: must be a mapping of names to monitors, such as "
            '{"screen": BunchMonitor(at="12 m")}'
        )
    if not monitors:
        return Course(sequence, sequence.stages, turns)
    for name, monitor in monitors.items():
        if not isinstance(monitor, Monitor):
            raise LatticeError(
                f"track: monitor {name!r} is {monitor!r}: must be a monitor, such as "
                'MomentsMonitor(at="12 m")'
            )
    return Course(sequence, tuple(build_stages(_Watched(sequence, monitors))), turns)


class _Watched:
    """Kicks, maps and probes of a sequence in the order of tracking."""

    def __init__(self, sequence: KickedSequence, monitors: Mapping[str, Monitor]) -> None:
        self._sequence = sequence
        names = frozenset(sequence.lattice.element_names)
        self._at_kicks = [(name, m) for name, m in monitors.items() if m.every_kick]
        self._by_element: dict[str, list[tuple[str, Monitor]]] = {}
        positions: list[tuple[float, str, Monitor]] = []
        for name, monitor in monitors.items():
            elements, others = monitor.places(names)
            for element in elements:
                self._by_element.setdefault(element, []).append((name, monitor))
            positions += [(self._on_the_line(name, s), name, monitor) for s in others]
        self._positions = sorted(positions, key=lambda entry: entry[0])

    def _on_the_line(self, name: str, s: float) -> float:
        if not -_SAME_PLACE <= s <= self._sequence.length + _SAME_PLACE:
            raise LatticeError(
                f"track: monitor {name!r} at s = {s:g} m: the line is "
                f"{self._sequence.length:.9g} m long"
            )
        return s

    def __iter__(self) -> Iterator[Item]:
        waiting = list(self._positions)
        end = self._sequence.length - _SAME_PLACE
        yield from self._reached(waiting, 0.0)
        steps = self._sequence.steps
        for step, following in zip(steps, [*steps[1:], None], strict=True):
            if step.kind == "kick":
                yield Kick(step.part, step.s_start)
                yield from (_probe(name, m, step.s_start) for name, m in self._at_kicks)
                continue
            yield from self._cut(step, waiting)
            if step.s_end < end:
                yield from self._reached(waiting, step.s_end)
            if following is None or following.position != step.position:
                watching = self._by_element.get(step.name, [])
                yield from (_probe(name, m, step.s_end) for name, m in watching)
        yield from (_probe(name, m, s) for s, name, m in waiting)

    def _reached(self, waiting: list[tuple[float, str, Monitor]], s: float) -> Iterator[Item]:
        while waiting and waiting[0][0] <= s + _SAME_PLACE:
            at, name, monitor = waiting.pop(0)
            yield _probe(name, monitor, at)

    def _cut(self, step: Step, waiting: list[tuple[float, str, Monitor]]) -> Iterator[Item]:
        """Give the map of a step, cut where monitors stand inside it."""
        inside = sorted(
            {s for s, *_ in waiting if step.s_start + _SAME_PLACE < s < step.s_end - _SAME_PLACE}
        )
        if not inside:
            yield step.part
            return
        ends = [*inside, step.s_end]
        edges = [step.s_start, *ends]
        length = length_of(step.part)
        fractions = [(b - a) / length for a, b in zip(edges, ends, strict=False)]
        pieces = _pieces(step.part, fractions)
        yield from pieces.entry
        for piece, s in zip(pieces.body, ends, strict=True):
            yield piece
            if s != step.s_end:
                yield from self._reached(waiting, s)
        yield from pieces.exit


@dataclass(frozen=True)
class _Pieces:
    entry: Sequence[Element]
    body: Sequence[Element]
    exit: Sequence[Element]


def _pieces(part: Element, fractions: list[float]) -> _Pieces:
    entry, *body, exit_ = part.slices([*fractions[:-1], 1.0 - sum(fractions[:-1])])
    if isinstance(part, Slice):  # it has no faces
        return _Pieces((), body, ())
    return _Pieces((entry,), body, (exit_,))


def _probe(name: str, monitor: Monitor, s: float) -> Probe:
    return Probe(name, monitor.look, monitor.n_tensors, s)
