"""A matched KV beam in a FODO channel: space charge that theory knows exactly.

A Kapchinskij-Vladimirskij beam fills the surface of an ellipsoid in (x, px, y, py), so that its
cross-section is uniform and its own field linear. Its envelopes a = 2 sigma_x, b = 2 sigma_y obey

    a'' + k(s) a - 2 K/(a + b) - e_x^2/a^3 = 0,    K = 2 r_c N'/(beta^2 gamma^3),

with N' particles per metre and e = 4 rms emittances. scipy finds the periodic solution; the same
beam is then tracked as macroparticles on a mesh. Shown are, against theory,

* that the envelopes repeat cell by cell and the emittance stays,
* the phase advance per cell that space charge leaves of the one of the bare lattice: from the
  linear map of single particles through the last cell,
* the derivative of the last envelope by the beam's intensity, by one backward pass.

    python examples/fodo/matched_beam.py

References: Reiser, Theory and Design of Charged Particle Beams (2008), sec. 4.4 and 5.3.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.constants
import torch
from scipy.integrate import solve_ivp
from scipy.optimize import least_squares
from torch import Tensor

import sc_bridge as scb
from sc_bridge.elements import Bunch

HERE = Path(__file__).resolve().parent
GEMITT = 2.5e-6  # rms, m, in both planes
LINE_DENSITY = 1.2e12  # protons per metre
BUNCH_LENGTH = 4.0  # m; long against the beam's width, so that its middle is as in theory
CELLS = 6


@dataclass(frozen=True)
class Case:
    """Figures of theory and of tracking, in the order (x, y) where there are two."""

    s: np.ndarray
    curve: np.ndarray  # rows s, a, b of theory, m
    theory: np.ndarray  # envelopes a, b at s, m
    tracked: np.ndarray
    emittance_growth: np.ndarray
    advance_bare: float  # degrees a cell
    advance_theory: float
    advance_tracked: np.ndarray
    slope_theory: float  # d sigma_x / d (relative intensity) at the end, m
    slope_tracked: float


# ---- theory -----------------------------------------------------------------------------------


def perveance(reference: scb.Reference, line_density: float) -> float:
    """Return K of a beam of protons: 2 r_c N'/(beta^2 gamma^3)."""
    radius = scipy.constants.e / (4 * math.pi * scipy.constants.epsilon_0)  # m eV
    gamma, beta = reference.gamma0.item(), reference.beta0.item()
    return 2 * radius / reference.mass0.item() * line_density / (beta**2 * gamma**3)


def focusing(sequence: scb.KickedSequence) -> list[tuple[float, float]]:
    """Pieces (length, k1) of one cell."""
    whole = [sequence[name] for name in sequence.lattice.element_names]
    thick = [element for element in whole if element.isthick]
    cell = thick[: len(thick) // CELLS]
    return [(e.length.item(), e.k1.item() if hasattr(e, "k1") else 0.0) for e in cell]


def envelopes(start, pieces, current: float, cells: int = 1, points: int = 2):
    """Integrate a, a', b, b' and the two phase advances; return s and the six rows."""
    rows, places, s = [np.append(start, [0.0, 0.0])], [0.0], 0.0
    for length, k1 in pieces * cells:

        def slope(_, u, k1=k1):
            a, da, b, db, _, _ = u
            push = 2 * current / (a + b)
            e = 4 * GEMITT
            return [
                da, push + e**2 / a**3 - k1 * a, db, push + e**2 / b**3 + k1 * b,
                e / a**2, e / b**2,
            ]  # fmt: skip

        at = np.linspace(0.0, length, points)[1:]
        piece = solve_ivp(slope, (0.0, length), rows[-1], t_eval=at, rtol=1e-10, atol=1e-14)
        rows.extend(piece.y.T)
        places.extend(s + at)
        s += length
    return np.array(places), np.array(rows).T


def matched(pieces, current: float) -> np.ndarray:
    """Return (a, a', b, b') that come back to themselves behind one cell."""
    guess = np.array([2 * math.sqrt(GEMITT * 2.5), 0.0, 2 * math.sqrt(GEMITT * 0.7), 0.0])

    def change(u):
        return (envelopes(u * guess.max(), pieces, current)[1][:4, -1] / guess.max()) - u

    found = least_squares(change, guess / guess.max(), xtol=1e-14, ftol=1e-14, gtol=1e-14)
    if found.cost > 1e-16:
        raise RuntimeError("no periodic envelope: lower the intensity")
    return found.x * guess.max()


# ---- the beam ---------------------------------------------------------------------------------


def kv_beam(start, reference: scb.Reference, n: int, intensity: Tensor) -> Bunch:
    """KV in (x, px, y, py), a uniform cylinder along zeta, no momentum spread."""
    generator = torch.Generator().manual_seed(1)
    normal = torch.randn(4, n, generator=generator, dtype=torch.float64)
    u, pu, v, pv = normal / normal.norm(dim=0)  # on the unit sphere
    a, da, b, db = start
    e = 4 * GEMITT
    zeta = BUNCH_LENGTH * (torch.rand(n, generator=generator, dtype=torch.float64) - 0.5)
    rows = [a * u, da * u + e / a * pu, b * v, db * v + e / b * pv, zeta, torch.zeros(n)]
    return Bunch(torch.stack(rows), reference, intensity / n)


def middle(bunch: Bunch) -> Bunch:
    """Return the particles that do not see the ends of the cylinder."""
    inside = bunch.zeta.detach().abs() < 0.35 * BUNCH_LENGTH
    return bunch.replace(alive=bunch.alive & inside)


def phase_advance(before: Bunch, after: Bunch, plane: int) -> float:
    """Degrees, from the linear map that takes single particles through one cell."""
    chosen = middle(before).alive
    rows = slice(2 * plane, 2 * plane + 2)
    old, new = (b.coordinates[rows, chosen].detach().T for b in (before, after))
    matrix = torch.linalg.lstsq(old, new).solution
    return math.degrees(math.acos(matrix.trace().item() / 2))


def run(n_particles: int = 50_000, nodes: int = 64, spacing: str = "5 cm") -> Case:
    """Solve the envelope equations, track the same beam, and compare."""
    sequence = scb.KickedSequence(
        scb.read_lattice(HERE / "fodo.madx"),
        slicing=scb.MaxSpacing(spacing),
        space_charge=scb.SpaceCharge(grid=(nodes, nodes, 32), longitudinal=False),
    )
    pieces = focusing(sequence)
    current = perveance(sequence.reference, LINE_DENSITY)
    start = matched(pieces, current)

    relative = torch.ones((), dtype=torch.float64, requires_grad=True)
    intensity = relative * LINE_DENSITY * BUNCH_LENGTH
    bunch = kv_beam(start, sequence.reference, n_particles, intensity)
    at = np.linspace(0.0, sequence.length, 12 * CELLS + 1).tolist()
    monitor = scb.BunchMonitor(at=at)
    record = scb.track(sequence, bunch, monitors={"all": monitor})["all"]
    s, bunches = record.s.numpy(), [middle(bunch) for bunch in record]
    tracked = np.array([[2 * b.sigma_x.item(), 2 * b.sigma_y.item()] for b in bunches]).T
    cells = bunches[::12]
    growth = [
        getattr(cells[-1], name).item() / getattr(cells[0], name).item() - 1
        for name in ("gemitt_x", "gemitt_y")
    ]
    (slope,) = torch.autograd.grad(cells[-1].sigma_x, relative)

    places, rows = envelopes(start, pieces, current, CELLS, points=9)
    step = 1e-4
    nearby = [
        envelopes(start, pieces, current * (1 + sign * step), CELLS)[1][0, -1] / 2
        for sign in (1, -1)
    ]
    return Case(
        s=s,
        curve=np.stack([places, rows[0], rows[2]]),
        theory=np.array([np.interp(s, places, rows[row]) for row in (0, 2)]),
        tracked=tracked,
        emittance_growth=np.array(growth),
        advance_bare=math.degrees(2 * math.pi * scb.periodic_twiss(sequence).qx / CELLS),
        advance_theory=math.degrees(rows[4, -1] / CELLS),
        advance_tracked=np.array([phase_advance(cells[-2], cells[-1], p) for p in (0, 1)]),
        slope_theory=(nearby[0] - nearby[1]) / (2 * step),
        slope_tracked=slope.item(),
    )


def report(case: Case) -> str:
    """Tell the figures beside those of theory."""
    off = abs(case.tracked / case.theory - 1).max(axis=1)
    advance = case.advance_tracked
    return "\n".join(
        [
            f"{'':34}{'theory':>10}{'tracked':>20}",
            f"{'phase advance without charge':34}{case.advance_bare:8.2f}°",
            f"{'phase advance with it (x, y)':34}{case.advance_theory:8.2f}°"
            f"{advance[0]:12.2f}°{advance[1]:7.2f}°",
            f"{'tune depression':34}{case.advance_theory / case.advance_bare:9.3f}"
            f"{advance[0] / case.advance_bare:13.3f}{advance[1] / case.advance_bare:8.3f}",
            f"{'envelopes: largest deviation':34}{'':9}{off[0]:13.2%}{off[1]:8.2%}",
            f"{'emittance growth':34}{'0':>9}"
            f"{case.emittance_growth[0]:13.2%}{case.emittance_growth[1]:8.2%}",
            f"{'d sigma_x / d ln(intensity)':34}{case.slope_theory * 1e3:6.3f} mm"
            f"{case.slope_tracked * 1e3:10.3f} mm",
        ]
    )


def draw(case: Case, path: Path) -> None:
    """Draw the envelopes of theory (lines) and of the tracked beam (points)."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 3.2), layout="constrained")
    for theory, tracked, name in zip(case.curve[1:], case.tracked, "xy", strict=True):
        label = f"2 sigma_{name}"
        (line,) = axes.plot(case.curve[0], theory * 1e3, lw=1, label=f"{label}, theory")
        axes.plot(case.s, tracked * 1e3, ".", color=line.get_color(), label=f"{label}, tracked")
    axes.set(xlabel="s [m]", ylabel="envelope [mm]", title="KV beam: envelope equations and mesh")
    figure.legend(loc="outside right upper")
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main(arguments: list[str] | None = None) -> Case:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer particles, a coarser mesh")
    parser.add_argument("--output", type=Path, default=HERE / "results")
    options = parser.parse_args(arguments)
    case = run(20_000, 32, "10 cm") if options.quick else run()
    print(report(case))
    options.output.mkdir(parents=True, exist_ok=True)
    draw(case, options.output / "envelopes.png")
    print(f"picture: {options.output / 'envelopes.png'}")
    return case


if __name__ == "__main__":
    main()
