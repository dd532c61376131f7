"""Study files: TOML in, checked models out, every dimensional field with its unit."""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    model_validator,
)

from .errors import ScBridgeError, StudyError, UnitError
from .moments import MOMENTS
from .slicing import KicksPerElement, MaxSpacing
from .species import SPECIES
from .units import parse_quantity, to_si

# Larger than any study written by hand; what is bigger is some other file.
_LARGEST_FILE = 1_000_000  # bytes


def _quantity(unit: str) -> BeforeValidator:
    """Text with a unit, as a number of that unit. The key is put before the message later."""

    def read(value: Any) -> float:
        if isinstance(value, str):
            return parse_quantity(value, unit, "")
        if unit and isinstance(value, (int, float)) and not isinstance(value, bool):
            return parse_quantity(f"{value}", unit, "")
        return float(to_si(value, unit, ""))

    return BeforeValidator(read)


def _positive(value: float) -> float:
    if not value > 0:
        raise StudyError(f" = {value:.9g}: must be positive")
    return value


def _not_negative(value: float) -> float:
    if value < 0:
        raise StudyError(f" = {value:.9g}: must not be negative")
    return value


Positive = AfterValidator(_positive)
NotNegative = AfterValidator(_not_negative)
Length = Annotated[float, _quantity("m")]
Energy = Annotated[float, _quantity("eV"), Positive]
Momentum = Annotated[float, _quantity("eV/c"), Positive]
Bytes = Annotated[float, _quantity("B"), Positive]
Pure = Annotated[float, _quantity("")]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class LatticeSection(_Section):
    """Where the lattice comes from."""

    file: Annotated[str, Field(min_length=1, description="path, relative to the study")]
    line: Annotated[str | None, Field(description="which line, where the file has several")] = None
    bend_model: Annotated[
        Literal["exact", "rot-kick-rot"] | None,
        Field(description="model of every bend; by default the file's own"),
    ] = None


class ReferenceSection(_Section):
    """The reference particle; by default the lattice file's own."""

    species: Annotated[str | None, Field(description=f"one of {', '.join(SPECIES)}")] = None
    mass: Annotated[str | None, Field(description="rest energy, instead of species")] = None
    charge: Annotated[str | None, Field(description="as '1 e', instead of species")] = None
    kinetic_energy: Annotated[Energy | None, Field(description="as '160 MeV'")] = None
    total_energy: Annotated[Energy | None, Field(description="as '1.098 GeV'")] = None
    momentum: Annotated[Momentum | None, Field(description="as '570.8 MeV/c'")] = None


class BunchSection(_Section):
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


class SpaceChargeSection(_Section):
    """How the field of the bunch on itself is computed."""

    grid: Annotated[
        list[int], Field(min_length=3, max_length=3, description="nodes in x, y and z")
    ] = [32, 32, 32]
    longitudinal: Annotated[bool, Field(description="whether pzeta is kicked too")] = True


def _rule(value: Any) -> MaxSpacing | KicksPerElement:
    """A number of kicks, or the most distance between them as text with a unit."""
    if isinstance(value, str):
        return MaxSpacing(_positive(parse_quantity(value, "m", "")))
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return KicksPerElement(value)
    raise StudyError(f" = {value!r}: must be a number of kicks from 1, or a spacing as '0.5 m'")


class SlicingSection(_Section):
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


class DerivativesSection(_Section):
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
                raise StudyError(f".of: no moment {name!r}{_near(name, MOMENTS)}")
        for key in ("of", "with_respect_to"):
            names = getattr(self, key)
            double = next((name for name in names if names.count(name) > 1), None)
            if double is not None:
                raise StudyError(f".{key}: {double!r} is listed twice")
        return self


class StudyModel(_Section):
    """A whole study file."""

    title: str = ""
    memory_limit: Annotated[
        Bytes | None, Field(description="of the whole process, as '8 GiB'; refused before it runs")
    ] = None
    adjoint: Annotated[
        Literal["plan", "StoreStates"] | None,
        Field(description="memory strategy; 'plan' where there is a memory_limit"),
    ] = None
    lattice: LatticeSection
    reference: ReferenceSection | None = None
    bunch: BunchSection
    space_charge: SpaceChargeSection | None = None
    slicing: SlicingSection | None = None
    derivatives: DerivativesSection | None = None

    @model_validator(mode="after")
    def _check_kicks(self) -> StudyModel:
        if (self.space_charge is None) != (self.slicing is None):
            missing = "slicing" if self.slicing is None else "space_charge"
            raise StudyError(f"[{missing}] is missing: kicks need [slicing] and [space_charge]")
        return self


@dataclass(frozen=True)
class Study:
    """A checked study: the file, its model, and what it said literally."""

    path: Path
    model: StudyModel
    raw: dict[str, Any]

    @property
    def lattice_path(self) -> Path:
        return self.path.parent / self.model.lattice.file


def load_study(path: str | Path) -> Study:
    """Read and check a study file.

    Raises
    ------
    StudyError
        If the file is missing or no study; the message names the key, the value and the way out.
    UnitError
        If a unit is missing or of another dimension.
    """
    path = Path(path)
    raw = _read_toml(path)
    try:
        return Study(path, StudyModel.model_validate(raw), raw)
    except ValidationError as error:
        raise _one_line(path, error) from None


def _read_toml(path: Path) -> dict[str, Any]:
    if path.exists() and not path.is_file():
        raise StudyError(f"{path}: is no regular file: give the path of a study, study.toml")
    try:
        with path.open("rb") as stream:
            content = stream.read(_LARGEST_FILE + 1)
        if len(content) > _LARGEST_FILE:
            raise StudyError(f"{path}: is larger than {_LARGEST_FILE} bytes: is this a study?")
        return tomllib.loads(content.decode("utf-8"))
    except FileNotFoundError:
        raise StudyError(f"{path}: no such file: give the path of a study, study.toml") from None
    except OSError as error:
        raise StudyError(f"{path}: cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        if isinstance(error, ScBridgeError):
            raise
        reason = "is not text" if isinstance(error, UnicodeDecodeError) else f"no TOML: {error}"
        raise StudyError(f"{path}: {_first_line(reason)}") from None


def _one_line(path: Path, error: ValidationError) -> ScBridgeError:
    """Turn pydantic's report into one line: the first fault, and how many more there are."""
    faults = error.errors(include_url=False)
    # an unknown key explains a missing one
    fault = min(faults, key=lambda fault: fault["type"] != "extra_forbidden")
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    key = _key(fault["loc"])
    cause = fault.get("ctx", {}).get("error")
    if isinstance(cause, ScBridgeError):
        kind = UnitError if isinstance(cause, UnitError) else StudyError
        return kind(f"{path}: {key}{cause}{more}")
    return StudyError(f"{path}: {_explain(fault, key)}{more}")


def _explain(fault: Any, key: str) -> str:
    if fault["type"] == "extra_forbidden":
        known = _known_keys(fault["loc"][:-1])
        return f"unknown key {key}{_near(str(fault['loc'][-1]), known)}"
    if fault["type"] == "missing":
        return f"{key} is missing"
    shown = repr(fault["input"])
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    message = fault["msg"][:1].lower() + fault["msg"][1:]
    return f"{key} = {_first_line(shown)}: {_first_line(message)}"


def _known_keys(place: tuple[Any, ...]) -> list[str]:
    model: Any = StudyModel
    for part in place:
        annotation = model.model_fields[part].annotation
        options = getattr(annotation, "__args__", (annotation,))
        model = next(option for option in options if hasattr(option, "model_fields"))
    return list(model.model_fields)


def _key(place: tuple[Any, ...]) -> str:
    key = ""
    for part in place:
        if isinstance(part, int):
            key += f"[{part}]"
        elif not part.startswith(("function-", "constrained-", "nullable")):
            key += f".{part}" if key else part
    return key


def _near(name: str, known: Any) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f": did you mean {near[0]!r}?" if near else f": known are {', '.join(known)}"


def _first_line(text: str) -> str:
    return " ".join(str(text).split())
