"""Reconstruct a 6D phase space from pictures on a screen, by a network trained through the kicks.

A diagnostics line (`screens.madx`) shows an electron bunch of 100 pC at 40 MeV on a screen: with
five strengths of a quadrupole, a deflecting cavity off or on, straight on or behind a bend; twenty
pictures. Nothing else is known of the bunch. A small network maps normal noise to coordinates of
particles; these are tracked with space charge and shown on the same screens, every particle as a
Gaussian spot (a kernel density, so that the picture has derivatives). The gradient of the
difference of the pictures goes back through screen, kicks and magnets into the network: reverse
mode, since the network has thousands of parameters.

The "measured" bunch is made here, and looks like no Gaussian: two beamlets in x, a curved chirp.
The network never sees its particles, so that emittances, sizes and projections that come back are
those of the pictures. Everything is seeded.

    python examples/tomography/reconstruct.py

References: Roussel et al., Phys. Rev. Lett. 130, 145001 (2023); Phys. Rev. Accel. Beams 27,
094601 (2024).
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import dataclass
from pathlib import Path

import scipy.constants
import torch
from torch import Tensor, nn

import sc_bridge as scb

HERE = Path(__file__).resolve().parent
CHARGE = 100e-12  # C
STRENGTHS = (-9.0, -6.0, 0.0, 6.0, 9.0)  # kq, 1/m^2
VOLTAGES = (0.0, 2.0)  # deflection, MV
LINES = ("straight", "bent")
# Scales of the network's output, about what an operator would guess: m, 1.
SCALES = (4e-4, 1e-4, 3e-4, 1e-4, 5e-4, 5e-3)
DARK = 1e-3  # of a picture's maximum, below which nothing is told apart
AT_ONCE = 20_000  # particles whose spots are in memory together
LABELS = {
    **{"x": "x [mm]", "y": "y [mm]", "zeta": "zeta [mm]"},
    **{"px": "px [1e-3]", "py": "py [1e-3]", "pzeta": "pzeta [1e-3]"},
}
QUANTITIES = ("nemitt_x", "nemitt_y", "sigma_x", "sigma_y", "sigma_zeta", "sigma_delta")


# ---- the bunch that nobody knows --------------------------------------------------------------


def true_bunch(reference: scb.Reference, n: int) -> scb.Bunch:
    """Two beamlets in x, converging in y, with a chirp that bends."""
    generator = torch.Generator().manual_seed(11)
    u = torch.randn(6, n, generator=generator, dtype=torch.float64)
    side = torch.where(torch.rand(n, generator=generator, dtype=torch.float64) < 0.4, -1.0, 1.0)
    x = 0.35e-3 * side + 0.15e-3 * u[0]
    px = 70e-6 * u[1] + 0.1 * x
    y = 0.25e-3 * u[2]
    py = 60e-6 * u[3] - 0.15 * y
    zeta = 0.4e-3 * u[4]
    pzeta = 1e-3 * u[5] + 8.0 * zeta + 6e3 * (zeta**2 - 0.16e-6)
    coordinates = torch.stack([x, px, y, py, zeta, pzeta])
    return scb.Bunch(coordinates, reference, CHARGE / scipy.constants.e / n)


# ---- line and screen --------------------------------------------------------------------------


class Diagnostics:
    """The two lines, each with all its settings as a batch, and their screens."""

    def __init__(self, nodes: int = 16, pixels: int = 48) -> None:
        settings = torch.tensor([(k, v) for v in VOLTAGES for k in STRENGTHS], dtype=torch.float64)
        self.sequences = {name: self._line(name, nodes) for name in LINES}
        for sequence in self.sequences.values():
            sequence.knobs["kq"] = settings[:, 0]
            sequence.knobs["deflection"] = settings[:, 1]
        self.pixels = pixels
        self.ranges: dict[str, Tensor] = {}  # per line: half width and height per setting, m

    @staticmethod
    def _line(name: str, nodes: int) -> scb.KickedSequence:
        return scb.KickedSequence(
            scb.read_lattice(HERE / "screens.madx", sequence=name),
            slicing=scb.MaxSpacing("0.4 m"),
            space_charge=scb.SpaceCharge(grid=(nodes, nodes, nodes)),
            bend_model="exact",
        )

    @property
    def reference(self) -> scb.Reference:
        return self.sequences[LINES[0]].reference

    def look(self, bunch: scb.Bunch) -> dict[str, Tensor]:
        """Pictures (settings, pixels, pixels) of each line; each sums to about 1."""
        outs = {name: scb.track(sequence, bunch) for name, sequence in self.sequences.items()}
        if not self.ranges:  # the first bunch chooses what the screens show
            for name, out in outs.items():
                extent = torch.stack([out.sigma_x, out.sigma_y], dim=-1).detach()
                self.ranges[name] = 4.5 * extent
        return {name: self._picture(out, self.ranges[name]) for name, out in outs.items()}

    def _picture(self, out: scb.Bunch, half: Tensor) -> Tensor:
        """Kernel density of x and y: Gaussian spots of one pixel."""
        parts = zip(out.x.split(AT_ONCE, dim=-1), out.y.split(AT_ONCE, dim=-1), strict=True)
        # (settings, pixels, n_particles) each
        spots = ((self._spots(x, half[:, 0]), self._spots(y, half[:, 1])) for x, y in parts)
        return torch.stack([x @ y.transpose(-1, -2) for x, y in spots]).sum(0) / out.n_particles

    def _spots(self, position: Tensor, half: Tensor) -> Tensor:
        pixel = torch.linspace(-1.0, 1.0, self.pixels, dtype=position.dtype)
        width = 2.0 / (self.pixels - 1)
        distance = (position / half[:, None])[:, None, :] - pixel[:, None]
        return torch.exp(-0.5 * (distance / width) ** 2) / math.sqrt(math.tau)


def misfit(shown: dict[str, Tensor], measured: dict[str, Tensor]) -> Tensor:
    """Mean square difference of the square roots of pictures, each relative to its maximum.

    Counts of particles vary by their square root, so that the roots vary alike everywhere: the
    tails, which carry much of an emittance, weigh as much as they are known.
    """
    total = torch.zeros(())
    for name, picture in measured.items():
        top = picture.amax((-1, -2), keepdim=True)
        roots = [torch.sqrt(seen / top + DARK) for seen in (shown[name], picture)]
        total = total + (roots[0] - roots[1]).square().mean()
    return total


def difference(shown: dict[str, Tensor], measured: dict[str, Tensor]) -> float:
    """Mean over the lines of sum |shown - measured| / sum measured."""
    parts = [(shown[k] - measured[k]).abs().sum() / measured[k].sum() for k in measured]
    return torch.stack(parts).mean().item()


# ---- the network ------------------------------------------------------------------------------


class Generator(nn.Module):
    """Normal noise (n, 6) to coordinates of a bunch (6, n): a linear map plus a network."""

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 6)
        last = nn.Linear(width, 6)
        self.layers = nn.Sequential(
            nn.Linear(6, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), last
        )
        with torch.no_grad():  # a Gaussian bunch to begin with, and little beside it
            self.linear.weight.copy_(torch.eye(6))
            self.linear.bias.zero_()
            last.weight.mul_(0.3)
        self.register_buffer("scales", torch.tensor(SCALES))

    def forward(self, noise: Tensor) -> Tensor:
        return ((self.linear(noise) + self.layers(noise)) * self.scales).T


@dataclass(frozen=True)
class Reconstruction:
    """True and reconstructed bunch, and the difference of the pictures at each step."""

    truth: scb.Bunch
    bunch: scb.Bunch
    differences: list[float]
    pictures: dict[str, tuple[Tensor, Tensor]]  # measured and reconstructed, per line
    ranges: dict[str, Tensor]  # what the screens show
    seconds: float


def reconstruct(
    steps: int = 200, n_particles: int = 2_000, n_true: int = 100_000, nodes: int = 16
) -> Reconstruction:
    """Train a generator on the pictures of the true bunch, in float32."""
    begin = time.perf_counter()
    line = Diagnostics(nodes)
    truth = true_bunch(line.reference, n_true)
    with torch.no_grad():
        measured = line.look(truth.to(torch.float32))
    torch.manual_seed(3)
    model = Generator()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps, eta_min=2e-4)
    noise = torch.quasirandom.SobolEngine(6, scramble=True, seed=5)
    differences = []

    def bunch_of(n: int) -> scb.Bunch:
        even = noise.draw(n, dtype=torch.float64).clamp(1e-9, 1 - 1e-9)
        normal = math.sqrt(2.0) * torch.erfinv(2.0 * even - 1.0)
        return scb.Bunch(model(normal.float()), line.reference, CHARGE / scipy.constants.e / n)

    for _ in range(steps):
        shown = line.look(bunch_of(n_particles))
        loss = misfit(shown, measured)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        differences.append(difference(shown, measured))
    with torch.no_grad():
        found = bunch_of(max(n_particles, n_true // 5))
        shown = line.look(found)
    return Reconstruction(
        truth,
        found.to(torch.float64),
        differences,
        {name: (measured[name], shown[name]) for name in LINES},
        line.ranges,
        time.perf_counter() - begin,
    )


# ---- output -----------------------------------------------------------------------------------


def report(found: Reconstruction) -> str:
    """Tell what came back of sizes, emittances and correlations."""
    lines = [f"{'':14}{'true':>12}{'found':>12}{'difference':>12}"]
    for name in QUANTITIES:
        true, got = getattr(found.truth, name).item(), getattr(found.bunch, name).item()
        lines.append(f"{name:14}{true:12.4g}{got:12.4g}{got / true - 1:12.1%}")
    for first, second in (("x", "px"), ("y", "py"), ("zeta", "pzeta")):
        true, got = (correlation(b, first, second) for b in (found.truth, found.bunch))
        lines.append(f"{f'r({first}, {second})':14}{true:12.3f}{got:12.3f}")
    lines.append(
        f"difference of the pictures: {found.differences[0]:.1%} before, "
        f"{found.differences[-1]:.1%} behind {len(found.differences)} steps, {found.seconds:.0f} s"
    )
    return "\n".join(lines)


def correlation(bunch: scb.Bunch, first: str, second: str) -> float:
    product = bunch.sigma(first) * bunch.sigma(second)
    return (bunch.covariance(first, second) / product).item()


def draw(found: Reconstruction, path: Path) -> None:
    """Draw projections of the phase space, and some of the pictures: true above, found below."""
    import matplotlib.pyplot as plt

    pairs = (("x", "px"), ("y", "py"), ("zeta", "pzeta"), ("x", "y"))
    columns = len(pairs) + 2
    figure, axes = plt.subplots(2, columns, figsize=(2.7 * columns, 5.4), layout="constrained")
    for column, (first, second) in enumerate(pairs):
        spans = [4.0e3 * found.truth.sigma(name).item() for name in (first, second)]
        for row, bunch in enumerate((found.truth, found.bunch)):
            panel = axes[row, column]
            values = [1e3 * getattr(bunch, name).detach().numpy() for name in (first, second)]
            panel.hist2d(*values, bins=60, range=[(-span, span) for span in spans], cmap="magma")
            panel.set(xlabel=LABELS[first])
            panel.set_ylabel(LABELS[second], labelpad=1)
    for column, name in enumerate(LINES, start=len(pairs)):
        width, height = (1e3 * found.ranges[name][-1]).tolist()
        for row, pictures in enumerate(found.pictures[name]):
            panel = axes[row, column]
            picture = pictures[-1].T.numpy()
            extent = (-width, width, -height, height)
            panel.imshow(picture, extent=extent, origin="lower", cmap="magma", aspect="auto")
            panel.set(xlabel="x [mm]", title=f"screen, {name}")
            panel.set_ylabel("y [mm]", labelpad=1)
    for row, name in enumerate(("true", "found")):
        axes[row, 0].set_title(name, loc="left", fontweight="bold")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main(arguments: list[str] | None = None) -> Reconstruction:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer steps and particles")
    parser.add_argument("--output", type=Path, default=HERE / "results")
    options = parser.parse_args(arguments)
    found = reconstruct(40, 1_000, 5_000) if options.quick else reconstruct()
    print(report(found))
    options.output.mkdir(parents=True, exist_ok=True)
    draw(found, options.output / "phase_space.png")
    print(f"picture: {options.output / 'phase_space.png'}")
    return found


if __name__ == "__main__":
    main()
