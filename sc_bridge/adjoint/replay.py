"""Replay: the backward pass of every strategy that does not record everything.

The forward pass runs without recording. The backward pass goes through the stages of the
sequence (a kick and the maps behind it) from the last to the first; for each it gets the
bunch before the kick from the strategy's tape, runs the stage once more with recording, and
takes one vector-Jacobian product. What a strategy decides is only where that bunch comes from.

Cost: one more forward pass of the maps and, unless the tape kept the potential, of the kicks;
the recording of one stage at a time.
Validity: first derivatives.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call

from sc_bridge.elements import Bunch, Reference
from sc_bridge.elements.space_charge import Field

from ..errors import ScBridgeError
from ..sequence import KickedSequence, Stage
from .protocol import Observer, run_stage


@dataclass(frozen=True)
class Entry:
    """A stage, the bunch before its kick, and the field of that kick where it is known."""

    stage: Stage
    bunch: Bunch
    field: Field | None


class Tape(Protocol):
    """What a strategy keeps of a forward pass."""

    def tensors(self) -> list[Tensor]:
        """Everything that is kept, for autograd to hold."""
        ...

    def backwards(self, tensors: list[Tensor]) -> Iterator[Entry]:
        """Give the stages from the last to the first; `tensors` are those of `tensors()`."""
        ...


class Taped(ABC):
    """A strategy that runs forwards without recording and keeps a tape."""

    @abstractmethod
    def record(
        self, sequence: KickedSequence, bunch: Bunch, observer: Observer | None
    ) -> tuple[Bunch, Tape]:
        """Run forwards without recording; return the outgoing bunch and what was kept."""

    def run(
        self, sequence: KickedSequence, bunch: Bunch, observer: Observer | None = None
    ) -> Bunch:
        """Track; the result is connected to everything that it depends on."""
        if torch._C._are_functorch_transforms_active():  # pyright: ignore
            raise ScBridgeError(
                f"track: {self!r} does not work under torch.func: use adjoint=RecordAll()"
            )
        named = {name: p for name, p in sequence.named_parameters() if p.requires_grad}
        task = _Task(self, sequence, bunch.alive, observer, tuple(named), [])
        reference = bunch.reference
        coordinates = _Run.apply(
            task,
            bunch.coordinates,
            bunch.weight,
            reference.mass0,
            reference.q0,
            reference.p0c,
            *named.values(),
        )
        return task.outgoing[0].replace(
            coordinates=coordinates, weight=bunch.weight, reference=reference
        )


@dataclass(frozen=True)
class _Task:
    """Everything that is no tensor, in one argument."""

    strategy: Taped
    sequence: KickedSequence
    alive: Tensor
    observer: Observer | None
    names: tuple[str, ...]  # of the parameters that ask for gradients
    outgoing: list[Bunch]  # filled by the forward pass


def _make_bunch(inputs: tuple[Tensor, ...], alive: Tensor) -> Bunch:
    coordinates, weight, mass0, q0, p0c = inputs
    return Bunch(coordinates, Reference(mass0, q0, p0c), weight, alive)


class _Run(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, task: _Task, *inputs: Tensor) -> Tensor:
        start = _make_bunch(inputs[:5], task.alive)
        end, ctx.tape = task.strategy.record(task.sequence, start, task.observer)
        task.outgoing.append(end)
        ctx.task = task
        ctx.save_for_backward(*inputs, *ctx.tape.tensors())
        return end.coordinates

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore
        task: _Task = ctx.task
        if torch.is_grad_enabled():
            raise ScBridgeError(
                f"track: {task.strategy!r} gives first derivatives only: "
                "use adjoint=RecordAll() for higher ones"
            )
        n_inputs = 5 + len(task.names)
        kept = ctx.saved_tensors
        parameters = dict(zip(task.names, kept[5:n_inputs], strict=True))
        wanted = ctx.needs_input_grad[1:]
        totals: list[Tensor | None] = [None] * n_inputs
        for entry in ctx.tape.backwards(list(kept[n_inputs:])):
            gradient, found = _stage_vjp(task, entry, parameters, wanted, gradient)
            totals = [_add(total, new) for total, new in zip(totals, found, strict=True)]
        totals[0] = gradient if wanted[0] else None
        return None, *totals


class _StageOf(nn.Module):
    """One stage of a sequence as a module, so that its parameters can be exchanged."""

    def __init__(self, sequence: KickedSequence) -> None:
        super().__init__()
        self.sequence = sequence

    def forward(self, entry: Entry, start: Bunch) -> Tensor:
        return run_stage(self.sequence, entry.stage, start, field=entry.field).coordinates


def _stage_vjp(
    task: _Task,
    entry: Entry,
    parameters: dict[str, Tensor],
    wanted: tuple[bool, ...],
    gradient: Tensor,
) -> tuple[Tensor, list[Tensor | None]]:
    """Gradient before a stage, and what the stage adds to that of every other input."""
    bunch, reference = entry.bunch, entry.bunch.reference
    inputs = (bunch.coordinates, bunch.weight, reference.mass0, reference.q0, reference.p0c)
    with torch.enable_grad():
        leaves = tuple(
            tensor.detach().requires_grad_(index == 0 or wanted[index])
            for index, tensor in enumerate(inputs)
        )
        exchanged = {
            f"sequence.{name}": value.detach().requires_grad_()
            for name, value in parameters.items()
        }
        start = _make_bunch(leaves, bunch.alive)
        end = functional_call(_StageOf(task.sequence), exchanged, (entry, start))
    sources = [*leaves, *exchanged.values()]
    asked = [index for index, source in enumerate(sources) if source.requires_grad]
    found: list[Tensor | None] = [None] * len(sources)
    gradients = torch.autograd.grad(
        end, [sources[index] for index in asked], gradient, allow_unused=True
    )
    for index, value in zip(asked, gradients, strict=True):
        found[index] = value
    before, found[0] = found[0], None
    return torch.zeros_like(gradient) if before is None else before, found


def _add(total: Tensor | None, new: Tensor | None) -> Tensor | None:
    if new is None:
        return total
    return new if total is None else total + new
