"""Reversible: keep nothing per kick; the backward pass rebuilds the states by inverting.

A kick changes momenta by a function of positions only, so that it is undone by subtraction,
and every map has an exact inverse. From the outgoing bunch the backward pass walks back to
the incoming one, which was kept: how well they meet is measured, and a gradient is returned
only if they do. Where the motion is chaotic rounding grows exponentially; anchors, bunches
kept on the way, bound it and are checked as the start is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from sc_bridge.elements import Bunch
from sc_bridge.elements.bunch import COORDINATES

from ..course import Observer
from ..errors import ReconstructionError, ScBridgeError
from .replay import Entry, Journal, Recorded, Taped

# Far above the rounding of thousands of regular kicks, far below what spoils a gradient.
DEFAULT_TOLERANCE = {torch.float64: 1e-8, torch.float32: 1e-4}


@dataclass(frozen=True)
class Reversible(Taped):
    """Rebuild the states by inverting kicks and maps.

    Parameters
    ----------
    anchors : int
        Bunches kept on the way besides the first and the last.
    tolerance : float, optional
        Largest error of a rebuilt coordinate, relative to its rms over the bunch, at the start
        and at every anchor; 1e-8 in float64 and 1e-4 in float32 by default.

    Cost: 6 coordinates a particle for the start, the end and each anchor, however many kicks
    (and the cell sizes of each kick, 24 bytes); one more solve a kick.
    Validity: first derivatives; every map invertible; motion regular between anchors.

    Raises
    ------
    ScBridgeError
        If a number is out of range.
    """

    anchors: int = 0
    tolerance: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.anchors, int) or self.anchors < 0:
            raise ScBridgeError(
                f"Reversible: anchors = {self.anchors!r}: must be a whole number from 0"
            )
        if self.tolerance is not None and not self.tolerance > 0:
            raise ScBridgeError(f"Reversible: tolerance = {self.tolerance!r}: must be positive")

    def record(self, journal: Journal, bunch: Bunch, observer: Observer | None) -> Recorded:
        n_stages = len(journal.course)
        kept = {round(i * n_stages / (self.anchors + 1)) for i in range(self.anchors + 1)}
        coordinates: dict[int, Tensor] = {}
        batch = bunch.coordinates.shape[:-2]
        cell_sizes = bunch.coordinates.new_zeros(n_stages, *batch, 3, dtype=torch.float64)
        for index in range(n_stages):
            if index in kept:
                coordinates[index] = bunch.coordinates
            found = journal.course.solve_field(index, bunch)
            if found is not None:
                cell_sizes[index] = found.grid.cell_size.reshape(*batch, 3)
            bunch = journal.run(index, bunch, observer, found)
        coordinates[n_stages] = bunch.coordinates
        tolerance = self.tolerance or DEFAULT_TOLERANCE[bunch.coordinates.dtype]
        empty = bunch.replace(
            coordinates=torch.zeros(()).to(bunch.coordinates).expand_as(bunch.coordinates)
        )
        return bunch, ReversibleTape(journal, empty, coordinates, cell_sizes, tolerance)


@dataclass
class ReversibleTape:
    """The first and last bunch, the anchors, and the cell sizes of every kick."""

    journal: Journal
    end: Bunch  # without its coordinates
    coordinates: dict[int, Tensor]  # by stage, before its kick; the last one is the end
    cell_sizes: Tensor  # (n_stages, ..., 3): of every kick; one tensor, for they are many
    tolerance: float

    def tensors(self) -> list[Tensor]:
        kept = list(self.coordinates.values())
        # autograd holds them from here on
        self.coordinates = dict.fromkeys(self.coordinates, torch.empty(0))
        return kept

    def backwards(self, tensors: list[Tensor]) -> Iterator[Entry]:
        kept = dict(zip(self.coordinates, tensors, strict=True))
        course, losses = self.journal.course, self.journal.losses
        bunch = self.end.replace(coordinates=kept[len(course)])
        for index in reversed(range(len(course))):
            with torch.no_grad():
                kicked = course.stage(index).kick is not None
                cell_size = self.cell_sizes[index] if kicked else None
                bunch, field = course.undo(index, bunch, losses, cell_size)
            if index in kept:
                self._check(bunch, kept[index], index)
                bunch = bunch.replace(coordinates=kept[index])
            bunch = self.journal.bunch(index, bunch.coordinates)  # its very reference
            yield Entry(index, bunch, field)

    def _check(self, bunch: Bunch, kept: Tensor, index: int) -> None:
        """Refuse a rebuilt bunch that is too far from the one that was kept."""
        difference = (bunch.coordinates - kept).abs().amax(-1)
        scale = kept.square().mean(-1).sqrt()
        error = difference / torch.where(scale > 0, scale, 1.0)
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
