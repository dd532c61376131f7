"""Time kicks and a turn of the PS Booster on a GPU, beside the CPU of the same machine.

    python examples/benchmarks/gpu.py [--quick] [--json]

Prints how long a kick takes, forwards and there and back, on the GPU by our kernels, on the GPU by
torch operations alone (SC_BRIDGE_KERNELS=0), on the CPU with all its threads, and, where xfields
and CuPy are installed, by xfields.SpaceCharge3D in a ContextCupy; a turn of the PS Booster with
its gradient; peak memory beside what `plan` predicts; and the kernels that take longest. Times are
medians of repetitions, the GPU idle before and after each. `--quick` leaves out what takes long.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

import sc_bridge as scb
from sc_bridge.elements import Bunch, Reference
from sc_bridge.elements.space_charge import SpaceCharge, space_charge_kick
from sc_bridge.memory import measure, plan

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 0.5  # of repetitions of one measurement
# particles, nodes along each axis
SIZES = ((100_000, 64), (1_000_000, 64), (1_000_000, 128), (10_000_000, 128))
DTYPES = (torch.float32, torch.float64)
# In float32 the states of this ring come back to 2e-4 of their rms only.
STRATEGIES = (scb.StoreStates(), scb.Reversible(tolerance=0.01), scb.Checkpoint(every=15))


def median(task: Callable[[], Any], wait: Callable[[], None], least: int = 3) -> float:
    """Median time of a task in seconds, after a first call that compiles and fills caches.

    With `least` = 1 that is the only call.
    """
    times: list[float] = []
    if least > 1:
        task()
        wait()
    while len(times) < least or (least > 1 and (sum(times) < SECONDS and len(times) < 200)):
        start = time.perf_counter()
        task()
        wait()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def waiting_for(device: torch.device) -> Callable[[], None]:
    return torch.cuda.synchronize if device.type == "cuda" else lambda: None


@contextmanager
def without_kernels() -> Iterator[None]:
    """Let the kick run on torch operations alone."""
    os.environ["SC_BRIDGE_KERNELS"] = "0"
    try:
        yield
    finally:
        del os.environ["SC_BRIDGE_KERNELS"]


def gaussian_bunch(n: int, dtype: torch.dtype, device: torch.device) -> Bunch:
    """Electrons of 250 MeV, 1 nC, 1 mm rms in all directions of their rest frame."""
    reference = Reference.from_kinetic_energy(510998.95069, -1.0, 250e6)
    generator = torch.Generator().manual_seed(1)
    scale = torch.tensor([1e-3, 1e-6, 1e-3, 1e-6, 1e-3 / reference.gamma0.item(), 1e-6])
    coordinates = torch.randn(6, n, generator=generator) * scale[:, None]
    return Bunch(coordinates.to(device, dtype), reference, 1e-9 / 1.602176634e-19 / n)


def time_kick(n: int, grid: int, dtype: torch.dtype, device: torch.device) -> dict[str, float]:
    """Seconds of a kick forwards, and forwards and backwards."""
    bunch, settings = gaussian_bunch(n, dtype, device), SpaceCharge(grid=(grid, grid, grid))
    wait = waiting_for(device)
    forward = median(lambda: space_charge_kick(bunch, 0.1, settings), wait)
    start = bunch.replace(coordinates=bunch.coordinates.clone().requires_grad_())
    upstream = torch.ones_like(bunch.coordinates)

    def there_and_back() -> None:
        kicked = space_charge_kick(start, 0.1, settings).coordinates
        torch.autograd.grad(kicked, start.coordinates, upstream)

    return {"forward": forward, "gradient": median(there_and_back, wait)}


def time_xfields(n: int, grid: int) -> float | None:
    """Seconds of a kick by xfields in a ContextCupy; None where it cannot run."""
    try:
        import cupy  # pyright: ignore[reportMissingImports]
        import xfields as xf
        import xobjects as xo
        import xtrack as xt

        warnings.simplefilter("ignore")
        context = xo.ContextCupy()
        bunch = gaussian_bunch(n, torch.float64, torch.device("cpu"))
        x, px, y, py, zeta, pzeta = bunch.coordinates.numpy()
        reference = bunch.reference
        particles = xt.Particles(
            _context=context,
            mass0=reference.mass0.item(),
            q0=-1.0,
            p0c=reference.p0c.item(),
            weight=bunch.weight[0].item(),
            **{"x": x, "px": px, "y": y, "py": py, "zeta": zeta, "pzeta": pzeta},
        )
        reach = {name: 6.0 * float(abs(v).std()) for name, v in (("x", x), ("y", y), ("z", zeta))}
        element = xf.SpaceCharge3D(
            _context=context,
            length=0.1,
            update_on_track=True,
            apply_z_kick=True,
            **{f"{name}_range": (-r, r) for name, r in reach.items()},
            **{f"n{name}": grid for name in "xyz"},
            solver="FFTSolver3D",
            gamma0=reference.gamma0.item(),
        )
        return median(lambda: element.track(particles), cupy.cuda.Device().synchronize)
    except Exception as error:  # of a package that is not there, or does not work here
        print(f"xfields: {type(error).__name__}: {str(error).splitlines()[0][:200]}")
        return None


def kicks(gpu: torch.device, quick: bool) -> dict[str, Any]:
    """Table of kicks."""
    cpu = torch.device("cpu")
    found: dict[str, Any] = {}
    print(f"{'kick [ms]':34}{'GPU':>16}{'torch operations':>20}{'CPU':>18}{'xfields':>10}")
    for n, grid in SIZES[:3] if quick else SIZES:
        theirs = time_xfields(n, grid)
        for dtype in DTYPES:
            ours = time_kick(n, grid, dtype, gpu)
            with without_kernels():
                plain = time_kick(n, grid, dtype, gpu)
            host = time_kick(n, grid, dtype, cpu)
            name = f"{n} particles, {grid}^3, {str(dtype).removeprefix('torch.')}"
            xfields = theirs if dtype == torch.float64 else None
            found[name] = {"gpu": ours, "torch": plain, "cpu": host, "xfields": xfields}
            columns = (_pair(value).rjust(18) for value in (ours, plain, host))
            beside = "" if xfields is None else f"{1e3 * xfields:10.2f}"
            print(f"{name:34}{''.join(columns)}{beside}", flush=True)
    return found


def _pair(seconds: dict[str, float]) -> str:
    return " ".join(f"{1e3 * seconds[name]:8.2f}" for name in ("forward", "gradient"))


def booster(n: int, device: torch.device, dtype: torch.dtype, grid: int) -> tuple[Any, Bunch]:
    """The PS Booster with a kick a metre, and a bunch."""
    sequence = scb.KickedSequence(
        scb.read_lattice(ROOT / "examples/psb/psb.json"),
        slicing=scb.MaxSpacing("1 m"),
        space_charge=SpaceCharge(grid=(grid, grid, grid)),
        bend_model="exact",
    ).to(device)
    bunch = scb.gaussian(sequence, n, 1.6e12, nemitt_x="2 um", nemitt_y="2 um", sigma_z="15 m")
    for name in ("kbrqf", "kbrqd"):
        sequence.knobs[name].requires_grad_()
    return sequence, bunch.to(dtype).to(device)


def turns(gpu: torch.device, quick: bool) -> dict[str, Any]:
    """A turn of the PS Booster, forwards and with the gradient by two knobs."""
    found: dict[str, Any] = {}
    print(f"\n{'turn of the PS Booster [s]':44}{'forward':>10}{'gradient':>10}")
    cases = [(100_000, gpu), (1_000_000, gpu)]
    if not quick:
        cases += [(100_000, torch.device("cpu"))]
    for n, device in cases:
        sequence, bunch = booster(n, device, torch.float32, 64)
        knobs = [sequence.knobs[name] for name in ("kbrqf", "kbrqd")]

        def forward(sequence: Any = sequence, bunch: Bunch = bunch) -> None:
            with torch.no_grad():
                scb.track(sequence, bunch)

        def gradient(sequence: Any = sequence, bunch: Bunch = bunch, knobs: Any = knobs) -> None:
            torch.autograd.grad(scb.track(sequence, bunch).sigma_x, knobs)

        wait = waiting_for(device)
        least = 3 if device.type == "cuda" else 1
        times = {
            "forward": median(forward, wait, least),
            "gradient": median(gradient, wait, least),
        }
        found[f"{n} {device.type}"] = times
        name = f"{n} particles, 64^3, float32, {sequence.n_kicks} kicks, {device.type}"
        print(f"{name:44}{times['forward']:10.3f}{times['gradient']:10.3f}", flush=True)
    return found


def memory(gpu: torch.device) -> dict[str, Any]:
    """Peak memory of a turn beside its prediction."""
    found: dict[str, Any] = {}
    print(f"\n{'peak memory [MiB]':44}{'measured':>10}{'predicted':>10}{'off':>8}")
    for n, dtype in ((100_000, torch.float64), (1_000_000, torch.float32)):
        sequence, bunch = booster(n, gpu, dtype, 64)
        for adjoint in STRATEGIES:
            measured = measure(sequence, bunch, adjoint).peak
            choices = plan(sequence, bunch, adjoint=adjoint).choices
            predicted = next(c for c in choices if c.dtype == dtype).tensors
            off = predicted / measured - 1.0
            name = f"{type(adjoint).__name__}, {n} particles, {str(dtype)[6:]}"
            found[name] = {"measured": measured, "predicted": predicted, "off": off}
            mib = f"{measured / 2**20:10.0f}{predicted / 2**20:10.0f}"
            print(f"{name:44}{mib}{100 * off:7.1f}%", flush=True)
    return found


def profile(gpu: torch.device) -> None:
    """Print what takes longest in a kick and in a stage, and how often Python waits."""
    bunch, settings = gaussian_bunch(1_000_000, torch.float32, gpu), SpaceCharge(grid=(64, 64, 64))
    start = bunch.replace(coordinates=bunch.coordinates.clone().requires_grad_())
    sequence, ring = booster(1_000_000, gpu, torch.float32, 64)

    def kick() -> None:
        out = space_charge_kick(start, 0.1, settings).coordinates
        torch.autograd.grad(out, start.coordinates, torch.ones_like(out))

    def turn() -> None:
        out = scb.track(sequence, ring)
        torch.autograd.grad(out.sigma_x, [sequence.knobs["kbrqf"]])

    for name, task, repeats in (("kick", kick, 10), ("turn", turn, 1)):
        task()
        with warnings.catch_warnings(record=True) as waits:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            task()
            torch.cuda.set_sync_debug_mode("default")
        count = sum("called a synchronizing" in str(warning.message) for warning in waits)
        print(f"\n{name}, there and back: waits for the GPU {count} times")
        activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
        with torch.profiler.profile(activities=activities) as profiled:
            for _ in range(repeats):
                task()
            torch.cuda.synchronize()
        averages = profiled.key_averages()
        print(
            averages.table(sort_by="self_device_time_total", row_limit=14, max_name_column_width=60)
        )


def main() -> None:
    parser = argparse.ArgumentParser(description="Time kicks and a turn on a GPU.")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("gpu: this machine has no CUDA GPU that torch can use")
    gpu = torch.device("cuda")
    card = torch.cuda.get_device_name(gpu)
    threads = torch.get_num_threads()
    print(f"{card}, torch {torch.__version__}; CPU with {threads} threads\n", flush=True)
    found: dict[str, Any] = {"card": card, "torch": torch.__version__, "threads": threads}
    found["kick"] = kicks(gpu, options.quick)
    found["turn"] = turns(gpu, options.quick)
    found["memory"] = memory(gpu)
    if options.profile:
        profile(gpu)
    if options.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
