"""Optimise: change knobs within bounds until an objective is least, by its exact gradient.

L-BFGS-B of scipy on knobs scaled to their bounds, with one forward and one backward pass an
evaluation. The incoming bunch and the cell sizes of all grids are those of the start, so that
the objective is one smooth function and its gradients belong to it. Every evaluation goes into a
journal; after an interruption the same steps are taken from it, to the last bit, before anything
is tracked again.

References
----------
Byrd, Lu, Nocedal & Zhu, SIAM J. Sci. Comput. 16, 1190 (1995).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.optimize
import torch
from torch import Tensor

from sc_bridge.elements import Bunch

from ..adjoint import track
from ..adjoint.protocol import Adjoint
from ..errors import ScBridgeError, StudyError
from ..lattice import Lattice
from ..monitors import Monitor
from ..sequence import KickedSequence
from .building import build_sequence, make_bunch, make_monitors
from .inputs import Input, find_inputs
from .journal import Journal
from .limit import EXAMPLE, decide
from .model import Study
from .objectives import Objective, parse_objective
from .outcome import Progress
from .scanning import parse_values

_FIRST_STEP = 0.1


@dataclass(frozen=True)
class Step:
    """One step of the optimiser: objective, its gradient by the scaled knobs, and the knobs."""

    number: int
    value: float
    slope: float  # largest component that the bounds leave
    knobs: dict[str, float]


@dataclass(frozen=True)
class Optimum:
    """Where the optimiser ended, and how it came there.

    `value_with_new_grids` is the objective there when every kick chooses its grid anew.
    """

    objective: Objective
    start: dict[str, float]
    knobs: dict[str, float]
    units: dict[str, str | None]
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
        If there is no such section, a name is no knob or field, or bounds do not hold the
        present value.
    """
    section = study.model.optimise
    if section is None:
        raise StudyError(
            f"{study.path}: [optimise] is missing: write minimise and vary, such as "
            'minimise = "sigma_x*sigma_y" and vary = { kq = [0.6, 0.8] }'
        )
    progress("reading and building", 0, None)
    problem = _Problem.of(study, lattice, journal, progress)
    steps: list[Step] = []

    def keep(intermediate_result: Any) -> None:
        steps.append(problem.step(len(steps) + 1, intermediate_result.x))
        on_step(steps[-1])

    start = problem.scaled()
    # the first step of L-BFGS-B is the gradient itself: a tenth of the bounds' width
    scale = _FIRST_STEP / (np.abs(problem.evaluate(start)[1]).max() or _FIRST_STEP)
    found = scipy.optimize.minimize(
        lambda at: tuple(scale * part for part in problem.evaluate(at)),
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=[(0.0, 1.0)] * len(start),
        callback=keep,
        options={"maxiter": section.max_steps, "ftol": section.tolerance, "gtol": 1e-12},
    )
    problem.set(found.x)
    return Optimum(
        problem.objective,
        problem.named(start),
        problem.named(found.x),
        {wanted.name: wanted.unit for wanted in problem.inputs},
        problem.evaluate(start)[0],
        problem.evaluate(found.x)[0],
        problem.value_with_new_grids(found.x),
        tuple(steps),
        len(journal.entries),
        bool(found.success),
        str(found.message),
    )


class _Problem:
    """The objective as a function of knobs between 0 and 1."""

    def __init__(
        self,
        objective: Objective,
        sequence: KickedSequence,
        bunch: Bunch,
        inputs: tuple[Input, ...],
        bounds: Sequence[tuple[float, float]],
        run: dict[str, Any],
        journal: Journal,
        progress: Progress,
    ) -> None:
        self.objective, self.sequence, self.bunch, self.inputs = objective, sequence, bunch, inputs
        self.low = np.array([low for low, _ in bounds])
        self.width = np.array([high - low for low, high in bounds])
        self.run, self.journal, self.progress = run, journal, progress
        self.known = {
            tuple(entry["at"]): (entry["value"], np.array(entry["gradient"]))
            for entry in journal.entries
        }

    @classmethod
    def of(cls, study: Study, lattice: Lattice, journal: Journal, progress: Progress) -> _Problem:
        section = study.model.optimise
        assert section is not None
        sequence = build_sequence(study, lattice)
        inputs = tuple(
            found
            for name in section.vary
            for found in find_inputs(study, sequence, (name,), "optimise.vary")
        )
        bounds = [pair for name in section.vary for pair in _bounds(study, sequence, name)]
        bunch = make_bunch(study, sequence).detach()
        objective = parse_objective(section.minimise, "optimise.minimise")
        adjoint: Adjoint = decide(
            study,
            sequence,
            lambda: make_bunch(study, sequence, n_particles=EXAMPLE),
            lambda end: objective.value(end).reshape(1),
        ).adjoint
        monitors: dict[str, Monitor] = make_monitors(study, sequence)
        run = {"turns": study.model.turns, "monitors": monitors, "adjoint": adjoint}
        sequence.freeze_grids(bunch, study.model.turns)
        return cls(objective, sequence, bunch, inputs, bounds, run, journal, progress)

    def scaled(self) -> np.ndarray:
        """Present values of the knobs, between 0 and 1."""
        present = np.array([wanted.value for wanted in self.inputs])
        return (present - self.low) / self.width

    def named(self, at: np.ndarray) -> dict[str, float]:
        values = self.low + at * self.width
        return {w.name: float(v) for w, v in zip(self.inputs, values, strict=True)}

    def set(self, at: np.ndarray) -> None:
        for wanted, value in zip(self.inputs, self.named(at).values(), strict=True):
            wanted.set(value)

    def evaluate(self, at: np.ndarray) -> tuple[float, np.ndarray]:
        """Value and gradient, from the journal where it has them."""
        key = tuple(float(part) for part in at)
        if key not in self.known:
            self.known[key] = self._tracked(at) if not self.known else self._or_uphill(at)
            self.journal.add(
                {
                    "at": list(key),
                    "value": self.known[key][0],
                    "gradient": self.known[key][1].tolist(),
                }
            )
        value, gradient = self.known[key]
        return value, gradient.copy()

    def _tracked(self, at: np.ndarray) -> tuple[float, np.ndarray]:
        self.set(at)
        value = self._value()
        gradients = torch.autograd.grad(
            value, [wanted.tensor for wanted in self.inputs], allow_unused=True
        )
        slopes = [float(w.slope(g)) for w, g in zip(self.inputs, gradients, strict=True)]
        gradient = np.array(slopes) * self.width
        if not np.isfinite([float(value.detach()), *gradient]).all():
            raise StudyError(
                f"optimise: {self.objective.text} is not finite at {self.named(at)}: "
                "take tighter bounds"
            )
        return float(value.detach()), gradient

    def _or_uphill(self, at: np.ndarray) -> tuple[float, np.ndarray]:
        """Value and gradient; where the bunch diverges, a bowl around the best so far.

        The bowl is never lower than its centre, so that such a point is never taken: the line
        search steps back towards the best.
        """
        try:
            return self._tracked(at)
        except ScBridgeError:
            best, (value, gradient) = min(self.known.items(), key=lambda item: item[1][0])
            away = at - np.array(best)
            height = float(np.abs(gradient).max()) + abs(value)
            return value + height, 2.0 * height * away / float(away @ away)

    def value_with_new_grids(self, at: np.ndarray) -> float:
        self.set(at)
        self.sequence.release_grids()
        with torch.no_grad():
            return float(self._value())

    def _value(self) -> Tensor:
        tracked = track(self.sequence, self.bunch, observer=self._watch, **self.run)
        self.objective.check_alive(tracked.bunch, tracked.records)
        return self.objective.value(tracked.bunch, tracked.records)

    def _watch(self, s: float, bunch: Bunch, kicks: int) -> None:
        self.progress("optimising", len(self.journal.entries), None)

    def step(self, number: int, at: np.ndarray) -> Step:
        value, gradient = self.evaluate(at)
        free = ~(((at <= 0.0) & (gradient > 0.0)) | ((at >= 1.0) & (gradient < 0.0)))
        slope = float(np.abs(gradient * free).max())
        return Step(number, value, slope, self.named(at))


def _bounds(study: Study, sequence: KickedSequence, name: str) -> list[tuple[float, float]]:
    """Bounds of all inputs that a name stands for, checked."""
    section = study.model.optimise
    assert section is not None
    bounds = []
    for found in find_inputs(study, sequence, (name,), "optimise.vary"):
        where = f"{study.path}: optimise.vary.{name}"
        if found.section != "lattice":
            raise StudyError(f"{where}: only knobs and fields of the lattice can be varied")
        texts = [text if isinstance(text, str) else repr(text) for text in section.vary[name]]
        low, high = parse_values(study, found, texts, "optimise.vary.")
        if not low < high:
            raise StudyError(f"{where} = [{low:.9g}, {high:.9g}]: the first must be the smaller")
        if not low <= found.value <= high:
            raise StudyError(
                f"{where} = [{low:.9g}, {high:.9g}]: {found.name} is {found.value:.9g}, outside: "
                "widen the bounds, or set it in [lattice.knobs]"
            )
        bounds.append((low, high))
    return bounds
