"""Figure 7: force in a relativistic Gaussian bunch against the closed form."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import scipy.constants
import torch

import sc_bridge as scb
from sc_bridge.elements.space_charge import space_charge_kick

from . import case, style

# Of Mayes et al. and Mitchell et al.; aspect ratios of 0.01 to 10 in the rest frame.
SIGMA = (1e-3, 1e-3, 1e-6)  # m, in the laboratory
CHARGE = 1e-9  # C
GAMMAS = (10.0, 100.0, 1000.0, 10000.0)
REACH = 3.0  # rms sizes that are shown
PROBES = 25
COLOURS = (style.BLUE, style.GREEN, style.ORANGE, style.RED)
_STEP = 0.125  # of log q
_FIELD = scipy.constants.e / (4.0 * math.pi * scipy.constants.epsilon_0)  # V m


def draw(folder: Path, size: case.Size) -> float:
    """Draw the figure; return the largest difference over the largest force of its curve."""
    figure, axes = style.new_figure(1, 2, 9.0, 3.6)
    line = np.linspace(-REACH, REACH, 121)
    worst = 0.0
    for gamma, colour in zip(GAMMAS, COLOURS, strict=True):
        places, forces = measured_forces(gamma, size)
        for panel, axis in zip(axes[0], (0, 2), strict=True):
            exact = exact_force(gamma, axis, line * SIGMA[axis])
            largest = np.abs(exact).max()
            error = forces[axis] - exact_force(gamma, axis, places * SIGMA[axis])
            worst = max(worst, float(np.abs(error).max() / largest))
            panel.plot(line, exact / largest, "-", color=colour, lw=1)
            text = _text(gamma, largest)
            panel.plot(
                places, forces[axis] / largest, "o", color=colour, ms=3.5, mfc="none", label=text
            )
    for panel, name in zip(axes[0], ("x", "z"), strict=True):
        style.label(panel, f"${name}/\\sigma_{name}$", f"$F_{name}$ / largest $F_{name}$")
        panel.legend(fontsize=7, title="sc_bridge (lines: closed form)", title_fontsize=7)
    style.save(figure, folder, "figure_7_gaussian_field")
    return worst


def _text(gamma: float, largest: float) -> str:
    return f"$\\gamma$ = {gamma:g}, largest {largest:.2g} eV/m"


def measured_forces(gamma: float, size: case.Size) -> tuple[np.ndarray, dict[int, np.ndarray]]:
    """Places of probes without charge, in rms sizes, and the force on them along x and z, eV/m."""
    momentum = case.ELECTRON_MASS * math.sqrt(gamma**2 - 1.0)
    reference = scb.Reference(case.ELECTRON_MASS, -1.0, momentum)
    n = size.field_particles
    even = torch.quasirandom.SobolEngine(3, scramble=True, seed=1).draw(n, dtype=torch.float64)
    normal = math.sqrt(2.0) * torch.erfinv(2.0 * even.T.clamp(1e-12, 1.0 - 1e-12) - 1.0)
    places = torch.linspace(-REACH, REACH, PROBES, dtype=torch.float64)
    probes = {0: slice(n, n + PROBES), 2: slice(n + PROBES, n + 2 * PROBES)}
    coordinates = torch.zeros(6, n + 2 * PROBES, dtype=torch.float64)
    coordinates[::2, :n] = normal * torch.tensor(SIGMA, dtype=torch.float64).unsqueeze(-1)
    for axis, along in probes.items():
        coordinates[2 * axis, along] = places * SIGMA[axis]
    weight = torch.zeros(n + 2 * PROBES, dtype=torch.float64)
    weight[:n] = CHARGE / scipy.constants.e / n
    bunch = scb.Bunch(coordinates, reference, weight)
    nodes = size.field_nodes
    kicked = space_charge_kick(bunch, 1.0, scb.SpaceCharge(grid=(nodes, nodes, nodes)))
    # the kick over 1 m is force times 1 m/(beta c), over P0
    force = (kicked.coordinates - coordinates)[1::2] * reference.p0c * reference.beta0
    return places.numpy(), {axis: force[axis, along].numpy() for axis, along in probes.items()}


def exact_force(gamma: float, axis: int, at: np.ndarray) -> np.ndarray:
    """Equations 7 and 8, after Mayes et al. (2018), in eV/m for an electron.

    Their integral over q, by the trapezoidal rule in log q, which converges exponentially.
    """
    variance = 2.0 * np.array([SIGMA[0], SIGMA[1], gamma * SIGMA[2]]) ** 2
    log_q = np.arange(np.log(variance.min()) - 32.0, np.log(variance.max()) + 32.0, _STEP)
    q = np.exp(log_q)
    spread = variance[:, None] + q  # (3, n_q)
    rest = (at * gamma if axis == 2 else at)[:, None]
    slope = np.exp(-(rest**2) / spread[axis]) * q / (spread[axis] * np.sqrt(spread.prod(0)))
    field = _FIELD * CHARGE / scipy.constants.e * 2.0 / math.sqrt(math.pi)
    force = field * rest[:, 0] * slope.sum(1) * _STEP
    # of the field in the rest frame: across, a factor 1/gamma; along, as it is
    return force if axis == 2 else force / gamma
