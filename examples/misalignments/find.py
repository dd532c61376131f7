"""Find unmeasured misalignments by gradient descent through the kicks.

Eight quadrupoles of a proton line are shifted and rolled by amounts that nobody measured. Eight
screens show where the bunch is and how it leans (mean x and y, covariance of x and y), each with
noise, at two settings of the quadrupoles. The model has the same line with shifts and rolls as
free parameters, and fits these 24 to the 48 readings: L-BFGS on the gradient of one backward
pass, in which both settings go through the line as one batch.

Two things to learn:

* A bunch exerts no net force on itself, so that its orbit does not see its space charge: the
  shifts come out right with space charge in the model or without. (On the real machine, the
  images in the pipe would matter.)
* Its shape does see it. A model without space charge explains the tilts by rolls that are wrong.

The incoming bunch is taken as known: model and machine start with the same particles. Both
searches take two and a half minutes of one core.

    python examples/misalignments/find.py
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.optimize
import torch
from torch import Tensor

import sc_bridge as scb

HERE = Path(__file__).resolve().parent
QUADRUPOLES = tuple(f"q{n}" for n in range(1, 9))
SCREENS = tuple(f"screen{n}" for n in range(1, 9))
FIELDS = ("shift_x", "shift_y", "rot_s_rad_no_frame")
SIZES = (2e-4, 2e-4, 2e-2)  # rms of the errors: m, m, rad
SETTINGS = (9.0, 7.5)  # kqf, 1/m^2
ORBIT_NOISE, TILT_NOISE = 5e-6, 2e-9  # m, m^2
INTENSITY = 2.0e12  # protons


@dataclass(frozen=True)
class Found:
    """Errors (8, 3) of the quadrupoles as a search found them, and the error left per step."""

    errors: np.ndarray
    rms_left: np.ndarray  # (steps, 3): rms difference to the truth
    loss: float


class Line:
    """The line with its errors as parameters, and what the screens show."""

    def __init__(self, n_particles: int, charge: float, nodes: int = 16) -> None:
        self.sequence = scb.KickedSequence(
            scb.read_lattice(HERE / "line.madx"),
            slicing=scb.MaxSpacing("0.2 m"),
            space_charge=scb.SpaceCharge(grid=(nodes, nodes, nodes), longitudinal=False),
        )
        self.bunch = scb.gaussian(
            self.sequence,
            n_particles=n_particles,
            intensity=charge,
            nemitt_x="2 um",
            nemitt_y="0.5 um",
            sigma_z="1 m",
            sigma_delta=0.0,
            twiss=scb.Twiss(betx=1.2, alfx=-1.2, bety=2.4, alfy=1.2),
            seed=1,
        )
        for name in QUADRUPOLES:
            for field in FIELDS:
                getattr(self.sequence[name], field).requires_grad_()

    @property
    def parameters(self) -> list[Tensor]:
        return [getattr(self.sequence[name], field) for name in QUADRUPOLES for field in FIELDS]

    def set(self, errors: np.ndarray) -> None:
        with torch.no_grad():
            for parameter, value in zip(self.parameters, errors.ravel(), strict=True):
                parameter.fill_(float(value))

    def read(self) -> tuple[Tensor, Tensor]:
        """Mean x and y (8, 2, 2) [m], and covariance of x and y (8, 2) [m^2], on the screens.

        The settings are a batch of values of the knob, and go through the line together: the
        second axis.
        """
        self.sequence.knobs["kqf"] = torch.tensor(SETTINGS, dtype=torch.float64)
        monitors = {"screens": scb.MomentsMonitor(at=SCREENS)}
        record = scb.track(self.sequence, self.bunch, monitors=monitors)["screens"]
        return record.mean[..., [0, 2]], record.covariance[..., 0, 2]

    def misfit(self, readings: tuple[Tensor, Tensor]) -> Tensor:
        """Sum of squares of model minus reading, each over its noise."""
        orbit, tilt = self.read()
        off_orbit, off_tilt = (orbit - readings[0]) / ORBIT_NOISE, (tilt - readings[1]) / TILT_NOISE
        return (off_orbit**2).sum() + (off_tilt**2).sum()


def measured(machine: Line, truth: np.ndarray, seed: int = 2) -> tuple[Tensor, Tensor]:
    """Readings of a machine with these errors, with noise."""
    generator = torch.Generator().manual_seed(seed)
    machine.set(truth)
    with torch.no_grad():
        orbit, tilt = machine.read()
    for reading, noise in ((orbit, ORBIT_NOISE), (tilt, TILT_NOISE)):
        reading += noise * torch.randn(reading.shape, generator=generator, dtype=torch.float64)
    return orbit, tilt


def search(model: Line, readings, truth: np.ndarray, steps: int = 150) -> Found:
    """Fit the errors of a model, beginning with none; the truth only tells how far off it is."""
    left = [rms(truth)]

    def evaluate(scaled: np.ndarray):
        model.set(scaled.reshape(8, 3) * SIZES)
        misfit = model.misfit(readings)
        gradient = torch.stack(torch.autograd.grad(misfit, model.parameters)).numpy()
        return misfit.item(), gradient * np.tile(SIZES, 8)

    found = scipy.optimize.minimize(
        evaluate,
        np.zeros(24),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": steps, "maxcor": 24, "ftol": 1e-9},
        callback=lambda scaled: left.append(rms(scaled.reshape(8, 3) * SIZES - truth)),
    )
    return Found(found.x.reshape(8, 3) * SIZES, np.array(left), float(found.fun))


def rms(errors: np.ndarray) -> np.ndarray:
    """Over the quadrupoles, for each of FIELDS."""
    return np.sqrt((errors**2).mean(axis=0))


def run(n_particles: int = 1_000, steps: int = 150) -> tuple[np.ndarray, dict[str, Found]]:
    """Return the truth, and what models with and without space charge find."""
    truth = np.random.default_rng(1).normal(size=(8, 3)) * SIZES
    readings = measured(Line(n_particles, INTENSITY), truth)
    models = {"with space charge": INTENSITY, "without": 0.0}
    found = {
        name: search(Line(n_particles, charge), readings, truth, steps)
        for name, charge in models.items()
    }
    return truth, found


def report(truth: np.ndarray, found: dict[str, Found]) -> str:
    scale, names = np.array([1e6, 1e6, 1e3]), ("shift_x [um]", "shift_y [um]", "roll [mrad]")
    lines = [
        f"{'rms error left':24}" + "".join(f"{name:>15}" for name in names) + f"{'misfit':>12}"
    ]
    rows = {"before": rms(truth)} | {f"model {k}": f.rms_left[-1] for k, f in found.items()}
    misfits = ["", *(f"{f.loss:.3g}" for f in found.values())]
    for (name, row), misfit in zip(rows.items(), misfits, strict=True):
        values = "".join(f"{value:15.3g}" for value in row * scale)
        lines.append(f"{name:24}{values}{misfit:>12}")
    return "\n".join(lines)


def draw(truth: np.ndarray, found: dict[str, Found], path: Path) -> None:
    """Draw the error left against the steps, and true and found rolls."""
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for name, fit in found.items():
        share = fit.rms_left / fit.rms_left[0]
        (line,) = left.semilogy(share[:, 0], label=f"shift_x, {name}")
        left.semilogy(share[:, 2], "--", color=line.get_color(), label=f"roll, {name}")
        right.plot(truth[:, 2] * 1e3, fit.errors[:, 2] * 1e3, "o", label=name)
    ends = np.array([truth[:, 2].min(), truth[:, 2].max()]) * 1e3
    right.plot(ends, ends, "k:", lw=1)
    left.set(xlabel="steps", ylabel="error left / error before")
    left.set_title("Errors left, in rms of eight quadrupoles")
    right.set(
        xlabel="true roll [mrad]", ylabel="found roll [mrad]", title="Rolls behind the search"
    )
    left.legend(fontsize=8)
    right.legend(fontsize=8)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main(arguments: list[str] | None = None) -> dict[str, Found]:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer particles and steps")
    parser.add_argument("--output", type=Path, default=HERE / "results")
    options = parser.parse_args(arguments)
    truth, found = run(200, 100) if options.quick else run()
    print(report(truth, found))
    options.output.mkdir(parents=True, exist_ok=True)
    draw(truth, found, options.output / "misalignments.png")
    print(f"picture: {options.output / 'misalignments.png'}")
    return found


if __name__ == "__main__":
    main()
