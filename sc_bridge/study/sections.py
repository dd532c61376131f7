"""Sections of a study file, each a checked model with the meaning of every key."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator, model_validator

from ..errors import StudyError
from ..moments import MOMENTS
from ..slicing import KicksPerElement, MaxSpacing
from ..species import SPECIES
from ..units import parse_quantity
from .messages import near
from .quantities import (
    Energy,
    Length,
    Momentum,
    NotNegative,
    Positive,
    Pure,
    Section,
    Texts,
    positive,
)


class LatticeSection(Section):
    """Where the lattice comes from."""

    file: Annotated[str, Field(min_length=1, description="path, relative to the study")]
    line: Annotated[str | None, Field(description="which line, where the file has several")] = None
    bend_model: Annotated[
        Literal["exact", "rot-kick-rot"] | None,
        Field(description="model of every bend; by default the file's own"),
    ] = None


class ReferenceSection(Section):
    """The reference particle; by default the lattice file's own."""

    species: Annotated[str | None, Field(description=f"one of {', '.join(SPECIES)}")] = None
    mass: Annotated[str | None, Field(description="rest energy, instead of species")] = None
    charge: Annotated[str | None, Field(description="as '1 e', instead of species")] = None
    kinetic_energy: Annotated[Energy | None, Field(description="as '160 MeV'")] = None
    total_energy: Annotated[Energy | None, Field(description="as '1.098 GeV'")] = None
    momentum: Annotated[Momentum | None, Field(description="as '570.8 MeV/c'")] = None


class BunchSection(Section):
    """The bunch at the start of the line."""

    distribution: Annotated[
        Literal["gaussian"], Field(description="matched to the lattice without space charge")
    ] = "gaussian"
    n_particles: Annotated[int, Field(ge=1, le=10**9, description="macroparticles")]
    intensity: Annotated[Pure, NotNegative, Field(description="real particles")]
    nemitt_x: Annotated[Length, NotNegative, Field(description="normalised rms emittance")]
    nemitt_y: Annotated[Length, NotNegative, Field(description="normalised rms emittance")]
    sigma_z: Annotated[Length, NotNegative, Field(description="rms of zeta")]
    sigma_delta: Annotated[
        Annotated[Pure, NotNegative] | None,
        Field(description="rms of delta; by default that of the RF bucket at sigma_z"),
    ] = None
    seed: Annotated[int, Field(ge=0, lt=2**63, description="of the random numbers")] = 0


class SpaceChargeSection(Section):
    """How the field of the bunch on itself is computed."""

    grid: Annotated[
        list[int], Field(min_length=3, max_length=3, description="nodes in x, y and z")
    ] = [32, 32, 32]
    longitudinal: Annotated[bool, Field(description="whether pzeta is kicked too")] = True


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
        dict[str, Annotated[Any, PlainValidator(_rule)]],
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
        list[str], Field(min_length=1, description=f"of the final bunch: {', '.join(MOMENTS)}")
    ]
    with_respect_to: Annotated[
        list[str],
        Field(
            min_length=1,
            description="knobs of the lattice, fields such as 'qf.k1', 'bunch.intensity', "
            "'bunch.nemitt_x', 'bunch.nemitt_y', 'bunch.sigma_z', 'bunch.sigma_delta', "
            "'reference.kinetic_energy', 'reference.total_energy', 'reference.momentum'",
        ),
    ]

    @model_validator(mode="after")
    def _check_names(self) -> DerivativesSection:
        for name in self.of:
            if name not in MOMENTS:
                raise StudyError(f".of: no moment {name!r}{near(name, MOMENTS)}")
        for key in ("of", "with_respect_to"):
            names = getattr(self, key)
            double = next((name for name in names if names.count(name) > 1), None)
            if double is not None:
                raise StudyError(f".{key}: {double!r} is listed twice")
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
