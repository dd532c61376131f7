"""Track: run a bunch through a sequence with an adjoint strategy."""

from __future__ import annotations

from sc_bridge.elements import Bunch

from ..errors import ScBridgeError
from ..sequence import KickedSequence
from .protocol import Adjoint, Observer
from .store import StoreStates


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
        Memory strategy of the backward pass; `StoreStates()` by default.
    observer : callable, optional
        Called at the start, after every kick, and at the end, with (s [m], bunch without
        gradients, kicks done so far).

    Returns
    -------
    Bunch
        The outgoing bunch.

    Raises
    ------
    ScBridgeError
        If `adjoint` is no strategy.
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
    return adjoint.run(sequence, bunch, observer)
