"""A whole study: its model, its file, and what the file said literally."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import BeforeValidator, Field, model_validator

from ..errors import StudyError
from .bunch_section import BunchSection
from .messages import near
from .objectives import MONITOR_NAME, parse_objective
from .quantities import Bytes, Section
from .sections import (
    AdjointSection,
    DerivativesSection,
    LatticeSection,
    MonitorSection,
    OptimiseSection,
    OutputSection,
    ReferenceSection,
    SlicingSection,
    SpaceChargeSection,
)


class StudyModel(Section):
    """A whole study file."""

    title: Annotated[str, Field(description="heading of tables and pictures")] = ""
    memory_limit: Annotated[
        Bytes | None, Field(description="of the whole process, as '8 GiB'; refused before it runs")
    ] = None
    adjoint: Annotated[
        AdjointSection | None,
        BeforeValidator(
            lambda value: {"strategy": value} if isinstance(value, str) else value,
            str | AdjointSection,
        ),
        Field(
            description="memory strategy by name, or with its fields: "
            "{ strategy = 'Checkpoint', every = 8 }; 'plan' where there is a memory_limit"
        ),
    ] = None
    dtype: Annotated[
        Literal["float64", "float32"], Field(description="of the coordinates of the bunch")
    ] = "float64"
    device: Annotated[
        str,
        Field(pattern=r"^(cpu|cuda(:\d{1,2})?)$", description="'cpu', 'cuda' or as 'cuda:1'"),
    ] = "cpu"
    turns: Annotated[int, Field(ge=1, le=10**9, description="how often through the line")] = 1
    lattice: Annotated[LatticeSection, Field(description="the lattice")]
    reference: Annotated[
        ReferenceSection | None,
        Field(description="the reference particle; optional if in the file"),
    ] = None
    bunch: Annotated[BunchSection, Field(description="the bunch at the start")]
    space_charge: Annotated[
        SpaceChargeSection | None, Field(description="optional, together with slicing")
    ] = None
    slicing: Annotated[SlicingSection | None, Field(description="where the kicks are")] = None
    monitors: Annotated[
        dict[str, MonitorSection], Field(description="optional, as many as wanted, by name")
    ] = {}
    derivatives: Annotated[DerivativesSection | None, Field(description="optional")] = None
    optimise: Annotated[
        OptimiseSection | None, Field(description="optional; for sc-bridge optimise")
    ] = None
    output: Annotated[OutputSection, Field(description="optional")] = OutputSection()

    @model_validator(mode="after")
    def _check_kicks(self) -> StudyModel:
        if (self.space_charge is None) != (self.slicing is None):
            missing = "slicing" if self.slicing is None else "space_charge"
            raise StudyError(f"[{missing}] is missing: kicks need [slicing] and [space_charge]")
        return self

    @model_validator(mode="after")
    def _check_monitors(self) -> StudyModel:
        for name in self.monitors:
            if not MONITOR_NAME.fullmatch(name):
                raise StudyError(
                    f"monitors.{name}: a monitor's name consists of letters, digits and _, so that "
                    "derivatives can name it"
                )
        if "final" in self.monitors:
            raise StudyError("monitors.final: results call the end of the line so: choose another")
        texts = [("derivatives.of", t) for t in (self.derivatives.of if self.derivatives else ())]
        texts += [("optimise.minimise", self.optimise.minimise)] if self.optimise else []
        for key, text in texts:
            wanted = parse_objective(text, key).monitors
            unknown = next((name for name in sorted(wanted) if name not in self.monitors), None)
            if unknown is not None:
                hint = near(unknown, self.monitors)
                raise StudyError(f"{key}: {text!r}: no monitor {unknown!r}{hint}")
        return self


def schema() -> dict[str, Any]:
    """Return the JSON schema of study files."""
    return StudyModel.model_json_schema(mode="validation")


@dataclass(frozen=True)
class Study:
    """A checked study: the file, its model, and what it said literally."""

    path: Path
    model: StudyModel
    raw: dict[str, Any]

    @property
    def lattice_paths(self) -> list[Path]:
        return [self.path.parent / name for name in self.model.lattice.file]

    @property
    def bunch_path(self) -> Path | None:
        name = self.model.bunch.file
        return None if name is None else self.path.parent / name

    @property
    def dtype(self) -> torch.dtype:
        return getattr(torch, self.model.dtype)

    @property
    def output_folder(self) -> Path:
        return self.path.parent / self.model.output.folder
