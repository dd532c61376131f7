"""Predict the peak of a run under every strategy, from what single stages need.

Each kind of stage is run twice in a row at a few tiny sizes, forwards and backwards. That
tells what one more stage adds, and what the recording of one stage, its gradients and the
buffers around them take at any size (`pattern`). What a strategy keeps besides is counted:
six coordinates a particle for a state, one number a node for a potential.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..adjoint import Checkpoint, RecordAll, Reversible, StoreStates
from ..adjoint.checkpoint import bunches_besides, slots_within
from ..adjoint.protocol import Adjoint
from ..adjoint.reversible import kept_stages
from ..sequence import KickedSequence, Stage
from .kinds import kinds_of
from .pattern import Pattern, Size, Sizes, tiny_like
from .stage_patterns import Setting as Setting
from .stage_patterns import StagePatterns
from .workspace import green_bytes, kernel_buffers, solve_bytes


@dataclass(frozen=True)
class Peak:
    """Predicted bytes: tensors alive at once, and all that the run adds to resident memory."""

    tensors: float
    total: float


class Predictor:
    """Peaks of one sequence in one dtype, at any size."""

    def __init__(self, sequence: KickedSequence, setting: Setting, turns: int = 1) -> None:
        self.sequence = sequence
        self.setting = setting
        self.examples, kinds = kinds_of(sequence)
        self.kinds = kinds * turns
        self.n_stages = len(self.kinds)
        self.n_kicks = self._kicks_of(self.kinds)
        self._known: dict[Sizes, StagePatterns] = {}

    def peak(self, adjoint: Adjoint, size: Size) -> Peak:
        """Predict the peak of a run under a strategy."""
        predict = PREDICTIONS[type(adjoint)]
        return self._with_work_space(lambda work: predict(self, adjoint, size, work), size)

    def forward_peak(self, size: Size) -> Peak:
        """Predict the peak of a run without gradients, by `RecordAll`, which then keeps nothing."""
        patterns = self._patterns(size).forwards
        return self._with_work_space(
            lambda work: max(pattern.peak(size, work) for pattern in patterns), size
        )

    def _with_work_space(self, predict: Callable[[float], float], size: Size) -> Peak:
        settings, dtype = self.sequence.space_charge, self.setting.dtype
        tensors = predict(0.0)
        if settings is None:
            return Peak(tensors, tensors)
        device = self.setting.device
        total = predict(solve_bytes(size, settings, dtype, device))
        total += kernel_buffers(size, settings, dtype, device)
        total += green_bytes(size, settings, dtype, self.n_kicks)
        return Peak(tensors, total)

    # ---- sizes of what is kept -----------------------------------------------------------

    def state(self, size: Size) -> float:
        """Bytes of one state."""
        return 6.0 * size.n_particles * self.setting.dtype.itemsize

    def field(self, size: Size) -> float:
        """Bytes of one potential."""
        settings = self.sequence.space_charge
        kept = settings.field_dtype if settings is not None else None
        return float(size.n_cells * (kept or self.setting.dtype).itemsize)

    # ---- one prediction a strategy -------------------------------------------------------

    def store(self, adjoint: StoreStates, size: Size, work: float) -> float:
        """Every state and potential."""
        return self._peak(size, work, self.n_stages - 1, self.n_kicks)

    def checkpoint(self, adjoint: Checkpoint, size: Size, work: float) -> float:
        """Kept bunches, and the states of one piece or that of one stage."""
        if adjoint.every is None:
            slots = slots_within(self.n_stages, int(adjoint.memory // self.state(size)))
            return self._peak(size, work, bunches_besides(self.n_stages, slots), 1)
        lows = range(0, self.n_stages, adjoint.every)
        pieces = [self.kinds[low : low + adjoint.every] for low in lows]
        besides = self._besides(size, work)
        highest = max(self._peak_of_piece(piece, size, besides) for piece in pieces)
        return highest + (len(pieces) - 2) * self.state(size)

    def _peak_of_piece(self, piece: list[int], size: Size, besides: list[float]) -> float:
        """States and potentials up to a stage, which go one by one, and what that stage needs."""
        held, highest = 0.0, 0.0
        for kind in piece:
            held += self.state(size) + self._kicks_of([kind]) * self.field(size)
            highest = max(highest, held + besides[kind])
        return highest

    def reverse(self, adjoint: Reversible, size: Size, work: float) -> float:
        """First, last and anchors, and what undoing and repeating one stage needs."""
        kept = kept_stages(self.n_stages, adjoint.anchors)
        patterns = self._patterns(size)
        compared = adjoint.anchors or self.sequence.stages[0].kick is not None
        undone = patterns.reversed if compared else patterns.reversed_behind_start
        undoing = max(pattern.peak(size, work) for pattern in undone)
        repeating = self._peak(size, work, len(kept), min(1, self.n_kicks))
        return max(undoing + (len(kept) - 1) * self.state(size), repeating)

    def _kicks_of(self, kinds: list[int]) -> int:
        return sum(self.examples[kind].kick is not None for kind in kinds)

    def _peak(self, size: Size, work: float, states: float, fields: float) -> float:
        """States and potentials that are kept, and what the most demanding stage needs besides.

        That is the peak of two such stages less the second state and both potentials.
        """
        besides = max(self._besides(size, work))
        return besides + (states - 1) * self.state(size) + fields * self.field(size)

    def _besides(self, size: Size, work: float) -> list[float]:
        """What a stage of each kind needs besides one state.

        Of those that record less than the most demanding ones: less by what they record less,
        but no less than the one that records least, whose kick needs what every kick does.
        """
        patterns = self._patterns(size)

        def besides(stage: Stage, pattern: Pattern) -> float:
            return pattern.peak(size, work) - 2 * self.field(size) * (stage.kick is not None)

        known = {self.examples.index(row[0]): besides(*row) for row in patterns.demanding}
        least = besides(*patterns.least_demanding)
        recorded = (patterns.recorded @ size.features).tolist()
        first = next(iter(known))
        return [
            known.get(kind, max(least, known[first] - max(0.0, recorded[first] - own)))
            for kind, own in enumerate(recorded)
        ]

    def record(self, adjoint: RecordAll, size: Size, work: float) -> float:
        """Everything that is recorded, and what the backward pass of the last stage needs."""
        patterns = self._patterns(size)
        grown = (patterns.recorded @ size.features).tolist()
        besides = patterns.last_recorded.peak(size, work) - 2 * grown[self.kinds[-1]]
        return sum(grown[kind] for kind in self.kinds) + besides

    def _patterns(self, size: Size) -> StagePatterns:
        """Patterns of the stages in runs that go the ways which one of this size goes."""
        tiny = tiny_like(size, self.setting.device)
        if tiny not in self._known:
            last = self.kinds[-1]
            self._known[tiny] = StagePatterns(
                self.sequence, self.setting, self.examples, last, tiny
            )
        return self._known[tiny]


PREDICTIONS: dict[type, Callable[..., float]] = {
    StoreStates: Predictor.store,
    RecordAll: Predictor.record,
    Checkpoint: Predictor.checkpoint,
    Reversible: Predictor.reverse,
}
