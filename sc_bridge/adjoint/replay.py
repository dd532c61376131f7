"""Replay: the backward pass of every strategy that does not record everything.

The forward pass runs without recording. The backward pass goes through the stages of the
course (a kick and the row behind it) from the last to the first; for each it gets the
bunch before the kick from the strategy's tape, runs the stage once more with recording, and
takes one vector-Jacobian product. What a strategy decides is only where that bunch comes from.
Particles are lost where they were lost in the forward pass, whatever rounding says.

Cost: one more forward pass of the maps and, unless the tape kept the potential, of the kicks;
the recording of one stage at a time; 4 bytes a particle once one is lost.
Validity: first derivatives.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor, nn

from sc_bridge.elements import Bunch, Reference
from sc_bridge.elements.gpu import beside
from sc_bridge.elements.space_charge import Field

from ..course import Course, Observer
from ..errors import ScBridgeError
from ..stages import Losses
from .batch import with_its_batch
from .conditions import Conditions
from .protocol import Outcome
from .record import RecordAll
from .repeated import Repeated

# Inputs of a run besides the parameters: coordinates, weight, mass0, q0, p0c.
_N_BUNCH = 5
_COORDINATES, _P0C = 0, 4


@dataclass(frozen=True)
class Entry:
    """A stage, the bunch before its kick, and the field of that kick where it is known."""

    index: int
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


@dataclass
class Journal:
    """What every tape keeps besides coordinates: references and who was lost where."""

    course: Course
    start: Bunch  # only its weight is used
    losses: Losses
    references: Repeated[Reference] = field(default_factory=Repeated)  # before every stage
    looks: list[tuple[Tensor, ...]] = field(default_factory=list)

    @classmethod
    def begin(cls, course: Course, bunch: Bunch) -> Journal:
        return cls(course, bunch, Losses(bunch.alive))

    def run(
        self, index: int, bunch: Bunch, observer: Observer | None, field: Field | None = None
    ) -> Bunch:
        """Run a stage for the first time."""
        self.references.append(id(bunch.reference), bunch.reference)
        passage = self.course.passage(index, self.losses)
        bunch = self.course.run(index, bunch, passage, observer, field)
        self.looks += passage.looks
        return bunch

    def repeat(self, index: int, bunch: Bunch, field: Field | None = None) -> Bunch:
        """Run a stage once more, losing the same particles."""
        passage = self.course.passage(index, self.losses.replay())
        return self.course.run(index, bunch, passage, field=field)

    def bunch(self, index: int, coordinates: Tensor) -> Bunch:
        """Return the bunch before a stage."""
        alive = self.course.alive(index, self.losses)
        return Bunch(coordinates, self.references[index], self.start.weight, alive)


Recorded: TypeAlias = tuple[Bunch, Tape]


class Taped(ABC):
    """A strategy that runs forwards without recording and keeps a tape."""

    @abstractmethod
    def record(self, journal: Journal, bunch: Bunch, observer: Observer | None) -> Recorded:
        """Run forwards without recording; return the outgoing bunch and what was kept."""

    def run(self, course: Course, bunch: Bunch, observer: Observer | None = None) -> Outcome:
        """Track; the result is connected to everything that it depends on."""
        if torch._C._are_functorch_transforms_active():  # pyright: ignore
            raise ScBridgeError(
                f"track: {self!r} does not work under torch.func: use adjoint=RecordAll()"
            )
        with course.sequence.one_at_a_time:
            return self._run(course, bunch, observer)

    def _run(self, course: Course, bunch: Bunch, observer: Observer | None) -> Outcome:
        named = {name: p for name, p in course.sequence.named_parameters() if p.requires_grad}
        bunch = with_its_batch(bunch, course.sequence)
        reference = bunch.reference
        inputs = (
            bunch.coordinates,
            bunch.weight,
            reference.mass0,
            reference.q0,
            reference.p0c,
            *named.values(),
        )
        if not torch.is_grad_enabled() or not any(tensor.requires_grad for tensor in inputs):
            return RecordAll().run(course, bunch, observer)  # there is nothing to keep
        conditions = Conditions.of(course.sequence, bunch.alive)
        task = _Task(self, course, bunch.alive, observer, tuple(named), conditions)
        coordinates, p0c, *seen = _Run.apply(task, *inputs)
        end, losses = task.result.pop()  # or the graph would hold its own outcome, and never go
        out = end.replace(
            coordinates=coordinates, weight=bunch.weight, reference=reference.replace(p0c=p0c)
        )
        rest = iter(seen)
        looks = [tuple(next(rest) for _ in range(probe.n_tensors)) for probe, _ in course.places]
        return Outcome(out, looks, losses)


@dataclass(frozen=True)
class _Task:
    """Everything that is no tensor, in one argument."""

    strategy: Taped
    course: Course
    alive: Tensor
    observer: Observer | None
    names: tuple[str, ...]  # of the parameters that ask for gradients
    conditions: Conditions
    result: list[tuple[Bunch, Losses]] = field(default_factory=list)  # of the forward pass


def _make_bunch(inputs: tuple[Tensor, ...], alive: Tensor) -> Bunch:
    coordinates, weight, *reference = inputs
    return Bunch(coordinates, Reference.known(*reference), weight, alive)


class _Run(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, task: _Task, *inputs: Tensor) -> tuple[Tensor, ...]:
        start = _make_bunch(inputs[:_N_BUNCH], task.alive)
        journal = Journal.begin(task.course, start)
        end, ctx.tape = task.strategy.record(journal, start, task.observer)
        looks = [tensor for look in journal.looks for tensor in look]
        journal.looks = []  # they are outputs from here on
        task.result.append((end, journal.losses))
        ctx.task, ctx.journal = task, journal
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*inputs, *ctx.tape.tensors())
        ctx.mark_non_differentiable(*(t for t in looks if not t.is_floating_point()))
        return end.coordinates, end.reference.p0c.clone(), *looks

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        task: _Task = ctx.task
        if torch.is_grad_enabled():
            raise ScBridgeError(
                f"track: {task.strategy!r} gives first derivatives only: "
                "use adjoint=RecordAll() for higher ones"
            )
        with task.course.sequence.one_at_a_time:
            return _gradients(ctx, list(gradients))


def _gradients(ctx: Any, gradients: list[Tensor | None]) -> tuple[Tensor | None, ...]:
    """Gradients of what was given to a run, from those of its outputs."""
    task: _Task = ctx.task
    task.conditions.check()
    n_inputs = _N_BUNCH + len(task.names)
    kept = ctx.saved_tensors
    parameters = dict(zip(task.names, kept[_N_BUNCH:n_inputs], strict=True))
    walk = _Walk(task, ctx.journal, parameters, ctx.needs_input_grad[1:], gradients)
    with task.conditions.restored():
        for entry in ctx.tape.backwards(list(kept[n_inputs:])):
            walk.back_through(entry)
            del entry  # its field, before the next are computed
    totals = zip(walk.totals(), kept, strict=False)
    return None, *(None if sum_ is None else sum_.to(given.device) for sum_, given in totals)


_Home: TypeAlias = tuple[dict[str, Any], str]


@contextmanager
def _exchanged(homes: dict[str, _Home], values: dict[str, Tensor]) -> Iterator[None]:
    """Let parameters be these tensors for a while, at their homes.

    `torch.func.functional_call` does the same, but goes through every parameter of the
    sequence at every call.
    """
    kept = {name: home[attribute] for name, (home, attribute) in homes.items()}
    try:
        for name, (home, attribute) in homes.items():
            home[attribute] = values[name]
        yield
    finally:
        for name, (home, attribute) in homes.items():
            home[attribute] = kept[name]


def _home(sequence: nn.Module, name: str) -> _Home:
    """Return where a module keeps the parameter of a name, and under what key."""
    path, _, attribute = name.rpartition(".")
    return sequence.get_submodule(path)._parameters, attribute


class _Walk:
    """The backward pass: gradients of the carried state, and sums of all others."""

    def __init__(
        self,
        task: _Task,
        journal: Journal,
        parameters: dict[str, Tensor],
        wanted: tuple[bool, ...],
        gradients: list[Tensor | None],
    ) -> None:
        self.task, self.journal = task, journal
        # where the particles are, so that no sum over them has to be fetched at every stage
        self.parameters = {
            name: beside(p, journal.start.coordinates) for name, p in parameters.items()
        }
        sequence = journal.course.sequence
        self.homes = {name: _home(sequence, name) for name in parameters}
        # of coordinates and p0c, which every stage takes and gives
        self.carried, self.ahead = gradients[:2], gradients[2:]
        self.sums: list[Tensor | None] = [None] * (_N_BUNCH + len(parameters))
        self.wanted = list(wanted)
        # a field of an element may move p0c, and p0c what comes behind
        self.follows_p0c = wanted[_P0C] or any(
            reference.p0c is not journal.references[0].p0c
            for reference in journal.references.different
        )

    def back_through(self, entry: Entry) -> None:
        """Take the gradients from behind a stage to before it."""
        looks_here = self._taken(entry)
        if all(gradient is None for gradient in (*self.carried, *looks_here)):
            return
        leaves, exchanged = self._leaves(entry)
        outputs = self._replay(entry, leaves, exchanged)
        pairs = [
            (output, gradient)
            for output, gradient in zip(outputs, [*self.carried, *looks_here], strict=True)
            if gradient is not None and output.requires_grad
        ]
        sources = [*leaves, *exchanged.values()]
        asked = [index for index, source in enumerate(sources) if source.requires_grad]
        found: list[Tensor | None] = [None] * len(sources)
        if pairs:
            results, incoming = zip(*pairs, strict=True)
            gradients = torch.autograd.grad(
                results, [sources[index] for index in asked], incoming, allow_unused=True
            )
            for index, value in zip(asked, gradients, strict=True):
                found[index] = value
        self.carried = [found[_COORDINATES], found[_P0C]]
        found[_COORDINATES] = found[_P0C] = None
        self.sums = [_add(total, new) for total, new in zip(self.sums, found, strict=True)]

    def totals(self) -> list[Tensor | None]:
        """Return the gradient of every input of the run."""
        self.sums[_COORDINATES], self.sums[_P0C] = self.carried
        return [
            total if wanted else None for total, wanted in zip(self.sums, self.wanted, strict=True)
        ]

    def _taken(self, entry: Entry) -> list[Tensor | None]:
        """Gradients of what the probes of this stage saw; they are the last ones left."""
        probes = self.journal.course.stage(entry.index).probes
        first = len(self.ahead) - sum(probe.n_tensors for probe in probes)
        taken, self.ahead = self.ahead[first:], self.ahead[:first]
        return taken

    def _leaves(self, entry: Entry) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
        bunch, reference = entry.bunch, entry.bunch.reference
        inputs = (bunch.coordinates, bunch.weight, reference.mass0, reference.q0, reference.p0c)
        needed = [True, *self.wanted[1:_P0C], self.follows_p0c]
        leaves = tuple(
            beside(tensor.detach(), bunch.coordinates).requires_grad_() if need else tensor.detach()
            for tensor, need in zip(inputs, needed, strict=True)
        )
        exchanged = {
            name: value.detach().requires_grad_() for name, value in self.parameters.items()
        }
        return leaves, exchanged

    def _replay(
        self, entry: Entry, leaves: tuple[Tensor, ...], exchanged: dict[str, Tensor]
    ) -> list[Tensor]:
        """Run the stage with recording; return coordinates, p0c, and what the probes see."""
        course = self.journal.course
        passage = course.passage(entry.index, self.journal.losses.replay())
        with torch.enable_grad(), _exchanged(self.homes, exchanged):
            start = _make_bunch(leaves, entry.bunch.alive)
            end = course.run(entry.index, start, passage, field=entry.field)
        seen = [tensor for look in passage.looks for tensor in look]
        return [end.coordinates, end.reference.p0c, *seen]


def _add(total: Tensor | None, new: Tensor | None) -> Tensor | None:
    if new is None:
        return total
    return new if total is None else total + new
