"""Measure the memory law of every strategy, beside Cheetah's, and what the strategies cost.

    python examples/benchmarks/memory.py [--kicks 10000] [--json]

A FODO channel with a kick in every element. Bytes kept for the backward pass are counted by
hooks on saved storages, peaks by torch's allocator (`sc_bridge.memory.measure`), and fitted by
least squares on relative errors; Cheetah (extra `bench`) is measured by the same functions.
Every strategy and code has a process of its own, and so have the times and the long run.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

STRATEGIES = ("RecordAll", "StoreStates", "Checkpoint", "Reversible")
DTYPES = ("float32", "float64")
# particles, nodes along each axis, kicks
SIZES = ((10_000, 16, 8), (50_000, 16, 8), (10_000, 32, 8), (10_000, 16, 20), (50_000, 32, 20))
CHEETAH_SIZES = ((10_000, 16, 1), (50_000, 16, 1), (10_000, 32, 1), (50_000, 32, 1))
TIMED = (100_000, 32, 20)
LONG = (10_000, 16)
FEW = 10  # kicks of the short run beside the long one
REPEATED = 20  # short runs, so that no peak slips through between two looks at memory
OFTEN, SELDOM = 2e-4, 1e-2  # s between two looks, in the short runs and in the long one
INTENSITY = 1.2e11  # core tune depression 12 % on 16 nodes an axis, 15 % in closed form
MASS = 938272089.43  # eV
MOMENTUM = 571e6  # eV/c
# What glibc holds back of freed memory is no part of what is in use, or resident; Python's objects
# count as all others do; two threads would wait for each other to get memory.
EXACT = {
    "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0",
    "MALLOC_MMAP_THRESHOLD_": "65536",
    "MALLOC_ARENA_MAX": "1",
    "PYTHONMALLOC": "malloc",
    "OMP_NUM_THREADS": "1",
}


def channel(kicks: int, n_particles: int, nodes: int, dtype: str) -> tuple[Any, Any]:
    """FODO channel with four kicks a cell and a matched round beam."""
    import torch

    import sc_bridge as scb
    from sc_bridge.lattice import Lattice, Record, ReferenceFields

    records = {
        "qf": Record("qf", "Quadrupole", {"length": 0.2, "k1": 4.0}),
        "qd": Record("qd", "Quadrupole", {"length": 0.2, "k1": -4.0}),
        "d": Record("d", "Drift", {"length": 0.3}),
    }
    reference = ReferenceFields(mass0=MASS, q0=1.0, p0c=MOMENTUM)
    names = tuple(itertools.islice(itertools.cycle(("qf", "d", "qd", "d")), kicks))
    lattice = Lattice("channel", "xsuite-json", "", records, names, reference=reference)
    sequence = scb.KickedSequence(
        lattice,
        slicing=scb.KicksPerElement(1),
        space_charge=scb.SpaceCharge(grid=(nodes, nodes, nodes)),
    )
    sequence["qf"].k1.requires_grad_()
    optics = scb.Twiss(betx=2.5, alfx=-1.3, bety=1.0, alfy=0.6)
    bunch = scb.gaussian(
        sequence,
        n_particles,
        INTENSITY,
        nemitt_x="1 um",
        nemitt_y="1 um",
        sigma_z="1 m",
        sigma_delta=1e-4,
        twiss=optics,
        seed=2,
    )
    return sequence, bunch.to(getattr(torch, dtype))


def strategy(name: str) -> Any:
    import sc_bridge as scb

    return {
        "RecordAll": scb.RecordAll(),
        "StoreStates": scb.StoreStates(),
        "Checkpoint": scb.Checkpoint(every=4),
        "Reversible": scb.Reversible(),
    }[name]


# ---- one function a process -----------------------------------------------------------------


def law_of(name: str, dtype: str) -> dict[str, float]:
    """Coefficients of a strategy, and the largest error of its predicted peaks."""
    import torch

    from sc_bridge.memory import fit, measure
    from sc_bridge.memory.pattern import Size
    from sc_bridge.memory.predict import Predictor, Setting

    adjoint, real = strategy(name), getattr(torch, dtype)
    found, errors = [], []
    for n_particles, nodes, kicks in SIZES:
        sequence, bunch = channel(kicks, n_particles, nodes, dtype)
        found.append(measure(sequence, bunch, adjoint))
        predictor = Predictor(sequence, Setting(real, sequence.reference))
        predicted = predictor.peak(adjoint, Size(n_particles, (nodes, nodes, nodes))).tensors
        errors.append(abs(predicted / found[-1].peak - 1.0))
    kept, peak = fit(found), fit(found, "peak")
    return {
        **_coefficients(kept),
        "peak_fixed_per_particle": peak.fixed_per_particle,
        "prediction_error": max(errors),
    }


def cheetah() -> dict[str, float]:
    """Coefficients of Cheetah's kick in float32, by the same functions."""
    import cheetah as ch
    import torch

    from sc_bridge.memory import Measurement, fit
    from sc_bridge.memory.measuring import observe

    found = []
    for n_particles, nodes, n_kicks in CHEETAH_SIZES:
        _, bunch = channel(1, n_particles, nodes, "float32")
        table = torch.ones(n_particles, 7)
        table[:, :6] = bunch.coordinates.T
        table[:, 4] = -table[:, 4]
        wanted = table.requires_grad_()
        charges = torch.full((n_particles,), 1e-9 / n_particles)
        kick = ch.SpaceChargeKick(
            effect_length=torch.tensor(0.1), grid_shape=(nodes, nodes, nodes), dtype=torch.float32
        )

        def run(
            wanted: Any = wanted, charges: Any = charges, kick: Any = kick, n_kicks: int = n_kicks
        ) -> Any:
            beam: Any = ch.ParticleBeam(
                wanted,
                energy=torch.tensor((MASS**2 + MOMENTUM**2) ** 0.5),
                particle_charges=charges,
                species=ch.Species("proton"),
            )
            for _ in range(n_kicks):
                beam = kick.track(beam)
            return beam.particles

        seen = observe(run, [wanted], [wanted, charges])
        found.append(
            Measurement(
                n_particles,
                nodes**3,
                n_kicks,
                torch.float32,
                "Cheetah",
                seen.kept,
                seen.peak_forward,
                seen.peak_backward,
            )
        )
    return _coefficients(fit(found))


def times() -> dict[str, float]:
    """Shortest seconds of a forward run, and of forward and backward with each strategy."""
    import torch

    import sc_bridge as scb

    n_particles, nodes, kicks = TIMED
    sequence, bunch = channel(kicks, n_particles, nodes, "float32")
    start = bunch.replace(coordinates=bunch.coordinates.clone().requires_grad_())
    wanted = [start.coordinates, sequence["qf"].k1]

    def forward() -> None:
        with torch.no_grad():
            scb.track(sequence, bunch, adjoint=scb.RecordAll())

    def there_and_back(name: str) -> Callable[[], object]:
        def run() -> object:
            out = scb.track(sequence, start, adjoint=strategy(name)).coordinates
            return torch.autograd.grad(out, wanted, torch.ones_like(out))

        return run

    tasks = {"forward": forward, **{name: there_and_back(name) for name in STRATEGIES}}
    seconds: dict[str, float] = {}
    for _ in range(4):  # interleaved, so that a slow minute hits everyone
        for name, task in tasks.items():
            begin = time.perf_counter()
            task()
            spent = time.perf_counter() - begin
            seconds[name] = min(spent, seconds.get(name, spent))
    return seconds


def long_run(kicks: int) -> dict[str, float]:
    """Rise of memory in forward and backward pass of Reversible, in a few kicks and in many.

    `..._in_use` is what malloc has handed out, Python's objects included; `..._resident` also
    has pages that nobody uses, and is counted by Linux to a few hundred kilobytes.
    """
    import torch

    import sc_bridge as scb
    from sc_bridge.memory.footprint import ResidentRise
    from sc_bridge.memory.malloc import MallocRise

    lines = {"few": channel(FEW, *LONG, "float64"), "many": channel(kicks, *LONG, "float64")}
    with torch.no_grad():  # Green functions of the whole run
        scb.track(*lines["many"])
    rises: dict[str, float] = {}
    for name, repeats, period in (
        ("warm up", 1, OFTEN),
        ("few", REPEATED, OFTEN),
        ("many", 1, SELDOM),
    ):
        sequence, bunch = lines.get(name, lines["few"])
        with ResidentRise() as resident, MallocRise(period) as in_use:
            for _ in range(repeats):
                out = scb.track(sequence, bunch, adjoint=scb.Reversible())
                torch.autograd.grad(out.sigma_x, [sequence["qf"].k1])
                del out
        rises[f"{name}_in_use"] = float(in_use.count or 0)
        rises[f"{name}_resident"] = float(resident.count or 0)
    return rises


def _coefficients(law: Any) -> dict[str, float]:
    return {
        "bytes_per_particle": law.bytes_per_particle,
        "bytes_per_cell": law.bytes_per_cell,
        "r2": law.r2,
    }


# ---- the comparison -------------------------------------------------------------------------


def in_a_process(*arguments: str, **settings: str) -> dict[str, float]:
    """Run this file as a worker and read its last line; `settings` go into its environment."""
    done = subprocess.run(
        [sys.executable, __file__, "--worker", *arguments],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise SystemExit(f"{' '.join(arguments)}: {reason[0]} (Cheetah comes with extra `bench`)")
    return json.loads(done.stdout.strip().splitlines()[-1])


def work(arguments: Iterable[str]) -> dict[str, float]:
    what, *rest = arguments
    workers: dict[str, Callable[..., dict[str, float]]] = {
        "law": law_of,
        "cheetah": cheetah,
        "times": times,
        "long": lambda kicks: long_run(int(kicks)),
    }
    return workers[what](*rest)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kicks", type=lambda text: int(float(text)), default=10_000)
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--worker", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(work(options.worker)))
        return
    print(f"{'strategy':12s} dtype     B/particle/kick  B/cell/kick  B/particle besides")
    laws: dict[str, dict[str, dict[str, float]]] = {}
    for name in STRATEGIES:
        for dtype in DTYPES:
            law = laws.setdefault(name, {})[dtype] = in_a_process("law", name, dtype)
            print(
                f"{name:12s} {dtype}  {law['bytes_per_particle']:15.2f}  "
                f"{law['bytes_per_cell']:11.2f}  {law['peak_fixed_per_particle']:18.1f}",
                flush=True,
            )
    theirs = in_a_process("cheetah")
    print(
        f"{'Cheetah':12s} float32  {theirs['bytes_per_particle']:15.2f}  "
        f"{theirs['bytes_per_cell']:11.2f}",
        flush=True,
    )
    seconds = in_a_process("times")
    rises = in_a_process("long", str(options.kicks), **EXACT)
    results = {
        "prediction_max_error": max(
            law["prediction_error"] for by_dtype in laws.values() for law in by_dtype.values()
        ),
        "reversible_peak_10000_over_10": rises["many_in_use"] / rises["few_in_use"],
        "reversible_resident_10000_over_10": rises["many_resident"] / rises["few_resident"],
        "reversible_over_store_time": seconds["Reversible"] / seconds["StoreStates"],
        "store_over_forward_time": seconds["StoreStates"] / seconds["forward"],
    }
    for name, kicks in (("few", FEW), ("many", options.kicks)):
        in_use, resident = (1e-6 * rises[f"{name}_{kind}"] for kind in ("in_use", "resident"))
        print(f"Reversible, {kicks} kicks: {in_use:.3f} MB in use, {resident:.3f} MB resident")
    for key, value in results.items():
        print(f"{key:33s} {value:8.4f}")
    if options.json:
        document = {"coefficients": {**laws, "Cheetah": {"float32": theirs}}, **results}
        document |= {"seconds": seconds, "rises": rises, "kicks": options.kicks}
        print(json.dumps(document))


if __name__ == "__main__":
    main()
