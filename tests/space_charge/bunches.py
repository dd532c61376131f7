"""Bunches and closed forms that the tests of space charge share."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sc_bridge.elements import Bunch, Reference

ELECTRON_MASS = 510998.95
PROTON_MASS = 938272088.16


def proton(kinetic_energy: float = 160e6) -> Reference:
    return Reference.from_kinetic_energy(PROTON_MASS, 1.0, kinetic_energy)


def gaussian_bunch(
    n: int = 500,
    sigma: tuple[float, float, float] = (4e-3, 3e-3, 2e-3),
    reference: Reference | None = None,
    weight: float = 1e8,
    seed: int = 1,
    dtype: torch.dtype = torch.float64,
) -> Bunch:
    """Gaussian of rms sizes `sigma` [m] in x, y and zeta; momenta of 1e-3."""
    generator = torch.Generator().manual_seed(seed)
    unit = torch.randn(6, n, generator=generator, dtype=torch.float64)
    scale = torch.tensor([sigma[0], 1e-3, sigma[1], 1e-3, sigma[2], 1e-3], dtype=torch.float64)
    coordinates = (unit * scale[:, None]).to(dtype)
    return Bunch(coordinates, reference or proton(), weight)


def uniform_ball(n: int, seed: int = 1) -> Tensor:
    """Points uniform in the unit ball, (3, n)."""
    generator = torch.Generator().manual_seed(seed)
    direction = torch.randn(3, n, generator=generator, dtype=torch.float64)
    radius = torch.rand(n, generator=generator, dtype=torch.float64) ** (1 / 3)
    return direction / direction.norm(dim=0) * radius


def quiet_normal(n: int) -> Tensor:
    """Normal numbers from a scrambled Sobol sequence, which has next to no shot noise, (3, n)."""
    even = torch.quasirandom.SobolEngine(3, scramble=True, seed=1).draw(n, dtype=torch.float64)
    return math.sqrt(2.0) * torch.erfinv(2.0 * even.T.clamp(1e-12, 1.0 - 1e-12) - 1.0)


def change_of_momenta(kicked: Bunch, bunch: Bunch) -> Tensor:
    """Kick of px, py, pzeta, (..., 3, n_particles)."""
    return (kicked.coordinates - bunch.coordinates)[..., 1::2, :]


def gaussian_field(position: Tensor, sigma: tuple[float, float, float]) -> Tensor:
    """Minus the gradient of the mean of 1/r over a Gaussian, (3, n) -> (3, n), 1/m^2.

    Mayes, Ryne & Sagan, IPAC 2018, THPAK085: one integral over q, here by the trapezoidal
    rule in log q, which converges exponentially.
    """
    variance = 2.0 * torch.tensor(sigma, dtype=torch.float64)[:, None] ** 2  # (3, 1)
    log_q = torch.arange(
        math.log(float(variance.min())) - 32.0, math.log(float(variance.max())) + 32.0, 0.125
    ).to(torch.float64)
    q = torch.exp(log_q)
    spread = variance + q  # (3, n_q)
    exponent = (position[:, :, None] ** 2 / spread[:, None, :]).sum(0)  # (n, n_q)
    density = torch.exp(-exponent) * q / spread.prod(0).sqrt()
    slope = (density[None] * 2.0 / spread[:, None, :]).sum(-1) * position
    return slope * 0.125 / math.sqrt(math.pi)
