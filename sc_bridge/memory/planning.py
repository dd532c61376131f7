"""Plan: what a run will need under every strategy, and which one to take.

Nothing of the run's size is allocated: the predictions come from runs of a hundred or a
thousand particles on a few hundred cells (`predict`), so that a plan for 1e9 particles costs
what one for a thousand does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NoReturn

import torch
from torch import Tensor

from sc_bridge.elements import Bunch

from ..adjoint import Checkpoint, RecordAll, Reversible, StoreStates
from ..adjoint.checkpoint import bunches_besides, slots_within
from ..adjoint.protocol import Adjoint
from ..counts import whole_number
from ..errors import ScBridgeError
from ..sequence import KickedSequence
from .measuring import bunch_bytes
from .pattern import HOST, Grid3, Size
from .predict import Peak, Predictor, Setting
from .request import check_choices, device_of, positive_bytes, size_of

# Kicks from one anchor to the next: even chaotic motion is rebuilt over so many.
KICKS_PER_ANCHOR = 1000
_DTYPES = (torch.float32, torch.float64)


@dataclass(frozen=True)
class Choice:
    """One strategy in one dtype.

    Parameters
    ----------
    adjoint : Adjoint
        To be passed to `track`.
    dtype : torch.dtype
    tensors : int, bytes
        Most bytes of tensors alive at once, the incoming bunch included.
    peak : int, bytes
        All that the run adds to resident memory at the most: `tensors`, the work space of the
        kick, and Green functions.
    extra : str
        Work besides a forward and a backward pass.
    fits : bool
        Whether `peak` is within the budget.
    """

    adjoint: Adjoint
    dtype: torch.dtype
    tensors: int
    peak: int
    extra: str
    fits: bool


@dataclass(frozen=True)
class Plan:
    """What a run will need, before it starts; `str` gives a table.

    `adjoint` is the value to pass to `track`: of the strategies that fit, the one with the
    least extra work. `peak` is what it needs, in bytes; `choices` has all of them.
    """

    adjoint: Adjoint
    peak: int
    n_particles: int
    n_cells: int
    n_kicks: int
    dtype: torch.dtype
    budget: float | None
    choices: tuple[Choice, ...] = field(repr=False)

    def __str__(self) -> str:
        rows = [("strategy", "dtype", "tensors", "with work space", "extra work", "")]
        rows += [_row(choice, self) for choice in self.choices]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        head, *body = (
            "  ".join(
                cell.rjust(width) if index in (2, 3) else cell.ljust(width)
                for index, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        )
        title = (
            f"{self.n_particles:,} particles, {self.n_cells:,} cells, {self.n_kicks:,} kicks"
            + ("" if self.budget is None else f"; budget {in_bytes(self.budget)}")
        )
        return "\n".join([title, head, "-" * len(head), *body])


def plan(
    sequence: KickedSequence,
    bunch: Bunch | None = None,
    budget: Any = None,
    turns: int = 1,
    *,
    n_particles: int | None = None,
    grid: Grid3 | None = None,
    dtype: torch.dtype | None = None,
    loss: Callable[[Bunch], Tensor] | None = None,
    backward: bool = True,
    adjoint: Adjoint | None = None,
    device: torch.device | str | None = None,
) -> Plan:
    """Predict the peak memory of a run and of its backward pass, and choose a strategy.

    Parameters
    ----------
    sequence : KickedSequence
        Parameters for which gradients are wanted should already ask for them: what they need
        is part of the prediction.
    bunch : Bunch, optional
        That will be tracked, or an example of it if `n_particles` is given as well.
    budget : str, quantity or float, optional, bytes
        What the run may take besides what the process has already, such as "8 GiB".
    turns : int
    n_particles : int, optional
        Instead of those of a bunch.
    grid : tuple of int, optional
        Instead of the sequence's own.
    dtype : torch.dtype, optional
        That of the bunch, or float64.
    loss : callable, optional
        Of the outgoing bunch; gives a number, or a vector whose components are differentiated
        together (`is_grads_batched`). By default the outgoing coordinates get one gradient.
    backward : bool
        Whether there will be a backward pass; without one, `RecordAll` under `torch.no_grad`
        keeps nothing.
    adjoint : Adjoint, optional
        The only strategy to predict, in the dtype of the run only; by default all of them.
    device : torch.device or str, optional
        Where the bunch will be; by default where `bunch` is, or the CPU.

    Returns
    -------
    Plan

    Raises
    ------
    ScBridgeError
        If nothing fits the budget: with the least that is needed and the way out; if numbers
        are out of range, or the kicks of sequence, audit and plan are not the same number.

    Cost: seconds, and a few megabytes, whatever the size of the run.
    Validity: within 5 % for tensors; work space and Green functions are an upper limit.
    The outgoing bunch is taken to be kept until the gradients are there; bunches that monitors
    keep are not counted. Where there are apertures, particles are taken to get lost.
    """
    size = size_of(sequence, bunch, n_particles, grid)
    limit = None if budget is None else positive_bytes(budget)
    dtype = dtype or (torch.float64 if bunch is None else bunch.coordinates.dtype)
    if dtype not in _DTYPES:
        raise ScBridgeError(f"plan: dtype = {dtype}: must be torch.float32 or torch.float64")
    turns = whole_number("plan: turns", turns, ScBridgeError)
    check_choices(adjoint, loss)
    there = HOST if bunch is None else bunch.coordinates.device
    planner_of = partial(
        _Planner,
        sequence,
        bunch,
        turns=turns,
        loss=loss,
        backward=backward,
        adjoint=adjoint,
        device=there if device is None else device_of(device),
    )
    planners = {kind: planner_of(kind) for kind in (_DTYPES if adjoint is None else (dtype,))}
    n_kicks = _checked_kicks(sequence, planners[dtype].predictor, turns)
    choices = {kind: planner.choices(size, limit) for kind, planner in planners.items()}
    free = backward and adjoint is None
    best = next((c for c in choices[dtype] if c.fits and _may_be_chosen(c, free)), None)
    if best is None:
        _refuse(planners, size, dtype, limit or math.inf)
    return Plan(
        best.adjoint,
        best.peak,
        size.n_particles,
        size.n_cells,
        n_kicks,
        dtype,
        limit,
        tuple(choice for kind in planners for choice in choices[kind]),
    )


class _Planner:
    """Choices in one dtype."""

    def __init__(
        self,
        sequence: KickedSequence,
        bunch: Bunch | None,
        dtype: torch.dtype,
        turns: int,
        loss: Callable[[Bunch], Tensor] | None,
        backward: bool,
        adjoint: Adjoint | None,
        device: torch.device,
    ) -> None:
        has_apertures = not all(part.is_map for stage in sequence.stages for part in stage.maps)
        setting = Setting(
            dtype=dtype,
            reference=sequence.reference if bunch is None else bunch.reference,
            wants_weight=bunch is not None and bunch.weight.requires_grad,
            some_lost=has_apertures or (bunch is not None and not bool(bunch.alive.all())),
            loss=loss,
            device=device,
        )
        self.predictor = Predictor(sequence, setting, turns)
        self.bunch = bunch
        self.backward = backward
        self.adjoint = adjoint

    def peak(self, adjoint: Adjoint, size: Size) -> Peak:
        """Predicted peak, with what this very bunch takes beyond a plain one."""
        if not self.backward:
            return self.predictor.forward_peak(size)
        predicted = self.predictor.peak(adjoint, size)
        more, bunch = 0.0, self.bunch
        if bunch is not None and self._is_of(bunch, size):
            plain = self.predictor.state(size) + size.n_particles
            more = max(0.0, bunch_bytes(bunch) - plain)
        return Peak(predicted.tensors + more, predicted.total + more)

    def _is_of(self, bunch: Bunch, size: Size) -> bool:
        same = bunch.coordinates.dtype == self.predictor.setting.dtype
        return same and bunch.coordinates.numel() == 6 * size.n_particles

    def choices(self, size: Size, limit: float | None) -> list[Choice]:
        """Return all strategies, those with the least extra work first."""
        return [self._choice(*row, size, limit) for row in self._strategies(size, limit)]

    def _choice(self, adjoint: Adjoint, extra: str, size: Size, limit: float | None) -> Choice:
        peak = self.peak(adjoint, size)
        fits = limit is None or peak.total <= limit
        dtype = self.predictor.setting.dtype
        return Choice(adjoint, dtype, round(peak.tensors), round(peak.total), extra, fits)

    def _strategies(self, size: Size, limit: float | None) -> Iterable[tuple[Adjoint, str]]:
        if not self.backward:
            yield RecordAll(), "none"
            return
        if self.adjoint is not None:
            yield self.adjoint, "as asked"
            return
        predictor = self.predictor
        yield StoreStates(), "maps once more"
        every = self._best_every(size)
        yield Checkpoint(every=every), "one more forward run"
        yield Reversible(anchors=self._anchors(size, limit)), "one more solve a kick, inverses"
        state, n = predictor.state(size), predictor.n_stages
        least = self.peak(Checkpoint(memory=state), size).total
        bunches = 3 if limit is None else 1 + max(0, int((limit - least) / state))
        slots = slots_within(n, bunches)
        memory = max(1, bunches_besides(n, slots)) * state
        yield Checkpoint(memory=memory), f"up to {_repeats(n, slots)} more forward runs"
        yield RecordAll(), "none"

    def _best_every(self, size: Size) -> int:
        """Find the spacing of kept bunches that needs least: near the root of all stages."""
        n = self.predictor.n_stages
        state, field = self.predictor.state(size), self.predictor.field(size)
        guess = math.sqrt(n * state / (state + field))
        tried = {max(1, min(n, round(guess * factor))) for factor in (0.8, 0.9, 1.0, 1.1, 1.25)}
        return min(sorted(tried), key=lambda k: self.peak(Checkpoint(every=k), size).total)

    def _anchors(self, size: Size, limit: float | None) -> int:
        """One anchor every thousand kicks, as far as they fit."""
        wanted = self.predictor.n_kicks // KICKS_PER_ANCHOR
        if limit is None:
            return wanted
        free = limit - self.peak(Reversible(), size).total
        return max(0, min(wanted, int(free // self.predictor.state(size))))


def _repeats(n_stages: int, slots: int) -> int:
    """How often a stage is run again at the most, by the binomial schedule."""
    repeats = 1
    while math.comb(slots + 1 + repeats, slots + 1) < n_stages:
        repeats += 1
    return repeats


def _may_be_chosen(choice: Choice, free: bool) -> bool:
    """Recording everything is never chosen where there is something to record and a choice."""
    return not free or not isinstance(choice.adjoint, RecordAll)


def _checked_kicks(sequence: KickedSequence, predictor: Predictor, turns: int) -> int:
    """Kicks of all turns, if sequence, audit and plan agree on them."""
    counts = {
        "the sequence": sequence.n_kicks * turns,
        "the audit": sequence.audit().kicks * turns,
        "the plan": predictor.n_kicks,
    }
    if len(set(counts.values())) > 1:
        shown = ", ".join(f"{name} has {count}" for name, count in counts.items())
        raise ScBridgeError(f"plan: kicks differ: {shown}: build the sequence again")
    return predictor.n_kicks


def _refuse(
    planners: dict[torch.dtype, _Planner], size: Size, dtype: torch.dtype, limit: float
) -> NoReturn:
    """Raise, with the least that is needed and the way out."""
    least = min(planners[dtype].choices(size, None), key=lambda choice: choice.peak)
    adjoint = least.adjoint
    if isinstance(adjoint, Checkpoint):
        adjoint = Reversible()
    ways = []
    if dtype is torch.float64 and torch.float32 in planners:
        single = min(planners[torch.float32].choices(size, None), key=lambda choice: choice.peak)
        if single.peak <= limit:
            ways.append(f"float32 ({in_bytes(single.peak)})")
    particles = _most_particles(planners[dtype], adjoint, size, limit)
    ways.append(f"at most {particles:,} particles" if particles else "a smaller grid")
    asked = planners[dtype].adjoint is not None
    which = type(least.adjoint).__name__ + ("" if asked else ", the least of all strategies")
    raise ScBridgeError(
        f"plan: {size.n_particles:,} particles, {size.n_cells:,} cells and "
        f"{planners[dtype].predictor.n_kicks:,} kicks need {in_bytes(least.peak)} with "
        f"{which}, and may take {in_bytes(limit)}: take {' or '.join(ways)}, or more memory"
    )


def _most_particles(planner: _Planner, adjoint: Adjoint, size: Size, limit: float) -> int:
    """Return the largest number of particles that fits, to two digits; 0 if none does."""
    low, high = 0, size.n_particles
    while high - low > max(1, high // 100):
        middle = (low + high) // 2
        fits = planner.peak(adjoint, size._replace(n_particles=middle)).total <= limit
        low, high = (middle, high) if fits else (low, middle)
    digits = 10 ** max(0, len(str(low)) - 2)
    return low // digits * digits


def _row(choice: Choice, plan: Plan) -> tuple[str, ...]:
    adjoint = choice.adjoint
    name = f"{type(adjoint).__name__}()"
    if isinstance(adjoint, Checkpoint):
        given = f"every={adjoint.every}" if adjoint.every else f"memory={in_bytes(adjoint.memory)}"
        name = f"Checkpoint({given})"
    elif isinstance(adjoint, Reversible) and adjoint.anchors:
        name = f"Reversible(anchors={adjoint.anchors})"
    chosen = adjoint == plan.adjoint and choice.dtype == plan.dtype
    verdict = "chosen" if chosen else ("" if choice.fits else "does not fit")
    shown = str(choice.dtype).removeprefix("torch.")
    return (name, shown, in_bytes(choice.tensors), in_bytes(choice.peak), choice.extra, verdict)


def in_bytes(count: float) -> str:
    """Return bytes as text in the unit that suits."""
    for unit, size in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count:.0f} B"
