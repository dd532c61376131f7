"""What stages of every kind allocate, from tiny runs of each of them twice in a row."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sc_bridge.elements import Bunch, Element, Reference
from sc_bridge.elements.space_charge import SpaceCharge

from ..adjoint import RecordAll, Reversible, StoreStates
from ..adjoint.protocol import Adjoint
from ..course import Course
from ..errors import ScBridgeError
from ..sequence import KickedSequence, Stage
from .footprint import SavedBytes, uncollected
from .kinds import kind_of
from .pattern import HOST, Pattern, Size, Sizes, by_feature, find_pattern

# Kinds of stages whose backward pass is looked at: those whose recording is largest.
_MOST_DEMANDING = 2
_NEARLY = 0.7  # of the largest, to be looked at besides it
_LONG = 256  # elements in a stage: a line without kicks is one
# Widths of the tiny bunch for flights to one time, which a beam without a size refuses, m.
_WIDTH = 1e-3
# Tiny runs tell sizes: rounding in their fields, which strong magnets amplify, does not matter.
_UNCHECKED = Reversible(tolerance=sys.float_info.max)


@dataclass(frozen=True)
class Setting:
    """What of a run decides about its memory, besides its size.

    `loss` gives what is differentiated from the outgoing bunch, all components at once; `device`
    is where the particles are.
    """

    dtype: torch.dtype
    reference: Reference
    wants_weight: bool = False
    some_lost: bool = False
    loss: Callable[[Bunch], Tensor] | None = None
    device: torch.device = HOST


class StagePatterns:
    """Patterns of the stages that one run of a sequence is made of.

    Parameters
    ----------
    sequence : KickedSequence
    setting : Setting
    examples : list of Stage
        One stage of every kind.
    last : int
        Kind of the last stage.
    tiny : tuple of Size
        Sizes of the runs.

    Cost: four runs forwards and backwards for each pattern, on first use.
    """

    def __init__(
        self,
        sequence: KickedSequence,
        setting: Setting,
        examples: list[Stage],
        last: int,
        tiny: Sizes,
    ) -> None:
        self.sequence = sequence
        self.setting = setting
        self.examples = examples
        self.last = examples[last]
        self.tiny = tiny

    @cached_property
    def recorded(self) -> NDArray[np.float64]:
        """Bytes that RecordAll keeps for one stage of each kind, by feature of the size."""
        kept = [[self._kept_by(example, size) for size in self.tiny] for example in self.examples]
        return by_feature(np.array(kept), self.tiny)

    @cached_property
    def demanding(self) -> list[tuple[Stage, Pattern]]:
        """The stages that record most, and their patterns under StoreStates."""
        return [(stage, self._find(stage, StoreStates())) for stage in self._most_recorded]

    @cached_property
    def reversed(self) -> list[Pattern]:
        """Patterns of the stages that record most under Reversible, which undoes them as well.

        The first of the two is also compared with the bunch that is kept before it.
        """
        return [self._find(stage, _UNCHECKED) for stage in self._most_recorded]

    @cached_property
    def reversed_behind_start(self) -> list[Pattern]:
        """The same behind the first stage of the line, which is compared instead of them."""
        ahead = self.sequence.stages[:1]
        return [self._find(stage, _UNCHECKED, ahead) for stage in self._most_recorded]

    @cached_property
    def least_demanding(self) -> tuple[Stage, Pattern]:
        """The stage with a kick, if there is any, that records least, and its pattern."""
        kicked = [n for n, stage in enumerate(self.examples) if stage.kick is not None]
        kinds = kicked or range(len(self.examples))
        stage = self.examples[min(kinds, key=lambda n: self.recorded[n, 0])]
        found = next((pattern for known, pattern in self.demanding if known is stage), None)
        return stage, found or self._find(stage, StoreStates())

    @cached_property
    def _most_recorded(self) -> list[Stage]:
        if len(self.examples) == 1:
            return self.examples
        per_particle = self.recorded[:, 0]
        order = np.argsort(-per_particle)[:_MOST_DEMANDING].tolist()
        chosen = [n for n in order if per_particle[n] > _NEARLY * per_particle[order[0]]]
        return [self.examples[n] for n in chosen or order[:1]]

    @cached_property
    def forwards(self) -> list[Pattern]:
        """Patterns of the stages that record most, without gradients."""

        def run_of(stage: Stage) -> Callable[[Size], None]:
            def run(size: Size) -> None:
                with torch.no_grad():
                    self._run_twice(stage, size, RecordAll())

            return run

        with uncollected():
            return [
                find_pattern(
                    run_of(_each_kind_once(stage)),
                    f"stage at s = {stage.s:.6g} m",
                    self.tiny,
                    self.setting.device,
                )
                for stage in self._most_recorded
            ]

    @cached_property
    def last_recorded(self) -> Pattern:
        """The pattern of the last stage under RecordAll."""
        return self._find(self.last, RecordAll())

    def _kept_by(self, example: Stage, size: Size) -> int:
        kept: list[int] = []
        with SavedBytes() as saved:
            end = self._run_twice(example, size, RecordAll(), lambda: kept.append(saved.now))[0]
        del end
        return kept[1] - kept[0]

    def _find(self, example: Stage, adjoint: Adjoint, ahead: Sequence[Stage] = ()) -> Pattern:
        def run(size: Size) -> None:
            end, wanted = self._run_twice(example, size, adjoint, ahead=ahead)
            _take_gradients(end, wanted, self.setting.loss)

        with uncollected():
            name = f"{adjoint!r} at s = {example.s:.6g} m"
            return find_pattern(run, name, self.tiny, self.setting.device)

    def _run_twice(
        self,
        example: Stage,
        size: Size,
        adjoint: Adjoint,
        kicked: Callable[[], None] | None = None,
        ahead: Sequence[Stage] = (),
    ) -> tuple[Bunch, list[Tensor]]:
        """Run a stage twice, behind those ahead; `kicked` is called after every kick."""
        pair = _part_of(self.sequence, (*ahead, example, example), size)
        start, wanted = self._start(size)
        observer = None if kicked is None else lambda s, bunch, done: kicked()
        # without `track`, which looks at the places of all elements of the line
        end = adjoint.run(Course(pair, pair.stages), start, observer).bunch
        return end, wanted + self._parameters

    @cached_property
    def _parameters(self) -> list[Tensor]:
        """Parameters of the whole sequence for which gradients are wanted."""
        return [p for p in self.sequence.parameters() if p.requires_grad]

    def _start(self, size: Size) -> tuple[Bunch, list[Tensor]]:
        """Bunch of a tiny run, and what to differentiate with respect to."""
        setting = self.setting
        coordinates = torch.zeros(6, size.n_particles, dtype=setting.dtype, device=setting.device)
        settings = self.sequence.space_charge
        if settings is not None and settings.transform == "ballistic":
            coordinates[[0, 2]] = torch.linspace(-_WIDTH, _WIDTH, size.n_particles).to(coordinates)
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


def _each_kind_once(stage: Stage) -> Stage:
    """Return a long stage with one element of every kind, which is enough where none is kept."""
    if len(stage.row) <= _LONG:
        return stage
    first: dict[Hashable, Any] = {}
    for item in stage.row:
        first.setdefault(kind_of(item) if isinstance(item, Element) else id(item), item)
    return replace(stage, row=tuple(first.values()))


def _part_of(sequence: KickedSequence, stages: Sequence[Stage], size: Size) -> KickedSequence:
    """Return some stages in a row, on a tiny grid, with the parameters of the sequence."""
    part = copy.copy(sequence)
    part.steps = ()  # of the whole line: never looked through for few stages
    part.stages = tuple(replace(stage, index=index) for index, stage in enumerate(stages))
    part.release_grids()
    settings = sequence.space_charge
    if settings is not None:
        part.space_charge = _on_grid(settings, size)
    return part


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
    if not isinstance(out, Tensor) or out.dim() > 1 or not out.requires_grad:
        raise ScBridgeError(
            "plan: loss must give a number or a vector that depends on the bunch, as tensor; it "
            f"gave {type(out).__name__ if not isinstance(out, Tensor) else tuple(out.shape)}"
        )
    if out.dim() == 0:
        torch.autograd.grad(out, wanted, allow_unused=True)
        return
    rows = torch.eye(out.numel(), dtype=out.dtype, device=out.device)
    torch.autograd.grad(out, wanted, rows, is_grads_batched=True, allow_unused=True)
