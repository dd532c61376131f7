"""The steps of the fused kick on a GPU, particles by kernels in Triton and the solve by torch.

Triton comes with torch for CUDA and ROCm, and compiles the kernels at first use. Each function
is the counterpart of one in `torch_operations`, with the same arguments.

Cost: no temporary of the size of the particles; the solve takes a work space of about 30 numbers
a node. Where Triton cannot compile, `torch_operations` do the same.
"""

from __future__ import annotations

import importlib
import os
import warnings
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from ..gpu import beside, together
from .grid import LEAST_SPARE_CELLS, Grid, refuse_outside
from .poisson import scaled_potential
from .torch_operations import transposed_differences

_BLOCK = 256  # particles of one program
_TOUCHED = {"cic": 2, "tsc": 3}


class OnGpu:
    """The kernels, with the arguments that `torch_operations` takes."""

    def __init__(self, kernels: Any) -> None:
        self._kernels = kernels

    def field(self, coordinates: Tensor, weight: Tensor, gamma0: Tensor, grid: Grid) -> Tensor:
        """Scaled potential of the bunch on the nodes, (batch, nx, ny, nz).

        Raises
        ------
        SpaceChargeError
            If a living particle is outside the grid.
        """
        charge = coordinates.new_zeros(coordinates.shape[0], *grid.nodes)
        outside = torch.zeros(1, dtype=torch.int32, device=coordinates.device)
        common = self._common(coordinates, gamma0, grid)
        reach = LEAST_SPARE_CELLS[grid.shape]
        self._run(
            "deposit", grid, common, **_weight(weight), charge=charge, outside=outside, reach=reach
        )
        if not grid.holds_all:
            particles = coordinates[:, 0]
            refuse_outside(int(outside), particles, grid.alive, grid.nodes, grid.cell_size)
        # a copy, since a view would keep all of the doubled grid
        return scaled_potential(charge, grid.cell_size).contiguous()

    def kick(
        self, coordinates: Tensor, potential: Tensor, gamma0: Tensor, factor: Tensor, grid: Grid
    ) -> Tensor:
        """New coordinates, (batch, 6, n_particles)."""
        kicked = coordinates.new_empty(coordinates.shape)
        common = self._common(coordinates, gamma0, grid, factor)
        self._run("kick", grid, common, potential=potential.contiguous(), kicked=kicked)
        return kicked

    def adjoint(
        self,
        coordinates: Tensor,
        weight: Tensor,
        gamma0: Tensor,
        factor: Tensor,
        potential: Tensor,
        gradient: Tensor,
        grid: Grid,
        wants_weight: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Adjoint of deposit, solve and kick on a fixed grid: see `torch_operations.adjoint`."""
        batch = coordinates.shape[0]
        common = self._common(coordinates, gamma0, grid, factor)
        gradient = gradient if gradient.stride(-1) == 1 else gradient.contiguous()
        incoming = {
            "gradient": gradient,
            "gradient_bunch": gradient.stride(0),
            "gradient_stride": gradient.stride(1),
        }
        sources = coordinates.new_zeros(3, batch, *grid.nodes)
        self._run(
            "adjoint_deposit", grid, common, **incoming, source=sources, size=sources[0].numel()
        )
        source = transposed_differences(list(sources))
        del sources
        adjoint_potential = scaled_potential(source, grid.cell_size).contiguous()
        result = coordinates.new_empty(coordinates.shape)
        weights = result.new_empty(weight.shape if wants_weight else (0,))
        totals = torch.zeros(batch, 7, dtype=torch.float64, device=coordinates.device)
        self._run(
            "adjoint_gather",
            grid,
            common,
            **incoming,
            **_weight(weight),
            potential=potential.contiguous(),
            adjoint=adjoint_potential,
            result=result,
            weights=weights,
            wants_weight=wants_weight,
            totals=totals,
        )
        return result, weights, totals

    def _common(
        self, coordinates: Tensor, gamma0: Tensor, grid: Grid, factor: Tensor | None = None
    ) -> dict[str, Any]:
        """Arguments that the kernels share; the numbers of every bunch go in one copy."""
        per_metre = grid.cells_per_metre(gamma0)
        half_width = grid.half_width.expand(per_metre.shape)
        parts = together(per_metre, half_width, per_metre if factor is None else factor)
        if coordinates.stride(-1) != 1:
            coordinates = coordinates.contiguous()
        return {
            "coordinates": coordinates,
            "bunch_stride": coordinates.stride(0),
            "stride": coordinates.stride(1),
            "alive": coordinates if grid.alive is None else grid.alive.contiguous(),
            "has_lost": grid.alive is not None,
            "centre": grid.centre.contiguous(),
            "numbers": beside(torch.cat(parts, dim=-1).to(torch.float64), coordinates),
        }

    def _run(self, name: str, grid: Grid, common: dict[str, Any], **arguments: Any) -> None:
        """Launch a kernel, one program for a block of particles of a bunch."""
        coordinates: Tensor = common["coordinates"]
        n = coordinates.shape[-1]
        nx, ny, nz = grid.nodes
        launch = getattr(self._kernels, name)[-(-n // _BLOCK), coordinates.shape[0]]
        with _device_of(coordinates):
            launch(
                **common,
                **arguments,
                n=n,
                nx=nx,
                ny=ny,
                nz=nz,
                touched=_TOUCHED[grid.shape],
                block=_BLOCK,
            )


def _device_of(tensor: Tensor) -> torch.device | Any:
    """Context in which a tensor's GPU is the present one."""
    return torch.cuda.device(tensor.device) if tensor.is_cuda else torch.device(tensor.device)


def _weight(weight: Tensor) -> dict[str, Any]:
    """One weight for all particles needs no row of equal numbers."""
    return {
        "weight": weight,
        "weight_bunch": weight.stride(0),
        "weight_step": weight.stride(1),
    }


def load() -> OnGpu | None:
    """Return the kernels; None if Triton is not there, or SC_BRIDGE_KERNELS is 0."""
    return None if os.environ.get("SC_BRIDGE_KERNELS") == "0" else _load_once()


@lru_cache(maxsize=1)
def _load_once() -> OnGpu | None:
    try:
        found = OnGpu(importlib.import_module(".triton_kernels", __package__))
        _try(found)
    except Exception as error:  # any failure of Triton, of its compiler or of a file system
        reason = str(error).strip().splitlines() or [type(error).__name__]
        warnings.warn(
            f"no kernels for the GPU ({reason[-1]}): space charge runs slower, on torch "
            "operations that take some hundred bytes a particle. Triton comes with torch for CUDA "
            "on Linux, and needs a C compiler",
            RuntimeWarning,
            stacklevel=2,
        )
        return None
    return found


def _try(found: OnGpu) -> None:
    """Compile and run one kernel."""
    device = torch.device("cuda") if torch.cuda.is_available() else torch.device("cpu")
    point = torch.zeros(1, 6, 1, device=device)
    numbers = torch.ones(1, 3, dtype=torch.float64)
    grid = Grid((8, 8, 8), numbers, beside(0.0 * numbers, point), None)
    potential = torch.zeros(1, 8, 8, 8, device=device)
    found.kick(point, potential, numbers[:, 0], numbers, grid)
