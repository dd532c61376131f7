"""Monitors: look at a bunch on its way; gradients flow through what they record."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from sc_bridge.elements import Bunch, Reference
from sc_bridge.elements.bunch import COORDINATES
from sc_bridge.elements.emittance import betatron_emittance, emittance
from sc_bridge.elements.gpu import beside
from sc_bridge.elements.special import sqrt_or_zero

from .errors import LatticeError
from .units import to_si

# Planes of emittances; "betatron" is without dispersion.
_PLANES = ("x", "y", "zeta", "x_betatron", "y_betatron")


@dataclass(frozen=True)
class Monitor(ABC):
    """Base of all monitors.

    Parameters
    ----------
    at : str, float, or a sequence of these, m
        Places: the end of the element of that name (at every occurrence), or a position along
        the line, as "12.5 m" or a number. A position inside an element cuts it there; one
        where thin elements stand is before them, but the end of the line is behind everything.
    every_kick : bool
        Also right behind every kick.

    Raises
    ------
    LatticeError
        If there is no place.
    """

    at: Any = ()
    every_kick: bool = False
    n_tensors: ClassVar[int]  # that `look` returns

    def __post_init__(self) -> None:
        several = isinstance(self.at, Sequence) and not isinstance(self.at, str)
        places = tuple(self.at) if several else (self.at,)
        if not places and not self.every_kick:
            raise LatticeError(
                f"{type(self).__name__}: no place to look: give at= or every_kick=True"
            )
        object.__setattr__(self, "at", places)

    def places(self, names: frozenset[str]) -> tuple[set[str], list[float]]:
        """Split `at` into elements of a line and positions in m."""
        elements = {place for place in self.at if isinstance(place, str) and place in names}
        others = [place for place in self.at if not isinstance(place, str) or place not in names]
        return elements, [self._position(place) for place in others]

    def _position(self, place: Any) -> float:
        text = isinstance(place, str)
        if text and not place.strip()[:1].isdigit() and place.strip()[:1] not in "+-.":
            raise LatticeError(
                f"{type(self).__name__}: at = {place!r}: no such element in the line; "
                'a position is written "12.5 m"'
            )
        return float(to_si(place, "m", f"{type(self).__name__}.at"))

    @abstractmethod
    def look(self, bunch: Bunch) -> tuple[Tensor, ...]:
        """Take `n_tensors` tensors from a bunch."""

    @abstractmethod
    def collect(
        self, places: Sequence[tuple[float, int]], looks: Sequence[tuple[Tensor, ...]], last: Bunch
    ) -> Any:
        """Make the record of all looks, in the order of time; `places` are (s [m], turn)."""


@dataclass(frozen=True)
class MomentsRecord:
    """Moments of a bunch at n places; times are in order, s in m within the turn.

    `mean` (n, ..., 6), `covariance` (n, ..., 6, 6) of the living particles, in the order
    x, px, y, py, zeta, pzeta; `intensity` and `n_alive` (n, ...); `reference` with batch (n, ...).
    """

    s: Tensor
    turn: Tensor
    mean: Tensor
    covariance: Tensor
    intensity: Tensor
    n_alive: Tensor
    reference: Reference

    def __repr__(self) -> str:
        return f"MomentsRecord({_seen(self.s, self.turn)})"

    def sigma(self, name: str) -> Tensor:
        """Standard deviation of one coordinate, (n, ...)."""
        index = _index(name)
        return sqrt_or_zero(self.covariance[..., index, index])

    def gemitt(self, plane: str) -> Tensor:
        """Geometric rms emittance of plane "x", "y" or "zeta", (n, ...), m.

        "x_betatron" and "y_betatron" are those of x and y without dispersion.
        """
        position, _, betatron = plane.partition("_")
        u = _index(position)
        p, d = u + 1, _index("pzeta")
        pairs = [(u, u), (u, p), (p, p)] + ([(u, d), (p, d), (d, d)] if betatron else [])
        moments = [self.covariance[..., first, second] for first, second in pairs]
        return betatron_emittance(*moments) if betatron else emittance(*moments)

    def nemitt(self, plane: str) -> Tensor:
        """Normalised rms emittance, (n, ...), m; planes as of `gemitt`."""
        return self.gemitt(plane) * self.reference.beta0_gamma0

    def __getattr__(self, name: str) -> Tensor:
        """Return `sigma_x`, `gemitt_x`, `nemitt_x`, `mean_x` and so on, (n, ...)."""
        kind, _, coordinate = name.partition("_")
        if kind == "mean" and coordinate in COORDINATES:
            return self.mean[..., _index(coordinate)]
        if kind == "sigma" and coordinate in COORDINATES:
            return self.sigma(coordinate)
        if kind in ("gemitt", "nemitt") and coordinate in _PLANES:
            return getattr(self, kind)(coordinate)
        raise AttributeError(f"MomentsRecord has no {name!r}")


@dataclass(frozen=True)
class MomentsMonitor(Monitor):
    """Record mean, covariance and intensity.

    Cost: 43 numbers a look; one pass over the particles, also in the backward pass.
    """

    n_tensors: ClassVar[int] = 5

    def look(self, bunch: Bunch) -> tuple[Tensor, ...]:
        mean, covariance = bunch.moments()
        return mean, covariance, bunch.intensity, bunch.n_alive, bunch.reference.p0c.clone()

    def collect(
        self, places: Sequence[tuple[float, int]], looks: Sequence[tuple[Tensor, ...]], last: Bunch
    ) -> MomentsRecord:
        mean, covariance, intensity, n_alive, p0c = (
            torch.stack(column) for column in zip(*looks, strict=True)
        )
        reference = Reference(last.reference.mass0, last.reference.q0, beside(p0c, mean))
        return MomentsRecord(*_places(places), mean, covariance, intensity, n_alive, reference)


@dataclass(frozen=True)
class BunchRecord:
    """Whole bunches at n places, in the order of time; s in m within the turn."""

    s: Tensor
    turn: Tensor
    bunches: tuple[Bunch, ...]

    def __repr__(self) -> str:
        return f"BunchRecord({_seen(self.s, self.turn)})"

    def __getitem__(self, index: int) -> Bunch:
        return self.bunches[index]

    def __len__(self) -> int:
        return len(self.bunches)

    def __iter__(self) -> Iterator[Bunch]:
        return iter(self.bunches)


@dataclass(frozen=True)
class BunchMonitor(Monitor):
    """Record whole bunches.

    Cost: a copy of the bunch a look: 6 coordinates a particle.
    """

    n_tensors: ClassVar[int] = 3

    def look(self, bunch: Bunch) -> tuple[Tensor, ...]:
        return bunch.coordinates.clone(), bunch.alive, bunch.reference.p0c.clone()

    def collect(
        self, places: Sequence[tuple[float, int]], looks: Sequence[tuple[Tensor, ...]], last: Bunch
    ) -> BunchRecord:
        bunches = tuple(
            last.replace(
                coordinates=coordinates, alive=alive, reference=last.reference.replace(p0c=p0c)
            )
            for coordinates, alive, p0c in looks
        )
        return BunchRecord(*_places(places), bunches)


def _seen(s: Tensor, turn: Tensor) -> str:
    """Say how often and where a monitor looked."""
    if not len(s):
        return "no look"
    turns = int(turn.max()) + 1
    return f"{len(s)} looks, s = {s.min():.6g} to {s.max():.6g} m, {turns} turns"


def _places(places: Sequence[tuple[float, int]]) -> tuple[Tensor, Tensor]:
    s = torch.tensor([s for s, _ in places], dtype=torch.float64)
    return s, torch.tensor([turn for _, turn in places])


def _index(name: str) -> int:
    return COORDINATES.index(name)
