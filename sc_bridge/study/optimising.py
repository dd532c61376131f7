"""Optimise: change inputs of a study within bounds until an objective is least.

L-BFGS-B of scipy on inputs scaled to their bounds, with one forward and one backward pass an
evaluation, in rounds: in each, the cell sizes of all grids are frozen. A round ends where the
optimiser is done or a trial needs wider grids, and the last one has the grids that the bunch has
at the optimum. What the bunch is matched to stays that of the start. Every evaluation goes into
a journal; after an interruption the same steps are taken from it, to the last bit, before
anything is tracked again.

References
----------
Byrd, Lu, Nocedal & Zhu, SIAM J. Sci. Comput. 16, 1190 (1995).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.optimize

from ..errors import StudyError
from ..lattice import Lattice
from .journal import Journal
from .model import Study
from .objectives import Objective
from .outcome import Progress
from .problem import Problem, WiderGridsError
from .sections import OptimiseSection

_FIRST_STEP = 0.1
# Rounds that begin with wider grids, and with those of the optimum of the last round.
_MOST_WIDER, _MOST_ANEW = 40, 5


@dataclass(frozen=True)
class Step:
    """One step of the optimiser: objective, slope by the scaled inputs, and the inputs."""

    number: int
    value: float
    slope: float  # largest component that the bounds leave
    at: dict[str, float]


@dataclass(frozen=True)
class Optimum:
    """Where the optimiser ended, and how it came there.

    `value_with_new_grids` is the objective there when every kick chooses its grid anew.
    `sections` says what every input is: "knob", "field", "bunch" or "reference".
    """

    objective: Objective
    start: dict[str, float]
    optimum: dict[str, float]
    units: dict[str, str | None]
    sections: dict[str, str]
    start_value: float
    value: float
    value_with_new_grids: float
    steps: tuple[Step, ...]
    evaluations: int
    converged: bool
    message: str


def optimise_study(
    study: Study,
    lattice: Lattice,
    journal: Journal,
    progress: Progress,
    on_step: Callable[[Step], None],
) -> Optimum:
    """Minimise what the study's [optimise] names, on its lattice as read.

    Raises
    ------
    StudyError
        If there is no such section, a name is no input of the study, the objective does not
        depend on it, or bounds do not hold the present value.
    """
    section = study.model.optimise
    if section is None:
        raise StudyError(
            f"{study.path}: [optimise] is missing: write minimise and vary, such as "
            'minimise = "sigma_x*sigma_y" and vary = { kq = [0.6, 0.8] }'
        )
    progress("reading and building", 0, None)
    problem = Problem(study, section, lattice, journal, progress)
    steps: list[Step] = []

    def keep(at: np.ndarray) -> None:
        value, gradient = problem.evaluate(at)
        step = Step(len(steps) + 1, value, _slope(at, gradient), problem.named(at))
        steps.append(step)
        on_step(step)

    start = problem.present()
    problem.choose_grids(start)
    start_value = problem.evaluate(start)[0]
    found = _minimise(problem, start, section, steps, keep)
    value = problem.evaluate(found.x)[0]
    return Optimum(
        problem.objective,
        problem.named(start),
        problem.named(found.x),
        {wanted.name: wanted.unit for wanted in problem.inputs},
        {wanted.name: wanted.section for wanted in problem.inputs},
        start_value,
        value,
        problem.value_with_new_grids(found.x),
        tuple(steps),
        len(journal.entries),
        bool(found.success),
        str(found.message),
    )


def _minimise(
    problem: Problem,
    at: np.ndarray,
    section: OptimiseSection,
    steps: list[Step],
    keep: Callable[[np.ndarray], None],
) -> Any:
    """Minimise round by round until the grids are those of the optimum; scipy's last result."""
    # the first step of L-BFGS-B is the gradient itself: a tenth of the bounds' width
    scale = _FIRST_STEP / (np.abs(problem.evaluate(at)[1]).max() or _FIRST_STEP)
    wider = anew = 0
    while wider <= _MOST_WIDER:
        n_steps = section.max_steps - len(steps)
        try:
            found = _one_round(problem, at, scale, n_steps, section.tolerance, keep)
        except WiderGridsError:
            at, wider = problem.best_of_last_round(), wider + 1
            continue
        done = len(steps) >= section.max_steps or anew == _MOST_ANEW
        if done or not problem.choose_grids(found.x):
            return found
        at, anew = found.x, anew + 1
    raise StudyError(
        f"{problem.study.path}: optimise: the bunch grew out of its grids {wider} times: "
        "take tighter bounds"
    )


def _one_round(
    problem: Problem,
    at: np.ndarray,
    scale: float,
    n_steps: int,
    tolerance: float,
    keep: Callable[[np.ndarray], None],
) -> Any:
    def scaled(trial: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = problem.evaluate(trial)
        return scale * value, scale * gradient

    return scipy.optimize.minimize(
        scaled,
        at,
        jac=True,
        method="L-BFGS-B",
        bounds=[(0.0, 1.0)] * len(at),
        callback=lambda intermediate_result: keep(intermediate_result.x),
        options={"maxiter": n_steps, "ftol": tolerance, "gtol": 1e-12},
    )


def _slope(at: np.ndarray, gradient: np.ndarray) -> float:
    """Largest component of a gradient that the bounds leave."""
    free = ~(((at <= 0.0) & (gradient > 0.0)) | ((at >= 1.0) & (gradient < 0.0)))
    return float(np.abs(gradient[free]).max(initial=0.0))
