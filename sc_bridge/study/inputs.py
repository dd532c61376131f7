"""Inputs: what a study differentiates with respect to, found by name."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import StudyError
from ..lattice import Lattice
from ..sequence import KickedSequence
from ..units import derivative_unit
from .model import Study

_BUNCH_UNITS = {"intensity": "1", "nemitt_x": "m", "nemitt_y": "m", "sigma_z": "m"}
_BUNCH_UNITS["sigma_delta"] = "1"
_ENERGY_UNITS = {"kinetic_energy": "eV", "total_energy": "eV", "momentum": "eV/c"}
# Fields of elements, as Xsuite has them; the order of a multipole component follows.
_FIELD_UNITS = {
    "length": "m",
    "k0": "1/m",
    "h": "1/m",
    "k1": "1/m^2",
    "k1s": "1/m^2",
    "k2": "1/m^3",
    "angle": "rad",
    "voltage": "V",
    "frequency": "Hz",
    "lag": "deg",
    "phase": "rad",
    "harmonic": "1",
    "hxl": "rad",
    "hgap": "m",
    "fint": "1",
}
_REFERENCE = re.compile(r"(?:vars\[['\"])?([^'\"\[\]()+*/ ]+)(?:['\"]\])?")


@dataclass(frozen=True)
class Input:
    """A scalar of a study that gradients flow to.

    `section` is "bunch", "reference" or "lattice"; `unit` is None where the lattice does not
    tell what a knob means.
    """

    name: str
    section: str
    field: str
    tensor: Tensor
    unit: str | None

    @property
    def value(self) -> float:
        return self.tensor.detach().item()

    def derivative_unit(self, unit: str) -> str:
        """Unit of the derivative of something in `unit` with respect to this."""
        if self.unit is not None:
            return derivative_unit(unit, self.unit)
        return f"{unit}/[{self.name}]"


def find_inputs(study: Study, sequence: KickedSequence) -> tuple[Input, ...]:
    """Find what a study differentiates with respect to; each is made to require gradients.

    Raises
    ------
    StudyError
        If a name is none of the study's, its lattice's variables, or a free field of an element.
    """
    section = study.model.derivatives
    if section is None:
        return ()
    inputs = tuple(_find(study, sequence, name) for name in section.with_respect_to)
    energies = [wanted.name for wanted in inputs if wanted.section == "reference"]
    if len(energies) > 1:
        raise StudyError(
            f"{study.path}: derivatives.with_respect_to: {' and '.join(energies)} are one and the "
            "same: choose one"
        )
    return inputs


def _find(study: Study, sequence: KickedSequence, name: str) -> Input:
    first, _, rest = name.partition(".")
    if first == "bunch" and rest in _BUNCH_UNITS:
        value = getattr(study.model.bunch, rest)
        if value is None:
            raise StudyError(
                f"{study.path}: derivatives.with_respect_to: {name}: the study leaves it to the "
                f"bucket: give bunch.{rest}"
            )
        return Input(name, "bunch", rest, _leaf(value), _BUNCH_UNITS[rest])
    if first == "reference" and rest in _ENERGY_UNITS:
        return Input(name, "reference", rest, _leaf(_energy(sequence, rest)), _ENERGY_UNITS[rest])
    if name in sequence.lattice.variables:
        unit = knob_unit(sequence.lattice, name)
        return Input(name, "lattice", name, sequence.knobs[name].requires_grad_(), unit)
    return _field(study, sequence, name)


def _field(study: Study, sequence: KickedSequence, name: str) -> Input:
    element, _, field = name.rpartition(".")
    if element in sequence.lattice.elements:
        parameter = dict(sequence[element].named_parameters(recurse=False)).get(field)
        if parameter is not None and parameter.dim() == 0:
            tensor = parameter.requires_grad_()
            return Input(name, "lattice", name, tensor, _FIELD_UNITS.get(field))
        raise StudyError(
            f"{study.path}: derivatives.with_respect_to: {name!r} is no free number of that "
            "element: where a knob drives it, name the knob"
        )
    known = [f"bunch.{key}" for key in _BUNCH_UNITS] + [f"reference.{key}" for key in _ENERGY_UNITS]
    known += list(sequence.lattice.variables)
    near = difflib.get_close_matches(name, known, n=3)
    hint = f"did you mean {', '.join(near)}?" if near else f"known are {', '.join(known[:12])}"
    raise StudyError(
        f"{study.path}: derivatives.with_respect_to: no knob, field or key {name!r}: {hint}"
    )


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


def knob_unit(lattice: Lattice, name: str) -> str | None:
    """Unit of a variable, where fields or other variables are set to it as it is; else None."""
    names = {name}
    while True:
        more = {alias for alias, e in lattice.expressions.items() if _alone(str(e)) in names}
        if more <= names:
            break
        names |= more
    units = {
        _field_unit(field, index)
        for (_, field, index), expression in lattice.field_expressions.items()
        if _alone(str(expression)) in names
    }
    return units.pop() if len(units) == 1 else None


def _alone(expression: str) -> str:
    """Name of the variable that an expression consists of, "" if it is anything else."""
    match = _REFERENCE.fullmatch(expression.strip())
    return match[1] if match else ""


def _field_unit(field: str, index: int | None) -> str | None:
    if index is not None and field in ("knl", "ksl"):
        return "1" if index == 0 else f"1/m^{index}" if index > 1 else "1/m"
    return _FIELD_UNITS.get(field)
