"""Inputs: what a study differentiates with respect to, found by name."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch
from torch import Tensor

from ..errors import LatticeError, StudyError
from ..sequence import KickedSequence
from ..units import derivative_unit
from .bunch_section import NUMBERS, BunchSection
from .components import component_names, find_component
from .field_units import field_unit, knob_unit
from .model import Study

_ENERGY_UNITS = {"kinetic_energy": "eV", "total_energy": "eV", "momentum": "eV/c"}
# Variables that formats define themselves: nobody means them by a wildcard.
_CONSTANTS = frozenset(
    {"pi", "twopi", "degrad", "raddeg", "e", "emass", "pmass", "nmass", "umass", "mumass"}
    | {"clight", "qelect", "erad", "prad", "hbar", "amu0", "t_turn_s"}
)


@dataclass(frozen=True)
class Input:
    """A scalar of a study that gradients flow to.

    `section` is "knob", "field", "bunch" or "reference"; `unit` is None where the lattice does not
    tell what a knob means. `tensor` is the scalar, or the list whose `component` it is.
    """

    name: str
    section: str
    field: str
    tensor: Tensor
    unit: str | None
    component: int | None = None

    @property
    def of_beam(self) -> bool:
        """Whether it is of the beam, so that the bunch is another with another value."""
        return self.section in ("bunch", "reference")

    @property
    def value(self) -> float:
        return self._of(self.tensor).detach().item()

    def set(self, value: float) -> None:
        """Give it another value, in place."""
        with torch.no_grad():
            self._of(self.tensor).fill_(value)

    def slope(self, gradient: Tensor | None) -> Tensor:
        """Return its part of a gradient by `tensor`, (...); 0 of what does not depend on it."""
        return torch.zeros(()) if gradient is None else self._of(gradient)

    def _of(self, tensor: Tensor) -> Tensor:
        return tensor if self.component is None else tensor[..., self.component]

    def derivative_unit(self, unit: str) -> str:
        """Unit of the derivative of something in `unit` with respect to this."""
        if self.unit is not None and not unit.startswith("["):
            return derivative_unit(unit, self.unit)
        if self.unit is None:
            return f"{unit}/[{self.name}]"
        return unit if self.unit == "1" else f"{unit}/({self.unit})"


def find_inputs(
    study: Study,
    sequence: KickedSequence,
    names: Sequence[str] | None = None,
    key: str = "derivatives.with_respect_to",
) -> tuple[Input, ...]:
    """Find what a study differentiates with respect to; each is made to require gradients.

    Parameters
    ----------
    study : Study
    sequence : KickedSequence
    names : sequence of str, optional
        Instead of those of the study's derivatives.
    key : str
        Where the names are from, for messages.

    Raises
    ------
    StudyError
        If a name is none of the study's, its lattice's variables, or a free field of an element,
        or a wildcard fits none.
    """
    if names is None:
        section = study.model.derivatives
        names = section.with_respect_to if section else ()
    where = f"{study.path}: {key}"
    spelt = dict.fromkeys(
        name for text in names for name in _spell_out(study, where, sequence, text)
    )
    inputs = tuple(_find(study, where, sequence, name) for name in spelt)
    energies = [wanted.name for wanted in inputs if wanted.section == "reference"]
    if len(energies) > 1:
        raise StudyError(f"{where}: {' and '.join(energies)} are one and the same: choose one")
    return inputs


def _spell_out(study: Study, where: str, sequence: KickedSequence, text: str) -> list[str]:
    """Names that a wildcard stands for: knobs that drive the line, or else fields of elements.

    "bunch.*" is every number of the bunch that the study gives.
    """
    if text in sequence.lattice.variables or not any(sign in text for sign in "*?["):
        return [text]
    components = component_names(sequence, text)
    if components:
        return components
    driving = driving_knobs(sequence)
    bunch = study.model.bunch
    given = [key for key in ("intensity", *bunch.shape) if getattr(bunch, key) is not None]
    names = [*driving, *(f"bunch.{key}" for key in given)]
    found = [name for name in names if fnmatchcase(name, text)]
    if not found:
        element, _, field = text.rpartition(".")
        fitting = [name for name in sequence.wholes if element and fnmatchcase(name, element)]
        found = [f"{name}.{key}" for name in fitting for key in _free_fields(sequence, name, field)]
    if not found:
        raise StudyError(
            f"{where}: {text!r} fits no knob that drives the line, and no free field of an "
            f"element; knobs are {', '.join(driving[:12]) or 'none'}"
        )
    return found


def driving_knobs(sequence: KickedSequence, field: str | None = None) -> list[str]:
    """Names of the knobs that a field on the line depends on, or any field, as in the file.

    Constants of nature and of mathematics are left out.
    """
    lattice = sequence.lattice
    there = frozenset(lattice.element_names) | {
        str(lattice.elements[name].fields.get("parent_name", name))
        for name in lattice.element_names
    }
    expressions = (
        expression
        for (name, key, _), expression in lattice.field_expressions.items()
        if name in there and field in (None, key)
    )
    used = frozenset().union(*(expression.variables() for expression in expressions))
    names = sequence.knobs.driving(tuple(sorted(used)))
    return [name for name in names if name not in _CONSTANTS]


def _free_fields(sequence: KickedSequence, element: str, pattern: str) -> list[str]:
    return [
        name
        for name, parameter in sequence[element].named_parameters(recurse=False)
        if parameter.dim() == 0 and fnmatchcase(name, pattern)
    ]


def _find(study: Study, where: str, sequence: KickedSequence, name: str) -> Input:
    first, _, rest = name.partition(".")
    if first == "bunch" and rest in BunchSection.model_fields:
        return _number_of_bunch(study, where, name, rest)
    if first == "reference" and rest in _ENERGY_UNITS:
        if study.model.bunch.file is not None:
            raise StudyError(
                f"{where}: {name}: the bunch of a file has its own: leave it out, or draw a bunch"
            )
        return Input(name, "reference", rest, _leaf(_energy(sequence, rest)), _ENERGY_UNITS[rest])
    if name in sequence.lattice.variables:
        unit = knob_unit(sequence.lattice, name)
        try:
            knob = sequence.knobs[name]
        except LatticeError as error:
            raise StudyError(f"{where}: {error}") from None
        return Input(name, "knob", name, knob.requires_grad_(), unit)
    return _field(study, where, sequence, name)


def _number_of_bunch(study: Study, where: str, name: str, key: str) -> Input:
    section = study.model.bunch
    if key not in ("intensity", *section.shape):
        raise StudyError(
            f"{where}: {name}: {_why_not(key)}: it has intensity"
            f"{''.join(f', {other}' for other in section.shape)}"
        )
    value = getattr(section, key)
    if value is None:
        by = "file" if section.file is not None else "bucket"
        raise StudyError(f"{where}: {name}: the study leaves it to the {by}: give bunch.{key}")
    return Input(name, "bunch", key, _leaf(value), NUMBERS[key])


def _why_not(key: str) -> str:
    if key in NUMBERS:
        return "the bunch has no such number"
    return "the bunch does not depend on it in a way that has a derivative"


def _field(study: Study, where: str, sequence: KickedSequence, name: str) -> Input:
    element, _, field = name.rpartition(".")
    component = find_component(where, sequence, name)
    if component is not None:
        parameter, field, index = component
        unit = field_unit(sequence[element], field, index)
        return Input(name, "field", name, parameter.requires_grad_(), unit, index)
    if element in sequence.lattice.elements:
        whole = sequence[element]
        parameter = dict(whole.named_parameters(recurse=False)).get(field)
        if parameter is not None and parameter.dim() == 0:
            unit = field_unit(whole, field)
            return Input(name, "field", name, parameter.requires_grad_(), unit)
        if whole.field_ranks.get(field):
            raise StudyError(f"{where}: {name!r} is a list: name a component, as '{name}[1]'")
        raise StudyError(
            f"{where}: {name!r} is no free number of that element: where a knob drives it, name "
            "the knob"
        )
    known = [f"bunch.{key}" for key in ("intensity", *study.model.bunch.shape)]
    known += [f"reference.{key}" for key in _ENERGY_UNITS] + list(sequence.lattice.variables)
    near = difflib.get_close_matches(name, known, n=3)
    hint = f"did you mean {', '.join(near)}?" if near else f"known are {', '.join(known[:12])}"
    raise StudyError(f"{where}: no knob, field or key {name!r}: {hint}")


def _leaf(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64, requires_grad=True)


def _energy(sequence: KickedSequence, name: str) -> float:
    ref = sequence.reference
    values = {
        "kinetic_energy": ref.kinetic_energy0,
        "total_energy": ref.energy0,
        "momentum": ref.p0c,
    }
    return values[name].detach().item()
