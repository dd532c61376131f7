"""Settings of the space-charge kick, as the user chooses them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Integral
from typing import Any, Literal, TypeAlias, get_args

import torch

from ..errors import SpaceChargeError

# Two spare cells on every side and one cell for the bunch on either side of its mean.
SMALLEST_GRID = 8
LARGEST_GRID = 2**30


Implementation: TypeAlias = Literal["fused", "plain"]
Shape: TypeAlias = Literal["cic", "tsc"]
Transform: TypeAlias = Literal["none", "ballistic"]
Range: TypeAlias = tuple[float, float]


@dataclass(frozen=True)
class SpaceCharge:
    """How the field of the bunch on itself is computed.

    Parameters
    ----------
    grid : tuple of int, (nx, ny, nz)
        Number of nodes; they may differ.
    longitudinal : bool
        Whether pzeta is kicked as well as px and py.
    implementation : {"fused", "plain"}
        "fused" has the adjoint written by hand, and C kernels on the CPU; where only plain
        operations work (forward mode, `torch.func`, second derivatives) it falls back to
        them. "plain" always uses them.
    shape : {"cic", "tsc"}
        Cloud-in-cell, or the quadratic triangular-shaped cloud: its forces are smooth, so
        that gradients are continuous, for 27 nodes a particle instead of 8 and about twice
        the time on particles.
    x_range, y_range, z_range : tuple of float, m, optional
        First and last node of a grid that stays where it is, in x, y and zeta; all three or
        none. By default the grid follows the bunch.
    transform : {"none", "ballistic"}
        Positions as they are (as Cheetah and xfields take them), or at the time of the
        reference, for short bunches of large divergence; an error where that is wrong.
    field_dtype : None or torch.float64
        `torch.float64` computes deposit, solve and gather in float64 for a float32 bunch too,
        for pancakes so flat that neighbouring nodes differ by float32's rounding. By default
        the bunch's own, but for the solve of pancakes (see `poisson.dtype_of_solve`).

    Cost: "fused" keeps the 6 coordinates of every particle, which the state shares, and one
    number a node (of `field_dtype`) for the backward pass; "plain" about 400 bytes a particle
    and 30 a node.

    Validity: open boundaries, no beam pipe. In a long-bunch ring at low energy the
    longitudinal force of an open bunch is overestimated.

    Raises
    ------
    SpaceChargeError
        If the grid is not three numbers of nodes of at least 8, or an option is unknown.
    """

    grid: tuple[int, int, int] = (32, 32, 32)
    longitudinal: bool = True
    implementation: Implementation = "fused"
    shape: Shape = "cic"
    x_range: Range | None = None
    y_range: Range | None = None
    z_range: Range | None = None
    transform: Transform = "none"
    field_dtype: torch.dtype | None = None

    def __post_init__(self) -> None:
        nodes = tuple(self.grid) if isinstance(self.grid, Iterable) else ()
        integers = all(isinstance(n, Integral) and not isinstance(n, bool) for n in nodes)
        if len(nodes) != 3 or not integers or min(nodes) < SMALLEST_GRID:
            raise SpaceChargeError(
                f"space charge: grid = {self.grid}: must be three numbers of nodes (nx, ny, nz) "
                f"of at least {SMALLEST_GRID}"
            )
        if math.prod(nodes) > LARGEST_GRID:
            raise SpaceChargeError(
                f"space charge: grid = {self.grid}: too many nodes: at most "
                f"{LARGEST_GRID:.3g}, which take about 100 GB"
            )
        object.__setattr__(self, "grid", tuple(map(int, nodes)))
        for name, known in (
            ("implementation", Implementation),
            ("shape", Shape),
            ("transform", Transform),
        ):
            if getattr(self, name) not in get_args(known):
                raise SpaceChargeError(
                    f"space charge: {name} = {getattr(self, name)!r}: "
                    f"must be one of {', '.join(map(repr, get_args(known)))}"
                )
        if self.field_dtype not in (None, torch.float64):
            raise SpaceChargeError(
                f"space charge: field_dtype = {self.field_dtype!r}: must be torch.float64, or "
                "None for that of the bunch"
            )
        self._check_ranges()

    def _check_ranges(self) -> None:
        given = {name: getattr(self, name) for name in ("x_range", "y_range", "z_range")}
        missing = [name for name, value in given.items() if value is None]
        if len(missing) in (1, 2):
            raise SpaceChargeError(
                f"space charge: {', '.join(missing)} missing: a fixed grid needs x_range, "
                "y_range and z_range; without any of them it follows the bunch"
            )
        for name, value in given.items():
            if value is not None:
                object.__setattr__(self, name, _range(name, value))

    @property
    def ranges(self) -> tuple[Range, Range, Range] | None:
        """First and last node of a fixed grid in x, y and zeta; None if it follows the bunch."""
        if self.x_range is None or self.y_range is None or self.z_range is None:
            return None
        return self.x_range, self.y_range, self.z_range


def _range(name: str, value: Any) -> Range:
    """Two numbers; text and quantities with a unit are none."""
    try:
        ends = () if any(isinstance(end, str) for end in value) else tuple(map(float, value))
    except (TypeError, ValueError):
        ends = ()
    if len(ends) != 2 or not all(map(math.isfinite, ends)) or not ends[0] < ends[1]:
        raise SpaceChargeError(
            f"space charge: {name} = {value}: must be two finite numbers in m, first < last"
        )
    return ends
