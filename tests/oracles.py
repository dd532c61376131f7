"""Oracles that this project did not write, and the tolerances with their reasons."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import xtrack as xt
from torch import Tensor

from sc_bridge.elements import Bunch

COORDINATES = ("x", "px", "y", "py", "zeta", "pzeta")
# Agreement of two implementations of one formula, per dtype, absolute in SI units.
ROUNDOFF = {torch.float64: 1e-12, torch.float32: 1e-5}
# Strength and angle of our closed-form bend against Xsuite's own closed form.
XTRACK_NAMES = {("Bend", "exact"): "bend-kick-bend"}


def xtrack_element(kind: str, kwargs: dict[str, Any]) -> Any:
    """Build the xtrack element of the same class and fields."""
    kwargs = {key: value for key, value in kwargs.items() if key != "line_length"}
    if "model" in kwargs:
        kwargs["model"] = XTRACK_NAMES.get((kind, kwargs["model"]), kwargs["model"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # classes that xtrack means to drop
        return getattr(xt, kind)(**kwargs)


def xtrack_particles(bunch: Bunch) -> xt.Particles:
    """Build the same particles for xtrack."""
    reference = bunch.reference
    return xt.Particles(
        mass0=reference.mass0.item(),
        q0=reference.q0.item(),
        p0c=reference.p0c.item(),
        **dict(zip(COORDINATES, bunch.coordinates.numpy(), strict=True)),
    )


def xtrack_matrix(kind: str, kwargs: dict[str, Any], bunch: Bunch) -> np.ndarray:
    """Differences of xtrack's map through a line of one element, about one particle."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        particle = xtrack_particles(bunch)
        line = xt.Line(elements=[xtrack_element(kind, kwargs)])
        line.particle_ref = particle
        return line.get_R_matrix(particle, steps={"dx": 1e-7, "dy": 1e-7})["R_matrix"]


def track_xtrack(element: Any, bunch: Bunch, may_lose: bool = False) -> np.ndarray:
    """Track a bunch through an xtrack element or line; coordinates (6, n) in our order."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        particles = xtrack_particles(bunch)
        element.track(particles)
    if not may_lose and not np.all(particles.state > 0):
        raise RuntimeError("xtrack lost particles: the oracle is not valid here")
    order = np.argsort(particles.particle_id)
    rows = [particles.x, particles.px, particles.y, particles.py, particles.zeta]
    return np.array([*rows, particles.ptau / particles.beta0])[:, order]


def xtrack_tpsa(bunch: Bunch, descriptor: Any = None) -> Any:
    """First-order Taylor map of xtrack, about the first particle of a bunch."""
    reference = bunch.reference
    return xt.tpsa.ParticlesTpsa(
        order=1,
        descriptor=descriptor,
        mass0=reference.mass0.item(),
        q0=reference.q0.item(),
        p0c=reference.p0c.item(),
        **dict(zip(COORDINATES, bunch.coordinates[:, 0].tolist(), strict=True)),
    )


def central_difference(function: Callable[[float], Tensor], at: float, step: float) -> Tensor:
    """Fourth-order central difference of a function of one number.

    Abramowitz & Stegun, Handbook of Mathematical Functions (1964), 25.3.24.
    """
    near = function(at + step) - function(at - step)
    far = function(at + 2.0 * step) - function(at - 2.0 * step)
    return (8.0 * near - far) / (12.0 * step)


# Of a second-order difference with a step of 1e-6: rounding 1e-10, third derivatives 1e-12.
DIFFERENCE = 1e-8


def check_gradients(
    function: Callable[..., Tensor], arguments: dict[str, Tensor], tolerance: float = DIFFERENCE
) -> None:
    """Compare the whole Jacobian by reverse mode with central differences, all in one batch.

    Arguments of the batch have one more dimension in front, in which one number at a time is
    displaced; the result has it too.
    """
    wanted = {name: value.clone().requires_grad_() for name, value in arguments.items()}
    out = function(**wanted)
    rows = [
        torch.autograd.grad(number, list(wanted.values()), retain_graph=True, allow_unused=True)
        for number in out.flatten()
    ]
    column = 0
    sizes = [value.numel() for value in arguments.values()]
    steps = 1e-6 * torch.eye(sum(sizes), dtype=torch.float64)
    batch = {}
    for (name, value), size in zip(arguments.items(), sizes, strict=True):
        displaced = torch.cat([steps, -steps])[:, column : column + size]
        batch[name] = value + displaced.reshape(-1, *value.shape)
        column += size
    forth, back = function(**batch).expand(2 * sum(sizes), *out.shape).chunk(2)
    differences = ((forth - back) / 2e-6).flatten(1).T.split(sizes, dim=1)
    for index, (name, difference) in enumerate(zip(arguments, differences, strict=True)):
        found = torch.stack([zero_or(row[index], arguments[name]).flatten() for row in rows])
        error = (found - difference).abs() / (1.0 + difference.abs())
        assert error.max() < tolerance, f"{name}: off by {error.max()}"


def zero_or(gradient: Tensor | None, like: Tensor) -> Tensor:
    return torch.zeros_like(like) if gradient is None else gradient


def symplectic_form(n: int = 3) -> Tensor:
    """The matrix J of (x, px, y, py, zeta, pzeta)."""
    block = torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=torch.float64)
    return torch.block_diag(*[block] * n)


def cold_sphere_length_function(u: float) -> float:
    """F(u) = sqrt(u (u - 1)) + asinh(sqrt(u - 1)) of a cold sphere's expansion by u.

    Reiser, Theory and Design of Charged Particle Beams (2008): r'' = N r_c/(beta gamma r)^2.
    """
    return math.sqrt(u * (u - 1.0)) + math.asinh(math.sqrt(u - 1.0))
