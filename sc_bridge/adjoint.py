"""Adjoint strategies: how the backward pass gets the states that it needs.

A strategy is a value that the user passes to `track`. Each states its cost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from sc_bridge.elements import Bunch

from .errors import ScBridgeError
from .sequence import KickedSequence

Observer: TypeAlias = Callable[[float, Bunch, int], None]


class Adjoint(Protocol):
    """A way to run a sequence so that gradients can flow back through it."""

    def run(
        self, sequence: KickedSequence, bunch: Bunch, observer: Observer | None = None
    ) -> Bunch: ...


@dataclass(frozen=True)
class RecordAll:
    """Plain automatic differentiation: every intermediate is recorded.

    Cost: memory grows with every operation of every map and kick; no extra work.
    Validity: any order of derivative.
    """

    def run(
        self, sequence: KickedSequence, bunch: Bunch, observer: Observer | None = None
    ) -> Bunch:
        for segment in sequence.segments:
            bunch = sequence.apply_kick(segment, segment.apply_maps(bunch))
            if observer is not None:
                observer(segment.s, bunch.detach(), segment.index + (segment.kick is not None))
        return bunch


def track(
    sequence: KickedSequence,
    bunch: Bunch,
    adjoint: Adjoint | None = None,
    observer: Observer | None = None,
) -> Bunch:
    """Track a bunch once through a sequence; gradients flow back through the result.

    Parameters
    ----------
    sequence : KickedSequence
    bunch : Bunch
        Its own reference is used; it may differ from the sequence's.
    adjoint : Adjoint, optional
        Memory strategy of the backward pass; `RecordAll()` by default.
    observer : callable, optional
        Called after every kick, and at the end, with (s [m], bunch without gradients, kicks
        done so far).

    Returns
    -------
    Bunch
        The outgoing bunch.

    Raises
    ------
    ScBridgeError
        If `adjoint` is no strategy.
    """
    adjoint = RecordAll() if adjoint is None else adjoint
    if not hasattr(adjoint, "run"):
        raise ScBridgeError(f"track: adjoint = {adjoint!r}: must be a strategy, such as RecordAll()")
    return adjoint.run(sequence, bunch, observer)
