"""Reversible: keep nothing per kick; the backward pass rebuilds the states by inverting.

A kick changes momenta by a function of positions only, so that it is undone by subtraction,
and every map has an exact inverse. From the outgoing bunch the backward pass walks back to
the incoming one, which was kept: how well they meet is measured, and a gradient is returned
only if they do. Where the motion is chaotic rounding grows exponentially; anchors, bunches
kept on the way, bound it and are checked as the start is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Real

import torch
from torch import Tensor

from sc_bridge.elements import Bunch
from sc_bridge.elements.bunch import COORDINATES
from sc_bridge.elements.space_charge import Field

from ..counts import whole_number
from ..course import Observer
from ..errors import ReconstructionError, ScBridgeError, SpaceChargeError
from .repeated import Repeated
from .replay import Entry, Journal, Recorded, Taped

# Far above the rounding of thousands of regular kicks, far below what spoils a gradient.
DEFAULT_TOLERANCE = {torch.float64: 1e-8, torch.float32: 1e-4}
# A coordinate without spread is measured by this fraction of the largest spread of its kind
# (positions, or momenta), and by this many m or 1.
_LEAST_SPREAD = 1e-4
_LEAST_SCALE = 1e-7


@dataclass(frozen=True)
class Reversible(Taped):
    """Rebuild the states by inverting kicks and maps.

    Parameters
    ----------
    anchors : int
        Bunches kept on the way besides the first and the last.
    tolerance : float, optional
        Largest error of a rebuilt coordinate, relative to its rms over the bunch (for a flat or
        cold bunch to 1e-4 of that of the other positions or momenta), at the start
        and at every anchor; 1e-8 in float64 and 1e-4 in float32 by default.

    Cost: 6 coordinates a particle for the start, the end and each anchor, however many kicks
    (and 4 bytes a kick); one more solve a kick.
    Validity: first derivatives; every map invertible; motion regular between anchors.

    Raises
    ------
    ScBridgeError
        If a number is out of range.
    """

    anchors: int = 0
    tolerance: float | None = None

    def __post_init__(self) -> None:
        whole_number("Reversible: anchors", self.anchors, ScBridgeError, lowest=0)
        if self.tolerance is None:
            return
        number = isinstance(self.tolerance, Real) and not isinstance(self.tolerance, bool)
        if not number or not 0 < self.tolerance < math.inf:
            raise ScBridgeError(
                f"Reversible: tolerance = {self.tolerance!r}: must be a positive, finite number"
            )

    def record(self, journal: Journal, bunch: Bunch, observer: Observer | None) -> Recorded:
        n_stages = len(journal.course)
        kept = kept_stages(n_stages, self.anchors)
        coordinates: dict[int, Tensor] = {}
        cell_sizes = CellSizes(bunch.coordinates.shape[:-2])
        for index in range(n_stages):
            if index in kept:
                coordinates[index] = bunch.coordinates
            found = journal.course.solve_field(index, bunch)
            cell_sizes.add(found)
            bunch = journal.run(index, bunch, observer, found)
        coordinates[n_stages] = bunch.coordinates
        tolerance = self.tolerance or DEFAULT_TOLERANCE[bunch.coordinates.dtype]
        empty = bunch.replace(
            coordinates=torch.zeros(()).to(bunch.coordinates).expand_as(bunch.coordinates)
        )
        return bunch, ReversibleTape(journal, empty, coordinates, cell_sizes, tolerance)


def kept_stages(n_stages: int, anchors: int) -> set[int]:
    """Stages before whose kick the bunch is kept: the first, and as many anchors as there are."""
    pieces = min(anchors + 1, n_stages)
    return {round(index * n_stages / pieces) for index in range(pieces)}


class CellSizes:
    """Cell sizes of the kick of every stage; None where there is none.

    They sit on a ladder: along each axis there are few different ones, each of which is kept once.
    """

    def __init__(self, batch: torch.Size) -> None:
        self._batch = batch
        self._along: tuple[Repeated[Tensor | None], ...] = (Repeated(), Repeated(), Repeated())

    def add(self, field: Field | None) -> None:
        sizes = (None,) * 3 if field is None else field.grid.cell_size.reshape(-1, 3).unbind(-1)
        for along, size in zip(self._along, sizes, strict=True):
            along.append(None if size is None else tuple(size.tolist()), size)

    def __getitem__(self, index: int) -> Tensor | None:
        sizes = [size for along in self._along if (size := along[index]) is not None]
        return torch.stack(sizes, dim=-1).reshape(*self._batch, 3) if sizes else None


@dataclass
class ReversibleTape:
    """The first and last bunch, the anchors, and the cell sizes of every kick."""

    journal: Journal
    end: Bunch  # without its coordinates
    coordinates: dict[int, Tensor]  # by stage, before its kick; the last one is the end
    cell_sizes: CellSizes
    tolerance: float

    def tensors(self) -> list[Tensor]:
        kept = list(self.coordinates.values())
        # autograd holds them from here on
        self.coordinates = dict.fromkeys(self.coordinates, torch.empty(0))
        return kept

    def backwards(self, tensors: list[Tensor]) -> Iterator[Entry]:
        kept = dict(zip(self.coordinates, tensors, strict=True))
        course = self.journal.course
        bunch = self.end.replace(coordinates=kept[len(course)])
        for index in reversed(range(len(course))):
            with torch.no_grad():
                bunch, field = self._rebuilt(index, bunch)
            if index in kept:
                self._check(bunch, kept[index], index)
                bunch = bunch.replace(coordinates=kept[index])
            bunch = self.journal.bunch(index, bunch.coordinates)  # its very reference
            yield Entry(index, bunch, field)

    def _rebuilt(self, index: int, bunch: Bunch) -> tuple[Bunch, Field | None]:
        """Return the bunch before a stage, and the field of its kick."""
        course = self.journal.course
        cell_size = self.cell_sizes[index]
        try:
            return course.undo(index, bunch, self.journal.losses, cell_size)
        except SpaceChargeError as error:  # it left the cells of the forward pass
            raise ReconstructionError(
                f"Reversible: the bunch rebuilt at s = {course.stage(index).s:.6g} m is not that "
                f"of the forward pass ({error}): use more anchors, or Checkpoint"
            ) from None

    def _check(self, bunch: Bunch, kept: Tensor, index: int) -> None:
        """Refuse a rebuilt bunch that is too far from the one that was kept."""
        alive = self.journal.course.alive(index, self.journal.losses).unsqueeze(-2)
        there = torch.where(alive, kept, 0.0)  # lost particles may hold anything
        difference = torch.where(alive, bunch.coordinates - kept, 0.0).abs().amax(-1)
        error = difference / _scale(there)
        worst = error.reshape(-1, 6).amax(0)
        largest = worst.max().item()
        if not largest <= self.tolerance:
            name = COORDINATES[int(worst.nan_to_num(nan=torch.inf).argmax())]
            s = self.journal.course.stage(index).s
            raise ReconstructionError(
                f"Reversible: {name} rebuilt at s = {s:.6g} m is off by {largest:.3g} of its rms, "
                f"tolerance {self.tolerance:.3g}: the motion is chaotic or a map is not "
                "invertible there; use more anchors, or Checkpoint"
            )


def _scale(coordinates: Tensor) -> Tensor:
    """Scale of the error of each coordinate, (..., 6), from its rms and that of its kind."""
    rms = coordinates.square().mean(-1).sqrt()
    of_kind = rms.unflatten(-1, (3, 2)).amax(-2, keepdim=True)  # positions, momenta
    least = (_LEAST_SPREAD * of_kind).expand(*rms.shape[:-1], 3, 2).flatten(-2)
    return torch.maximum(rms, least).clamp(min=_LEAST_SCALE)
