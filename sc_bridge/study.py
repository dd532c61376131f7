"""Run a study: read, build, audit, track, and all derivatives from one backward pass."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

import torch
from torch import Tensor

from sc_bridge.elements import Bunch, Reference
from sc_bridge.elements.space_charge import SpaceCharge

from .adjoint import track
from .audit import Audit
from .config import SlicingSection, Study
from .distributions import gaussian
from .errors import LatticeError, StudyError
from .inputs import Input, find_inputs
from .lattice import Lattice
from .limit import decide
from .memory.footprint import SavedBytes, peak_resident
from .moments import MOMENTS, moment
from .readers import read_lattice
from .sequence import KickedSequence
from .slicing import AnySlicing, KicksPerElement, MaxSpacing, PerElement
from .species import reference
from .wavelengths import BetatronFraction, PlasmaFraction

# Called with what is going on, how much of it is done, and of how much (None: unknown).
Progress: TypeAlias = Callable[[str, int, int | None], None]

# Particles of the bunch that a plan takes as an example.
_EXAMPLE = 10

TRACED = (
    "sigma_x",
    "sigma_y",
    "sigma_zeta",
    "nemitt_x",
    "nemitt_y",
    "mean_x",
    "mean_y",
    "sigma_delta",
    "intensity",
)


@dataclass(frozen=True)
class Derivative:
    """d(of)/d(with_respect_to) at the point of the study."""

    of: str
    input: Input
    value: float
    unit: str


@dataclass(frozen=True)
class Footprint:
    """Memory of a run, bytes."""

    saved_for_backward: int
    peak_resident: int
    predicted_peak: int | None  # resident; None where nothing was planned
    adjoint: str  # the strategy


@dataclass(frozen=True)
class Outcome:
    """What a study gave."""

    study: Study
    sequence: KickedSequence
    audit: Audit
    bunch: Bunch
    final: dict[str, float]
    derivatives: tuple[Derivative, ...]
    along_s: dict[str, list[float]]
    memory: Footprint
    seconds: dict[str, float]


@dataclass
class _Clock:
    """Seconds by stage."""

    seconds: dict[str, float] = field(default_factory=dict)
    started: float = field(default_factory=time.perf_counter)

    def stage(self, name: str) -> None:
        self.seconds[name] = time.perf_counter() - self.started - sum(self.seconds.values())


def _silent(stage: str, done: int, total: int | None) -> None:
    pass


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
        partial(make_bunch, study, sequence, inputs, n_particles=_EXAMPLE),
        partial(_outputs_of, study) if inputs else None,
    )
    start = make_bunch(study, sequence, inputs)
    clock.stage("build")
    trace = _Trace(sequence.n_kicks, progress)
    saved = SavedBytes()
    with torch.set_grad_enabled(bool(inputs)), saved:
        end = track(sequence, start, adjoint=decision.adjoint, observer=trace)
        outputs = _outputs(study, end)
    clock.stage("track")
    final = _final(end)
    progress("backward pass", 0, None)
    derivatives = _derivatives(study, outputs, inputs)
    clock.stage("backward")
    clock.seconds["total"] = sum(clock.seconds.values())
    memory = Footprint(
        saved.count, peak_resident(), decision.predicted_peak, repr(decision.adjoint)
    )
    return Outcome(
        study,
        sequence,
        audit,
        end.detach(),
        final,
        derivatives,
        trace.along_s,
        memory,
        clock.seconds,
    )


def build_sequence(study: Study) -> KickedSequence:
    """Read the lattice of a study and build its sequence."""
    model = study.model
    if not study.lattice_path.is_file():
        raise StudyError(
            f"{study.path}: lattice.file = {model.lattice.file!r}: no file {study.lattice_path}: "
            "the path is relative to the study"
        )
    lattice = read_lattice(study.lattice_path, sequence=model.lattice.line)
    whole = KickedSequence(
        lattice, bend_model=model.lattice.bend_model, reference=_reference(study, lattice)
    )
    if model.slicing is None or model.space_charge is None:
        return whole
    return KickedSequence(
        lattice,
        slicing=_slicing(study, model.slicing, whole),
        space_charge=_space_charge(study),
        bend_model=model.lattice.bend_model,
        reference=whole.reference,
    )


def _slicing(study: Study, section: SlicingSection, whole: KickedSequence) -> AnySlicing:
    """Return the rule of a study; the bunch that it may need is that of the study."""
    rules: dict[str, Callable[[Any], AnySlicing]] = {
        "max_spacing": MaxSpacing,
        "kicks_per_element": KicksPerElement,
        "betatron_fraction": BetatronFraction,
        "plasma_fraction": lambda part: PlasmaFraction(part, make_bunch(study, whole)),
    }
    name = next(name for name in rules if getattr(section, name) is not None)
    rule = rules[name](getattr(section, name))
    return PerElement(section.per_element, otherwise=rule) if section.per_element else rule


def make_bunch(
    study: Study,
    sequence: KickedSequence,
    inputs: tuple[Input, ...] = (),
    n_particles: int | None = None,
) -> Bunch:
    """Draw the bunch of a study; values of `inputs` take the place of the study's.

    `n_particles` takes the place of the study's own number, for an example.
    """
    section = study.model.bunch
    values = {
        name: getattr(section, name)
        for name in ("intensity", "nemitt_x", "nemitt_y", "sigma_z", "sigma_delta")
    }
    values |= {wanted.field: wanted.tensor for wanted in inputs if wanted.section == "bunch"}
    energy = next((wanted for wanted in inputs if wanted.section == "reference"), None)
    ref = sequence.reference
    if energy is not None:
        at: dict[str, Any] = {energy.field: energy.tensor}
        ref = reference(mass=ref.mass0, charge=ref.q0, **at)
    return gaussian(
        sequence,
        n_particles=n_particles or section.n_particles,
        seed=section.seed,
        reference=ref,
        **values,
    )


def _reference(study: Study, lattice: Lattice) -> Reference | None:
    section = study.model.reference
    if section is not None:
        return reference(**section.model_dump(exclude_none=True))
    if lattice.reference is None:
        raise LatticeError(
            f"{lattice.source}: the file states no reference particle: add a section [reference] "
            f"to {study.path}"
        )
    return None


def _space_charge(study: Study) -> SpaceCharge | None:
    section = study.model.space_charge
    if section is None:
        return None
    nx, ny, nz = section.grid
    return SpaceCharge(grid=(nx, ny, nz), longitudinal=section.longitudinal)


class _Trace:
    """Observer that keeps moments along s and reports progress."""

    def __init__(self, n_kicks: int, progress: Progress) -> None:
        self.along_s: dict[str, list[float]] = {"s": [], **{name: [] for name in TRACED}}
        self.n_kicks = n_kicks
        self.progress = progress

    def __call__(self, s: float, bunch: Bunch, done: int) -> None:
        self.progress("tracking", done, self.n_kicks)
        self.along_s["s"].append(s)
        with torch.no_grad():
            for name in TRACED:
                value = moment(bunch, name).item()
                if not math.isfinite(value):
                    raise StudyError(
                        f"{name} is not finite at s = {s:.6g} m: particles have left the "
                        "region where the maps hold; check strengths and intensity"
                    )
                self.along_s[name].append(value)


def _final(bunch: Bunch) -> dict[str, float]:
    with torch.no_grad():
        values = {name: moment(bunch, name).item() for name in MOMENTS}
        return values | {"n_alive": float(bunch.n_alive)}


def _outputs(study: Study, bunch: Bunch) -> Tensor | None:
    return None if study.model.derivatives is None else _outputs_of(study, bunch)


def _outputs_of(study: Study, bunch: Bunch) -> Tensor:
    section = study.model.derivatives
    return torch.stack([moment(bunch, name) for name in (section.of if section else ())])


def _derivatives(
    study: Study, outputs: Tensor | None, inputs: tuple[Input, ...]
) -> tuple[Derivative, ...]:
    section = study.model.derivatives
    if section is None or outputs is None:
        return ()
    found: tuple[Tensor | None, ...] = (None,) * len(inputs)
    if outputs.requires_grad:
        found = torch.autograd.grad(
            outputs,
            [wanted.tensor for wanted in inputs],
            grad_outputs=torch.eye(len(section.of), dtype=outputs.dtype),
            is_grads_batched=True,
            allow_unused=True,
        )
    nothing = torch.zeros(len(section.of))  # an input that no output depends on
    rows = [nothing if row is None else row for row in found]
    return tuple(
        Derivative(of, wanted, row[index].item(), wanted.derivative_unit(MOMENTS[of]))
        for index, of in enumerate(section.of)
        for wanted, row in zip(inputs, rows, strict=True)
    )
