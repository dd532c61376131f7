"""Predict the peak of a run under every strategy, from what single stages need.

Each kind of stage is run twice in a row at a few tiny sizes, forwards and backwards. That
tells what one more stage adds, and what the recording of one stage, its gradients and the
buffers around them take at any size (`pattern`). What a strategy keeps besides is counted:
six coordinates a particle for a state, one number a node for a potential.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sc_bridge.elements import Bunch, Reference
from sc_bridge.elements.space_charge import SpaceCharge

from ..adjoint import Checkpoint, RecordAll, Reversible, StoreStates, track
from ..adjoint.checkpoint import bunches_besides, slots_within
from ..adjoint.protocol import Adjoint
from ..sequence import KickedSequence, Stage
from .footprint import SavedBytes, uncollected
from .kinds import kinds_of
from .pattern import TINY, Pattern, Size, by_feature, find_pattern
from .workspace import green_bytes, kernel_buffers, solve_bytes

# Kinds of stages whose backward pass is looked at: those whose recording is largest.
_MOST_DEMANDING = 2
_NEARLY = 0.7  # of the largest, to be looked at besides it


@dataclass(frozen=True)
class Setting:
    """What of a run decides about its memory, besides its size.

    `loss` gives what is differentiated from the outgoing bunch, all components at once.
    """

    dtype: torch.dtype
    reference: Reference
    wants_weight: bool = False
    some_lost: bool = False
    loss: Callable[[Bunch], Tensor] | None = None


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

    def peak(self, adjoint: Adjoint, size: Size) -> Peak:
        """Predict the peak of a run under a strategy."""
        predict = _PREDICTIONS[type(adjoint)]
        return self._with_work_space(lambda work: predict(self, adjoint, size, work), size)

    def forward_peak(self, size: Size) -> Peak:
        """Predict the peak of a run without gradients, by `RecordAll`, which then keeps nothing."""
        return self._with_work_space(
            lambda work: max(pattern.peak(size, work) for pattern in self._forwards), size
        )

    def _with_work_space(self, predict: Callable[[float], float], size: Size) -> Peak:
        settings, dtype = self.sequence.space_charge, self.setting.dtype
        tensors = predict(0.0)
        if settings is None:
            return Peak(tensors, tensors)
        device = self.setting.reference.p0c.device
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
        bytes_of = [
            len(piece) * self.state(size) + self._kicks_of(piece) * self.field(size)
            for piece in pieces
        ]
        return max(bytes_of) + self._peak(size, work, len(pieces) - 1, 0)

    def reverse(self, adjoint: Reversible, size: Size, work: float) -> float:
        """First, last and anchors, and the state and potential of one stage."""
        n = adjoint.anchors + 1
        kept = {round(index * self.n_stages / n) for index in range(n)}
        return self._peak(size, work, len(kept), min(1, self.n_kicks))

    def _kicks_of(self, kinds: list[int]) -> int:
        return sum(self.examples[kind].kick is not None for kind in kinds)

    def _peak(self, size: Size, work: float, states: float, fields: float) -> float:
        """States and potentials that are kept, and what the most demanding stage needs besides.

        That is the peak of two such stages less the second state and both potentials.
        """
        besides = max(
            pattern.peak(size, work) - 2 * self.field(size) * (stage.kick is not None)
            for stage, pattern in self._demanding
        )
        return besides + (states - 1) * self.state(size) + fields * self.field(size)

    def record(self, adjoint: RecordAll, size: Size, work: float) -> float:
        """Everything that is recorded, and what the backward pass of the last stage needs."""
        grown = (self._recorded @ size.features).tolist()
        besides = self._last_recorded.peak(size, work) - 2 * grown[self.kinds[-1]]
        return sum(grown[kind] for kind in self.kinds) + besides

    # ---- runs of two equal stages at tiny sizes ------------------------------------------

    @cached_property
    def _recorded(self) -> NDArray[np.float64]:
        """Bytes that RecordAll keeps for one stage of each kind, by feature of the size."""
        kept = [[self._kept_by(example, size) for size in TINY] for example in self.examples]
        return by_feature(np.array(kept))

    @cached_property
    def _demanding(self) -> list[tuple[Stage, Pattern]]:
        """The stages that record most, and their patterns under StoreStates."""
        return [(stage, self._find(stage, StoreStates())) for stage in self._most_recorded]

    @cached_property
    def _most_recorded(self) -> list[Stage]:
        per_particle = self._recorded[:, 0]
        order = np.argsort(-per_particle)[:_MOST_DEMANDING].tolist()
        chosen = [n for n in order if per_particle[n] > _NEARLY * per_particle[order[0]]]
        return [self.examples[n] for n in chosen or order[:1]]

    @cached_property
    def _forwards(self) -> list[Pattern]:
        def run_of(stage: Stage) -> Callable[[Size], None]:
            def run(size: Size) -> None:
                with torch.no_grad():
                    self._forward(stage, size, RecordAll())

            return run

        with uncollected():
            return [
                find_pattern(run_of(stage), f"stage at s = {stage.s:.6g} m")
                for stage in self._most_recorded
            ]

    @cached_property
    def _last_recorded(self) -> Pattern:
        return self._find(self.examples[self.kinds[-1]], RecordAll())

    def _kept_by(self, example: Stage, size: Size) -> int:
        kept: list[int] = []
        with SavedBytes() as saved:
            end = self._forward(example, size, RecordAll(), lambda: kept.append(saved.now))[0]
        del end
        return kept[1] - kept[0]

    def _find(self, example: Stage, adjoint: Adjoint) -> Pattern:
        def run(size: Size) -> None:
            end, wanted = self._forward(example, size, adjoint)
            _take_gradients(end, wanted, self.setting.loss)

        with uncollected():
            return find_pattern(run, f"{adjoint!r} at s = {example.s:.6g} m")

    def _forward(
        self,
        example: Stage,
        size: Size,
        adjoint: Adjoint,
        kicked: Callable[[], None] | None = None,
    ) -> tuple[Bunch, list[Tensor]]:
        """Run a stage twice; `kicked` is called after every kick."""
        pair = _two_of(self.sequence, example, size)
        start, wanted = self._start(size)
        wanted += [p for p in pair.parameters() if p.requires_grad]
        observer = None if kicked is None else lambda s, bunch, done: kicked()
        return track(pair, start, adjoint=adjoint, observer=observer), wanted

    def _start(self, size: Size) -> tuple[Bunch, list[Tensor]]:
        """Bunch of a tiny run, and what to differentiate with respect to."""
        setting = self.setting
        coordinates = torch.zeros(
            6, size.n_particles, dtype=setting.dtype, device=setting.reference.p0c.device
        )
        weight = coordinates.new_ones(size.n_particles if setting.wants_weight else ())
        alive = torch.ones_like(coordinates[0], dtype=torch.bool)
        if setting.some_lost:
            alive[0] = False
        reference = Reference(
            *(
                getattr(setting.reference, name).detach().requires_grad_(wanted)
                for name, wanted in _wanted(setting.reference).items()
            )
        )
        leaves = [coordinates.requires_grad_(), weight.requires_grad_(setting.wants_weight)]
        leaves += [getattr(reference, name) for name in _wanted(setting.reference)]
        wanted = [leaf for leaf in leaves if leaf.requires_grad]
        return Bunch(coordinates, reference, weight, alive), wanted


_PREDICTIONS: dict[type, Callable[..., float]] = {
    StoreStates: Predictor.store,
    RecordAll: Predictor.record,
    Checkpoint: Predictor.checkpoint,
    Reversible: Predictor.reverse,
}


def _two_of(sequence: KickedSequence, example: Stage, size: Size) -> KickedSequence:
    """Return the same stage twice, on a tiny grid, with the parameters of the sequence."""
    pair = copy.copy(sequence)
    pair.stages = (replace(example, index=0), replace(example, index=1))
    pair.release_grids()
    settings = sequence.space_charge
    if settings is not None:
        pair.space_charge = _on_grid(settings, size)
    return pair


def _on_grid(settings: SpaceCharge, size: Size) -> SpaceCharge:
    return replace(settings, grid=size.grid, x_range=None, y_range=None, z_range=None)


def _wanted(reference: Reference) -> dict[str, bool]:
    return {name: getattr(reference, name).requires_grad for name in ("mass0", "q0", "p0c")}


def _take_gradients(
    end: Bunch, wanted: list[Tensor], loss: Callable[[Bunch], Tensor] | None
) -> None:
    if loss is None:
        out = end.coordinates
        torch.autograd.grad(out, wanted, torch.ones_like(out), allow_unused=True)
        return
    out = loss(end)
    rows = torch.eye(out.numel(), dtype=out.dtype, device=out.device)
    torch.autograd.grad(out, wanted, rows, is_grads_batched=True, allow_unused=True)
