"""From a study to its sequence, its bunch and its monitors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sc_bridge.elements import Bunch, Reference
from sc_bridge.elements.space_charge import SpaceCharge

from ..distributions import gaussian
from ..errors import LatticeError, ScBridgeError, StudyError
from ..lattice import Lattice
from ..monitors import BunchMonitor, MomentsMonitor, Monitor
from ..readers import read_lattice
from ..sequence import KickedSequence
from ..slicing import AnySlicing, KicksPerElement, MaxSpacing, PerElement
from ..species import reference
from ..wavelengths import BetatronFraction, PlasmaFraction
from .inputs import Input
from .model import Study
from .sections import SlicingSection


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


def make_monitors(study: Study, sequence: KickedSequence) -> dict[str, Monitor]:
    """Return the monitors of a study by name; places that are not on the line are refused."""
    names = frozenset(sequence.lattice.element_names)
    kinds = {"moments": MomentsMonitor, "bunch": BunchMonitor}
    monitors: dict[str, Monitor] = {}
    for name, section in study.model.monitors.items():
        try:
            monitors[name] = kinds[section.kind](at=section.at, every_kick=section.every_kick)
            monitors[name].places(names)
        except ScBridgeError as error:
            raise StudyError(f"{study.path}: monitors.{name}: {error}") from None
    return monitors
