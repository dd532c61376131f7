"""Published cases of space charge: bunches and lattices, in ImpactX's terms.

Parameters: the examples of ImpactX (https://impactx.readthedocs.io) that every case names. Its
t is c t; its momenta are over the reference's. One description of a lattice serves both codes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import scipy.constants
import scipy.integrate
import scipy.optimize
import torch
from torch import Tensor

from sc_bridge.elements import Bunch, Drift, Quadrupole, Reference
from sc_bridge.elements.space_charge import SpaceCharge, space_charge_kick
from space_charge.bunches import ELECTRON_MASS, PROTON_MASS, uniform_ball

N = 10_000
Track = Callable[[Bunch], Bunch]
Piece = tuple[str, float, int, dict[str, Any]]  # ImpactX's class, length [m], slices, the rest


class Case(NamedTuple):
    bunch: Bunch
    pieces: list[Piece]
    nodes: tuple[int, int, int] = (32, 32, 32)


# ---- maps -----------------------------------------------------------------------------------


def linear(matrix: Tensor) -> Track:
    """Multiply in float64: a rounded matrix is not symplectic, and hundreds of slices tell."""

    def track(bunch: Bunch) -> Bunch:
        dtype = bunch.coordinates.dtype
        return bunch.replace(coordinates=(matrix @ bunch.coordinates.double()).to(dtype))

    return track


def linear_drift(ref: Reference, length: float) -> Track:
    """To first order, as ImpactX's Drift: the closed forms know no more."""
    return linear(Drift(length).transfer_matrix(ref).detach())


def linear_quadrupole(ref: Reference, length: float, k: float) -> Track:
    return linear(Quadrupole(length, k1=k).transfer_matrix(ref).detach())


def constant_focusing(ref: Reference, length: float, kx: float, ky: float, kt: float) -> Track:
    """Oscillators of wave numbers kx, ky, kt [1/m] in the three planes."""
    matrix = torch.zeros(6, 6, dtype=torch.float64)
    slip = (1.0, 1.0, ref.inverse_gamma0_squared.item())
    for plane, (k, s) in enumerate(zip((kx, ky, kt), slip, strict=True)):
        cosine, sine = math.cos(k * length), math.sin(k * length)
        block = torch.tensor([[cosine, sine / k * s], [-sine * k / s, cosine]])
        matrix[2 * plane : 2 * plane + 2, 2 * plane : 2 * plane + 2] = block
    return linear(matrix)


# ImpactX's class: our map
MAPS: dict[str, Callable[..., Track]] = {
    "Drift": linear_drift,
    "Quad": linear_quadrupole,
    "ConstF": constant_focusing,
    "ChrDrift": lambda ref, length: Drift(length),
    "ChrQuad": lambda ref, length, k: Quadrupole(length, k1=k),
}


def track(bunch: Bunch, pieces: list[Piece], settings: SpaceCharge) -> Bunch:
    """Strang: every slice is half its map, the kick, and the other half."""
    for kind, length, slices, keywords in pieces:
        half = MAPS[kind](bunch.reference, 0.5 * length / slices, **keywords)
        for _ in range(slices):
            bunch = half(space_charge_kick(half(bunch), length / slices, settings))
    return bunch


# ---- distributions --------------------------------------------------------------------------


def normal(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def uniform(*shape: int, seed: int = 2) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def with_exact_moments(unit: Tensor) -> Tensor:
    """Shift and scale every row to mean 0 and rms 1: the sample's noise does not count."""
    unit = unit - unit.mean(-1, keepdim=True)
    return unit / unit.square().mean(-1, keepdim=True).sqrt()


def kv_sphere(n: int) -> Tensor:
    """Points uniform on the unit sphere in four dimensions, (4, n): x, px, y, py of a KV beam."""
    point = normal(4, n)
    return point / point.norm(dim=0)


def waterbag(n: int) -> Tensor:
    """Uniform in a ball of six dimensions, rms 1 in every row, (6, n)."""
    point = normal(6, n)
    point = point / point.norm(dim=0) * uniform(n) ** (1 / 6)
    return with_exact_moments(point)


def kurth(n: int) -> Tensor:
    """Kurth's stationary distribution in six dimensions, rms 1 in every row, (6, n).

    Kurth, Quarterly of Applied Mathematics 36, 325 (1978); sampled as ImpactX does.
    """
    direction = uniform_ball(n)
    radius = direction.norm(dim=0)
    direction = direction / radius
    random = uniform(3, n)
    angular = random[0].sqrt()  # angular momentum over radius
    radial = ((1.0 - angular**2) * (1.0 - radius**2)).sqrt() * torch.cos(math.pi * random[1])
    helper = normal(3, n, seed=9)
    across = torch.linalg.cross(direction, helper, dim=0)
    across = across / across.norm(dim=0)
    momentum = radial * direction + angular * across
    return math.sqrt(5.0) * torch.cat((radius * direction, momentum))


def thermal_profile(k: float, temperature: float, strength: float) -> tuple[Tensor, Tensor]:
    """Radius and cumulative charge of a thermal sphere in isotropic focusing.

    Density exp(-(k^2 r^2/2 + phi)/temperature), with r^2 phi' = -strength Q(<r)/Q in units of
    the reference's momentum; solved by shooting for the density at the centre.
    """

    def cumulative(centre: float) -> tuple[np.ndarray, np.ndarray]:
        def slope(r: float, state: np.ndarray) -> list[float]:
            inside, phi = state
            density = centre * math.exp(-(0.5 * k**2 * r**2 + phi) / temperature)
            return [4 * math.pi * r**2 * density, -strength * inside / max(r, 1e-12) ** 2]

        radii = np.linspace(1e-9, reach, 4000)
        done = scipy.integrate.solve_ivp(
            slope, (radii[0], reach), [0.0, 0.0], t_eval=radii, rtol=1e-9, atol=1e-14
        )
        return radii, done.y[0]

    reach = 6.0 * math.sqrt(temperature) / k + 3.0 * (strength / k**2) ** (1 / 3)
    # neither hotter than without charge, nor denser than the cold sphere
    start = min((k**2 / (2 * math.pi * temperature)) ** 1.5, 3 * k**2 / (4 * math.pi * strength))
    best = scipy.optimize.brentq(
        lambda log: cumulative(math.exp(log))[1][-1] - 1.0,
        math.log(start) - 30.0,
        math.log(start),
    )
    radii, inside = cumulative(math.exp(best))
    return torch.from_numpy(radii), torch.from_numpy(inside / inside[-1])


# ---- bunches --------------------------------------------------------------------------------


def bunch_of(rows: dict[int, Tensor], ref: Reference, charge: float) -> Bunch:
    """Bunch from rows in ImpactX's (x, px, y, py, t, pt)."""
    n = next(iter(rows.values())).shape[0]
    coordinates = torch.zeros(6, n, dtype=torch.float64)
    for index, row in rows.items():
        coordinates[index] = row
    coordinates[4] *= -ref.beta0
    coordinates[5] /= -ref.beta0
    weight = charge / (abs(ref.q0.item()) * scipy.constants.e * n)
    return Bunch(coordinates, ref, weight)


def placed(unit: Tensor, lambdas: tuple[float, ...], ref: Reference, charge: float) -> Bunch:
    """Rows (x, y, t, px, py, pt) of rms `lambdas`."""
    order = (0, 2, 4, 1, 3, 5)
    rows = {row: unit[k] * lambdas[k] for k, row in enumerate(order)}
    return bunch_of(rows, ref, charge)


def coasting(disc: Tensor, momenta: Tensor, ref: Reference, current: float, length: float) -> Bunch:
    """A long uniform bunch that carries `current` [A] over `length` [m]."""
    spread = (uniform(disc.shape[-1], seed=5) - 0.5) * length / ref.beta0
    rows = {0: disc[0], 2: disc[1], 1: momenta[0], 3: momenta[1], 4: spread}
    charge = current * length / (ref.beta0.item() * scipy.constants.c)
    return bunch_of(rows, ref, charge)


def correlated(first: Tensor, second: Tensor, sizes: tuple[float, float], mu: float):
    """ImpactX's Gaussian of intercepts `sizes` and correlation parameter `mu`."""
    root = math.sqrt(1.0 - mu**2)
    return sizes[0] * first / root, sizes[1] * (second - mu * first / root)


# ---- the cases, in the order of ImpactX's list ----------------------------------------------


def cold_ball() -> Case:
    """expanding_beam: uniform ball in the rest frame, 250 MeV electrons, 1 nC."""
    ref = Reference.from_kinetic_energy(ELECTRON_MASS, -1.0, 250e6)
    ball = with_exact_moments(uniform_ball(N)) * 4.4721359550e-4
    bunch = bunch_of({0: ball[0], 2: ball[1], 4: ball[2] / ref.beta0_gamma0}, ref, 1e-9)
    return Case(bunch, [("Drift", 6.0, 40, {})])


def cold_cylinder(length: float = 1.0) -> Case:
    """expanding_beam of a KV beam, in the limit of two dimensions; 250 MeV protons, 0.15 A."""
    ref = Reference.from_kinetic_energy(PROTON_MASS, 1.0, 250e6)
    disc = with_exact_moments(kv_sphere(4 * N)[[0, 2]]) * 0.5e-3
    bunch = coasting(disc, torch.zeros_like(disc), ref, 0.15, length)
    return Case(bunch, [("Drift", 10.612823669911099, 20, {})], (32, 32, 16))


def kv_in_fodo(length: float = 0.5) -> Case:
    """fodo_space_charge of a KV beam: 6.7 MeV protons, 0.5 A."""
    ref = Reference.from_kinetic_energy(PROTON_MASS, 1.0, 6.7e6)
    beta, alpha, emittance = 0.737881, 2.4685083, 1e-6
    u, pu, v, pv = with_exact_moments(kv_sphere(4 * N))
    x, y = (math.sqrt(beta * emittance) * w for w in (u, v))
    px = math.sqrt(emittance / beta) * (pu - alpha * u)
    py = math.sqrt(emittance / beta) * (pv + alpha * v)
    bunch = coasting(torch.stack((x, y)), torch.stack((px, py)), ref, 0.5, length)
    k = 103.12574100336
    cell: list[Piece] = [
        ("Drift", 7.44e-2, 5, {}),
        ("Quad", 6.10e-2, 5, {"k": -k}),
        ("Drift", 14.88e-2, 10, {}),
        ("Quad", 6.10e-2, 5, {"k": k}),
        ("Drift", 7.44e-2, 5, {}),
    ]
    return Case(bunch, cell, (32, 32, 16))


def gaussian_in_fodo() -> Case:
    """fodo_space_charge of a bunched Gaussian: 100 MeV electrons, 1 nC."""
    ref = Reference.from_kinetic_energy(ELECTRON_MASS, -1.0, 100e6)
    unit = with_exact_moments(normal(6, N))
    intercepts, mu = (3.9984884770e-5, 2.6623538760e-5), 0.846574929020762
    x, px = correlated(unit[0], unit[1], intercepts, -mu)
    y, py = correlated(unit[2], unit[3], intercepts, mu)
    rows = {0: x, 1: px, 2: y, 3: py, 4: 1e-3 * unit[4], 5: 2e-3 * unit[5]}
    cell: list[Piece] = [
        ("ChrDrift", 0.25, 25, {}),
        ("ChrQuad", 1.0, 25, {"k": 1.0}),
        ("ChrDrift", 0.5, 25, {}),
        ("ChrQuad", 1.0, 25, {"k": -1.0}),
        ("ChrDrift", 0.25, 25, {}),
    ]
    return Case(bunch_of(rows, ref, 1e-9), cell)


def kurth_between_drifts() -> Case:
    """kurth_10nC_periodic: 2 GeV protons between two drifts."""
    ref = Reference.from_kinetic_energy(PROTON_MASS, 1.0, 2e9)
    lambdas = (
        *(1.46e-3, 1.46e-3, 4.9197638312420749e-4),
        *(6.84931506849e-4, 6.84931506849e-4, 2.0326178944803812e-3),
    )
    cell: list[Piece] = [
        ("Drift", 1.0, 20, {}),
        ("ConstF", 2.0, 20, {"kx": 0.7, "ky": 0.7, "kt": 0.7}),
        ("Drift", 1.0, 20, {}),
    ]
    return Case(placed(with_exact_moments(kurth(N)), lambdas, ref, 10e-9), cell)


def waterbag_in_channel() -> Case:
    """cfchannel_10nC: 2 GeV protons, tune depression 0.67."""
    ref = Reference.from_kinetic_energy(PROTON_MASS, 1.0, 2e9)
    lambdas = (
        *(1.2154443728379866e-3, 1.2154443728379866e-3, 4.0956844276541331e-4),
        *(8.2274435782286157e-4, 8.2274435782286157e-4, 2.4415943602685365e-3),
    )
    channel = [("ConstF", 2.0, 50, {"kx": 1.0, "ky": 1.0, "kt": 1.0})]
    return Case(placed(waterbag(N), lambdas, ref, 10e-9), channel)


def thermal_in_channel() -> Case:
    """thermal: 0.1 MeV protons, 1.4285714e-10 C, kT = 36e-6, k = 2 pi/m, 400 slices."""
    ref = Reference.from_kinetic_energy(PROTON_MASS, 1.0, 0.1e6)
    k, temperature, charge = 6.283185307, 36e-6, 1.4285714e-10
    # rest-frame force of a charge Q at 1 m on momenta over the reference's
    strength = charge / (4 * math.pi * scipy.constants.epsilon_0) * ref.mass0 / ref.p0c**2
    radii, inside = thermal_profile(k, temperature, strength.item())
    r = torch.from_numpy(np.interp(uniform(N).numpy(), inside.numpy(), radii.numpy()))
    direction = normal(3, N)
    position = r * direction / direction.norm(dim=0)
    momenta = math.sqrt(temperature) * normal(3, N, seed=3)
    gamma0 = ref.gamma0
    rows = {0: position[0], 1: momenta[0], 2: position[1], 3: momenta[1]}
    rows |= {4: position[2] / gamma0 / ref.beta0, 5: momenta[2] * gamma0 * ref.beta0}
    channel = [("ConstF", 10.0, 400, {"kx": k, "ky": k, "kt": k})]
    return Case(bunch_of(rows, ref, charge), channel)


def long_gaussian(n: int = 1_000_000, sigma: float = 40e-6, sigma_z: float = 1e-3) -> Case:
    """spacecharge kick of a Gaussian much longer than wide, 100 MeV electrons, 1 nC."""
    ref = Reference.from_kinetic_energy(ELECTRON_MASS, -1.0, 100e6)
    unit = normal(3, n)
    rows = {0: sigma * unit[0], 2: sigma * unit[1], 4: sigma_z * unit[2] / ref.beta0}
    return Case(bunch_of(rows, ref, 1e-9), [("Drift", 1.0, 1, {})], (64, 64, 64))
