"""Memory limit of a study: planned before its bunch is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from sc_bridge.elements import Bunch

from ..adjoint import StoreStates
from ..adjoint.protocol import Adjoint
from ..errors import ScBridgeError, StudyError
from ..memory import plan
from ..memory.footprint import peak_resident
from ..sequence import KickedSequence
from .building import make_bunch
from .model import Study


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
    limit, section = study.model.memory_limit, study.model.adjoint
    wanted = section.value if section is not None else None
    planned_freely = limit is not None if section is None else section.strategy == "plan"
    if limit is None and not planned_freely:
        return Decision(wanted or StoreStates())
    # torch loads it with the first operator of our own; it belongs to the process, not the run
    import torch._dynamo  # noqa: F401

    taken = peak_resident()
    if limit is not None and limit <= taken:
        raise StudyError(
            f"{study.path}: memory_limit = {limit:.4g} B: the program alone takes {taken:.4g} B: "
            "give more"
        )
    budget = None if limit is None else limit - taken
    few = example()
    try:
        planned = plan(
            sequence,
            few,
            budget if planned_freely else None,
            study.model.turns,
            n_particles=study.model.bunch.n_particles or _number_of(study, sequence),
            loss=loss,
            backward=loss is not None,
            adjoint=None if planned_freely else wanted,
        )
    except ScBridgeError as error:
        raise StudyError(f"{study.path}: memory_limit: {error}") from None
    if budget is not None and planned.peak > budget:
        raise StudyError(
            f"{study.path}: memory_limit: {planned.n_kicks} kicks need {planned.peak:.4g} B with "
            f'{type(planned.adjoint).__name__}, and may take {budget:.4g} B: take adjoint = "plan" '
            "or a larger limit"
        )
    return Decision(planned.adjoint, taken + planned.peak)


def _number_of(study: Study, sequence: KickedSequence) -> int:
    return make_bunch(study, sequence).n_particles
