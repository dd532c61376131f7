"""Figure 1: memory in time, without and with derivatives, three kicks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import sc_bridge as scb
from sc_bridge.memory.trace import AllocationTrace

from . import case, style
from .scheme import recorded_kick


@dataclass(frozen=True)
class Timeline:
    """Bytes alive after each allocation; times in s from the start of the forward pass."""

    times: list[float]
    alive: list[int]
    behind_kicks: list[float]
    backward: float | None
    end: float

    @property
    def peak(self) -> int:
        return max(self.alive)


Run = Callable[[scb.Bunch, AllocationTrace], scb.Bunch]


def draw(folder: Path, size: case.Size) -> dict[str, dict[str, float]]:
    """Draw the figure; return peaks in bytes, without and with derivatives."""
    runs = {style.PAPER: run_paper(size), style.OURS: run_ours(size)}
    figure, axes = style.new_figure(2, 2, 9.0, 5.6)
    peaks: dict[str, dict[str, float]] = {}
    for row, (name, run) in zip(axes, runs.items(), strict=True):
        for panel, derivatives in zip(row, (False, True), strict=True):
            found = record(run, derivatives)
            _panel(panel, found, name, derivatives)
            peaks.setdefault(name, {})["with" if derivatives else "without"] = found.peak
    for row in axes:
        top = max(panel.get_ylim()[1] for panel in row)
        for panel in row:
            panel.set_ylim(0.0, 1.25 * top)  # room for the legend
    style.save(figure, folder, "figure_1_timeline")
    return peaks


def run_paper(size: case.Size) -> Run:
    """The paper's scheme: Strang splitting, everything recorded."""
    step = case.DRIFT / case.KICKS
    sequence = case.make_sequence(1, size.timeline_nodes, step)
    drift = sequence["drift"]
    half = drift.slices([0.5, 0.5])[1]

    def run(bunch: scb.Bunch, trace: AllocationTrace) -> scb.Bunch:
        for index in range(case.KICKS):
            bunch = (drift if index else half).track(bunch)
            bunch = recorded_kick(bunch, step, size.timeline_nodes)
            trace.mark("kicked")
        return half.track(bunch)

    return run


def run_ours(size: case.Size) -> Run:
    """`track` with StoreStates, or forwards only."""
    sequence = case.make_sequence(case.KICKS, size.timeline_nodes)

    def run(bunch: scb.Bunch, trace: AllocationTrace) -> scb.Bunch:
        def observe(s: float, seen: scb.Bunch, done: int) -> None:
            trace.mark("observed")

        adjoint = scb.StoreStates() if torch.is_grad_enabled() else scb.RecordAll()
        return scb.track(sequence, bunch, adjoint=adjoint, observer=observe)

    return run


def record(run: Run, derivatives: bool) -> Timeline:
    """Run once to warm up and once with the trace."""
    for trace in (AllocationTrace(), AllocationTrace()):
        inputs = case.make_inputs()
        with trace, torch.set_grad_enabled(derivatives):
            bunch = case.make_bunch(inputs, case.PARTICLES)
            trace.mark("forward")
            sigma = run(bunch, trace).sigma_x
            trace.mark("backward")
            if derivatives:
                torch.autograd.grad(sigma, list(inputs.values()))
            trace.mark("end")
    start = trace.marks["forward"][0]
    # ours is observed at the start, behind every kick, and at the end
    behind = trace.marks.get("kicked") or trace.marks["observed"][1:-1]
    return Timeline(
        [change.time - start for change in trace.changes],
        trace.alive(),
        [time - start for time in behind],
        trace.marks["backward"][0] - start if derivatives else None,
        trace.marks["end"][0] - start,
    )


def _panel(axes: Any, found: Timeline, name: str, derivatives: bool) -> None:
    times = [1e3 * time for time in found.times]
    megabytes = [one / 1e6 for one in found.alive]
    axes.step(times, megabytes, where="post", color=style.COLOURS[name], lw=1)
    for index, time in enumerate(found.behind_kicks):
        text = None if index else "behind a kick"
        axes.axvline(1e3 * time, color=style.GREY, ls=":", lw=1, label=text)
    if found.backward is not None:
        text = "backward pass begins"
        axes.axvline(1e3 * found.backward, color=style.GREY, ls="--", lw=1, label=text)
    axes.set_xlim(0.0, 1e3 * found.end)
    axes.legend(loc="upper right", fontsize=7)
    title = f"{name}, {'with' if derivatives else 'without'} derivatives"
    style.label(
        axes, "time (ms)", "memory of tensors (MB)", f"{title}: peak {found.peak / 1e6:.2f} MB"
    )
