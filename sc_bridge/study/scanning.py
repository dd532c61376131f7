"""Scan: a study's final moments while one knob or one number of the beam goes through values."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from ..adjoint import track
from ..errors import ScBridgeError, StudyError
from ..sequence import KickedSequence
from .building import build_sequence, make_bunch, make_monitors
from .inputs import Input
from .journal import Journal
from .limit import check_size
from .model import Study
from .objectives import Objective, parse_objective
from .outcome import Progress
from .values import find_input

DEFAULT_OF = ("sigma_x", "sigma_y", "nemitt_x", "nemitt_y")


@dataclass(frozen=True)
class Scan:
    """What a scan gave.

    `rows` has, for each value, the objectives in their order and the particles alive.
    """

    name: str
    unit: str | None
    of: tuple[Objective, ...]
    values: tuple[float, ...]
    rows: tuple[tuple[float, ...], ...]


def scan_study(
    study: Study,
    sequence: KickedSequence,
    found: Input,
    values: Sequence[float],
    of: Sequence[str],
    rematch: bool,
    journal: Journal,
    progress: Progress,
) -> Scan:
    """Track a study once for every value; what the journal already has is not tracked again.

    The incoming bunch stays that of the study where a knob is scanned, unless `rematch`.

    Raises
    ------
    ScBridgeError
        If the study cannot be run at one of the values; the message names it.
    """
    check_size(study)
    objectives = tuple(parse_objective(text, "--of") for text in of)
    known = {entry["value"]: tuple(entry["row"]) for entry in journal.entries}
    with torch.no_grad():
        bunch = make_bunch(study, sequence)
        monitors = make_monitors(study, sequence)
        unknown = {name for o in objectives for name in o.monitors} - monitors.keys()
        if unknown:
            raise StudyError(f"{study.path}: --of: no monitor {sorted(unknown)[0]!r}")
        for index, value in enumerate(values):
            progress("scanning", index, len(values))
            if value in known:
                continue
            changed = _set(found, value)
            start = bunch
            if found.of_beam or rematch:
                start = make_bunch(study, sequence, (changed,))
            observer = _watch(progress, index, len(values))
            try:
                tracked = track(
                    sequence, start, observer=observer, turns=study.model.turns, monitors=monitors
                )
            except ScBridgeError as error:
                raise type(error)(
                    f"{study.path}: scan: {found.name} = {value:.9g}: {error}"
                ) from None
            row = [float(o.value(tracked.bunch, tracked.records)) for o in objectives]
            known[value] = (*row, float(tracked.bunch.n_alive))
            if not all(map(math.isfinite, row)):
                raise StudyError(
                    f"{study.path}: scan: {found.name} = {value:.9g}: the bunch is no longer "
                    "finite: leave that value out"
                )
            journal.add({"value": value, "row": list(known[value])})
    rows = tuple(known[value] for value in values)
    return Scan(found.name, found.unit, objectives, tuple(values), rows)


def prepare_scan(study: Study, name: str) -> tuple[KickedSequence, Input]:
    """Build a study, and find what is to be scanned."""
    sequence = build_sequence(study)
    return sequence, find_input(study, sequence, name, "scan")


def _watch(progress: Progress, index: int, total: int) -> Callable[[float, Any, int], None]:
    """Observer that keeps the command interruptible."""
    return lambda s, bunch, kicks: progress("scanning", index, total)


def _set(found: Input, value: float) -> Input:
    if found.of_beam:
        return replace(found, tensor=torch.tensor(value, dtype=torch.float64))
    found.tensor.requires_grad_(False)
    found.set(value)
    return found
