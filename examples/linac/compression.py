"""Bunch compression in an electron linac: what moves the bunch length, with space charge.

0.5 nC at 20 MeV goes through two S-band structures off crest, a chicane of four magnets, and one
structure on crest (`linac.lte`, in elegant's language). Off crest the head gains less than the
tail, so that the tail catches up in the chicane. To first order, with the chirp
h = (dE/dzeta)/E behind the structures and R56 of the chicane,

    sigma_z = sqrt(((1 + h R56) sigma_z0)^2 + (R56 sigma_d0 E0/E)^2).

The script compares energy, R56, length and its derivative by the phase with these formulas where
there is no charge, then switches space charge on and gives the derivatives of length, energy
spread and emittances by every variable of the file and by the charge: one backward pass each.

    python examples/linac/compression.py
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import scipy.constants
import torch
from torch import Tensor

import sc_bridge as scb
from sc_bridge.elements import LinacCavity

HERE = Path(__file__).resolve().parent
CHARGE = 0.5e-9  # C
SIGMA_Z, SIGMA_DELTA = 0.5e-3, 1e-3  # m, 1; at the entrance
KNOBS = ("phase1", "phase2", "angle", "kq")
# A step of each input that an operator would call small, and its name.
STEPS = {
    "phase1": (1.0, "1 deg"),
    "phase2": (1.0, "1 deg"),
    "angle": (1e-3, "1 mrad"),
    "kq": (0.03, "1 %"),
    "charge": (0.1 * CHARGE, "10 %"),
}
RESULTS = ("sigma_zeta", "sigma_delta", "nemitt_x", "nemitt_y")


@dataclass(frozen=True)
class Case:
    """A tracked bunch with the derivatives of RESULTS by KNOBS and the charge."""

    bunch: scb.Bunch
    along: Any  # moments along s
    values: dict[str, float]
    derivatives: dict[str, dict[str, float]]  # result -> knob -> derivative


def build(spacing: str, nodes: int) -> scb.KickedSequence:
    return scb.KickedSequence(
        scb.read_lattice(HERE / "linac.lte", sequence="LINAC"),
        slicing=scb.MaxSpacing(spacing),
        space_charge=scb.SpaceCharge(grid=(nodes, nodes, nodes)),
        bend_model="exact",  # one map instead of an integrator of many steps
        reference=scb.reference("electron", kinetic_energy="20 MeV"),
    )


def make_bunch(sequence: scb.KickedSequence, charge: float | Tensor, n: int) -> scb.Bunch:
    return scb.gaussian(
        sequence,
        n_particles=n,
        intensity=charge / scipy.constants.e,
        nemitt_x="1 um",
        nemitt_y="1 um",
        sigma_z=SIGMA_Z,
        sigma_delta=SIGMA_DELTA,
        twiss=scb.Twiss(betx=6.0, alfx=0.0, bety=6.0, alfy=0.0),
        seed=1,
    )


def differentiate(
    sequence: scb.KickedSequence, charge: float, n: int, results: tuple[str, ...] = RESULTS
) -> Case:
    """Track once, then go back once for each result."""
    inputs = {name: sequence.knobs[name].requires_grad_() for name in KNOBS}
    inputs["charge"] = torch.tensor(charge, dtype=torch.float64, requires_grad=True)
    bunch = make_bunch(sequence, inputs["charge"], n)
    monitors = {"along": scb.MomentsMonitor(every_kick=True)}
    result = scb.track(sequence, bunch, monitors=monitors)
    derivatives = {}
    for name in results:
        value = getattr(result.bunch, name)
        gradients = torch.autograd.grad(value, list(inputs.values()), retain_graph=True)
        derivatives[name] = {k: g.item() for k, g in zip(inputs, gradients, strict=True)}
    values = {name: getattr(result.bunch, name).item() for name in results}
    return Case(result.bunch.detach(), result["along"], values, derivatives)


# ---- first order, without charge --------------------------------------------------------------


def chicane_r56(sequence: scb.KickedSequence) -> tuple[float, float]:
    """R56 in m: from the transfer matrix of the chicane alone, and in closed form.

    Four rectangular magnets of arc l and angle t, with drifts d in the two slanted parts, have
    R56 = 4 l (tan t/t - 1) + 2 d tan^2 t; the velocity adds length/gamma^2.
    """
    chicane = scb.KickedSequence(
        scb.read_lattice(HERE / "linac.lte", sequence="BC"),
        bend_model="exact",
        reference=scb.reference("electron", kinetic_energy=behind_structures(sequence)[0]),
    )
    t, arc, drift = sequence.knobs["angle"].item(), 0.3, 1.2
    closed = 2 * drift * math.tan(t) ** 2 + 4 * arc * (math.tan(t) / t - 1)
    closed += chicane.length * chicane.reference.inverse_gamma0_squared.item()
    return chicane.transfer_matrix()[4, 5].item(), closed


def behind_structures(sequence: scb.KickedSequence) -> tuple[float, float]:
    """Kinetic energy [eV] and chirp h [1/m] behind the two structures in front of the chicane."""
    cavity = sequence["SEC1"]
    if not isinstance(cavity, LinacCavity):
        raise TypeError(f"SEC1 is a {type(cavity).__name__}, not a LinacCavity")
    wave = 2 * math.pi * cavity.frequency.item() / scipy.constants.c
    voltage, phase = 2 * cavity.voltage.item(), cavity.phase.item()
    reference = sequence.reference
    kinetic = reference.kinetic_energy0.item() + voltage * math.cos(phase)
    chirp = voltage * wave * math.sin(phase) / (kinetic + reference.mass0.item())
    return kinetic, chirp


def first_order_length(sequence: scb.KickedSequence, degrees: float) -> float:
    """sigma_z behind the chicane for a phase of the first structures, m."""
    before = sequence.knobs["phase1"].item()
    sequence.knobs["phase1"] = degrees
    kinetic, chirp = behind_structures(sequence)
    r56 = chicane_r56(sequence)[0]
    sequence.knobs["phase1"] = before
    mass = sequence.reference.mass0.item()
    damping = sequence.reference.energy0.item() / (kinetic + mass)
    return math.hypot((1 + chirp * r56) * SIGMA_Z, r56 * SIGMA_DELTA * damping)


# ---- output -----------------------------------------------------------------------------------


def report_first_order(sequence: scb.KickedSequence, case: Case) -> str:
    """Compare tracking without charge with the formulas."""
    step, phase = 0.1, sequence.knobs["phase1"].item()
    closed = [first_order_length(sequence, phase + sign * step) for sign in (0, 1, -1)]
    slope = (closed[1] - closed[2]) / (2 * step)
    r56 = chicane_r56(sequence)
    end = behind_structures(sequence)[0] + sequence["SEC2"].voltage.item()
    energy = case.bunch.reference.kinetic_energy0.item()
    tracked = case.derivatives["sigma_zeta"]["phase1"]
    return "\n".join(
        [
            f"{'without charge':28}{'formula':>12}{'tracked':>12}",
            f"{'kinetic energy [MeV]':28}{end / 1e6:12.4f}{energy / 1e6:12.4f}",
            f"{'R56 of the chicane [mm]':28}{r56[1] * 1e3:12.4f}{r56[0] * 1e3:12.4f}",
            f"{'bunch length [um]':28}{closed[0] * 1e6:12.2f}"
            f"{case.values['sigma_zeta'] * 1e6:12.2f}",
            f"{'... by phase [um/deg]':28}{slope * 1e6:12.2f}{tracked * 1e6:12.2f}",
        ]
    )


def report(case: Case, charge: float) -> str:
    """Tell by how many percent each result moves for a small step of each input."""
    heads = [f"{name} {STEPS[name][1]}" for name in STEPS]
    lines = [f"{f'{charge * 1e9:g} nC':14}{'value':>11}" + "".join(f"{h:>14}" for h in heads)]
    for name, value in case.values.items():
        moved = [case.derivatives[name][key] * STEPS[key][0] / value for key in STEPS]
        lines.append(f"{name:14}{value:11.4g}" + "".join(f"{part:14.2%}" for part in moved))
    return "\n".join(lines)


def draw(cases: dict[str, Case], path: Path) -> None:
    """Draw bunch length and emittances along the line."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 1, figsize=(7, 5), sharex=True, layout="constrained")
    for label, case in cases.items():
        s = case.along.s.numpy()
        axes[0].plot(s, case.along.sigma_zeta.detach().numpy() * 1e3, label=label)
        axes[1].plot(s, case.along.nemitt_y.detach().numpy() * 1e6, label=label)
    axes[0].set(ylabel="sigma_z [mm]", title="Compression behind two structures off crest")
    axes[1].set(xlabel="s [m]", ylabel="normalised emittance y [um]")
    axes[0].legend()
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main(arguments: list[str] | None = None) -> dict[str, Case]:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer particles, kicks and nodes")
    parser.add_argument("--output", type=Path, default=HERE / "results")
    options = parser.parse_args(arguments)
    spacing, nodes, n = ("0.5 m", 16, 2_000) if options.quick else ("0.2 m", 32, 10_000)
    sequence = build(spacing, nodes)
    cases = {f"{q * 1e9:g} nC": differentiate(sequence, q, n) for q in (0.0, CHARGE)}
    without, charged = cases.values()
    print(report_first_order(sequence, without), report(charged, CHARGE), sep="\n\n")
    options.output.mkdir(parents=True, exist_ok=True)
    draw(cases, options.output / "compression.png")
    print(f"\npicture: {options.output / 'compression.png'}")
    return cases


if __name__ == "__main__":
    main()
