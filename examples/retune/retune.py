"""Retune a beam line against its own space charge, with gradients and without.

A channel of four cells was designed without space charge: phase advances of 4 x 75 degrees, and
optics that come back to themselves. With the beam on, every quadrupole is too weak. Eight supplies
shall bring back six numbers behind the channel: phase advances and Twiss functions of both planes,
as the tracked particles have them (the best linear map through all of them, and their moments).

scipy's L-BFGS-B does this twice from the same start: with the gradient of one backward pass
per step, and with its own finite differences, nine runs per step. Each counts runs and seconds.

    python examples/retune/retune.py
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import scipy.optimize
import torch
from torch import Tensor

import sc_bridge as scb

HERE = Path(__file__).resolve().parent
KNOBS = tuple(f"kq{n}" for n in range(1, 9))
INTENSITY = 1.2e12  # protons
NAMES = ("mu_x", "mu_y", "beta_x", "alpha_x", "beta_y", "alpha_y")


@dataclass
class Fit:
    """What a search found, and what it took."""

    knobs: np.ndarray
    loss: float
    forward: int = 0  # runs through the line
    backward: int = 0  # runs back
    seconds: float = 0.0
    history: list[float] = field(default_factory=list)  # loss after each run


class Channel:
    """The line, its beam, and the six numbers behind it."""

    def __init__(self, n_particles: int = 2_000, nodes: int = 24, spacing: str = "0.2 m") -> None:
        self.sequence = scb.KickedSequence(
            scb.read_lattice(HERE / "channel.madx"),
            slicing=scb.MaxSpacing(spacing),
            # a grid that stays where it is: a smooth loss, which finite differences need
            space_charge=scb.SpaceCharge(
                grid=(nodes, nodes, 16),
                x_range=(-0.015, 0.015),
                y_range=(-0.015, 0.015),
                z_range=(-6.0, 6.0),
                longitudinal=False,
            ),
        )
        self.design = scb.periodic_twiss(self.sequence)
        self.bunch = scb.gaussian(
            self.sequence,
            n_particles=n_particles,
            intensity=INTENSITY,
            nemitt_x="0.5 um",
            nemitt_y="0.5 um",
            sigma_z="1 m",
            sigma_delta=0.0,
            seed=1,
        )

    @property
    def target(self) -> Tensor:
        d = self.design
        phases = [2 * math.pi * (q % 1.0) for q in (d.qx, d.qy)]
        return torch.tensor([*phases, d.betx, d.alfx, d.bety, d.alfy], dtype=torch.float64)

    def set(self, values: np.ndarray) -> None:
        for name, value in zip(KNOBS, values, strict=True):
            self.sequence.knobs[name] = float(value)

    def measure(self) -> Tensor:
        """Phase advances [rad] and Twiss functions [m, 1] behind the line, (6,)."""
        out = scb.track(self.sequence, self.bunch)
        d = self.design
        phase_x = phase_advance(self.bunch, out, "x", d.betx, d.alfx)
        phase_y = phase_advance(self.bunch, out, "y", d.bety, d.alfy)
        return torch.stack([phase_x, phase_y, *twiss(out, "x"), *twiss(out, "y")])

    def loss(self) -> Tensor:
        """Sum of squares: radians, and relative differences of beta with alpha."""
        off = self.measure() - self.target
        phases = torch.atan2(torch.sin(off[:2]), torch.cos(off[:2]))
        beta = self.target[[2, 4]]
        return (phases**2).sum() + ((off[[2, 4]] / beta) ** 2).sum() + (off[[3, 5]] ** 2).sum()


def phase_advance(before: scb.Bunch, after: scb.Bunch, plane: str, beta: float, alpha: float):
    """Phase of the best linear map through all particles, from given optics, rad."""
    old, new = (torch.stack([getattr(b, plane), getattr(b, f"p{plane}")]) for b in (before, after))
    matrix = (new @ old.T) @ torch.linalg.inv(old @ old.T)
    return torch.atan2(matrix[0, 1], beta * matrix[0, 0] - alpha * matrix[0, 1])


def twiss(bunch: scb.Bunch, plane: str) -> tuple[Tensor, Tensor]:
    """Beta [m] and alpha of the moments of a bunch."""
    emittance = bunch.gemitt(plane, f"p{plane}")
    beta = bunch.covariance(plane, plane) / emittance
    return beta, -bunch.covariance(plane, f"p{plane}") / emittance


# ---- two searches -----------------------------------------------------------------------------


def search(channel: Channel, start: np.ndarray, gradients: bool) -> Fit:
    """Minimise the loss; `gradients` by the backward pass, else by scipy's differences."""
    fit = Fit(start, math.inf)
    inputs = [channel.sequence.knobs[name] for name in KNOBS]
    for knob in inputs:
        knob.requires_grad_(gradients)

    def evaluate(values: np.ndarray):
        channel.set(values)
        loss = channel.loss()
        fit.forward += 1
        fit.history.append(loss.item())
        if not gradients:
            return loss.item()
        fit.backward += 1
        return loss.item(), torch.stack(torch.autograd.grad(loss, inputs)).numpy()

    begin = time.perf_counter()
    found = scipy.optimize.minimize(
        evaluate,
        start,
        jac=gradients,
        method="L-BFGS-B",
        bounds=[(0.7 * min(v, 2 * v), 1.5 * max(v, v / 2)) for v in start],
        options={"maxiter": 60, "ftol": 1e-12, "gtol": 1e-6},
    )
    fit.knobs, fit.loss, fit.seconds = found.x, float(found.fun), time.perf_counter() - begin
    return fit


# ---- output -----------------------------------------------------------------------------------


def report(channel: Channel, before: Tensor, fits: dict[str, Fit]) -> str:
    """Tell what was wanted and found, and what it took."""
    columns = [channel.target, before]
    for fit in fits.values():
        channel.set(fit.knobs)
        columns.append(channel.measure().detach())
    heads = ["wanted", "before", *fits]
    lines = [f"{'':10}" + "".join(f"{head:>20}" for head in heads)]
    for row, name in enumerate(NAMES):
        values = [
            column[row].item() % math.tau if row < 2 else column[row].item() for column in columns
        ]
        lines.append(f"{name:10}" + "".join(f"{value:20.5f}" for value in values))
    for name, values in (
        ("runs", [fit.forward for fit in fits.values()]),
        ("... back", [fit.backward for fit in fits.values()]),
        ("seconds", [round(fit.seconds, 1) for fit in fits.values()]),
    ):
        lines.append(f"{name:10}{'':40}" + "".join(f"{value:>20}" for value in values))
    return "\n".join(lines)


def draw(fits: dict[str, Fit], path: Path) -> None:
    """Draw the best loss so far against the number of runs."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 3.2), layout="constrained")
    for name, fit in fits.items():
        axes.semilogy(np.arange(1, fit.forward + 1), np.minimum.accumulate(fit.history), label=name)
    axes.set(xlabel="runs through the line", ylabel="loss", title="Eight supplies, six numbers")
    axes.legend()
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main(arguments: list[str] | None = None) -> dict[str, Fit]:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer particles, kicks and nodes")
    parser.add_argument("--output", type=Path, default=HERE / "results")
    options = parser.parse_args(arguments)
    channel = Channel(500, 16, "0.4 m") if options.quick else Channel()
    start = np.array([channel.sequence.knobs[name].item() for name in KNOBS])
    before = channel.measure()
    fits = {
        "gradients": search(channel, start, gradients=True),
        "finite differences": search(channel, start, gradients=False),
    }
    print(report(channel, before, fits))
    options.output.mkdir(parents=True, exist_ok=True)
    draw(fits, options.output / "search.png")
    print(f"picture: {options.output / 'search.png'}")
    return fits


if __name__ == "__main__":
    main()
