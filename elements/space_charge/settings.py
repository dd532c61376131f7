"""Settings of the space-charge kick, as the user chooses them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from ..errors import SpaceChargeError

# Two spare cells on every side and one cell for the bunch on either side of its mean.
SMALLEST_GRID = 8


Implementation: TypeAlias = Literal["fused", "plain"]


@dataclass(frozen=True)
class SpaceCharge:
    """How the field of the bunch on itself is computed.

    Parameters
    ----------
    grid : tuple of int, (nx, ny, nz)
        Number of nodes; they may differ. The grid follows the bunch.
    longitudinal : bool
        Whether pzeta is kicked as well as px and py.
    implementation : {"fused", "plain"}
        "fused" has the adjoint written by hand, and C kernels on the CPU; where only plain
        operations work (forward mode, `torch.func`, second derivatives) it falls back to
        them. "plain" always uses them.

    Cost: "fused" keeps the 6 coordinates of every particle, which the state shares, and one
    number a node for the backward pass; "plain" about 400 bytes a particle and 30 a node.

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

    def __post_init__(self) -> None:
        nodes = tuple(self.grid)
        integers = all(isinstance(n, int) and not isinstance(n, bool) for n in nodes)
        if len(nodes) != 3 or not integers or min(nodes) < SMALLEST_GRID:
            raise SpaceChargeError(
                f"space charge: grid = {self.grid}: must be three numbers of nodes (nx, ny, nz) "
                f"of at least {SMALLEST_GRID}"
            )
        object.__setattr__(self, "grid", nodes)
        if self.implementation not in get_args(Implementation):
            raise SpaceChargeError(
                f"space charge: implementation = {self.implementation!r}: "
                f"must be one of {', '.join(map(repr, get_args(Implementation)))}"
            )
