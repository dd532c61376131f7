"""Sections of a study file, each a checked model with the meaning of every key."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, PlainValidator, field_validator, model_validator

from sc_bridge.elements.space_charge import SpaceCharge

from .. import adjoint
from ..adjoint import Adjoint
from ..errors import SpaceChargeError, StudyError
from ..readers.formats import FORMATS
from ..slicing import KicksPerElement, MaxSpacing
from ..species import SPECIES
from ..units import parse_quantity
from .objectives import parse_objective
from .quantities import (
    Bytes,
    Energy,
    Length,
    Momentum,
    Positive,
    Pure,
    Section,
    Texts,
    positive,
    quantity,
)

FORMAT_NAMES = tuple(FORMATS)


def _number_or_text(value: Any) -> float | str:
    """A number of a field, or text that its unit is yet to be compared with."""
    if isinstance(value, str):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    raise StudyError(f" = {value!r}: must be a finite number, or text as '0.02 1/m'")


class LatticeSection(Section):
    """Where the lattice comes from, and what is changed in it."""

    file: Annotated[
        Texts,
        Field(
            min_length=1, description="path, or several that belong together; relative to the study"
        ),
    ]
    format: Annotated[
        Literal[FORMAT_NAMES] | None,  # pyright: ignore[reportInvalidTypeForm]
        Field(description="by default from name and content"),
    ] = None
    line: Annotated[
        str | None, Field(description="which line or sequence, where the file has several")
    ] = None
    range: Annotated[
        str | None,
        Field(description="part of it as 'FROM/TO', both included; #s and #e are the ends"),
    ] = None
    knobs: Annotated[
        dict[str, Annotated[float, quantity("")]],
        Field(description="other values for variables of the lattice, by name"),
    ] = {}
    fields: Annotated[
        dict[str, Annotated[Any, PlainValidator(_number_or_text, float | str)]],
        Field(
            description="other values for free numbers of elements, by name: "
            "{ 'qf.k1' = 0.3, 'mq.knl[1]' = '0.02 1/m' }"
        ),
    ] = {}
    allow: Annotated[
        list[str], Field(description="what the file has and may be left out, such as 'CSR'")
    ] = []
    allow_paths: Annotated[
        list[str], Field(description="folders that files may be included from")
    ] = []
    bend_model: Annotated[
        Literal["exact", "rot-kick-rot"] | None,
        Field(description="model of every bend; by default the file's own"),
    ] = None

    @field_validator("file")
    @classmethod
    def _check_file(cls, value: list[str]) -> list[str]:
        for name in value:
            if not name or "\0" in name:
                raise StudyError(f" = {name!r}: must be a path")
        return value


class ReferenceSection(Section):
    """The reference particle; by default the lattice file's own."""

    species: Annotated[str | None, Field(description=f"one of {', '.join(SPECIES)}")] = None
    mass: Annotated[str | None, Field(description="rest energy, instead of species")] = None
    charge: Annotated[str | None, Field(description="as '1 e', instead of species")] = None
    kinetic_energy: Annotated[Energy | None, Field(description="as '160 MeV'")] = None
    total_energy: Annotated[Energy | None, Field(description="as '1.098 GeV'")] = None
    momentum: Annotated[Momentum | None, Field(description="as '570.8 MeV/c'")] = None


Range = Annotated[list[Length], Field(min_length=2, max_length=2)]


class SpaceChargeSection(Section):
    """How the field of the bunch on itself is computed."""

    solver: Annotated[
        Literal["igf"],
        Field(description="integrated Green function, open boundaries: the only one there is"),
    ] = "igf"
    grid: Annotated[
        list[int], Field(min_length=3, max_length=3, description="nodes in x, y and z")
    ] = [32, 32, 32]
    shape: Annotated[
        Literal["cic", "tsc"], Field(description="cloud of a particle: cloud-in-cell or quadratic")
    ] = "cic"
    splitting: Annotated[
        Literal["strang", "yoshida"],
        Field(description="how kicks and maps alternate: of order 2, or 4 for three kicks a slice"),
    ] = "strang"
    longitudinal: Annotated[bool, Field(description="whether pzeta is kicked too")] = True
    transform: Annotated[
        Literal["none", "ballistic"],
        Field(description="positions as they are, or moved to the time of the reference"),
    ] = "none"
    x_range: Annotated[
        Range | None, Field(description="first and last node of a grid that does not move")
    ] = None
    y_range: Annotated[Range | None, Field(description="the same in y, with x_range")] = None
    z_range: Annotated[Range | None, Field(description="the same in zeta, with x_range")] = None
    implementation: Annotated[
        Literal["fused", "plain"],
        Field(description="adjoint written by hand, or plain torch operations"),
    ] = "fused"
    field_dtype: Annotated[
        Literal["float64"] | None, Field(description="of the field; by default the bunch's")
    ] = None

    @property
    def settings(self) -> SpaceCharge:
        """The same for a sequence."""
        nx, ny, nz = self.grid
        ranges = {
            name: None if getattr(self, name) is None else tuple(getattr(self, name))
            for name in ("x_range", "y_range", "z_range")
        }
        return SpaceCharge(
            grid=(nx, ny, nz),
            longitudinal=self.longitudinal,
            implementation=self.implementation,
            shape=self.shape,
            transform=self.transform,
            field_dtype=torch.float64 if self.field_dtype else None,
            **ranges,
        )

    @model_validator(mode="after")
    def _check_settings(self) -> SpaceChargeSection:
        try:
            _ = self.settings
        except SpaceChargeError as error:
            raise StudyError(f".{str(error).removeprefix('space charge: ')}") from None
        return self


def _rule(value: Any) -> MaxSpacing | KicksPerElement:
    """A number of kicks, or the most distance between them as text with a unit."""
    if isinstance(value, str):
        return MaxSpacing(positive(parse_quantity(value, "m", "")))
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return KicksPerElement(value)
    raise StudyError(f" = {value!r}: must be a number of kicks from 1, or a spacing as '0.5 m'")


class SlicingSection(Section):
    """Where the kicks are: exactly one rule for all elements, and others by name or class."""

    max_spacing: Annotated[
        Annotated[Length, Positive] | None, Field(description="most distance between kicks")
    ] = None
    kicks_per_element: Annotated[int | None, Field(ge=1, description="in every thick element")] = (
        None
    )
    betatron_fraction: Annotated[
        Annotated[Pure, Positive] | None,
        Field(description="most distance in periodic betatron wavelengths"),
    ] = None
    plasma_fraction: Annotated[
        Annotated[Pure, Positive] | None,
        Field(description="most distance in plasma wavelengths of the bunch"),
    ] = None
    per_element: Annotated[
        dict[str, Annotated[Any, PlainValidator(_rule, int | str)]],
        Field(description="kicks or spacing by name, with wildcards, or class"),
    ] = {}

    @model_validator(mode="after")
    def _check_rules(self) -> SlicingSection:
        rules = [name for name in type(self).model_fields if name != "per_element"]
        given = [name for name in rules if getattr(self, name) is not None]
        if len(given) != 1:
            raise StudyError(
                f": {' and '.join(given) or 'no rule for all elements'} given: "
                f"give exactly one of {', '.join(rules)}"
            )
        return self


class DerivativesSection(Section):
    """Which derivatives the run gives, all from one backward pass."""

    of: Annotated[
        Texts,
        Field(
            min_length=1,
            description="moments of the final bunch, of a monitor ('screen.sigma_x'), or "
            "expressions of them ('log(nemitt_x)')",
        ),
    ]
    with_respect_to: Annotated[
        Texts,
        Field(
            min_length=1,
            description="knobs of the lattice, fields such as 'qf.k1', components such as "
            "'mq.knl[1]', wildcards of all three, numbers of the bunch as 'bunch.intensity', one "
            "energy as 'reference.kinetic_energy'",
        ),
    ]

    @model_validator(mode="after")
    def _check_names(self) -> DerivativesSection:
        for index, text in enumerate(self.of):
            parse_objective(text, f".of[{index}]")
        for key in ("of", "with_respect_to"):
            names = getattr(self, key)
            double = next((name for name in names if names.count(name) > 1), None)
            if double is not None:
                raise StudyError(f".{key}: {double!r} is listed twice")
        return self


class AdjointSection(Section):
    """How the backward pass gets the states that it needs; see the page on memory."""

    strategy: Annotated[
        Literal["plan", "StoreStates", "Checkpoint", "Reversible", "RecordAll"],
        Field(description="'plan' takes the one with the least work that fits"),
    ]
    every: Annotated[
        int | None, Field(ge=1, description="Checkpoint: kicks from one kept bunch to the next")
    ] = None
    memory: Annotated[
        Bytes | None, Field(description="Checkpoint: what kept bunches may take, as '4 GiB'")
    ] = None
    anchors: Annotated[
        int | None, Field(ge=0, description="Reversible: bunches kept on the way")
    ] = None
    tolerance: Annotated[
        Annotated[Pure, Positive] | None,
        Field(description="Reversible: largest error of a rebuilt state"),
    ] = None

    @property
    def value(self) -> Adjoint | None:
        """The strategy itself; None where it is to be planned."""
        if self.strategy == "plan":
            return None
        kind: Any = getattr(adjoint, self.strategy)
        return kind(**self.model_dump(exclude_none=True, exclude={"strategy"}))

    @model_validator(mode="after")
    def _check_fields(self) -> AdjointSection:
        known = {"Checkpoint": ("every", "memory"), "Reversible": ("anchors", "tolerance")}
        allowed = known.get(self.strategy, ())
        given = self.model_dump(exclude_none=True, exclude={"strategy"})
        wrong = next((name for name in given if name not in allowed), None)
        if wrong is not None:
            fields = ", ".join(allowed) or "no other key"
            raise StudyError(f".{wrong}: {self.strategy} takes {fields}")
        if self.strategy == "Checkpoint" and len(given) != 1:
            raise StudyError(": Checkpoint takes exactly one of every and memory")
        return self


class OptimiseSection(Section):
    """What `sc-bridge optimise` changes, and what for."""

    minimise: Annotated[
        str, Field(description="a moment or an expression of moments, as derivatives.of")
    ]
    vary: Annotated[
        dict[str, Annotated[list[float | str], Field(min_length=2, max_length=2)]],
        Field(
            min_length=1,
            description="bounds by name, as in derivatives.with_respect_to: "
            "{ kbrqf = [0.74, 0.80], 'bunch.nemitt_x' = ['1 um', '3 um'] }",
        ),
    ]
    max_steps: Annotated[int, Field(ge=1, le=10_000, description="of the optimiser")] = 50
    tolerance: Annotated[
        Pure, Positive, Field(description="relative change of the objective at which it stops")
    ] = 1e-9

    @model_validator(mode="after")
    def _check_objective(self) -> OptimiseSection:
        parse_objective(self.minimise, ".minimise")
        return self


class MonitorSection(Section):
    """One monitor; its name is that of the table."""

    at: Annotated[
        Texts,
        Field(description="ends of the elements of these names, or positions as '12.5 m'"),
    ] = []
    every_kick: Annotated[bool, Field(description="also right behind every kick")] = False
    kind: Annotated[
        Literal["moments", "bunch"], Field(description="what is recorded at every pass")
    ] = "moments"


class OutputSection(Section):
    """What a run writes, and where."""

    folder: Annotated[str, Field(min_length=1, description="path, relative to the study")] = (
        "results"
    )
    report: Annotated[bool, Field(description="whether to write report.html")] = True
    bunches: Annotated[
        list[Literal["openpmd", "npz"]],
        Field(description="formats of the final and monitored bunches; none writes no bunch"),
    ] = ["openpmd", "npz"]
