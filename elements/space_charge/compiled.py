"""The steps of the fused kick in C kernels, for the CPU.

Cost: at 64^3 nodes and a million particles, deposit and kick are bound by memory, the solve
by the transforms; docs/performance.md has the figures.
"""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np
import scipy.fft
import torch
from torch import Tensor
from torch.autograd.profiler import record_function

from ..kernels import Kernels
from .green import green_transform
from .grid import Grid, refuse_outside
from .poisson import dtype_of_solve

# A thread is worth its private grid from about this many particles on.
PARTICLES_PER_THREAD = 10_000
# Private grids of all threads together, bytes.
GRIDS_LIMIT = 2**30

# Nodes up to which one thread transforms as fast as several.
SMALL_GRID = 32**3
# Bytes of the doubled grid that are transformed along x at once; of larger ones, slabs.
WHOLE = 2**25
SLAB = 2**22
# Bytes from which large pages are asked for.
LARGE = 2**22

_workspaces = threading.local()
_fft: Any = scipy.fft  # its annotations are those of a dispatcher


def _workspace(name: str, size: int, like: Tensor) -> np.ndarray:
    """A buffer that is kept between kicks: fresh pages cost more than the arithmetic."""
    kept: dict[Any, np.ndarray] = _workspaces.__dict__.setdefault("kept", {})
    dtype = np.dtype(str(like.dtype).removeprefix("torch."))
    if kept.get((name, dtype), np.empty(0)).size < size:
        kept[name, dtype] = np.empty(size, dtype)
    return kept[name, dtype]


class Compiled:
    """The C kernels, with the arguments that `torch_operations` takes."""

    def __init__(self, kernels: Kernels) -> None:
        self._kernels = kernels

    def field(self, coordinates: Tensor, weight: Tensor, gamma0: Tensor, grid: Grid) -> Tensor:
        """Scaled potential of the bunch on the nodes, (batch, nx, ny, nz).

        Raises
        ------
        SpaceChargeError
            If a living particle is outside the grid.
        """
        potential = self._empty(coordinates, (coordinates.shape[0], *grid.nodes))
        outside = 0
        for index, common in self._each(coordinates, gamma0, grid):
            threads = self._threads(coordinates, grid)
            size = potential[index].numel()
            charge = _workspace("charge", size, coordinates)
            outside += self._call(
                "deposit",
                **common,
                **_weight(weight[index]),
                threads=threads,
                charge=charge,
                grids=_workspace("grids", (threads - 1) * size + 1, coordinates),
            )
            self._solve(charge[:size].reshape(grid.nodes), potential[index], grid, index)
        refuse_outside(outside, coordinates[:, 0], grid.alive, grid.nodes, grid.cell_size)
        return potential

    def kick(
        self, coordinates: Tensor, potential: Tensor, gamma0: Tensor, factor: Tensor, grid: Grid
    ) -> Tensor:
        """New coordinates, (batch, 6, n_particles)."""
        kicked = self._empty(coordinates)
        for index, common in self._each(coordinates, gamma0, grid):
            self._call(
                "kick",
                **common,
                potential=potential[index].numpy(),
                factor=_doubles(factor[index]),
                threads=self._threads(coordinates),
                kicked=kicked[index].numpy(),
            )
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
        result = self._empty(coordinates)
        weights = result.new_empty(weight.shape if wants_weight else (0,))
        totals = np.zeros((coordinates.shape[0], 7))
        for index, common in self._each(coordinates, gamma0, grid):
            incoming: dict[str, Any] = {
                "gradient": gradient[index].contiguous().numpy(),
                "factor": _doubles(factor[index]),
            }
            threads = self._threads(coordinates, grid)
            size = potential[index].numel()
            source = _workspace("charge", size, coordinates)
            self._call(
                "adjoint_deposit",
                **common,
                **incoming,
                threads=threads,
                source=source,
                grids=_workspace("grids", (threads - 1) * size + 1, coordinates),
            )
            adjoint = torch.from_numpy(_workspace("adjoint", size, coordinates)[:size])
            adjoint = adjoint.view(grid.nodes)
            self._solve(source[:size].reshape(grid.nodes), adjoint, grid, index)
            self._call(
                "adjoint_gather",
                **common,
                **incoming,
                **_weight(weight[index]),
                potential=potential[index].numpy(),
                adjoint=adjoint.numpy(),
                threads=self._threads(coordinates),
                result=result[index].numpy(),
                weights=weights[index].numpy() if wants_weight else None,
                totals=totals[index],
            )
        return result, weights, torch.from_numpy(totals)

    @record_function("sc_bridge::solve")
    def _solve(self, charge: np.ndarray, out: Tensor, grid: Grid, index: int) -> None:
        """Convolve on the doubled grid; rows that are zero or not needed are not transformed.

        Along x, a slab at a time goes there and back while it is in the cache.
        """
        nx, ny, nz = grid.nodes
        threads = torch.get_num_threads() if charge.size > SMALL_GRID else 1
        cell_size = grid.cell_size[index : index + 1]
        dtype = dtype_of_solve(cell_size, out.dtype)
        charge = charge.astype(str(dtype).removeprefix("torch."), copy=False)
        octant = green_transform(grid.nodes, cell_size, dtype, out.device)[0]
        options = {"overwrite_x": True, "workers": threads}
        spectrum = _fft.rfft(charge, 2 * nz, axis=2, workers=threads)
        spectrum = _fft.fft(spectrum, 2 * ny, axis=1, workers=threads)
        row = 2 * nx * spectrum[0, 0].nbytes
        rows = 2 * ny if 2 * ny * row <= WHOLE else max(1, SLAB // row)
        for first in range(0, 2 * ny, rows):
            slab = _fft.fft(spectrum[:, first : first + rows], 2 * nx, axis=0, workers=threads)
            self._call(
                "filter",
                dtype=dtype,
                spectrum=slab.view(charge.dtype),
                octant=octant.numpy(),
                nodes=np.array(grid.nodes, np.int64),
                first=first,
                rows=slab.shape[1],
                threads=threads,
            )
            spectrum[:, first : first + rows] = _fft.ifft(slab, axis=0, **options)[:nx]
        spectrum = _fft.ifft(spectrum, axis=1, **options)[:, :ny]
        out.copy_(torch.from_numpy(_fft.irfft(spectrum, 2 * nz, axis=2, **options)[..., :nz]))

    def _each(self, coordinates: Tensor, gamma0: Tensor, grid: Grid):
        """Arguments that the kernels share, for every bunch of the batch."""
        per_metre = grid.cells_per_metre(gamma0)
        nodes = np.array(grid.nodes, np.int64)
        for index in range(coordinates.shape[0]):
            row = coordinates[index].contiguous()
            alive = None if grid.alive is None else grid.alive[index].contiguous()
            frame = torch.cat((grid.centre[index], per_metre[index], grid.half_width))
            yield (
                index,
                {
                    "dtype": coordinates.dtype,
                    "shape": grid.shape,
                    "coordinates": row.numpy(),
                    "alive": None if alive is None else alive.view(torch.uint8).numpy(),
                    "n": row.shape[-1],
                    "frame": _doubles(frame),
                    "nodes": nodes,
                },
            )

    def _empty(self, like: Tensor, shape: tuple[int, ...] | None = None) -> Tensor:
        empty = like.new_empty(like.shape if shape is None else shape)
        if empty.nbytes >= LARGE:
            start = empty.view(-1).view(torch.uint8).numpy()
            self._kernels["advise_large_pages"](start=start, n=empty.nbytes)
        return empty

    def _call(self, name: str, dtype: torch.dtype, shape: str = "", **arguments: Any) -> Any:
        ending = str(dtype).removeprefix("torch.")
        return self._kernels["_".join(filter(None, (name, shape, ending)))](**arguments)

    def _threads(self, coordinates: Tensor, private: Grid | None = None) -> int:
        """As many as torch uses, as far as particles and memory for `private` grids go."""
        by_work = 1 + coordinates.shape[-1] // PARTICLES_PER_THREAD
        if private is None:
            return min(torch.get_num_threads(), by_work)
        by_memory = GRIDS_LIMIT // (math.prod(private.nodes) * coordinates.element_size())
        return max(1, min(torch.get_num_threads(), by_work, by_memory))


def _doubles(values: Tensor) -> np.ndarray:
    return values.to(torch.float64).contiguous().numpy()


def _weight(weight: Tensor) -> dict[str, Any]:
    """One weight for all particles needs no row of equal numbers."""
    step = weight.stride(0) if weight.numel() > 1 else 0
    if step not in (0, 1):
        weight, step = weight.contiguous(), 1
    base = weight.as_strided((weight.numel() if step else 1,), (1,))
    return {"weight": base.numpy(), "weight_step": step}
