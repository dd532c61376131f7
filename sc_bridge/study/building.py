"""From a study to its sequence, its bunch and its monitors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from sc_bridge.elements import Bunch, Reference

from .. import distributions
from ..bucket import matched_sigma_delta
from ..bunch_files import read_bunch
from ..errors import LatticeError, ScBridgeError, StudyError
from ..lattice import Lattice
from ..monitors import BunchMonitor, MomentsMonitor, Monitor
from ..overrides import with_fields, with_knobs
from ..readers import read_lattice
from ..selection import range_of
from ..sequence import KickedSequence
from ..slicing import AnySlicing, KicksPerElement, MaxSpacing, PerElement
from ..species import reference
from ..splitting import Strang, Yoshida
from ..twiss import Twiss, periodic_twiss
from ..wavelengths import BetatronFraction, PlasmaFraction
from .components import split_name
from .inputs import Input
from .messages import names_study
from .model import Study
from .sections import SlicingSection
from .values import find_input, parse_values


@names_study
def read_study_lattice(study: Study) -> Lattice:
    """Read the lattice of a study: its files, range and knobs."""
    section = study.model.lattice
    for name, path in zip(section.file, study.lattice_paths, strict=True):
        if not path.is_file():
            raise StudyError(
                f"{study.path}: lattice.file = {name!r}: no file {path}: "
                "the path is relative to the study"
            )
    lattice = read_lattice(
        study.lattice_paths,
        format=section.format,
        sequence=section.line,
        allow=section.allow,
        allow_paths=[study.path.parent / folder for folder in section.allow_paths],
    )
    if section.range is not None:
        lattice = range_of(lattice, section.range)
    try:
        lattice = with_knobs(lattice, section.knobs)
    except LatticeError as error:
        raise StudyError(f"{study.path}: lattice.knobs: {error}") from None
    return _with_fields(study, lattice) if section.fields else lattice


def _with_fields(study: Study, lattice: Lattice) -> Lattice:
    """Return the lattice with the values of [lattice.fields], as if the file had them."""
    whole = KickedSequence(lattice, reference=_reference(study, lattice))
    changed: dict[tuple[str, str, int | None], float] = {}
    for name, given in study.model.lattice.fields.items():
        found = find_input(study, whole, name, "lattice.fields")
        if found.section != "field":
            home = "[lattice.knobs]" if found.section == "knob" else f"[{found.section}]"
            raise StudyError(f"{study.path}: lattice.fields: {name} belongs to {home}")
        text = given if isinstance(given, str) else repr(given)
        (value,) = parse_values(study, found, [text], "lattice.fields.")
        element, field, index = split_name(name)
        changed[element, field, index] = value
    return with_fields(lattice, changed)


@names_study
def build_sequence(study: Study, lattice: Lattice | None = None) -> KickedSequence:
    """Read the lattice of a study and build its sequence.

    Parameters
    ----------
    study : Study
    lattice : Lattice, optional
        Takes the place of the study's own.
    """
    model = study.model
    lattice = lattice or read_study_lattice(study)
    build = partial(
        KickedSequence,
        lattice,
        bend_model=model.lattice.bend_model,
        reference=_reference(study, lattice),
    )
    if model.slicing is None or model.space_charge is None:
        return build().to(_device(study))
    try:
        sliced = build(
            slicing=_slicing(study, model.slicing, build),
            space_charge=model.space_charge.settings,
            splitting=Yoshida() if model.space_charge.splitting == "yoshida" else Strang(),
        )
    except LatticeError as error:
        head, _, text = str(error).partition("PerElement: ")
        if head:
            raise
        raise StudyError(f"{study.path}: slicing.per_element: {text}") from None
    return sliced.to(_device(study))


def _device(study: Study) -> torch.device:
    device = torch.device(study.model.device)
    there = torch.cuda.device_count() if device.type == "cuda" else 1
    if (device.index or 0) >= there:
        raise StudyError(
            f"{study.path}: device = {study.model.device!r}: this machine has {there} CUDA "
            'devices: take device = "cpu"'
        )
    return device


def _slicing(
    study: Study, section: SlicingSection, build: Callable[[], KickedSequence]
) -> AnySlicing:
    """Return the rule of a study; the bunch that it may need is the study's, on whole elements."""
    rules: dict[str, Callable[[Any], AnySlicing]] = {
        "max_spacing": MaxSpacing,
        "kicks_per_element": KicksPerElement,
        "betatron_fraction": BetatronFraction,
        "plasma_fraction": lambda part: PlasmaFraction(part, make_bunch(study, build())),
    }
    name = next(name for name in rules if getattr(section, name) is not None)
    rule = rules[name](getattr(section, name))
    return PerElement(section.per_element, otherwise=rule) if section.per_element else rule


@dataclass(frozen=True)
class Matched:
    """What the lattice gives a bunch: optics, and the momentum spread of the bucket.

    None where the study has its own, or the distribution needs none.
    """

    twiss: Twiss | None = None
    sigma_delta: float | None = None


@names_study
def match(study: Study, sequence: KickedSequence) -> Matched:
    """Match the bunch of a study to its lattice, for bunches that are drawn again and again."""
    section = study.model.bunch
    by_bucket = "sigma_delta" in section.shape and section.sigma_delta is None
    by_optics = "nemitt_x" in section.shape
    if section.twiss is not None or not (by_bucket or by_optics):
        return Matched()
    twiss = periodic_twiss(sequence)
    spread = matched_sigma_delta(sequence, twiss, section.sigma_z or 0.0) if by_bucket else None
    return Matched(twiss if by_optics else None, spread)


@names_study
def make_bunch(
    study: Study,
    sequence: KickedSequence,
    inputs: tuple[Input, ...] = (),
    n_particles: int | None = None,
    matched: Matched | None = None,
) -> Bunch:
    """Draw or read the bunch of a study; values of `inputs` take the place of the study's.

    `n_particles` takes the place of the study's own number, for an example; `matched` that of
    a match to the sequence as it is now.
    """
    section = study.model.bunch
    values = {wanted.field: wanted.tensor for wanted in inputs if wanted.section == "bunch"}
    if study.bunch_path is not None:
        given = None if study.model.reference is None else sequence.reference.to("cpu")
        number, intensity = n_particles or section.n_particles, values.get("intensity")
        bunch = _read(study, study.bunch_path, given, number, intensity)
        return bunch.to(study.dtype).to(study.model.device)
    arguments: dict[str, Any] = {
        name: values.get(name, getattr(section, name)) for name in section.shape
    }
    if section.twiss is not None:
        arguments["twiss"] = Twiss(**section.twiss.model_dump())
    if matched is not None:
        given = {"twiss": matched.twiss, "sigma_delta": matched.sigma_delta}
        arguments |= {name: value for name, value in given.items() if value is not None}
    draw = getattr(distributions, section.distribution)
    bunch = draw(
        sequence,
        n_particles or section.n_particles,
        values.get("intensity", section.intensity),
        seed=section.seed,
        reference=_reference_from(sequence, inputs),
        dtype=study.dtype,
        **arguments,
    )
    return bunch.to(study.model.device)


def _read(
    study: Study,
    path: Path,
    given: Reference | None,
    n_particles: int | None,
    intensity: Any,
) -> Bunch:
    """Bunch of the study's file, or its first particles, with another intensity if wanted."""
    section = study.model.bunch
    try:
        bunch = read_bunch(path, format=section.format, reference=given)
    except ScBridgeError as error:
        raise StudyError(f"{study.path}: bunch.file: {error}") from None
    if n_particles is not None:
        if n_particles > bunch.n_particles:
            raise StudyError(
                f"{study.path}: bunch.n_particles = {n_particles}: {path} has "
                f"{bunch.n_particles}: leave it out"
            )
        bunch = _first(bunch, n_particles)
        if n_particles == section.n_particles and not bool(bunch.n_alive):
            raise StudyError(
                f"{study.path}: bunch.n_particles = {n_particles}: so many first particles of "
                f"{path} are lost: take more"
            )
    wanted = section.intensity if intensity is None else intensity
    if wanted is None:
        return bunch
    if not bool(bunch.intensity > 0):
        return bunch.replace(weight=wanted / bunch.n_alive)
    return bunch.replace(weight=bunch.weight * (wanted / bunch.intensity))


def _first(bunch: Bunch, n_particles: int) -> Bunch:
    """Return the first particles of a bunch, which stand for all that live."""
    weight, alive = bunch.weight[:n_particles], bunch.alive[:n_particles]
    living = (weight * alive).sum()
    share = bunch.intensity / living if bool(living > 0) else bunch.n_particles / n_particles
    return Bunch(bunch.coordinates[:, :n_particles], bunch.reference, weight * share, alive)


def _reference_from(sequence: KickedSequence, inputs: tuple[Input, ...]) -> Reference:
    energy = next((wanted for wanted in inputs if wanted.section == "reference"), None)
    ref = sequence.reference.to("cpu")
    if energy is None:
        return ref
    at: dict[str, Any] = {energy.field: energy.tensor}
    return reference(mass=ref.mass0, charge=ref.q0, **at)


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
