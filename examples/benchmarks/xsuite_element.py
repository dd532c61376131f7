"""Time our SpaceCharge3D and that of xfields inside the same line of xtrack, in one run.

`python examples/benchmarks/xsuite_element.py [--particles 100000] [--grid 64]`
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import xfields as xf
import xtrack as xt

from sc_bridge.xsuite import SpaceCharge3D, bunch_from, particles_from

SIGMA = (5e-3, 4e-3, 5.0)  # m
REPEATS = 5
KICKS = 4


def make_particles(number: int) -> xt.Particles:
    """Return a Gaussian bunch of protons at 160 MeV."""
    rng = np.random.default_rng(1)
    x, y, zeta = (sigma * rng.normal(size=number) for sigma in SIGMA)
    return xt.Particles(
        "proton", kinetic_energy0=160e6, x=x, y=y, zeta=zeta, weight=1.6e12 / number
    )


def line_with(kick: Callable[[], Any]) -> xt.Line:
    """Return drifts with kicks between."""
    elements = [part for _ in range(KICKS) for part in (xt.Drift(length=0.5), kick())]
    line = xt.Line(elements=[*elements, xt.Drift(length=0.5)])
    line.build_tracker()
    return line


def seconds(line: xt.Line, particles: xt.Particles) -> float:
    """Best time of a pass, s."""
    times = []
    for _ in range(REPEATS + 1):
        moved = particles.copy()
        start = time.perf_counter()
        line.track(moved)
        times.append(time.perf_counter() - start)
    return min(times[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--particles", type=int, default=100_000)
    parser.add_argument("--grid", type=int, default=64)
    options = parser.parse_args()
    nodes = options.grid
    theirs = make_particles(options.particles)
    ours = particles_from(bunch_from(theirs))
    ranges = [(-6 * sigma, 6 * sigma) for sigma in SIGMA]

    def kick_of_xfields() -> xf.SpaceCharge3D:
        return xf.SpaceCharge3D(
            length=0.5,
            **dict(zip(("x_range", "y_range", "z_range"), ranges, strict=True)),
            nx=nodes,
            ny=nodes,
            nz=nodes,
            solver="FFTSolver3D",
            gamma0=float(theirs.gamma0[0]),
        )

    drifts = line_with(xt.Marker)
    empty = seconds(drifts, theirs)
    taken = {
        "sc_bridge": seconds(line_with(lambda: SpaceCharge3D(0.5, (nodes,) * 3)), ours),
        "sc_bridge, particles of xtrack": seconds(
            line_with(lambda: SpaceCharge3D(0.5, (nodes,) * 3)), theirs
        ),
        "xfields": seconds(line_with(kick_of_xfields), theirs),
    }
    print(
        f"{options.particles} particles, {nodes}^3 nodes, {torch.get_num_threads()} threads: a kick"
    )
    kick = {name: 1e3 * (value - empty) / KICKS for name, value in taken.items()}
    for name, value in kick.items():
        print(f"  {name:32s} {value:8.1f} ms  {value / kick['xfields']:6.2f} of xfields")


if __name__ == "__main__":
    main()
