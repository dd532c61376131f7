"""The paper's scheme: its kick (section 3.2) in plain torch operations, every one recorded.

The Green function depends on the size of the bunch and is evaluated anew in every kick, and
automatic differentiation keeps what each operation needs. This is what the memory law of the
paper is about; sc_bridge itself does none of it. Written after the text of the paper, so that
it needs no other code; Cheetah's own numbers are beside it in the table.

Validity: all particles within 3 rms sizes of the axis, as those of Table 1 are.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
from torch import Tensor

import sc_bridge as scb
from sc_bridge.elements.bunch import delta_of, pzeta_of
from sc_bridge.elements.space_charge.poisson import ELEMENTARY_POTENTIAL

STEPS = (
    "z to t",
    "charge deposition",
    "Green function",
    "forward FFTs",
    "product in Fourier space",
    "inverse FFT",
    "differences",
    "field gather",
    "momentum update",
    "t to z",
)
EXTENT = 3.0  # of the grid, in rms sizes on either side of the axis

Done = Callable[[str], None]


def recorded_kick(
    bunch: scb.Bunch, length: float, n_nodes: int, done: Done = lambda step: None
) -> scb.Bunch:
    """Kick a bunch; `done` is called with the name of every step of `STEPS` behind it."""
    reference = bunch.reference
    x, px, y, py, zeta, pzeta = bunch.coordinates.unbind(0)
    delta = delta_of(pzeta, reference)
    pz = torch.sqrt((1.0 + delta) ** 2 - px**2 - py**2)
    position = torch.stack((x, y, zeta), dim=-1)  # (n_particles, 3)
    momenta = torch.stack((px, py, pz), dim=-1)
    done("z to t")
    extent = EXTENT * position.std(0)
    cell = 2.0 * extent / (n_nodes - 1)
    index, share = _nodes_around((position + extent) / cell, n_nodes)
    charge = torch.zeros(n_nodes**3, dtype=x.dtype)
    charge = charge.index_put((index,), share * bunch.weight.unsqueeze(-1), accumulate=True)
    density = charge.view(n_nodes, n_nodes, n_nodes) / cell.prod()
    done("charge deposition")
    stretched = cell * torch.stack(
        (cell.new_ones(()), cell.new_ones(()), reference.gamma0.to(cell))
    )
    green = integrated_green_function(stretched, n_nodes)
    done("Green function")
    shape = [2 * n_nodes] * 3
    transforms = torch.fft.rfftn(density, shape), torch.fft.rfftn(green)
    done("forward FFTs")
    spectrum = transforms[0] * transforms[1]
    done("product in Fourier space")
    potential = torch.fft.irfftn(spectrum, shape)[:n_nodes, :n_nodes, :n_nodes]
    done("inverse FFT")
    force = torch.stack([_difference(potential, axis, cell[axis]) for axis in range(3)], dim=-1)
    done("differences")
    index, share = _nodes_around((position + extent) / cell, n_nodes)
    at_particles = (force.flatten(0, 2)[index] * share.unsqueeze(-1)).sum(1)
    done("field gather")
    stiffness = reference.beta0**2 * reference.gamma0**3 * reference.mass0
    factor = ELEMENTARY_POTENTIAL * reference.q0**2 * length / stiffness
    momenta = momenta - factor.to(cell) * at_particles
    done("momentum update")
    delta = momenta.square().sum(-1).sqrt() - 1.0
    rows = (x, momenta[:, 0], y, momenta[:, 1], zeta, pzeta_of(delta, reference))
    kicked = bunch.replace(coordinates=torch.stack(rows))
    done("t to z")
    return kicked


def integrated_green_function(cell: Tensor, n_nodes: int) -> Tensor:
    """Equations 4 and 5: the integral of 1/r over cells, on the doubled grid, recorded."""
    steps = torch.arange(n_nodes, dtype=cell.dtype)
    octant = torch.zeros(n_nodes, n_nodes, n_nodes, dtype=cell.dtype)
    for corner in itertools.product((0.5, -0.5), repeat=3):
        sign = 1.0 if sum(side < 0 for side in corner) % 2 == 0 else -1.0
        x, y, z = ((steps + side) * size for side, size in zip(corner, cell.unbind(), strict=True))
        octant = octant + sign * _antiderivative(x[:, None, None], y[None, :, None], z)
    doubled = octant
    for axis in range(3):  # even along each axis; the middle meets no charge
        mirrored = doubled.narrow(axis, 1, n_nodes - 1).flip(axis)
        middle = torch.zeros_like(doubled.narrow(axis, 0, 1))
        doubled = torch.cat((doubled, middle, mirrored), axis)
    return doubled


def _antiderivative(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    r = torch.sqrt(x**2 + y**2 + z**2)
    return (
        -0.5 * z**2 * torch.atan(x * y / (z * r))
        - 0.5 * y**2 * torch.atan(x * z / (y * r))
        - 0.5 * x**2 * torch.atan(y * z / (x * r))
        + y * z * torch.asinh(x / torch.sqrt(y**2 + z**2))
        + x * z * torch.asinh(y / torch.sqrt(x**2 + z**2))
        + x * y * torch.asinh(z / torch.sqrt(x**2 + y**2))
    )


def _nodes_around(cells: Tensor, n_nodes: int) -> tuple[Tensor, Tensor]:
    """The 8 nodes around every particle and its weights on them, both (n_particles, 8)."""
    first = torch.floor(cells.detach())
    corners = torch.tensor(list(itertools.product((0, 1), repeat=3)))
    nodes = first.unsqueeze(1) + corners  # (n_particles, 8, 3)
    share = (1.0 - (cells.unsqueeze(1) - nodes).abs()).prod(-1)
    nodes = nodes.long()
    return (nodes[..., 0] * n_nodes + nodes[..., 1]) * n_nodes + nodes[..., 2], share


def _difference(potential: Tensor, axis: int, cell: Tensor) -> Tensor:
    inner = potential.shape[axis] - 2
    slope = (potential.narrow(axis, 2, inner) - potential.narrow(axis, 0, inner)) / (2.0 * cell)
    margins = [0, 0] * (2 - axis) + [1, 1]
    return torch.nn.functional.pad(slope, margins)
