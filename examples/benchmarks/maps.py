"""Time the map of every class of element beside xtrack's C, in one run.

    python examples/benchmarks/maps.py [--particles 1e5 1e6] [--classes Drift Bend] [--json]

It takes some minutes of a quiet machine, and runs from a checkout as well as installed; xtrack
comes with the extra `xsuite`. Ours runs on two threads, xtrack in its serial context on one,
both in float64 on the same particles; ratios are their time over ours, of the shortest of all
repetitions. "forward" compares the map alone; "gradient" compares our map and its derivatives
with respect to all coordinates, for a given upstream gradient, with xtrack's map alone, which
has no reverse mode. The two codes take turns, so that a slow moment hits both. By default
every class is timed with 1e5 particles, and the common ones with 1e6 as well.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import os
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
THREADS = 2
SECONDS = 0.7  # of repetitions of one comparison, after a first one that does not count
LEAST = 2  # turns at least
ROW = 3  # repetitions of a turn, one after another as maps in a row are
# above so many particles only these are timed, unless asked for
MANY = 100_000
COMMON = (
    "Drift",
    "Quadrupole",
    "Sextupole",
    "Multipole",
    "Cavity",
    "UniformSolenoid",
    "Bend",
    "BendExact",
)
MASS, KINETIC_ENERGY = 938272089.43, 1.4e9  # eV
SCALES = (2e-3, 2e-4, 2e-3, 2e-4, 1.0, 1e-3)  # rms of x, px, y, py, zeta, pzeta
NAMES = ("x", "px", "y", "py", "zeta", "pzeta")

# class: fields; those of a common ring
CASES: dict[str, dict[str, Any]] = {
    "Drift": {"length": 1.0},
    "DriftExact": {"length": 1.0},
    "Quadrupole": {"length": 0.5, "k1": 0.8},
    "Sextupole": {"length": 0.3, "k2": 5.0},
    "Octupole": {"length": 0.3, "k3": 50.0},
    "Multipole": {"knl": [0.0, 0.1, 3.0], "ksl": [0.0, 0.05]},
    "Bend": {"length": 1.6, "angle": 0.1, "edge_entry_angle": 0.05, "edge_exit_angle": 0.05},
    "RBend": {"length_straight": 1.6, "angle": 0.1},
    "UniformSolenoid": {"length": 1.0, "ks": 0.3},
    "Cavity": {"voltage": 1e5, "frequency": 2e6, "phase": 0.3},
    "CrabCavity": {"crab_voltage": 1e5, "frequency": 4e8, "phase": 0.3},
    "RFMultipole": {"knl": [0.0, 1e-3], "frequency": 1e8},
    "DipoleEdge": {"k": 0.1, "e1": 0.05},
    "Wedge": {"angle": 0.05, "k": 0.1},
    "SRotation": {"angle": 10.0},
    "YRotation": {"angle": 1.0},
    "XYShift": {"dx": 1e-3, "dy": 1e-3},
    "ReferenceEnergyIncrease": {"Delta_p0c": 1e6},
    "LimitEllipse": {"a": 0.05, "b": 0.03},
    "LimitRectEllipse": {"max_x": 0.05, "max_y": 0.03, "a": 0.05, "b": 0.05},
    "LimitPolygon": {"x_vertices": [-0.05, 0.05, 0.0], "y_vertices": [-0.03, -0.03, 0.05]},
    "FirstOrderTaylorMap": {"length": 1.0, "m0": [1e-6] * 6},
    "SecondOrderTaylorMap": {"length": 1.0, "k": [1e-6] * 6},
    "LineSegmentMap": {"length": 10.0, "qx": 0.31, "qy": 0.27, "betx": 10.0, "dqx": 2.0},
    "NonLinearLens": {"knll": 1e-3, "cnll": 0.05},
    "Wire": {"L_phy": 1.0, "L_int": 2.0, "current": 100.0, "xma": 0.1},
}
# not an element's own map but how it is chosen: a pure dipole in closed form, on both sides
CLOSED_FORM = ("Bend", "bend-kick-bend", {"num_multipole_kicks": 1, "integrator": "uniform"})


def coordinates(n: int) -> Any:
    """Gaussian particles, (6, n)."""
    import numpy as np

    unit = np.random.default_rng(1).standard_normal((6, n))
    return unit * np.array(SCALES)[:, None]


def alternate(
    tasks: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]], budget: float
) -> dict[str, float]:
    """Shortest time of each of some tasks, in turns, for about `budget` s each.

    A task is a pair: what makes its argument anew before it, which does not count, and what
    is timed.
    """
    shortest = dict.fromkeys(tasks, math.inf)
    spent, rounds = 0.0, -1  # the first round compiles and fills caches
    while rounds < LEAST or spent < budget * len(tasks):
        for name, (fresh, task) in tasks.items():
            argument = fresh()
            for _ in range(ROW):
                start = time.perf_counter()
                task(argument)
                elapsed = time.perf_counter() - start
                if rounds >= 0:
                    shortest[name] = min(shortest[name], elapsed)
                    spent += elapsed
        rounds += 1
    return shortest


def particles_of(rows: Any) -> Any:
    import xtrack as xt

    p0c = math.sqrt(KINETIC_ENERGY * (KINETIC_ENERGY + 2.0 * MASS))
    fields = dict(zip(NAMES, rows, strict=True))
    return xt.Particles(mass0=MASS, q0=1.0, p0c=p0c, **fields)


def largest_error(theirs: Any, element: Any, reference: Any) -> float:
    """Largest difference to xtrack, over 10 000 particles."""
    import numpy as np
    import torch

    from sc_bridge.elements import Bunch

    rows = coordinates(10_000)
    particles = particles_of(rows)
    theirs.track(particles)
    order = np.argsort(particles.particle_id)
    expected = np.array([getattr(particles, name)[order] for name in NAMES[:5]])
    expected = np.vstack([expected, (particles.ptau / particles.beta0)[order]])
    out = element.track(Bunch(torch.from_numpy(rows), reference)).coordinates
    return float(np.abs(out.numpy() - expected).max())


def kept_bytes(element: Any, bunch: Any) -> float:
    """Bytes a particle that autograd keeps for the gradient, besides the incoming coordinates."""
    import torch

    start = bunch.coordinates.clone().requires_grad_()
    kept: dict[int, Any] = {}

    def keep(tensor: Any) -> Any:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        out = element.track(bunch.replace(coordinates=start)).coordinates
    kept.pop(start.untyped_storage().data_ptr(), None)
    total = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    return total / out.shape[-1]


def compare(theirs: Any, element: Any, n: int, budget: float) -> dict[str, float]:
    """Time one map, forward and with its gradient, beside xtrack's."""
    import torch

    from sc_bridge.elements import Bunch, Reference

    reference = Reference.from_kinetic_energy(MASS, 1.0, KINETIC_ENERGY)
    rows = coordinates(n)
    particles = particles_of(rows)
    bunch = Bunch(torch.from_numpy(rows), reference)
    upstream = torch.ones_like(bunch.coordinates)

    def copied() -> Bunch:
        return bunch.replace(coordinates=bunch.coordinates.clone())

    def wanted() -> tuple[Bunch, torch.Tensor]:
        copy = copied()
        copy.coordinates.requires_grad_()
        return copy, upstream.clone()

    def there_and_back(argument: tuple[Bunch, torch.Tensor]) -> None:
        start, by_end = argument
        torch.autograd.grad(element.track(start).coordinates, start.coordinates, by_end)

    # xtrack moves its particles in place
    tasks = {
        "xtrack": (particles.copy, theirs.track),
        "forward": (copied, element.track),
        "gradient": (wanted, there_and_back),
    }
    seconds = alternate(tasks, budget)
    return {
        "forward_vs_xtrack": seconds["xtrack"] / seconds["forward"],
        "gradient_vs_xtrack": seconds["xtrack"] / seconds["gradient"],
        "max_abs_error": largest_error(theirs, element, reference),
        "kept_bytes_per_particle": kept_bytes(element, bunch),
        **{f"{name}_seconds": value for name, value in seconds.items()},
    }


def pairs() -> dict[str, tuple[Callable[[], Any], Callable[[], Any]]]:
    """Makers of xtrack's element and of ours, by name."""
    import xtrack as xt

    from sc_bridge import elements

    found = {
        name: (partial(getattr(xt, name), **fields), partial(getattr(elements, name), **fields))
        for name, fields in CASES.items()
    }
    kind, model, extra = CLOSED_FORM
    found[f"{kind}Exact"] = (
        partial(getattr(xt, kind), **CASES[kind], model=model, **extra),
        partial(getattr(elements, kind), **CASES[kind], model="exact"),
    )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--particles", type=lambda text: int(float(text)), nargs="+")
    parser.add_argument("--classes", nargs="+", help="all by default")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each measurement")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    options = parser.parse_args()
    if not importlib.util.find_spec("sc_bridge") and (ROOT / "sc_bridge").is_dir():
        sys.path.append(str(ROOT))  # not installed: a checkout will do
    if not importlib.util.find_spec("xtrack"):
        raise SystemExit("not installed: xtrack (extra `xsuite`)")
    # large pages for large tensors, as numpy asks for xtrack's arrays anyway; before torch loads
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    import torch

    torch.set_num_threads(THREADS)
    warnings.simplefilter("ignore")  # classes that xtrack means to drop
    known = pairs()
    if unknown := set(options.classes or ()) - set(known):
        raise SystemExit(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(known)}")
    everything = bool(options.particles or options.classes)
    sizes = options.particles or [100_000, 1_000_000]
    results: dict[str, dict[str, dict[str, float]]] = {}
    print("their time over ours; above 1 we are faster")
    for n in sizes:
        print(f"{n} particles, {THREADS} threads here, 1 in xtrack")
        few = n > MANY and not everything
        for name in options.classes or (COMMON if few else known):
            theirs, ours = (make() for make in known[name])
            times = compare(theirs, ours, n, options.seconds)
            results.setdefault(str(n), {})[name] = times
            print(
                f"  {name:24s} forward {times['forward_vs_xtrack']:6.2f}   gradient "
                f"{times['gradient_vs_xtrack']:6.2f}   xtrack {1e3 * times['xtrack_seconds']:8.2f}"
                f" ms   error {times['max_abs_error']:.0e}"
                f"   kept {times['kept_bytes_per_particle']:6.0f} B",
                flush=True,
            )
    if options.json:
        largest = {name: times for n in sizes for name, times in results[str(n)].items()}
        document = {"elements": largest, "by_particles": results}
        print(json.dumps(document))


if __name__ == "__main__":
    main()
