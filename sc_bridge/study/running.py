"""Run a study: read, build, audit, track, and all derivatives from one backward pass."""

from __future__ import annotations

import dataclasses
import math
import time
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from sc_bridge.elements import Bunch

from ..adjoint import track
from ..errors import StudyError
from ..memory.footprint import SavedBytes, peak_memory
from ..moments import MOMENTS, moment
from ..monitors import BunchRecord, MomentsMonitor
from ..sequence import KickedSequence
from .building import build_sequence, make_bunch, make_monitors
from .inputs import Input, find_inputs
from .limit import EXAMPLE, decide
from .messages import names_study
from .model import Study
from .objectives import Objective, objectives_of, outputs_of
from .outcome import Derivative, Footprint, Outcome, Progress

TRACED = (
    "sigma_x",
    "sigma_y",
    "sigma_zeta",
    "nemitt_x",
    "nemitt_y",
    "nemitt_x_betatron",
    "nemitt_y_betatron",
    "mean_x",
    "mean_y",
    "sigma_delta",
    "intensity",
)


@dataclass
class _Clock:
    """Seconds by stage."""

    seconds: dict[str, float] = field(default_factory=dict)
    started: float = field(default_factory=time.perf_counter)

    def stage(self, name: str) -> None:
        self.seconds[name] = time.perf_counter() - self.started - sum(self.seconds.values())


def _silent(stage: str, done: int, total: int | None) -> None:
    pass


@names_study
def run_study(study: Study, progress: Progress = _silent) -> Outcome:
    """Run a study in memory; nothing is written.

    Parameters
    ----------
    study : Study
    progress : callable, optional
        Called with (stage, done, total).

    Raises
    ------
    ScBridgeError
        If anything in the study or its lattice cannot be used; one line for the user.
    """
    clock = _Clock()
    progress("reading and building", 0, None)
    sequence = build_sequence(study)
    audit = sequence.audit()
    inputs = find_inputs(study, sequence)
    decision = decide(
        study,
        sequence,
        partial(make_bunch, study, sequence, inputs, n_particles=EXAMPLE),
        partial(outputs_of, study) if inputs else None,
    )
    start = make_bunch(study, sequence, inputs)
    monitors = make_monitors(study, sequence)
    clock.stage("build")
    trace = _Trace(sequence.n_kicks * study.model.turns, progress)
    saved = SavedBytes()
    with torch.set_grad_enabled(bool(inputs)), saved:
        tracked = track(
            sequence,
            start,
            adjoint=decision.adjoint,
            observer=trace,
            turns=study.model.turns,
            monitors=monitors,
        )
        end = tracked.bunch
        for objective in objectives_of(study) if inputs else ():
            objective.check_alive(end, tracked.records)
        outputs = outputs_of(study, end, tracked.records) if inputs else None
    if not sequence.n_kicks:
        _trace_elements(sequence, start.detach(), study.model.turns, trace)
    clock.stage("track")
    final = _final(end)
    progress("backward pass", 0, None)
    derivatives = _derivatives(objectives_of(study), outputs, inputs)
    clock.stage("backward")
    clock.seconds["total"] = sum(clock.seconds.values())
    memory = Footprint(
        saved.count,
        peak_memory(torch.device(study.model.device)),
        decision.predicted_peak,
        repr(decision.adjoint),
    )
    return Outcome(
        study,
        sequence,
        audit,
        start.detach().to("cpu"),
        end.detach().to("cpu"),
        final,
        derivatives,
        trace.along_s,
        {name: _without_gradients(record) for name, record in tracked.records.items()},
        tracked.losses,
        memory,
        clock.seconds,
    )


def _moments(bunch: Bunch) -> list[float]:
    """Return the moments of TRACED: one pass over the particles, and one look at a GPU."""
    monitor = MomentsMonitor(every_kick=True)
    record = monitor.collect(((0.0, 0),), (monitor.look(bunch),), bunch)
    found = [
        getattr(record, name)[0] if name != "sigma_delta" else moment(bunch, name)
        for name in TRACED
    ]
    return torch.stack([value.double() for value in found]).tolist()


class _Trace:
    """Observer that keeps moments along s and reports progress."""

    def __init__(self, n_kicks: int, progress: Progress) -> None:
        self.along_s: dict[str, list[float]] = {"s": [], **{name: [] for name in TRACED}}
        self.n_kicks = n_kicks
        self.progress = progress

    def clear(self) -> None:
        for values in self.along_s.values():
            values.clear()

    def __call__(self, s: float, bunch: Bunch, done: int) -> None:
        self.progress("tracking", done, self.n_kicks)
        self.along_s["s"].append(s)
        with torch.no_grad():
            for name, value in zip(TRACED, _moments(bunch), strict=True):
                if not math.isfinite(value):
                    raise StudyError(
                        f"{name} is not finite at s = {s:.6g} m: particles have left the "
                        "region where the maps hold; check strengths and intensity"
                    )
                self.along_s[name].append(value)


# Places of one turn where moments are kept, where no kicks say where.
_MOST_PLACES = 2000


@torch.no_grad()
def _trace_elements(sequence: KickedSequence, bunch: Bunch, turns: int, trace: _Trace) -> None:
    """Trace behind elements instead of kicks, by one more forward pass."""
    trace.clear()
    trace(0.0, bunch, 0)
    apart = sequence.length / _MOST_PLACES
    steps = sequence.steps
    for turn in range(turns):
        last = 0.0
        for index, step in enumerate(steps):
            bunch = step.part.track(bunch)
            at_end = index == len(steps) - 1
            if at_end or abs(step.s_end - last) > apart:
                last = step.s_end
                trace(turn * sequence.length + last, bunch, 0)


def _without_gradients(record: Any) -> Any:
    """Return the record of a monitor without its graph, on the CPU."""
    if isinstance(record, BunchRecord):
        bunches = tuple(bunch.detach().to("cpu") for bunch in record)
        return dataclasses.replace(record, bunches=bunches)
    fields = {
        field.name: getattr(record, field.name).detach().to("cpu")
        for field in dataclasses.fields(record)
    }
    return type(record)(**fields)


def _final(bunch: Bunch) -> dict[str, float]:
    with torch.no_grad():
        values = {name: moment(bunch, name).item() for name in MOMENTS}
        return values | {"n_alive": float(bunch.n_alive)}


def _check_finite(
    objectives: tuple[Objective, ...],
    values: list[float],
    inputs: tuple[Input, ...],
    rows: list[Tensor],
) -> None:
    """Refuse what has no value or no slope, such as the root of a moment that is 0."""
    for index, (objective, value) in enumerate(zip(objectives, values, strict=True)):
        where = f"derivatives.of: {objective.text!r}"
        if not math.isfinite(value):
            raise StudyError(f"{where} is {value} for this bunch: leave it out")
        for wanted, row in zip(inputs, rows, strict=True):
            if not math.isfinite(row[index].item()):
                raise StudyError(
                    f"{where}, {value:.6g}, has no finite derivative with respect to "
                    f"{wanted.name} for this bunch: leave one of them out"
                )


def _derivatives(
    objectives: tuple[Objective, ...], outputs: Tensor | None, inputs: tuple[Input, ...]
) -> tuple[Derivative, ...]:
    if outputs is None:
        return ()
    found: tuple[Tensor | None, ...] = (None,) * len(inputs)
    if outputs.requires_grad:
        found = torch.autograd.grad(
            outputs,
            [wanted.tensor for wanted in inputs],
            grad_outputs=torch.eye(len(objectives), dtype=outputs.dtype, device=outputs.device),
            is_grads_batched=True,
            allow_unused=True,
        )
    rows = [
        wanted.slope(row).expand(len(objectives)) for wanted, row in zip(inputs, found, strict=True)
    ]
    values = outputs.tolist()
    _check_finite(objectives, values, inputs, rows)
    return tuple(
        Derivative(
            objective.text,
            wanted,
            row[index].item(),
            wanted.derivative_unit(objective.unit or f"[{objective.text}]"),
            values[index],
            objective.unit,
        )
        for index, objective in enumerate(objectives)
        for wanted, row in zip(inputs, rows, strict=True)
    )
