"""Time one turn of the PS Booster with space charge beside Xsuite, in one process each.

    python examples/benchmarks/turn.py [--repeat 2] [--threads 1] [--maps] [--json]

The ring is examples/psb/psb.json with a kick a metre. Xsuite tracks the same particles through
the same line with an xfields.SpaceCharge3D of the same length at each of our kicks, on one
fixed grid that holds the bunch all along the ring. Both in float64 with the file's own model
of the bends, and once more with the closed form that both have (`exact`). Ours takes the
gradient of the final horizontal size with respect to the incoming particles, the two knobs of
the quadrupoles and the intensity, with `StoreStates()`.

Ratios are their time over ours, after a first turn of a few particles that compiles and fills
caches. It takes some minutes of a quiet machine and needs the extra
`xsuite`; it runs from a checkout as well as installed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
LATTICE = ROOT / "examples" / "psb" / "psb.json"
INTENSITY = 1.6e12
KNOBS = ("kbrqf", "kbrqd")
WARM_UP = 20  # every so many particles make the first turn, which does not count
ROOM = 1.3  # of the fixed grid, around the largest excursion without space charge

# bends of a measurement: model here, choices in Xsuite (the file's own without any); in closed
# form Xsuite takes 14 times less with one step than with its default integrator
CLOSED = {"core": "bend-kick-bend", "integrator": "uniform", "num_multipole_kicks": 1}
BENDS: dict[str, tuple[str | None, dict[str, Any]]] = {
    "default": (None, {}),
    "exact": ("exact", CLOSED),
}
CODES = ("sc_bridge", "xsuite")


def make_turn(bends: str, n: int, grid: int) -> tuple[Any, Any]:
    """Sequence and matched bunch."""
    import sc_bridge as scb

    sequence = scb.KickedSequence(
        scb.read_lattice(LATTICE),
        slicing=scb.MaxSpacing("1 m"),
        space_charge=scb.SpaceCharge(grid=(grid, grid, grid)),
        bend_model=BENDS[bends][0],
        reference=scb.reference("proton", kinetic_energy="160 MeV"),
    )
    # optics of the closed form: the same to 2e-9, at a fraction of the time
    optics = scb.periodic_twiss(scb.KickedSequence(sequence.lattice, bend_model="exact"))
    bunch = scb.gaussian(
        sequence,
        n,
        INTENSITY,
        nemitt_x="2 um",
        nemitt_y="2 um",
        sigma_z="15 m",
        seed=1,
        twiss=optics,
    )
    return sequence, bunch


def shortest(task: Callable[[Any], Any], bunch: Any, warm_up: Any, repeat: int) -> float:
    """Shortest time of `repeat` runs, after one of a small bunch that does not count."""
    task(warm_up)
    times: list[float] = []
    for _ in range(repeat):
        start = time.perf_counter()
        task(bunch)
        times.append(time.perf_counter() - start)
    return min(times)


# ---- one function a code, each in a process of its own --------------------------------------


def time_sc_bridge(bends: str, options: argparse.Namespace) -> dict[str, float]:
    import torch

    import sc_bridge as scb

    torch.set_num_threads(options.threads)
    sequence, bunch = make_turn(bends, options.particles, options.grid)
    every = slice(None, None, WARM_UP)
    few = scb.Bunch(bunch.coordinates[:, every], bunch.reference, bunch.weight[every])
    maps = [step.part for step in sequence.steps if step.kind == "map"]
    found: dict[str, float] = {}

    def forward(start: Any) -> None:
        with torch.no_grad():
            found.update(sizes(*scb.track(sequence, start).coordinates[[0, 2]].numpy()))

    def maps_alone(moving: Any) -> None:
        with torch.no_grad():
            for part in maps:
                moving = part.track(moving)

    def gradient(start: Any) -> None:
        sources = [start.coordinates.clone(), start.weight.clone()]
        sources += [sequence.knobs[name] for name in KNOBS]
        for source in sources:
            source.requires_grad_()
        wanted = start.replace(coordinates=sources[0], weight=sources[1])
        torch.autograd.grad(scb.track(sequence, wanted, adjoint=scb.StoreStates()).sigma_x, sources)

    tasks: dict[str, Callable[[Any], Any]] = {"forward": forward, "gradient": gradient}
    if options.maps:
        tasks["maps"] = maps_alone
    seconds = {name: shortest(task, bunch, few, options.repeat) for name, task in tasks.items()}
    return {**seconds, **found, "kicks": sequence.n_kicks}


def time_xsuite(bends: str, options: argparse.Namespace) -> dict[str, float]:
    from sc_bridge.xsuite import particles_from

    sequence, bunch = make_turn(bends, options.particles, options.grid)
    start = particles_from(bunch)
    few = start.filter(start.particle_id % WARM_UP == 0)
    kicked = load_line(bends)
    install_kicks(kicked, sequence, bunch, options)
    found: dict[str, float] = {}

    def forward(particles: Any) -> None:
        moving = particles.copy()
        kicked.track(moving)
        if not bool((moving.state > 0).all()):
            raise SystemExit("xsuite lost particles: the comparison is not valid")
        found.update(sizes(moving.x, moving.y))

    tasks: dict[str, Callable[[Any], Any]] = {"forward": forward}
    if options.maps:
        whole = load_line(bends)
        tasks["maps"] = lambda particles: whole.track(particles.copy())
    seconds = {name: shortest(task, start, few, options.repeat) for name, task in tasks.items()}
    return {**seconds, **found, "kicks": sequence.n_kicks}


def load_line(bends: str) -> Any:
    """Return the ring in xtrack, with the model of the bends."""
    import xtrack as xt

    loaded = xt.load(LATTICE)
    line = next(iter(loaded.lines.values())) if isinstance(loaded, xt.Environment) else loaded
    if BENDS[bends][1]:
        line.configure_bend_model(**BENDS[bends][1])
    return line


def install_kicks(line: Any, sequence: Any, bunch: Any, options: argparse.Namespace) -> None:
    """Put a SpaceCharge3D of the same length at each kick of `sequence`; all share a field map."""
    import xfields as xf
    import xobjects as xo
    import xtrack as xt

    kicks = [step for step in sequence.steps if step.kind == "kick"]
    names = [f"kick_{index}" for index in range(len(kicks))]
    for name in names:
        line.env.elements[name] = xt.Marker()
    line.insert(
        [line.env.place(name, at=kick.s_start) for name, kick in zip(names, kicks, strict=True)]
    )
    # xtrack wants all elements in one buffer, and cannot move a field map there later
    threads = {"omp_num_threads": options.threads} if options.threads > 1 else {}
    context = xo.ContextCpu(**threads)
    line.discard_tracker()
    line.build_tracker(_context=context, compile=False)
    buffer = line._buffer
    line.discard_tracker()
    first = xf.SpaceCharge3D(
        _buffer=buffer,
        length=0.0,
        update_on_track=True,
        apply_z_kick=True,
        solver="FFTSolver3D",
        gamma0=bunch.reference.gamma0.item(),
        **dict.fromkeys(("nx", "ny", "nz"), options.grid),
        **ranges_of(sequence, bunch),
    )
    for name, kick in zip(names, kicks, strict=True):
        element: Any = first.copy(_buffer=buffer)
        element.length = kick.part.length.item()
        line.env.remove(name)
        line.env.elements[name] = element
    line.build_tracker(_buffer=buffer)


def ranges_of(sequence: Any, bunch: Any) -> dict[str, tuple[float, float]]:
    """First and last node of a grid that holds the bunch everywhere along the line."""
    import torch

    largest = torch.zeros(3, dtype=torch.float64)
    with torch.no_grad():
        for step in sequence.steps:
            if step.kind == "map":
                bunch = step.part.track(bunch)
                largest = torch.maximum(largest, bunch.coordinates[::2].abs().amax(1))
    names = ("x_range", "y_range", "z_range")
    return {name: (-ROOM * v, ROOM * v) for name, v in zip(names, largest.tolist(), strict=True)}


def sizes(x: Any, y: Any) -> dict[str, float]:
    return {"sigma_x": float(x.std()), "sigma_y": float(y.std())}


# ---- the comparison -------------------------------------------------------------------------


def measure(code: str, bends: str, options: argparse.Namespace) -> dict[str, float]:
    """Run one measurement in a process of its own."""
    limits = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    threads = dict.fromkeys(limits, str(options.threads))
    names = ("particles", "grid", "threads", "repeat")
    passed = [text for name in names for text in (f"--{name}", str(getattr(options, name)))]
    passed += ["--maps"] if options.maps else []
    done = subprocess.run(
        [sys.executable, __file__, "--worker", code, bends, *passed],
        env={**os.environ, **threads, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise SystemExit(f"{code}, bends {bends}: {reason[0]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def ratios(seconds: dict[str, dict[str, dict[str, float]]]) -> dict[str, float]:
    """Their time over ours; names of further models of the bends are put behind."""
    found = {}
    for bends, codes in seconds.items():
        suffix = "" if bends == "default" else f"_{bends}_bends"
        ours, theirs = codes["sc_bridge"], codes["xsuite"]
        found[f"forward_vs_xsuite{suffix}"] = theirs["forward"] / ours["forward"]
        found[f"gradient_vs_xsuite_forward{suffix}"] = theirs["forward"] / ours["gradient"]
        found[f"sigma_x_over_xsuite{suffix}"] = ours["sigma_x"] / theirs["sigma_x"]
        found[f"sigma_y_over_xsuite{suffix}"] = ours["sigma_y"] / theirs["sigma_y"]
    return found


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--particles", type=lambda text: int(float(text)), default=100_000)
    parser.add_argument("--grid", type=int, default=64, help="nodes along each axis")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=1, help="runs of which the shortest counts")
    parser.add_argument("--bends", nargs="*", choices=BENDS, default=list(BENDS))
    parser.add_argument("--maps", action="store_true", help="time the maps without kicks too")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    if str(ROOT) not in sys.path:
        sys.path.append(str(ROOT))
    missing = [name for name in ("sc_bridge", "xtrack", "xfields") if find_spec(name) is None]
    if missing:
        raise SystemExit(f"{missing[0]} is missing: pip install '.[xsuite]'")
    options = parse_options()
    if options.worker:
        code, bends = options.worker
        timer = globals()[f"time_{code}"]
        print(json.dumps(timer(bends, options)))
        return
    seconds: dict[str, dict[str, dict[str, float]]] = {}
    for bends in options.bends:
        seconds[bends] = {code: measure(code, bends, options) for code in CODES}
        for code, found in seconds[bends].items():
            shown = ", ".join(f"{what} {found[what]:.4g}" for what in found)
            print(f"{code:10s} bends {bends}: {shown}", flush=True)
    results = ratios(seconds)
    for key, value in results.items():
        print(f"{key:42s} {value:8.4f}")
    if options.json:
        document = {**results, "measured": seconds, "particles": options.particles}
        print(json.dumps({**document, "grid": options.grid, "threads": options.threads}))


if __name__ == "__main__":
    main()
