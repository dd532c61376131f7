"""Table 1 of the paper: a cold, uniform electron bunch that expands in a drift."""

from __future__ import annotations

import math
from dataclasses import dataclass

import scipy.constants
import torch
from torch import Tensor

import sc_bridge as scb
from sc_bridge.lattice import Record

ELECTRON_MASS = 510998.95069  # eV
VALUES = {
    "radius": 1e-3,  # m
    "length": 1e-3,  # m, in the rest frame of the bunch, where it is a ball
    "charge": 10e-9,  # C
    "energy": 250e6,  # eV, total
}
UNITS = {"radius": "m", "length": "m", "charge": "C", "energy": "eV"}
DRIFT = 5.5  # m
KICKS = 3
PARTICLES = 1000
# The paper's table states a number of cells that its text copies leave out.
NODES = 32


@dataclass(frozen=True)
class Size:
    """How large the measurements are; `quick` is for tests."""

    particles: tuple[int, ...] = (1_000, 10_000, 100_000)
    nodes: tuple[int, ...] = (16, 32, 64)
    timeline_nodes: int = NODES
    field_particles: int = 1_000_000
    field_nodes: int = 128
    expansion_particles: int = 100_000
    expansion_nodes: int = 64
    expansion_kicks: int = 60
    places: int = 11


FULL = Size()
QUICK = Size(
    particles=(200, 2_000),
    nodes=(8, 16),
    timeline_nodes=8,
    field_particles=20_000,
    field_nodes=32,
    expansion_particles=2_000,
    expansion_nodes=16,
    expansion_kicks=12,
    places=4,
)


def make_inputs(requires_grad: bool = True) -> dict[str, Tensor]:
    """Radius, length, charge and energy, float64, to differentiate with respect to."""
    return {
        name: torch.tensor(value, dtype=torch.float64, requires_grad=requires_grad)
        for name, value in VALUES.items()
    }


def make_bunch(
    inputs: dict[str, Tensor], n_particles: int, dtype: torch.dtype = torch.float32
) -> scb.Bunch:
    """Build the bunch at rest in its own frame; gradients flow to `inputs`."""
    momentum = torch.sqrt(inputs["energy"] ** 2 - ELECTRON_MASS**2)
    reference = scb.Reference(ELECTRON_MASS, -1.0, momentum)
    ball = uniform_ball(n_particles)
    still = torch.zeros(n_particles, dtype=torch.float64)
    across = inputs["radius"] * ball
    along = inputs["length"] / reference.gamma0 * ball[2]
    rows = torch.stack((across[0], still, across[1], still, along, still))
    weight = inputs["charge"] / (scipy.constants.e * n_particles)
    return scb.Bunch(rows.to(dtype), reference, weight.to(dtype))


def uniform_ball(n_particles: int) -> Tensor:
    """Points uniform in the unit ball with rms 1/sqrt(5) along each axis, (3, n_particles)."""
    generator = torch.Generator().manual_seed(1)
    direction = torch.randn(3, n_particles, generator=generator, dtype=torch.float64)
    distance = torch.rand(n_particles, generator=generator, dtype=torch.float64) ** (1 / 3)
    ball = direction / direction.norm(dim=0) * distance
    return ball * (math.sqrt(0.2) / ball.square().mean(-1, keepdim=True).sqrt())


def make_sequence(
    n_kicks: int, n_nodes: int, length: float = DRIFT, implementation: str = "fused"
) -> scb.KickedSequence:
    """Build a drift with kicks, as everybody would from a file."""
    record = Record("drift", "Drift", {"length": length})
    lattice = scb.Lattice("table 1", "xsuite-json", "", {"drift": record}, ("drift",))
    settings = scb.SpaceCharge(
        grid=(n_nodes, n_nodes, n_nodes),
        implementation=implementation,  # pyright: ignore[reportArgumentType]
    )
    reference = scb.reference("electron", total_energy=VALUES["energy"])
    return scb.KickedSequence(lattice, scb.KicksPerElement(n_kicks), settings, reference=reference)
