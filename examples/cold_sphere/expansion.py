"""A cold ball of charge explodes: every derivative against a closed form.

Electrons at rest with respect to each other fill a ball of radius R0 in their rest frame. Their
own field drives it apart; at a distance s, with r_c the classical radius and N electrons,

    R'' = N r_c/(beta gamma R)^2,
    s = beta gamma sqrt(R0^3/(2 N r_c)) F(u),    F(u) = sqrt(u(u - 1)) + asinh(sqrt(u - 1)),

where u = R/R0. F gives the radius and, by implicit differentiation, its derivatives by length,
charge, initial radius and energy. All four come out of one backward pass through the kicks.

    python examples/cold_sphere/expansion.py

Reference: Reiser, Theory and Design of Charged Particle Beams (2008).
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
import scipy.constants
import torch
from scipy.optimize import brentq
from torch import Tensor

import sc_bridge as scb
from sc_bridge.elements import Bunch, Reference

HERE = Path(__file__).resolve().parent
RADIUS, CHARGE, ENERGY = 1e-3, 1e-12, 5e6  # m, C, eV
UNITS = {"length": "m", "charge": "C", "radius": "m", "energy": "eV"}


# ---- theory -----------------------------------------------------------------------------------


def radius_at(length: float, charge: float, radius: float, energy: float) -> float:
    """Radius behind a drift, m, by inverting F."""
    u, _ = _expansion(length, charge, radius, energy)
    return radius * u


def derivatives_at(length: float, charge: float, radius: float, energy: float) -> dict[str, float]:
    """Derivatives of the radius by length, charge, initial radius and total energy."""
    u, scale = _expansion(length, charge, radius, energy)
    slope = math.sqrt(u / (u - 1.0))  # F'(u)
    ratio = length / scale / slope  # F/F'
    mass = _electron_mass()
    return {
        "length": radius / (scale * slope),
        "charge": radius * ratio / (2.0 * charge),
        "radius": u - 1.5 * ratio,
        "energy": -radius * ratio * energy / (energy**2 - mass**2),
    }


def _expansion(length: float, charge: float, radius: float, energy: float) -> tuple[float, float]:
    """Solve for u, and the length at which F(u) = 1, m."""
    beta_gamma = math.sqrt((energy / _electron_mass()) ** 2 - 1.0)
    n = charge / scipy.constants.e
    r_c, _, _ = scipy.constants.physical_constants["classical electron radius"]
    scale = beta_gamma * math.sqrt(radius**3 / (2.0 * n * r_c))

    def excess(u: float) -> float:
        return math.sqrt(u * (u - 1.0)) + math.asinh(math.sqrt(u - 1.0)) - length / scale

    return float(brentq(excess, 1.0 + 1e-12, 1e3)), scale  # pyright: ignore[reportArgumentType]


def _electron_mass() -> float:
    return scb.reference("electron", momentum=1.0).mass0.item()


# ---- tracking ---------------------------------------------------------------------------------


def ball(radius: Tensor, charge: Tensor, reference: Reference, n: int) -> Bunch:
    """Electrons that fill a ball evenly in the rest frame, without momenta."""
    draw = torch.quasirandom.SobolEngine(3, scramble=True, seed=1)
    u = draw.draw(n, dtype=torch.float64).T.clamp(1e-12, 1 - 1e-12)
    r, cosine, angle = u[0] ** (1 / 3), 2 * u[1] - 1, 2 * math.pi * u[2]
    sine = torch.sqrt(1 - cosine**2)
    zero = torch.zeros(n, dtype=torch.float64)
    x, y, z = r * sine * torch.cos(angle), r * sine * torch.sin(angle), r * cosine
    rows = [radius * x, zero, radius * y, zero, radius * z / reference.gamma0, zero]
    return Bunch(torch.stack(rows), reference, charge / scipy.constants.e / n)


def track_ball(n: int, nodes: int, kicks: int) -> tuple[scb.TrackResult, dict[str, Tensor]]:
    """Track the ball; return the result and the inputs that gradients flow to."""
    sequence = scb.KickedSequence(
        scb.read_lattice(HERE / "drift.madx"),
        slicing=scb.KicksPerElement(kicks),
        space_charge=scb.SpaceCharge(grid=(nodes, nodes, nodes)),
    )
    inputs = {
        "length": sequence.knobs["path"],
        "charge": torch.tensor(CHARGE, dtype=torch.float64),
        "radius": torch.tensor(RADIUS, dtype=torch.float64),
        "energy": torch.tensor(ENERGY, dtype=torch.float64),
    }
    for tensor in inputs.values():
        tensor.requires_grad_()
    electron = scb.reference("electron", total_energy=inputs["energy"])
    bunch = ball(inputs["radius"], inputs["charge"], electron, n)
    monitors = {"path": scb.MomentsMonitor(every_kick=True)}
    return scb.track(sequence, bunch, monitors=monitors), inputs


Rows = dict[str, tuple[float, float]]


def run(n: int = 100_000, nodes: int = 64, kicks: int = 60) -> tuple[Rows, np.ndarray]:
    """Return (theory, tracked) of the radius and of each derivative, and (s, radius) on the way."""
    result, inputs = track_ball(n, nodes, kicks)
    radius = math.sqrt(5.0) * result.bunch.sigma_x  # of a uniform ball
    gradients = torch.autograd.grad(radius, list(inputs.values()))
    values = {name: tensor.item() for name, tensor in inputs.items()}
    rows = {"R": (radius_at(**values), radius.item())}
    for (name, theory), tracked in zip(derivatives_at(**values).items(), gradients, strict=True):
        rows[f"dR/d({name})"] = (theory, tracked.item())
    record = result["path"]
    return rows, np.array([record.s.numpy(), math.sqrt(5.0) * record.sigma_x.detach().numpy()])


def report(rows: Rows) -> str:
    lines = [f"{'':14}{'closed form':>14}{'tracked':>14}{'difference':>12}"]
    for name, (theory, tracked) in rows.items():
        unit = "m" if name == "R" else f"m/{UNITS[name[5:-1]]}"
        lines.append(f"{name:14}{theory:14.6g}{tracked:14.6g}{tracked / theory - 1:12.2%}  {unit}")
    return "\n".join(lines)


def draw(path: Path, along: np.ndarray) -> None:
    """Draw the radius along the drift, beside the closed form."""
    import matplotlib.pyplot as plt

    s, tracked = along
    theory = [radius_at(place, CHARGE, RADIUS, ENERGY) * 1e3 for place in s]
    figure, axes = plt.subplots(figsize=(6, 3.2), layout="constrained")
    axes.plot(s, theory, lw=1, label="closed form")
    axes.plot(s, tracked * 1e3, ".", ms=4, label="tracked")
    axes.set(xlabel="s [m]", ylabel="R [mm]", title="Expansion of a cold ball of 1 pC at 5 MeV")
    axes.legend()
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main(arguments: list[str] | None = None) -> Rows:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer particles, a coarser mesh")
    parser.add_argument("--output", type=Path, default=HERE / "results")
    options = parser.parse_args(arguments)
    rows, along = run(10_000, 32, 30) if options.quick else run()
    print(report(rows))
    options.output.mkdir(parents=True, exist_ok=True)
    draw(options.output / "radius.png", along)
    print(f"picture: {options.output / 'radius.png'}")
    return rows


if __name__ == "__main__":
    main()
