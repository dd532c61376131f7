"""Track: run a bunch through a sequence with an adjoint strategy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, overload

from sc_bridge.elements import Bunch

from ..course import Course, Loss, LostAt, Observer, plan_course
from ..errors import ScBridgeError
from ..monitors import Monitor
from ..progress import Report, progress_bar
from ..sequence import KickedSequence
from .protocol import Adjoint, Outcome
from .store import StoreStates


@dataclass(frozen=True)
class TrackResult:
    """The outgoing bunch, the record of every monitor by its name, and the losses.

    `result["name"]` is the record of that monitor; `result.lost_at` says of every particle where
    it was lost, and `turns` how often the bunch was sent round.
    """

    bunch: Bunch
    records: Mapping[str, Any]
    losses: tuple[Loss, ...]
    lost_at: LostAt
    turns: int

    def __getitem__(self, name: str) -> Any:
        try:
            return self.records[name]
        except KeyError:
            known = ", ".join(map(repr, self.records)) or "none"
            raise ScBridgeError(f"track: no monitor {name!r}: there are {known}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self.records)

    def __repr__(self) -> str:
        monitors = ", ".join(f"{name} x {len(r.s)}" for name, r in self.records.items()) or "none"
        lost = sum(loss.n_particles for loss in self.losses)
        return f"TrackResult({self.bunch!r}, monitors: {monitors}, lost: {lost} particles)"


@overload
def track(
    sequence: KickedSequence,
    bunch: Bunch,
    adjoint: Adjoint | None = None,
    observer: Observer | None = None,
    turns: int = 1,
    monitors: None = None,
    progress: bool = False,
) -> Bunch: ...


@overload
def track(
    sequence: KickedSequence,
    bunch: Bunch,
    adjoint: Adjoint | None = None,
    observer: Observer | None = None,
    turns: int = 1,
    *,
    monitors: Mapping[str, Monitor],
    progress: bool = False,
) -> TrackResult: ...


def track(
    sequence: KickedSequence,
    bunch: Bunch,
    adjoint: Adjoint | None = None,
    observer: Observer | None = None,
    turns: int = 1,
    monitors: Mapping[str, Monitor] | None = None,
    progress: bool = False,
) -> Bunch | TrackResult:
    """Track a bunch through a sequence; gradients flow back through the result.

    Parameters
    ----------
    sequence : KickedSequence
    bunch : Bunch
        Its own reference is used; it may differ from the sequence's.
    adjoint : Adjoint, optional
        Memory strategy of the backward pass; `StoreStates()` by default.
    observer : callable, optional
        Called at the start, after every kick, and at the end, with (s [m], bunch without
        gradients, kicks done so far); s goes on from turn to turn.
    turns : int
        How often the bunch goes through the sequence; parameters are shared.
    monitors : mapping of str to Monitor, optional
        What to record where; gradients flow through the records. An empty mapping asks for
        the losses alone.
    progress : bool
        Whether to show a bar in a terminal or a notebook.

    Returns
    -------
    Bunch
        The outgoing bunch; with `monitors` a `TrackResult`, which holds it.

    Cost: that of the strategy. Threads go through one sequence in turn, forwards and backwards.

    Raises
    ------
    ScBridgeError
        If `adjoint` is no strategy, `turns` no number of turns, or a monitor has no place.
    """
    adjoint = StoreStates() if adjoint is None else adjoint
    if not isinstance(sequence, KickedSequence) or not isinstance(bunch, Bunch):
        raise ScBridgeError(
            f"track: needs a KickedSequence and a Bunch, got {type(sequence).__name__} and "
            f"{type(bunch).__name__}"
        )
    if not hasattr(adjoint, "run") or isinstance(adjoint, type):
        raise ScBridgeError(
            f"track: adjoint = {adjoint!r}: must be a strategy, such as RecordAll()"
        )
    with sequence.one_at_a_time:
        course = plan_course(sequence, turns, monitors)
        if progress:
            with progress_bar() as show:
                outcome = adjoint.run(course, bunch, _showing(show, course.n_kicks, observer))
        else:
            outcome = adjoint.run(course, bunch, observer)
    return outcome.bunch if monitors is None else _result(course, monitors, outcome)


def _showing(show: Report, n_kicks: int, observer: Observer | None) -> Observer:
    """Observer that shows how many kicks are done, and calls another one."""

    def watch(s: float, bunch: Bunch, kicks: int) -> None:
        show("tracking", kicks, n_kicks)
        if observer is not None:
            observer(s, bunch, kicks)

    return watch


def _result(course: Course, monitors: Mapping[str, Monitor], outcome: Outcome) -> TrackResult:
    seen = list(zip(course.places, outcome.looks, strict=True))
    records = {}
    for name, monitor in monitors.items():
        own = [((probe.s, turn), look) for (probe, turn), look in seen if probe.name == name]
        places, looks = [place for place, _ in own], [look for _, look in own]
        records[name] = monitor.collect(places, looks, outcome.bunch)
    losses = outcome.losses
    return TrackResult(
        outcome.bunch, records, course.losses(losses), course.lost_at(losses), course.turns
    )
