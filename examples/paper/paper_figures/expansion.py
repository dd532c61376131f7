"""Figure 8: radius of an expanding cold ball, and its derivative by the initial radius."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.constants
import scipy.integrate
import torch
from torch import Tensor

import sc_bridge as scb
from sc_bridge.elements.space_charge import SpaceCharge, space_charge_kick

from . import case, style


def draw(folder: Path, size: case.Size) -> dict[str, float]:
    """Draw the figure; return the largest errors relative to the largest values."""
    s, radius, slope = track_radius(size)
    line = np.linspace(0.0, case.DRIFT, 200)
    exact, exact_slope = envelope(line)
    figure, axes = style.new_figure(2, 1, 5.6, 5.2, sharex=True)
    for panel, found, curve, text in (
        (axes[0, 0], 1e3 * radius, 1e3 * exact, "$r$ (mm)"),
        (axes[1, 0], slope, exact_slope, "$dr/dr_0$"),
    ):
        panel.plot(line, curve, "-", color=style.GREY, lw=1, label="envelope equation")
        kicks = f"sc_bridge, {size.expansion_kicks} kicks"
        panel.plot(s, found, "o", color=style.BLUE, ms=4, mfc="none", label=kicks)
        style.label(panel, "", text)
        panel.legend(fontsize=8)
    axes[1, 0].set_xlabel("$s$ (m)")
    style.save(figure, folder, "figure_8_expansion")
    at, at_slope = envelope(s)
    return {
        "radius": float(np.abs(radius - at).max() / at.max()),
        "dr/dr0": float(np.abs(slope - at_slope).max() / np.abs(at_slope).max()),
    }


def track_radius(size: case.Size) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Places, radii and their derivatives; each derivative is one backward pass.

    The radius and the length of the ball change together, as r_0 does in the envelope equation.
    """
    inputs = {
        **case.make_inputs(False),
        "radius": torch.tensor(case.VALUES["radius"], dtype=torch.float64, requires_grad=True),
    }
    inputs["length"] = inputs["radius"]
    bunch = case.make_bunch(inputs, size.expansion_particles, torch.float64)
    kicks, nodes = size.expansion_kicks, size.expansion_nodes
    step, settings = case.DRIFT / kicks, SpaceCharge(grid=(nodes, nodes, nodes))
    half = linear_drift(bunch.reference, 0.5 * step)
    wanted = set(np.linspace(0, kicks, size.places).round().astype(int).tolist())
    rows = [(0.0, case.VALUES["radius"], 1.0)]
    for done in range(1, kicks + 1):
        bunch = half(space_charge_kick(half(bunch), step, settings))
        if done in wanted:
            radius = math.sqrt(5.0) * 0.5 * (bunch.sigma_x + bunch.sigma_y)
            (slope,) = torch.autograd.grad(radius, inputs["radius"], retain_graph=True)
            rows.append((done * step, radius.item(), slope.item()))
    s, radii, slopes = np.array(rows).T
    return s, radii, slopes


def linear_drift(reference: scb.Reference, length: float) -> Callable[[scb.Bunch], scb.Bunch]:
    """First order in all coordinates: the envelope equation is that of slow motion.

    Momenta change by half of the reference's here, where an exact drift differs.
    """
    slip = reference.inverse_gamma0_squared

    def drift(bunch: scb.Bunch) -> scb.Bunch:
        x, px, y, py, zeta, pzeta = bunch.coordinates.unbind(-2)
        rows: tuple[Tensor, ...] = (
            x + length * px, px, y + length * py, py, zeta + length * slip * pzeta, pzeta,
        )  # fmt: skip
        return bunch.replace(coordinates=torch.stack(rows, dim=-2))

    return drift


def envelope(s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Equation 9, r'' = N r_c/(beta gamma r)^2, and its derivative by r_0, by integration."""
    number = case.VALUES["charge"] / scipy.constants.e
    r_c = scipy.constants.physical_constants["classical electron radius"][0]
    strength = number * r_c / ((case.VALUES["energy"] / case.ELECTRON_MASS) ** 2 - 1.0)

    def change(_: float, state: np.ndarray) -> list[float]:
        r, r_prime, slope, slope_prime = state
        return [r_prime, strength / r**2, slope_prime, -2.0 * strength * slope / r**3]

    start = [case.VALUES["radius"], 0.0, 1.0, 0.0]
    found = scipy.integrate.solve_ivp(
        change, (0.0, case.DRIFT), start, dense_output=True, rtol=1e-10, atol=1e-14
    )
    r, _, slope, _ = found.sol(s)
    return r, slope
