"""Problem: the objective of an optimisation as a function of numbers between 0 and 1.

The cell sizes of all grids are frozen, so that the objective is one smooth function and its
gradient belongs to it. A trial whose bunch does not fit into the grids ends the round: they are
widened to hold it. Every evaluation goes into a journal, with its round.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from sc_bridge.elements import Bunch

from ..adjoint import track
from ..errors import ScBridgeError, SpaceChargeError, StudyError
from ..lattice import Lattice
from ..sequence import KickedSequence
from .building import build_sequence, make_bunch, make_monitors, match
from .inputs import Input, find_inputs
from .journal import Journal
from .limit import EXAMPLE, decide
from .model import Study
from .objectives import parse_objective
from .outcome import Progress
from .sections import OptimiseSection
from .values import parse_values

Evaluation: TypeAlias = tuple[float, np.ndarray]
Bounds: TypeAlias = tuple[float, float]

# A bunch that needs cells larger by more is no trial to follow: the step is too long.
_MOST_WIDER = 2.0


class WiderGridsError(Exception):
    """The grids were widened: what was known of the objective belongs to the last round."""


class Problem:
    """The objective of a study's [optimise], of numbers between 0 and 1.

    Parameters
    ----------
    study : Study
    section : OptimiseSection
    lattice : Lattice
        As read.
    journal : Journal
    progress : Progress

    Raises
    ------
    StudyError
        If a name is no input of the study, or its bounds do not hold the present value.
    """

    def __init__(
        self,
        study: Study,
        section: OptimiseSection,
        lattice: Lattice,
        journal: Journal,
        progress: Progress,
    ) -> None:
        self.study, self.section = study, section
        self.journal, self.progress = journal, progress
        self.sequence = build_sequence(study, lattice)
        found = _inputs_and_bounds(study, section, self.sequence)
        self.inputs = tuple(wanted for wanted, _ in found)
        self.low = np.array([low for _, (low, _) in found])
        self.width = np.array([high - low for _, (low, high) in found])
        self.objective = parse_objective(section.minimise, "optimise.minimise")
        self.matched = match(study, self.sequence)
        self.drawn = tuple(wanted for wanted in self.inputs if wanted.of_beam)
        self.fixed = None if self.drawn else self._draw().detach()
        adjoint = decide(
            study,
            self.sequence,
            lambda: make_bunch(study, self.sequence, self.drawn, EXAMPLE, self.matched),
            lambda end: self.objective.value(end).reshape(1),
        ).adjoint
        self.run: dict[str, Any] = {
            "turns": study.model.turns,
            "monitors": make_monitors(study, self.sequence),
            "adjoint": adjoint,
        }
        self.round = 0
        self.known: dict[tuple[int, tuple[float, ...]], Evaluation] = {
            (entry.get("round", 0), tuple(entry["at"])): (
                entry["value"],
                np.array(entry["gradient"]),
            )
            for entry in journal.entries
        }

    # ---- places --------------------------------------------------------------------------

    def present(self) -> np.ndarray:
        """Present values, between 0 and 1."""
        values = np.array([wanted.value for wanted in self.inputs])
        return (values - self.low) / self.width

    def named(self, at: np.ndarray) -> dict[str, float]:
        values = self.low + at * self.width
        return {w.name: float(v) for w, v in zip(self.inputs, values, strict=True)}

    def set(self, at: np.ndarray) -> None:
        for wanted, value in zip(self.inputs, self.named(at).values(), strict=True):
            wanted.set(value)

    def best_of_last_round(self) -> np.ndarray:
        """Place of the least objective of the round before."""
        return self._best_of(self.round - 1)

    def _best_of(self, number: int) -> np.ndarray:
        values = {at: value for (there, at), (value, _) in self.known.items() if there == number}
        return np.array(min(values, key=lambda at: values[at]))

    # ---- evaluation ----------------------------------------------------------------------

    def evaluate(self, at: np.ndarray) -> Evaluation:
        """Value and gradient, from the journal where it has them.

        Raises
        ------
        WiderGridsError
            If the bunch did not fit into the grids of this round, and does into the next one's.
        """
        key = (self.round, tuple(float(part) for part in at))
        if key not in self.known:
            first = not any(number == self.round for number, _ in self.known)
            value, gradient = self._tracked(at) if first else self._or_uphill(at)
            self.known[key] = value, gradient
            entry = {"at": list(key[1]), "value": value, "gradient": gradient.tolist()}
            self.journal.add({"round": self.round, **entry})
        value, gradient = self.known[key]
        return value, gradient.copy()

    def _tracked(self, at: np.ndarray) -> Evaluation:
        self.set(at)
        value = self._value()
        tensors = [wanted.tensor for wanted in self.inputs]
        found: tuple[Tensor | None, ...] = (None,) * len(tensors)
        if value.requires_grad:
            found = torch.autograd.grad(value, tensors, allow_unused=True)
        literal = self.section.vary.keys()  # a wildcard may fit what comes too late on the line
        unused = [
            wanted.name
            for wanted, gradient in zip(self.inputs, found, strict=True)
            if wanted.name in literal and (gradient is None or self._is_idle(wanted))
        ]
        if unused:
            raise StudyError(
                f"{self.study.path}: optimise.vary: {self.objective.text} does not depend on "
                f"{', '.join(unused)}: leave it out"
            )
        slopes = [float(w.slope(g)) for w, g in zip(self.inputs, found, strict=True)]
        gradient = np.array(slopes) * self.width
        if not np.isfinite([float(value.detach()), *gradient]).all():
            bad = [w.name for w, s in zip(self.inputs, slopes, strict=True) if not np.isfinite(s)]
            what = f"has no finite derivative with respect to {', '.join(bad)}" if bad else "is not"
            raise StudyError(
                f"{self.study.path}: optimise: {self.objective.text} {what}"
                f"{'' if bad else ' finite'} at {self.named(at)}: take tighter bounds"
            )
        return float(value.detach()), gradient

    def _is_idle(self, wanted: Input) -> bool:
        """Whether it is the intensity where nothing depends on it: its slope is rounding."""
        alone = not self.sequence.n_kicks and not self.objective.counts_losses
        return wanted.name == "bunch.intensity" and alone

    def _or_uphill(self, at: np.ndarray) -> Evaluation:
        """Value and gradient; where the bunch diverges, a bowl around the best so far.

        The bowl is never lower than its centre, so that such a point is never taken: the line
        search steps back towards the best.
        """
        try:
            return self._tracked(at)
        except ScBridgeError as error:
            if isinstance(error, SpaceChargeError) and self._widen(at):
                raise WiderGridsError from None
            best = self._best_of(self.round)
            value, gradient = self.evaluate(best)
            away = at - best
            height = float(np.abs(gradient).max()) + abs(value)
            return value + height, 2.0 * height * away / float(away @ away)

    def _value(self) -> Tensor:
        tracked = track(self.sequence, self._bunch(), observer=self._watch, **self.run)
        self.objective.check_alive(tracked.bunch, tracked.records)
        return self.objective.value(tracked.bunch, tracked.records)

    def _bunch(self) -> Bunch:
        return self._draw() if self.fixed is None else self.fixed

    def _draw(self) -> Bunch:
        """Draw the bunch with the present numbers; what it is matched to stays."""
        return make_bunch(self.study, self.sequence, self.drawn, matched=self.matched)

    def _watch(self, s: float, bunch: Bunch, kicks: int) -> None:
        self.progress("optimising", len(self.journal.entries), None)

    # ---- grids ---------------------------------------------------------------------------

    def choose_grids(self, at: np.ndarray) -> bool:
        """Freeze the grids that the bunch has at a place; False if these are the present ones.

        Other grids begin another round.
        """
        before = self.sequence.frozen_grids
        self._freeze(at)
        if before is None or before == self.sequence.frozen_grids:
            return False
        self.round += 1
        return True

    def _widen(self, at: np.ndarray) -> bool:
        """Widen the grids so that they hold the bunch at a place, too, if it is near enough."""
        before = self.sequence.frozen_grids or ()
        try:
            self._freeze(at)
        except ScBridgeError:
            return False
        wanted = self.sequence.frozen_grids or ()
        pairs = list(zip(before, wanted, strict=True))
        wider = tuple(tuple(map(max, old, new)) for old, new in pairs)
        near = all(
            n <= _MOST_WIDER * o for old, new in pairs for o, n in zip(old, new, strict=True)
        )
        self.sequence.frozen_grids = wider if near else before
        if not near or wider == before:
            return False
        self.round += 1
        return True

    def _freeze(self, at: np.ndarray) -> None:
        self.set(at)
        with torch.no_grad():
            self.sequence.freeze_grids(self._bunch(), self.study.model.turns)

    def value_with_new_grids(self, at: np.ndarray) -> float:
        """Objective where every kick chooses its grid anew."""
        self.set(at)
        self.sequence.release_grids()
        with torch.no_grad():
            return float(self._value())


def _inputs_and_bounds(
    study: Study, section: OptimiseSection, sequence: KickedSequence
) -> list[tuple[Input, Bounds]]:
    found: list[tuple[Input, Bounds]] = []
    for name in section.vary:
        for wanted in find_inputs(study, sequence, (name,), "optimise.vary"):
            found.append((wanted, _bounds(study, section, name, wanted)))
    names = [wanted.name for wanted, _ in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise StudyError(f"{study.path}: optimise.vary: {twice} has bounds twice: leave out one")
    energies = [wanted.name for wanted, _ in found if wanted.section == "reference"]
    if len(energies) > 1:
        raise StudyError(
            f"{study.path}: optimise.vary: {' and '.join(energies)} are one and the same: "
            "choose one"
        )
    return found


def _bounds(study: Study, section: OptimiseSection, name: str, found: Input) -> Bounds:
    """Bounds of an input that a name stands for, checked."""
    where = f"{study.path}: optimise.vary.{name}"
    texts = [text if isinstance(text, str) else repr(text) for text in section.vary[name]]
    low, high = parse_values(study, found, texts, "optimise.vary.")
    shown = f"{where} = [{low:.9g}, {high:.9g}]"
    if not low < high:
        raise StudyError(f"{shown}: the first must be the smaller")
    if found.of_beam and low < 0.0:
        raise StudyError(f"{shown}: {found.name} must not be negative: take 0 or more")
    if not low <= found.value <= high:
        raise StudyError(
            f"{shown}: {found.name} is {found.value:.9g}, outside: widen the bounds, or let the "
            "study begin elsewhere"
        )
    return low, high
