"""A whole study: its model, its file, and what the file said literally."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ..errors import StudyError
from .quantities import Bytes, Section
from .sections import (
    BunchSection,
    DerivativesSection,
    LatticeSection,
    MonitorSection,
    OutputSection,
    ReferenceSection,
    SlicingSection,
    SpaceChargeSection,
)


class StudyModel(Section):
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
    turns: Annotated[int, Field(ge=1, le=10**9, description="how often through the line")] = 1
    monitors: dict[str, MonitorSection] = {}
    derivatives: DerivativesSection | None = None
    output: OutputSection = OutputSection()

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

    @property
    def output_folder(self) -> Path:
        return self.path.parent / self.model.output.folder
