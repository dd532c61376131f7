"""Memory limit of a study: planned before its bunch is made."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from sc_bridge.elements import Bunch

from ..adjoint import StoreStates
from ..adjoint.protocol import Adjoint
from ..errors import ScBridgeError, StudyError
from ..memory import Plan, plan
from ..memory.footprint import peak_memory, settled_memory
from ..memory.planning import in_bytes
from ..sequence import KickedSequence
from .building import build_sequence, make_bunch
from .inputs import find_inputs
from .model import Study
from .objectives import outputs_of

# At least: the solver's own grid has eight times the nodes, of 8 B each.
_BYTES_PER_NODE = 64
# Coordinates of a bunch while it is tracked, at least: before and after a map.
_STATES = 2
# Particles of the bunch that a plan takes as an example.
EXAMPLE = 10


@dataclass(frozen=True)
class Decision:
    """The strategy of a study, and the resident memory that it is predicted to reach, bytes.

    `predicted_peak` is None where it cannot be predicted.
    """

    adjoint: Adjoint
    predicted_peak: int | None = None


def decide(
    study: Study,
    sequence: KickedSequence,
    example: Callable[[], Bunch],
    loss: Callable[[Bunch], Tensor] | None,
) -> Decision:
    """Choose the strategy of a study, within its memory limit and what this machine has.

    Parameters
    ----------
    study : Study
    sequence : KickedSequence
    example : callable
        Makes a bunch as that of the study, with a few particles.
    loss : callable, optional
        What is differentiated of the outgoing bunch; None if nothing is.

    Raises
    ------
    StudyError
        If it cannot fit: with the numbers and the way out.
    """
    check_grid(study)
    limit, section = study.model.memory_limit, study.model.adjoint
    freely = limit is not None if section is None else section.strategy == "plan"
    asked = section.value if section is not None else None
    fixed = None if freely else asked or StoreStates()
    there = _budget(study) if limit is not None else _left_by_machine(study)
    try:
        planned = _plan(study, sequence, example(), there if freely else None, loss, fixed)
    except StudyError:
        if fixed is None or limit is not None:
            raise
        return Decision(fixed)
    if there is not None and planned.peak > there:
        raise StudyError(
            f"{study.path}: {'this machine' if limit is None else 'memory_limit'}: "
            f"{planned.n_kicks:,} kicks and {planned.n_particles:,} particles need "
            f"{in_bytes(planned.peak)} with {type(planned.adjoint).__name__}, and may take "
            f'{in_bytes(there)}: take adjoint = "plan", fewer particles, or more memory'
        )
    # what the plan made the process load stays
    device = torch.device(study.model.device)
    peak = max(peak_memory(device), settled_memory(device) + planned.peak)
    return Decision(fixed or planned.adjoint, peak)


def _memory_of_machine() -> float:
    """Bytes; infinite where the system does not tell."""
    if not hasattr(os, "sysconf"):
        return math.inf
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _left_by_machine(study: Study) -> float | None:
    """What this machine leaves a run besides the process, bytes; None where nobody tells."""
    device = torch.device(study.model.device)
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    there = _memory_of_machine() - peak_memory(device)
    return there if there < math.inf else None


def check_size(study: Study) -> None:
    """Refuse a grid or a bunch that the memory of this machine cannot hold.

    Raises
    ------
    StudyError
        With the numbers and the way out.
    """
    check_grid(study)
    count, there = study.model.bunch.n_particles or 0, _memory_of_machine()
    needed = count * _STATES * 6 * study.dtype.itemsize
    if study.model.device == "cpu" and needed > there:
        raise StudyError(
            f"{study.path}: bunch.n_particles = {count}: needs at least {needed:.4g} B, and this "
            f"machine has {there:.4g} B of memory: take fewer particles"
        )


def check_grid(study: Study) -> None:
    """Refuse a grid that the memory of this machine cannot hold, before the system ends the run.

    Raises
    ------
    StudyError
        With the numbers and the way out.
    """
    section = study.model.space_charge
    if section is None or study.model.device != "cpu":
        return
    there = _memory_of_machine()
    needed = math.prod(section.grid) * _BYTES_PER_NODE
    if needed > there:
        raise StudyError(
            f"{study.path}: space_charge.grid = {section.grid}: needs at least {needed:.4g} B, and "
            f"this machine has {there:.4g} B of memory: take fewer nodes"
        )


def plan_study(study: Study, memory: Any = None) -> Plan:
    """Predict what a study will need under every strategy, without running it.

    Parameters
    ----------
    study : Study
    memory : str, quantity or float, optional, bytes
        What the run may take; by default the study's `memory_limit` less what the process has.

    Raises
    ------
    ScBridgeError
        If the study cannot be built, or nothing fits.
    """
    sequence = build_sequence(study)
    inputs = find_inputs(study, sequence)
    example = make_bunch(study, sequence, inputs, n_particles=EXAMPLE)
    budget = _budget(study) if memory is None else memory
    loss = partial(outputs_of, study) if inputs else None
    whose = None if memory is None else "memory"
    return _plan(study, sequence, example, budget, loss, None, whose)


def _budget(study: Study) -> float | None:
    """What a run may take besides the process, bytes; None without a limit."""
    device = torch.device(study.model.device)
    limit, taken = study.model.memory_limit, peak_memory(device)
    if limit is not None and limit <= taken:
        raise StudyError(
            f"{study.path}: memory_limit = {limit:.4g} B: the program alone takes {taken:.4g} B: "
            "give more"
        )
    return None if limit is None else limit - settled_memory(device)


def _plan(
    study: Study,
    sequence: KickedSequence,
    example: Bunch,
    budget: Any,
    loss: Callable[[Bunch], Tensor] | None,
    adjoint: Adjoint | None,
    whose: str | None = None,
) -> Plan:
    """Plan with the study's numbers; errors name whose memory it is."""
    try:
        return plan(
            sequence,
            example,
            budget,
            study.model.turns,
            n_particles=study.model.bunch.n_particles or _number_of(study, sequence),
            loss=loss,
            backward=loss is not None,
            adjoint=adjoint,
        )
    except ScBridgeError as error:
        limit = "this machine" if study.model.memory_limit is None else "memory_limit"
        raise StudyError(f"{study.path}: {whose or limit}: {error}") from None


def _number_of(study: Study, sequence: KickedSequence) -> int:
    return make_bunch(study, sequence).n_particles
