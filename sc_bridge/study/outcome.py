"""What a study gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch

from sc_bridge.elements import Bunch

from ..audit import Audit
from ..course import Loss
from ..sequence import KickedSequence
from .inputs import Input
from .model import Study
from .objectives import objectives_of

# Called with what is going on, how much of it is done, and of how much (None: unknown).
Progress: TypeAlias = Callable[[str, int, int | None], None]

# Fewer macroparticles than this have no moments to speak of.
_FEW = 10
# Codes disagree about masses by less than this.
_SAME = 1e-5


@dataclass(frozen=True)
class Derivative:
    """d(of)/d(with_respect_to) at the point of the study; `of_value` is that of `of` itself.

    `of_unit` is None where units do not tell.
    """

    of: str
    input: Input
    value: float
    unit: str
    of_value: float
    of_unit: str | None


@dataclass(frozen=True)
class Footprint:
    """Memory of a run, bytes."""

    saved_for_backward: int
    peak_resident: int
    predicted_peak: int | None  # resident; None where it cannot be predicted
    adjoint: str  # the strategy


@dataclass(frozen=True)
class Outcome:
    """What a study gave.

    Parameters
    ----------
    study : Study
    sequence : KickedSequence
        As it was tracked.
    audit : Audit
    start : Bunch
        As it began, without gradients, on the CPU.
    bunch : Bunch
        At the end, without gradients, on the CPU.
    final : dict of str to float
        Every moment of `bunch` in the units of `MOMENTS`, and "n_alive".
    derivatives : tuple of Derivative
    along_s : dict of str to list of float
        "s" and moments at the start, behind every kick and at the end; s goes on from turn to
        turn.
    monitors : mapping of str to (MomentsRecord or BunchRecord)
        Records by the names of the study, without gradients.
    losses : tuple of Loss
        Particles lost, by aperture and turn.
    memory : Footprint
    seconds : dict of str to float
        By stage, and "total".
    """

    study: Study
    sequence: KickedSequence
    audit: Audit
    start: Bunch
    bunch: Bunch
    final: dict[str, float]
    derivatives: tuple[Derivative, ...]
    along_s: dict[str, list[float]]
    monitors: Mapping[str, Any]
    losses: tuple[Loss, ...]
    memory: Footprint
    seconds: dict[str, float]

    @property
    def notes(self) -> tuple[str, ...]:
        """What to bear in mind: warnings of the lattice, and moments of too few particles."""
        count = self.start.n_particles
        few = (
            f"{count} macroparticle{'s' * (count > 1)}: moments and emittances of so few mean "
            "little: take a thousand or more"
        )
        steps = (
            "intensity changes by whole particles, so that its derivatives do not tell how losses "
            "move: take moments, such as sigma_x before the aperture"
        )
        other = (
            f"the bunch has its own reference, {self.start.reference}, and the lattice "
            f"{self.sequence.reference}: normalised strengths are taken as they are; a section "
            "[reference] measures the bunch from it"
        )
        counted = any(
            objective.counts_losses and self.losses for objective in objectives_of(self.study)
        )
        return (
            *((few,) if count < _FEW else ()),
            *((steps,) if counted else ()),
            *((other,) if self._is_elsewhere else ()),
            *self.sequence.lattice.warnings,
        )

    @property
    def _is_elsewhere(self) -> bool:
        """Whether the bunch is of another particle or momentum than the lattice's reference."""
        bunch, line = self.start.reference, self.sequence.reference.to("cpu")
        return any(
            not torch.allclose(getattr(bunch, name).detach(), getattr(line, name), rtol=_SAME)
            for name in ("mass0", "q0", "p0c")
        )
