"""The memory law: bytes = kicks (a particles + b cells) + what does not grow with the kicks.

a and b minimise the sum of squared relative errors, so that small runs count as much as
large ones.

References
----------
The Memory Scaling of Reverse-Mode Differentiation in Particle Accelerator Simulations with
Space Charge, appendix D.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..errors import ScBridgeError

QUANTITIES = ("kept", "peak_forward", "peak_backward", "peak", "peak_resident")


class Sized(Protocol):
    """What `fit` reads of a measurement, besides the quantity itself."""

    @property
    def n_particles(self) -> int: ...
    @property
    def n_cells(self) -> int: ...
    @property
    def n_kicks(self) -> int: ...


@dataclass(frozen=True)
class Law:
    """Bytes as a linear function of particles and cells, for each kick and besides.

    Parameters
    ----------
    bytes_per_particle, bytes_per_cell : float, bytes
        For every kick: the a and b of the paper.
    fixed_per_particle, fixed_per_cell : float, bytes
        However many kicks there are; 0 where all measurements had equally many.
    constant : float, bytes
    r2 : float
        Share of the variance of the measurements that the law explains.

    Validity: particles, cells and kicks that are of the order of those measured, or more.
    """

    bytes_per_particle: float
    bytes_per_cell: float
    fixed_per_particle: float
    fixed_per_cell: float
    constant: float
    r2: float

    def predict(self, n_particles: int, n_cells: int, n_kicks: int) -> float:
        """Bytes of a run."""
        return (
            n_kicks * (self.bytes_per_particle * n_particles + self.bytes_per_cell * n_cells)
            + self.fixed_per_particle * n_particles
            + self.fixed_per_cell * n_cells
            + self.constant
        )


def fit(measurements: Sequence[Sized], of: str = "kept") -> Law:
    """Fit the memory law to measurements, by least squares on relative errors.

    Parameters
    ----------
    measurements : sequence of Measurement
        Of one strategy and dtype, with at least as many as the law has coefficients: at least two
        numbers of particles and of cells. With several numbers of kicks, what does not grow
        with the kicks is found too; with one, it is part of the bytes per kick.
    of : {"kept", "peak_forward", "peak_backward", "peak", "peak_resident"}
        Which of their quantities.

    Returns
    -------
    Law

    Raises
    ------
    ScBridgeError
        If the quantity is unknown, was not measured, or is 0 in some and not in all, or there
        are too few different measurements.

    References
    ----------
    Appendix D of the paper: ordinary least squares with each row divided by its value.
    """
    if of not in QUANTITIES:
        raise ScBridgeError(f"fit: of = {of!r}: must be one of {', '.join(QUANTITIES)}")
    values = [getattr(measured, of) for measured in measurements]
    if any(value is None for value in values):
        raise ScBridgeError(f"fit: {of} was not measured in every measurement")
    measured = np.array(values, float)
    if measured.size and not measured.any():
        return Law(0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    if not measured.all():
        raise ScBridgeError(
            f"fit: {of} is 0 in {int((measured == 0).sum())} of {len(values)} measurements: "
            "their relative error has no meaning; leave them out"
        )
    features = _features(measurements)
    several = features.shape[1] > 3
    scaled = features / measured[:, None]
    scale = np.abs(scaled).max(0, initial=1e-300)
    if np.linalg.matrix_rank(scaled / scale) < features.shape[1]:
        raise ScBridgeError(
            f"fit: {len(values)} measurements do not tell {features.shape[1]} coefficients apart: "
            "vary particles, cells and kicks one at a time"
        )
    found = np.linalg.lstsq(scaled / scale, np.ones_like(measured), rcond=None)[0] / scale
    a, b, constant = found[:3].tolist()
    fixed = found[3:].tolist() if several else [0.0, 0.0]
    return Law(a, b, fixed[0], fixed[1], constant, _r2(measured, features @ found))


def _features(measurements: Sequence[Sized]) -> np.ndarray:
    """What the coefficients multiply, a row for each measurement."""
    kicks, particles, cells = (
        np.array([getattr(one, name) for one in measurements], float)
        for name in ("n_kicks", "n_particles", "n_cells")
    )
    columns = [kicks * particles, kicks * cells, np.ones_like(kicks)]
    if len(set(kicks.tolist())) > 1:
        columns += [particles, cells]
    return np.stack(columns, axis=1)


def _r2(measured: np.ndarray, predicted: np.ndarray) -> float:
    spread = ((measured - measured.mean()) ** 2).sum()
    return float(1.0 - ((measured - predicted) ** 2).sum() / spread) if spread else 1.0
