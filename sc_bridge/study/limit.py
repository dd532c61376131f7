"""Memory limit of a study: planned before its bunch is made."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor

from sc_bridge.elements import Bunch

from ..adjoint import StoreStates
from ..adjoint.protocol import Adjoint
from ..errors import ScBridgeError, StudyError
from ..memory import Plan, plan
from ..memory.footprint import peak_resident
from ..sequence import KickedSequence
from .building import build_sequence, make_bunch
from .inputs import find_inputs
from .model import Study
from .objectives import outputs_of

# At least: the solver's own grid has eight times the nodes, of 8 B each.
_BYTES_PER_NODE = 64
# Particles of the bunch that a plan takes as an example.
EXAMPLE = 10


@dataclass(frozen=True)
class Decision:
    """The strategy of a study, and the resident memory that it is predicted to reach, bytes.

    `predicted_peak` is None where nothing was planned.
    """

    adjoint: Adjoint
    predicted_peak: int | None = None


def decide(
    study: Study,
    sequence: KickedSequence,
    example: Callable[[], Bunch],
    loss: Callable[[Bunch], Tensor] | None,
) -> Decision:
    """Choose the strategy of a study, within its memory limit.

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
    wanted = section.value if section is not None else None
    planned_freely = limit is not None if section is None else section.strategy == "plan"
    if limit is None and not planned_freely:
        return Decision(wanted or StoreStates())
    # torch loads it with the first operator of our own; it belongs to the process, not the run
    import torch._dynamo  # noqa: F401

    taken = peak_resident()
    budget = _budget(study, taken)
    planned = _plan(
        study, sequence, example(), budget if planned_freely else None, loss,
        None if planned_freely else wanted,
    )  # fmt: skip
    if budget is not None and planned.peak > budget:
        raise StudyError(
            f"{study.path}: memory_limit: {planned.n_kicks} kicks need {planned.peak:.4g} B with "
            f'{type(planned.adjoint).__name__}, and may take {budget:.4g} B: take adjoint = "plan" '
            "or a larger limit"
        )
    return Decision(planned.adjoint, taken + planned.peak)


def _memory_of_machine() -> float:
    """Bytes; infinite where the system does not tell."""
    if not hasattr(os, "sysconf"):
        return math.inf
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


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
    import torch._dynamo  # noqa: F401

    sequence = build_sequence(study)
    inputs = find_inputs(study, sequence)
    example = make_bunch(study, sequence, inputs, n_particles=EXAMPLE)
    budget = _budget(study, peak_resident()) if memory is None else memory
    loss = partial(outputs_of, study) if inputs else None
    return _plan(study, sequence, example, budget, loss, None)


def _budget(study: Study, taken: int) -> float | None:
    """What a run may take besides the process, bytes; None without a limit."""
    limit = study.model.memory_limit
    if limit is not None and limit <= taken:
        raise StudyError(
            f"{study.path}: memory_limit = {limit:.4g} B: the program alone takes {taken:.4g} B: "
            "give more"
        )
    return None if limit is None else limit - taken


def _plan(
    study: Study,
    sequence: KickedSequence,
    example: Bunch,
    budget: Any,
    loss: Callable[[Bunch], Tensor] | None,
    adjoint: Adjoint | None,
) -> Plan:
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
        raise StudyError(f"{study.path}: memory_limit: {error}") from None


def _number_of(study: Study, sequence: KickedSequence) -> int:
    return make_bunch(study, sequence).n_particles
