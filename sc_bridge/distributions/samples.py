"""Samples: random points (x, px, y, py, zeta, delta) of mean 0 and unit covariance, by shape.

Each shape is drawn in the normalised coordinates of the three planes, so that one linear map
gives it any size and any Twiss functions. A sample depends on the seed only: derivatives act
through the map.

References
----------
Kurth, Q. Appl. Math. 36, 325 (1978); Mitchell, Hwang & Ryne, IPAC2021, WEPAB248: the Kurth
distribution; ImpactX (src/particles/distribution) draws all of these in the same way.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Generator, Tensor

Sample: TypeAlias = Callable[[int, Generator], Tensor]

_POSITIONS, _MOMENTA = [0, 2, 4], [1, 3, 5]


def normal(n: int, generator: Generator) -> Tensor:
    """Independent normal coordinates, (6, n)."""
    return torch.randn(6, n, generator=generator, dtype=torch.float64)


def ball(n: int, generator: Generator) -> Tensor:
    """Uniform in the six-dimensional ball: a waterbag, (6, n)."""
    # a coordinate has the variance R^2/(d + 2) in a ball of d dimensions
    radius = math.sqrt(8.0) * _uniform(n, generator) ** (1 / 6)
    return radius * _direction(6, n, generator)


def sphere_and_line(n: int, generator: Generator) -> Tensor:
    """Uniform on a sphere in x, px, y, py (KV), uniform in zeta, normal in delta, (6, n)."""
    transverse = 2.0 * _direction(4, n, generator)
    return torch.cat([transverse, _line(n, generator), _normal(1, n, generator)])


def kurth(n: int, generator: Generator) -> Tensor:
    """Kurth's stationary ball: uniform in (x, y, zeta), bounded in six dimensions, (6, n).

    With r the radius and s = L/r the momentum across it in units of the ball's: s^2 is uniform
    and the momentum along the radius is sqrt((1 - s^2)(1 - r^2)) cos(alpha).
    """
    radius = _uniform(n, generator) ** (1 / 3)
    outwards = _direction(3, n, generator)
    across = _perpendicular(outwards, _direction(3, n, generator))
    square = _uniform(n, generator)
    along = torch.sqrt((1.0 - square) * (1.0 - radius**2))
    along = along * torch.cos(math.pi * _uniform(n, generator))
    momentum = along * outwards + torch.sqrt(square) * across
    return _interleave(math.sqrt(5.0) * radius * outwards, math.sqrt(5.0) * momentum)


def uniform_ball(n: int, generator: Generator) -> Tensor:
    """Uniform ball in (x, y, zeta), normal momenta, (6, n)."""
    radius = math.sqrt(5.0) * _uniform(n, generator) ** (1 / 3)
    return _interleave(radius * _direction(3, n, generator), _normal(3, n, generator))


def cylinder(n: int, generator: Generator) -> Tensor:
    """Uniform cylinder in (x, y) and zeta, normal momenta, (6, n)."""
    disc = 2.0 * torch.sqrt(_uniform(n, generator)) * _direction(2, n, generator)
    positions = torch.cat([disc, _line(n, generator)])
    return _interleave(positions, _normal(3, n, generator))


def _interleave(positions: Tensor, momenta: Tensor) -> Tensor:
    points = torch.empty(6, positions.shape[-1], dtype=torch.float64)
    points[_POSITIONS], points[_MOMENTA] = positions, momenta
    return points


def _uniform(n: int, generator: Generator) -> Tensor:
    return torch.rand(n, generator=generator, dtype=torch.float64)


def _normal(rows: int, n: int, generator: Generator) -> Tensor:
    return torch.randn(rows, n, generator=generator, dtype=torch.float64)


def _line(n: int, generator: Generator) -> Tensor:
    """Uniform on a line, of unit variance, (1, n)."""
    return math.sqrt(12.0) * (_uniform(n, generator) - 0.5).unsqueeze(0)


def _direction(dimensions: int, n: int, generator: Generator) -> Tensor:
    """Uniform unit vectors, (dimensions, n)."""
    vector = _normal(dimensions, n, generator)
    return vector / vector.norm(dim=0)


def _perpendicular(to: Tensor, vector: Tensor) -> Tensor:
    """Unit vector across `to`, in the plane of both, (3, n)."""
    across = vector - (vector * to).sum(0) * to
    return across / across.norm(dim=0)
