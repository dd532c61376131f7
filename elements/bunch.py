"""Bunch: macroparticles in Xsuite's coordinates, with the reference that they belong to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from . import sums
from .emittance import betatron_emittance, emittance
from .errors import BunchError
from .reference import Reference
from .special import sqrt_or_zero

COORDINATES = ("x", "px", "y", "py", "zeta", "pzeta")
# Attribute of `alive` that says whether it is all true, and at which version of it.
_SEEN = "_sc_bridge_seen"


def delta_of(pzeta: Tensor, reference: Reference) -> Tensor:
    """Relative momentum deviation of `pzeta`, in difference form (exact digits in float32)."""
    square = pzeta * (2.0 + reference.beta0**2 * pzeta)
    return square / (1.0 + torch.sqrt(1.0 + square))


def pzeta_of(delta: Tensor, reference: Reference) -> Tensor:
    """Inverse of `delta_of`, in difference form."""
    square = delta * (2.0 + delta)
    return square / (1.0 + torch.sqrt(1.0 + reference.beta0**2 * square))


def rvv_minus_one(pzeta: Tensor, delta: Tensor, reference: Reference) -> Tensor:
    """beta/beta0 - 1, free of cancellation at any energy.

    From rvv = (1 + delta)/(1 + beta0^2 pzeta) and the dispersion relation of `delta_of`.
    """
    beta0_pzeta = reference.beta0 * pzeta
    difference = (
        2.0
        * pzeta
        * (2.0 + delta)
        * reference.inverse_gamma0_squared
        / ((2.0 + delta + beta0_pzeta) * (2.0 + delta - beta0_pzeta))
    )
    return difference / (1.0 + reference.beta0 * beta0_pzeta)


def is_whole(alive: Tensor) -> bool:
    """Whether no particle is lost; what was seen is remembered until the tensor changes."""
    if alive.is_inference():  # nothing tells when it changes
        return bool(alive.all())
    seen, *when = getattr(alive, _SEEN, (False, -1, -1))
    if when == [alive._version, id(alive)]:
        return seen
    return remember_whole(alive, bool(alive.all()))


def remember_whole(alive: Tensor, whole: bool) -> bool:
    """Note whether no particle is lost, so that nobody has to look (and wait for a GPU)."""
    if not alive.is_inference():
        setattr(alive, _SEEN, (whole, alive._version, id(alive)))  # a copy has another id
    return whole


@dataclass(frozen=True, eq=False)
class Bunch:
    """Macroparticles of one species.

    Coordinates are Xsuite's: x [m], px = Px/P0, y [m], py = Py/P0,
    zeta = s - beta0 c t [m] (positive = ahead), pzeta = (E - E0)/(beta0 P0 c).

    Parameters
    ----------
    coordinates : Tensor, (..., 6, n_particles), float32 or float64
    reference : Reference
    weight : float or Tensor, (..., n_particles)
        Real particles per macroparticle.
    alive : Tensor, (..., n_particles), bool, optional
        Particles not yet lost; all by default. Lost particles are frozen.

    Raises
    ------
    BunchError
        If a shape or dtype does not fit.
    """

    coordinates: Tensor
    reference: Reference
    weight: Tensor
    alive: Tensor

    def __init__(
        self,
        coordinates: Tensor,
        reference: Reference,
        weight: float | Tensor = 0.0,
        alive: Tensor | None = None,
    ) -> None:
        if coordinates.dim() < 2 or coordinates.shape[-2] != 6:
            raise BunchError(
                f"bunch: coordinates of shape {tuple(coordinates.shape)}: "
                "must be (..., 6, n_particles)"
            )
        if coordinates.dtype not in (torch.float32, torch.float64):
            raise BunchError(
                f"bunch: coordinates of {coordinates.dtype}: must be torch.float32 or torch.float64"
            )
        if coordinates.shape[-1] == 0:
            raise BunchError("bunch: no particles: coordinates must be (..., 6, n_particles)")
        shape = coordinates.shape[:-2] + coordinates.shape[-1:]
        weight = torch.as_tensor(weight, dtype=coordinates.dtype, device=coordinates.device)
        if alive is None:
            alive = torch.ones(shape, dtype=torch.bool, device=coordinates.device)
            remember_whole(alive, True)
        for name, value in (("weight", weight), ("alive", alive)):
            try:
                value = value if value.shape == shape else value.expand(shape)
            except RuntimeError:
                raise BunchError(
                    f"bunch: {name} of shape {tuple(value.shape)}: must broadcast to {tuple(shape)}"
                ) from None
            object.__setattr__(self, name, value)
        object.__setattr__(self, "coordinates", coordinates)
        object.__setattr__(self, "reference", reference)

    def replace(self, **fields: Any) -> Bunch:
        """Return a copy with some of coordinates, reference, weight, alive changed."""
        return replace(self, **fields)

    @property
    def is_whole(self) -> bool:
        """Whether no particle is lost, in any bunch of a batch."""
        return is_whole(self.alive)

    def detach(self) -> Bunch:
        return Bunch(
            self.coordinates.detach(),
            self.reference.detach(),
            self.weight.detach(),
            self.alive,
        )

    def to(self, target: torch.dtype | torch.device | str) -> Bunch:
        """Return the bunch in another dtype or on another device."""
        if isinstance(target, torch.dtype):
            return self.replace(coordinates=self.coordinates.to(target), weight=self.weight)
        alive = self.alive.to(target)
        remember_whole(alive, self.is_whole)
        return Bunch(
            self.coordinates.to(target),
            self.reference.to(target),
            self.weight.to(target),
            alive,
        )

    @property
    def n_particles(self) -> int:
        return self.coordinates.shape[-1]

    @property
    def x(self) -> Tensor:
        return self.coordinates[..., 0, :]

    @property
    def px(self) -> Tensor:
        return self.coordinates[..., 1, :]

    @property
    def y(self) -> Tensor:
        return self.coordinates[..., 2, :]

    @property
    def py(self) -> Tensor:
        return self.coordinates[..., 3, :]

    @property
    def zeta(self) -> Tensor:
        return self.coordinates[..., 4, :]

    @property
    def pzeta(self) -> Tensor:
        return self.coordinates[..., 5, :]

    @property
    def delta(self) -> Tensor:
        """(P - P0)/P0, (..., n_particles)."""
        return delta_of(self.pzeta, self._aligned_reference)

    @property
    def ptau(self) -> Tensor:
        """(E - E0)/(P0 c), (..., n_particles)."""
        return self.pzeta * self._aligned_reference.beta0

    @property
    def tau(self) -> Tensor:
        """zeta/beta0 [m], (..., n_particles)."""
        return self.zeta / self._aligned_reference.beta0

    @property
    def rvv(self) -> Tensor:
        """beta/beta0, (..., n_particles)."""
        return 1.0 + rvv_minus_one(self.pzeta, self.delta, self._aligned_reference)

    @property
    def intensity(self) -> Tensor:
        """Real particles alive, (...)."""
        return sums.total(self.weight * self.alive)

    @property
    def n_alive(self) -> Tensor:
        """Macroparticles alive, (...)."""
        return sums.count(self.alive)

    def mean(self, name: str) -> Tensor:
        """Weighted mean over living particles of one coordinate (or delta, ptau, ...), (...)."""
        return sums.weighted_mean(self._of_living(name), self._statistical_weight)

    def covariance(self, first: str, second: str) -> Tensor:
        """Weighted covariance over living particles of two coordinates, (...)."""
        a, b = self._of_living(first), self._of_living(second)
        weight = self._statistical_weight
        a = a - sums.weighted_mean(a, weight).unsqueeze(-1)
        b = b - sums.weighted_mean(b, weight).unsqueeze(-1)
        return sums.weighted_mean(a * b, weight)

    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean (..., 6) and covariance (..., 6, 6) of the coordinates of living particles."""
        weight = self._statistical_weight.unsqueeze(-2)
        alive = self.alive.unsqueeze(-2)
        values = torch.where(alive, self.coordinates, torch.zeros_like(self.coordinates))
        mean = sums.weighted_mean(values, weight)
        return mean, sums.weighted_covariance(values - mean.unsqueeze(-1), weight)

    def sigma(self, name: str) -> Tensor:
        """Standard deviation of one coordinate, (...); its gradient is 0 where it is 0."""
        return sqrt_or_zero(self.covariance(name, name))

    def gemitt(self, position: str, momentum: str) -> Tensor:
        """Statistical emittance of a plane, (...), m; dispersion is not removed."""
        return emittance(*self._second_moments(position, momentum))

    def gemitt_betatron(self, position: str, momentum: str) -> Tensor:
        """Statistical emittance of a plane without what is in proportion to pzeta, (...), m."""
        with_pzeta = (self.covariance(name, "pzeta") for name in (position, momentum, "pzeta"))
        return betatron_emittance(*self._second_moments(position, momentum), *with_pzeta)

    def _second_moments(self, position: str, momentum: str) -> tuple[Tensor, Tensor, Tensor]:
        pairs = ((position, position), (position, momentum), (momentum, momentum))
        uu, up, pp = (self.covariance(first, second) for first, second in pairs)
        return uu, up, pp

    @property
    def sigma_x(self) -> Tensor:
        """Rms size, m, (...)."""
        return self.sigma("x")

    @property
    def sigma_y(self) -> Tensor:
        """Rms size, m, (...)."""
        return self.sigma("y")

    @property
    def sigma_zeta(self) -> Tensor:
        """Rms length, m, (...)."""
        return self.sigma("zeta")

    @property
    def sigma_px(self) -> Tensor:
        return self.sigma("px")

    @property
    def sigma_py(self) -> Tensor:
        return self.sigma("py")

    @property
    def sigma_pzeta(self) -> Tensor:
        return self.sigma("pzeta")

    @property
    def sigma_delta(self) -> Tensor:
        return self.sigma("delta")

    @property
    def gemitt_x(self) -> Tensor:
        """Geometric rms emittance, m, (...)."""
        return self.gemitt("x", "px")

    @property
    def gemitt_y(self) -> Tensor:
        """Geometric rms emittance, m, (...)."""
        return self.gemitt("y", "py")

    @property
    def gemitt_zeta(self) -> Tensor:
        """Geometric rms emittance of (zeta, pzeta), m, (...)."""
        return self.gemitt("zeta", "pzeta")

    @property
    def nemitt_x(self) -> Tensor:
        """Normalised rms emittance, m, (...)."""
        return self.gemitt_x * self.reference.beta0_gamma0

    @property
    def nemitt_y(self) -> Tensor:
        """Normalised rms emittance, m, (...)."""
        return self.gemitt_y * self.reference.beta0_gamma0

    @property
    def nemitt_zeta(self) -> Tensor:
        """Normalised rms emittance of (zeta, pzeta), m, (...)."""
        return self.gemitt_zeta * self.reference.beta0_gamma0

    @property
    def gemitt_x_betatron(self) -> Tensor:
        """Geometric rms emittance without dispersion, m, (...)."""
        return self.gemitt_betatron("x", "px")

    @property
    def gemitt_y_betatron(self) -> Tensor:
        """Geometric rms emittance without dispersion, m, (...)."""
        return self.gemitt_betatron("y", "py")

    @property
    def nemitt_x_betatron(self) -> Tensor:
        """Normalised rms emittance without dispersion, m, (...)."""
        return self.gemitt_x_betatron * self.reference.beta0_gamma0

    @property
    def nemitt_y_betatron(self) -> Tensor:
        """Normalised rms emittance without dispersion, m, (...)."""
        return self.gemitt_y_betatron * self.reference.beta0_gamma0

    @property
    def _aligned_reference(self) -> Reference:
        return self.reference.over_particles(self.coordinates)

    def _of_living(self, name: str) -> Tensor:
        """Coordinate with 0 for lost particles, which may hold anything, even NaN."""
        values: Tensor = getattr(self, name)
        return torch.where(self.alive, values, torch.zeros_like(values))

    @property
    def _statistical_weight(self) -> Tensor:
        """Real particles alive; where there is no charge at all, every living one counts once."""
        weight = self.weight * self.alive
        empty = (weight.detach() == 0).all(-1, keepdim=True)
        return torch.where(empty, self.alive.to(weight), weight)

    def __repr__(self) -> str:
        shape = " x ".join(str(n) for n in (*self.coordinates.shape[:-2], self.n_particles))
        lost = self.alive.numel() - int(self.n_alive.sum())
        alive = f", {lost} of them lost" if lost else ""
        real = "batch of" if self.intensity.dim() else f"{self.intensity.detach().item():.4g}"
        return (
            f"Bunch({shape} particles{alive}, {real} real ones, {self.coordinates.dtype}, "
            f"{self.reference})"
        )
