"""Time one space-charge kick beside ImpactX, Cheetah and xfields, in one process each.

    python examples/benchmarks/kick.py [--particles 1000000] [--rounds 2] [--json]
    python examples/benchmarks/kick.py --scaling

It takes some minutes of a quiet machine, and runs from a checkout as well as installed. All
get the same Gaussian bunch, the same number of nodes and the same number of threads. The peers
come with the extra `bench` (and `xsuite`). Ratios are their time over ours, of the shortest of
all repetitions, after a first kick that compiles and fills caches.

ImpactX has one thread (its wheel is built without OpenMP) and float64; the time of its drift
is taken off. Cheetah runs as its users run it: float32, all threads, automatic
differentiation. xfields has one thread, float64, and a grid that is fixed beforehand.

`--scaling` times our kick alone, forward, against the number of particles and of nodes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

ELECTRON_MASS = 510998.95069  # eV
KINETIC_ENERGY = 250e6  # eV
CHARGE = 1e-9  # C
SIGMA = 1e-3  # m, in all directions of the rest frame
LENGTH = 0.1  # m
KICKS = 5  # kicks or slices in one timing of ImpactX
SECONDS = 2.0  # of repetitions of one measurement, after a first one that does not count
ROOT = Path(__file__).resolve().parents[2]

# name of a measurement: (code, precision, nodes along each axis, threads)
RUNS = {
    "sc_bridge 64 float64": ("sc_bridge", "float64", 64, 1),
    "impactx 64 float64": ("impactx", "float64", 64, 1),
    "xfields 64 float64": ("xfields", "float64", 64, 1),
    "sc_bridge 64 float32": ("sc_bridge", "float32", 64, 2),
    "cheetah 64 float32": ("cheetah", "float32", 64, 2),
    "sc_bridge 128 float64": ("sc_bridge", "float64", 128, 1),
    "impactx 128 float64": ("impactx", "float64", 128, 1),
}

# package: where to get it
PACKAGES = {
    "sc_bridge": "pip install ., or run from a checkout",
    "impactx": "extra `bench`",
    "cheetah": "extra `bench`",
    "xfields": "extra `xsuite`",
}

# particles and nodes along each axis, float32
SCALING = (
    (100_000, 64),
    (1_000_000, 64),
    (4_000_000, 64),
    (1_000_000, 32),
    (1_000_000, 128),
    (1_000_000, 256),
)


def gamma0() -> float:
    return 1.0 + KINETIC_ENERGY / ELECTRON_MASS


def particles(n: int, dtype: str) -> np.ndarray:
    """x, px, y, py, zeta, pzeta of a Gaussian bunch, (6, n)."""
    unit = np.random.default_rng(1).standard_normal((6, n))
    scale = np.array([SIGMA, 1e-6, SIGMA, 1e-6, SIGMA / gamma0(), 1e-6])
    return (unit * scale[:, None]).astype(dtype)


def shortest(task: Callable[[], Any], clock: Callable[[], float] = time.perf_counter) -> float:
    """Shortest time of repetitions that together take about `SECONDS`, at least two."""
    task()
    times: list[float] = []
    while len(times) < 2 or sum(times) < SECONDS:
        start = clock()
        task()
        times.append(clock() - start)
    return min(times)


# ---- one function a code, each in a process of its own --------------------------------------


def time_sc_bridge(
    n: int,
    dtype: str,
    grid: int,
    threads: int,
    gradient: bool = True,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    import torch

    from sc_bridge.elements import Bunch, Reference
    from sc_bridge.elements.space_charge import SpaceCharge, space_charge_kick

    torch.set_num_threads(threads)
    reference = Reference.from_kinetic_energy(ELECTRON_MASS, -1.0, KINETIC_ENERGY)
    settings = SpaceCharge(grid=(grid, grid, grid))
    coordinates = torch.from_numpy(particles(n, dtype))
    bunch = Bunch(coordinates, reference, CHARGE / 1.602176634e-19 / n)
    forward = shortest(lambda: space_charge_kick(bunch, LENGTH, settings), clock=clock)
    if not gradient:
        return {"forward": forward}
    wanted = bunch.replace(coordinates=coordinates.clone().requires_grad_())
    upstream = torch.ones_like(coordinates)

    def there_and_back() -> None:
        kicked = space_charge_kick(wanted, LENGTH, settings).coordinates
        torch.autograd.grad(kicked, wanted.coordinates, upstream)

    return {"forward": forward, "gradient": shortest(there_and_back)}


def time_impactx(n: int, dtype: str, grid: int, threads: int) -> dict[str, float]:
    with_field = _impactx_slices(n, grid, "3D")
    drift_alone = _impactx_slices(n, grid, False)
    return {"forward": (with_field - drift_alone) / KICKS}


def _impactx_slices(n: int, grid: int, space_charge: Any) -> float:
    from amrex.space3d import PODVector_real_std  # pyright: ignore[reportMissingImports]
    from impactx import ImpactX, elements

    simulation = ImpactX()
    simulation.verbose = 0
    simulation.tiny_profiler = False
    simulation.n_cell = [grid, grid, grid]
    simulation.particle_shape = 1  # cloud-in-cell, as all others here
    simulation.space_charge = space_charge
    simulation.poisson_solver = "fft"
    simulation.dynamic_size = True
    simulation.prob_relative = [1.1]
    simulation.diagnostics = False
    simulation.slice_step_diagnostics = False
    simulation.init_grids()
    container = simulation.particle_container()
    reference = container.ref_particle()
    reference.set_charge_qe(-1.0).set_mass_MeV(ELECTRON_MASS * 1e-6)
    reference.set_kin_energy_MeV(KINETIC_ENERGY * 1e-6)
    columns = []
    for row in particles(n, "float64")[[0, 2, 4, 1, 3, 5]]:
        column = PODVector_real_std()
        for value in row:
            column.push_back(value)
        columns.append(column)
    add: Any = container.add_n_particles
    add(*columns, reference.qm_ratio_SI, CHARGE)
    simulation.lattice.append(elements.Drift(ds=1e-3 * KICKS, nslice=KICKS))
    seconds = shortest(simulation.track_particles)
    simulation.finalize()
    return seconds


def time_cheetah(n: int, dtype: str, grid: int, threads: int) -> dict[str, float]:
    import cheetah
    import torch

    torch.set_num_threads(threads)
    real = getattr(torch, dtype)
    rows = torch.from_numpy(particles(n, dtype))
    table = torch.ones(n, 7, dtype=real)
    table[:, :6] = rows.T
    energy = torch.tensor(ELECTRON_MASS + KINETIC_ENERGY, dtype=real)
    charges = torch.full((n,), CHARGE / n, dtype=real)
    kick = cheetah.SpaceChargeKick(
        effect_length=torch.tensor(LENGTH, dtype=real), grid_shape=(grid, grid, grid), dtype=real
    )

    def track(coordinates: torch.Tensor) -> torch.Tensor:
        beam = cheetah.ParticleBeam(coordinates, energy=energy, particle_charges=charges)
        outgoing: Any = kick.track(beam)
        return outgoing.particles

    with torch.no_grad():
        forward = shortest(lambda: track(table))
    wanted, upstream = table.clone().requires_grad_(), torch.ones_like(table)
    gradient = shortest(lambda: torch.autograd.grad(track(wanted), wanted, upstream))
    return {"forward": forward, "gradient": gradient}


def time_xfields(n: int, dtype: str, grid: int, threads: int) -> dict[str, float]:
    import xfields as xf
    import xtrack as xt

    rows = particles(n, dtype)
    ranges = {}
    for name, row in (("x_range", 0), ("y_range", 2), ("z_range", 4)):
        half = 1.1 * float(np.abs(rows[row]).max())
        ranges[name] = (-half, half)
    element = xf.SpaceCharge3D(
        length=LENGTH,
        update_on_track=True,
        apply_z_kick=True,
        nx=grid,
        ny=grid,
        nz=grid,
        solver="FFTSolver3D",
        gamma0=gamma0(),
        **ranges,
    )
    total = ELECTRON_MASS + KINETIC_ENERGY
    bunch = xt.Particles(
        mass0=ELECTRON_MASS,
        q0=-1.0,
        p0c=(total**2 - ELECTRON_MASS**2) ** 0.5,
        x=rows[0],
        px=rows[1],
        y=rows[2],
        py=rows[3],
        zeta=rows[4],
        pzeta=rows[5],
        weight=CHARGE / 1.602176634e-19 / n,
    )
    return {"forward": shortest(lambda: element.track(bunch))}


def scaling() -> None:
    """Print the time of one forward kick for each size of `SCALING`.

    Processor time of one thread holds on a busy machine too.
    """
    for n, grid in SCALING:
        one = time_sc_bridge(n, "float32", grid, 1, False, time.process_time)["forward"]
        two = time_sc_bridge(n, "float32", grid, 2, False)["forward"]
        print(
            f"{n:9d} particles, {grid:3d}^3 nodes: {1e3 * one:7.1f} ms of one processor, "
            f"{1e3 * two:7.1f} ms on two threads",
            flush=True,
        )


# ---- memory ---------------------------------------------------------------------------------


def kept_bytes(n: int, grid: int) -> int:
    """Bytes of storages that a float32 kick keeps for its backward pass."""
    import torch

    from sc_bridge.elements import Bunch, Reference
    from sc_bridge.elements.space_charge import SpaceCharge, space_charge_kick

    reference = Reference.from_kinetic_energy(ELECTRON_MASS, -1.0, KINETIC_ENERGY)
    coordinates = torch.from_numpy(particles(n, "float32")).requires_grad_()
    storages: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        bunch = Bunch(coordinates, reference, 1e3)
        space_charge_kick(bunch, LENGTH, SpaceCharge(grid=(grid, grid, grid)))
    return sum(storages.values())


def memory() -> dict[str, float]:
    few, many, fine = kept_bytes(10_000, 32), kept_bytes(30_000, 32), kept_bytes(10_000, 48)
    return {
        "bytes_per_particle": (many - few) / 20_000,
        "bytes_per_cell": (fine - few) / (48**3 - 32**3),
    }


# ---- the comparison -------------------------------------------------------------------------


def refuse_missing(names: Iterable[str]) -> None:
    """End with a message if a package is not there."""
    missing = [f"{name} ({PACKAGES[name]})" for name in names if not find_spec(name)]
    if missing:
        raise SystemExit(f"not installed: {', '.join(missing)}")


def measure(name: str, n: int) -> dict[str, float]:
    """Run one measurement in a process of its own."""
    threads = str(RUNS[name][3])
    limits = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), threads)
    done = subprocess.run(
        [sys.executable, __file__, "--worker", name, "--particles", str(n)],
        env={**os.environ, **limits, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise SystemExit(f"{name}: {reason[0]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def ratios(seconds: dict[str, dict[str, float]]) -> dict[str, float]:
    """Their time over ours."""

    def ratio(peer: str, ours: str, what: str, of_ours: str | None = None) -> float:
        return seconds[peer][what] / seconds[ours][of_ours or what]

    double, single, fine = (f"sc_bridge {k}" for k in ("64 float64", "64 float32", "128 float64"))

    def backward_over_forward(name: str) -> float:
        return seconds[name]["gradient"] / seconds[name]["forward"] - 1.0

    return {
        "forward_vs_impactx": ratio("impactx 64 float64", double, "forward"),
        "forward_vs_impactx_128": ratio("impactx 128 float64", fine, "forward"),
        "forward_vs_cheetah": ratio("cheetah 64 float32", single, "forward"),
        "forward_vs_xfields": ratio("xfields 64 float64", double, "forward"),
        "gradient_vs_cheetah": ratio("cheetah 64 float32", single, "gradient"),
        "gradient_vs_impactx_forward": ratio("impactx 64 float64", double, "forward", "gradient"),
        "backward_over_forward": backward_over_forward(double),
        "backward_over_forward_128": backward_over_forward(fine),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--particles", type=lambda text: int(float(text)), default=1_000_000)
    parser.add_argument("--rounds", type=int, default=2, help="processes per measurement")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--scaling", action="store_true", help="time sizes of our kick alone")
    parser.add_argument("--worker", choices=RUNS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not find_spec("sc_bridge") and (ROOT / "sc_bridge").is_dir():
        sys.path.append(str(ROOT))  # not installed: a checkout will do
    refuse_missing(["sc_bridge"])
    if options.scaling:
        scaling()
        return
    if options.worker:
        code, dtype, grid, threads = RUNS[options.worker]
        timer = globals()[f"time_{code}"]
        print(json.dumps(timer(options.particles, dtype, grid, threads)))
        return
    refuse_missing(PACKAGES)
    seconds: dict[str, dict[str, float]] = {}
    for _ in range(options.rounds):  # interleaved, so that a slow minute hits everyone
        for name in RUNS:
            for what, value in measure(name, options.particles).items():
                kept = seconds.setdefault(name, {})
                kept[what] = min(value, kept.get(what, value))
    results = {**ratios(seconds), **memory()}
    for name, times in seconds.items():
        shown = ", ".join(f"{what} {1e3 * value:.1f} ms" for what, value in times.items())
        print(f"{name:24s} {RUNS[name][3]} thread(s): {shown}")
    for key, value in results.items():
        print(f"{key:28s} {value:8.3f}")
    if options.json:
        document = {**results, "seconds": seconds, "particles": options.particles}
        print(json.dumps(document))


if __name__ == "__main__":
    main()
