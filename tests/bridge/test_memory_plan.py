"""Peaks are predicted before a run, and the plan takes what fits."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
import torch

import sc_bridge as scb
from channels import PROTON, fodo_channel
from sc_bridge.elements import program
from sc_bridge.elements.space_charge import SpaceCharge, space_charge_field
from sc_bridge.elements.space_charge.green import cache, green_octant, octant_transform
from sc_bridge.lattice import Lattice, Record
from sc_bridge.memory import measure, plan
from sc_bridge.memory.measuring import observe
from sc_bridge.memory.pattern import Size, find_pattern
from sc_bridge.memory.predict import Predictor, Setting
from sc_bridge.memory.trace import AllocationTrace
from sc_bridge.memory.workspace import GREEN_OCTANTS, solve_bytes

pytestmark = pytest.mark.usefixtures("two_threads")

ROOT = Path(__file__).resolve().parents[2]
# What the plan promises.
PREDICTION = 0.05
CPU = torch.device("cpu")

STRATEGIES = {
    "StoreStates": lambda state: scb.StoreStates(),
    "RecordAll": lambda state: scb.RecordAll(),
    "Checkpoint every": lambda state: scb.Checkpoint(every=3),
    "Checkpoint memory": lambda state: scb.Checkpoint(memory=3 * state),
    "Reversible": lambda state: scb.Reversible(),
    "Reversible anchors": lambda state: scb.Reversible(anchors=2),
}
# cells of four kicks, particles, nodes along each axis
SIZES = ((1, 4000, 12), (3, 500, 20))


@functools.cache
def predictor(cells, dtype):
    sequence, _ = fodo_channel(cells)
    sequence["qf"].k1.requires_grad_()
    return Predictor(sequence, Setting(dtype, sequence.reference))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_predicted_peak_is_the_measured_one(strategy, size, dtype):
    cells, n, nodes = size
    adjoint = STRATEGIES[strategy](6 * n * dtype.itemsize)
    sequence, bunch = fodo_channel(cells, n_particles=n, nodes=nodes, dtype=dtype)
    sequence["qf"].k1.requires_grad_()
    found = measure(sequence, bunch, adjoint)
    predicted = predictor(cells, dtype).peak(adjoint, Size(n, (nodes,) * 3))
    assert predicted.tensors == pytest.approx(found.peak, rel=PREDICTION)
    assert predicted.total > predicted.tensors


@pytest.mark.parametrize("n", [program.FEW - 1, program.FEW, 60_000])
def test_kernels_that_need_many_particles_are_predicted(n):
    sequence, bunch = fodo_channel(1, n_particles=n, nodes=12)
    sequence["qf"].k1.requires_grad_()
    found = measure(sequence, bunch, scb.Reversible())
    predicted = predictor(1, torch.float64).peak(scb.Reversible(), Size(n, (12,) * 3))
    assert predicted.tensors == pytest.approx(found.peak, rel=PREDICTION)


@pytest.mark.parametrize(
    "options",
    [{"implementation": "plain"}, {"shape": "tsc"}, {"field_dtype": torch.float64}],
    ids=str,
)
def test_every_setting_of_the_kick_is_predicted(options):
    sequence, bunch = fodo_channel(1, n_particles=2000, nodes=20, dtype=torch.float32, **options)
    found = measure(sequence, bunch, scb.StoreStates())
    row = next(c for c in plan(sequence, bunch).choices if c.dtype == torch.float32)
    assert row.adjoint == scb.StoreStates()
    assert row.tensors == pytest.approx(found.peak, rel=PREDICTION)


def test_the_field_of_one_piece_is_gone_before_the_next_is_run_again():
    sequence, bunch = fodo_channel(3, n_particles=100, nodes=32)
    adjoint = scb.Checkpoint(every=3)
    found = measure(sequence, bunch, adjoint)
    predicted = predictor(3, torch.float64).peak(adjoint, Size(100, (32, 32, 32)))
    assert predicted.tensors == pytest.approx(found.peak, rel=PREDICTION)
    assert found.peak < 4 * 8 * 32**3  # three potentials, and what one stage needs


def test_flights_to_one_time_are_predicted():
    sequence, bunch = fodo_channel(1, n_particles=2000, nodes=12, transform="ballistic")
    shape = torch.tensor([1, 1, 1, 1, 1e-3, 1]).double().view(6, 1)  # flights are short
    bunch = bunch.replace(coordinates=bunch.coordinates * shape)
    adjoint = scb.Reversible()
    found = measure(sequence, bunch, adjoint)
    (row,) = plan(sequence, bunch, adjoint=adjoint).choices
    assert row.tensors == pytest.approx(found.peak, rel=PREDICTION)


def test_lines_that_amplify_rounding_are_planned():
    records = {"q": Record("q", "Quadrupole", {"length": 1.0, "k1": 1000.0})}
    sequence = scb.KickedSequence(
        Lattice("strong", "xsuite-json", "", records, ("q",) * 4, reference=PROTON),
        slicing=scb.KicksPerElement(2),
        space_charge=SpaceCharge(grid=(8, 8, 8)),
    )
    planned = plan(sequence, n_particles=100)
    assert any(isinstance(choice.adjoint, scb.Reversible) for choice in planned.choices)


def test_more_anchors_than_kicks_are_one_at_every_kick():
    sequence, bunch = fodo_channel(3)
    rows = [
        plan(sequence, bunch, adjoint=scb.Reversible(anchors=n)).choices[0] for n in (12, 10**12)
    ]
    assert rows[0].tensors == rows[1].tensors


def test_turns_and_gradients_of_the_reference_are_predicted():
    sequence, bunch = fodo_channel(1, n_particles=2000)
    energy = torch.tensor(160e6, dtype=torch.float64, requires_grad=True)
    bunch = bunch.replace(reference=scb.reference("proton", kinetic_energy=energy))
    found = measure(sequence, bunch, scb.StoreStates(), turns=3)
    planned = plan(sequence, bunch, turns=3)
    assert planned.n_kicks == found.n_kicks == 12
    row = next(c for c in planned.choices if c.adjoint == planned.adjoint)
    assert row.dtype == torch.float32  # listed first
    chosen = planned.choices[len(planned.choices) // 2]
    assert chosen.tensors == pytest.approx(found.peak, rel=PREDICTION)
    assert planned.peak == chosen.peak


def test_a_loss_may_be_a_number():
    sequence, bunch = fodo_channel(1, n_particles=2000)
    sequence["qf"].k1.requires_grad_()
    (row,) = plan(sequence, bunch, adjoint=scb.StoreStates(), loss=lambda b: b.sigma_x).choices
    start = bunch.replace(coordinates=bunch.coordinates.clone().requires_grad_())

    kept: list[scb.Bunch] = []

    def size():
        kept.append(scb.track(sequence, start))  # as one who looks at the bunch later
        return kept[-1].sigma_x

    size()  # Green functions
    kept.clear()
    found = observe(size, [start.coordinates, sequence["qf"].k1], [start.coordinates])
    peak = max(found.peak_forward, found.peak_backward) + bunch.coordinates.nbytes
    assert row.tensors == pytest.approx(peak, rel=PREDICTION)


def test_a_plan_from_counts_allocates_nothing_of_their_size():
    sequence, _ = fodo_channel(2)
    with AllocationTrace() as trace:
        planned = plan(sequence, n_particles=10**9, grid=(256, 256, 256), dtype=torch.float32)
    assert trace.peak() < 1e6
    assert planned.peak > 9 * 24e9 + 8 * 4 * 256**3


def test_the_least_work_that_fits_is_chosen():
    sequence, bunch = fodo_channel(12)
    free = plan(sequence, bunch)
    assert free.adjoint == scb.StoreStates()
    in_double = [choice for choice in free.choices if choice.dtype == torch.float64]
    for choice in in_double[:3]:
        planned = plan(sequence, bunch, budget=choice.peak)
        assert planned.adjoint == choice.adjoint
        assert planned.peak == choice.peak
    end = scb.track(sequence, bunch, adjoint=planned.adjoint)
    assert torch.isfinite(end.coordinates).all()


def test_a_run_without_gradients_keeps_nothing():
    sequence, bunch = fodo_channel(3, n_particles=2000)
    planned = plan(sequence, bunch, backward=False)
    with torch.no_grad():  # Green functions
        scb.track(sequence, bunch, adjoint=planned.adjoint)
    with torch.no_grad(), AllocationTrace() as trace:
        end = scb.track(sequence, bunch, adjoint=planned.adjoint)
        del end
    chosen = planned.choices[-1]
    incoming = bunch.coordinates.nbytes + bunch.alive.untyped_storage().nbytes()
    assert chosen.tensors == pytest.approx(trace.peak() + incoming, rel=PREDICTION)


def test_a_plan_is_a_table_that_says_what_was_chosen():
    sequence, bunch = fodo_channel(3)
    text = str(plan(sequence, bunch, "1 GiB"))
    assert text.startswith("500 particles, 4,096 cells, 12 kicks; budget 1 GiB\nstrategy ")
    assert text.count("chosen") == 1
    assert [line for line in text.splitlines() if "StoreStates()  " in line and "float32" in line]
    assert "does not fit" not in text


def test_what_cannot_fit_is_refused_with_numbers_and_the_way_out():
    sequence, _ = fodo_channel(2)
    message = (
        r"1,000,000,000 particles, 4,096 cells and 8 kicks need .* GiB with \w+, the least of all "
        r"strategies, and may take 8 GiB: take at most [\d,]+ particles"
    )
    with pytest.raises(scb.ScBridgeError, match=message) as refusal:
        plan(sequence, n_particles=10**9, budget="8 GiB")
    most = int(str(refusal.value).split("at most ")[1].split(" ")[0].replace(",", ""))
    assert plan(sequence, n_particles=most, budget="8 GiB").peak <= 8 * 2**30
    with pytest.raises(scb.ScBridgeError, match=r"take float32 .* or a smaller grid"):
        plan(sequence, n_particles=10, grid=(512, 512, 512), budget="15 GiB")
    with pytest.raises(scb.ScBridgeError, match="take a smaller grid, or more memory"):
        plan(sequence, n_particles=10, grid=(512, 512, 512), budget="1 GiB")
    with pytest.raises(scb.ScBridgeError, match="grid"):
        plan(sequence, n_particles=10, grid=(4, 4, 4))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "give a bunch or n_particles="),
        ({"n_particles": 0}, "n_particles = 0: must be a whole number from 1"),
        ({"n_particles": 10, "grid": (8, 8)}, "grid = .* must be three numbers of nodes"),
        ({"n_particles": 10, "dtype": torch.float16}, "dtype = torch.float16: must be"),
        ({"n_particles": 10, "turns": 0}, "turns = 0: must be a whole number from 1"),
        ({"n_particles": 10, "budget": "8"}, "budget = '8': the unit is missing"),
        ({"n_particles": 10, "budget": "0 GiB"}, "budget = '0 GiB': must be positive"),
        ({"bunch": "gauss"}, "bunch = 'gauss': must be a Bunch"),
        ({"n_particles": 10, "adjoint": "Reversible"}, "adjoint = 'Reversible': must be one of"),
        ({"n_particles": 10, "adjoint": scb.Reversible}, r"must be one of StoreStates\(...\)"),
        ({"n_particles": 10, "device": "nowhere"}, "device = 'nowhere': "),
        ({"n_particles": 10, "loss": "sigma_x"}, "loss = 'sigma_x': must be a function"),
        ({"n_particles": 10, "loss": lambda bunch: 3.0}, "a vector .* it gave float"),
        ({"n_particles": 10, "loss": lambda bunch: bunch.coordinates}, r"it gave \(6, \d+\)"),
        (
            {"n_particles": 10**6, "budget": "1 MiB", "adjoint": scb.StoreStates()},
            "MiB with StoreStates, and may take 1 MiB",
        ),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    sequence, _ = fodo_channel(1)
    with pytest.raises(scb.ScBridgeError, match=message):
        plan(sequence, **arguments)


def test_a_plan_needs_a_sequence():
    with pytest.raises(scb.ScBridgeError, match="needs a KickedSequence, got str"):
        plan("lattice", n_particles=1)


def test_kicks_that_differ_are_an_error():
    sequence, _ = fodo_channel(1)
    sequence.stages = sequence.stages[:-1]
    with pytest.raises(scb.ScBridgeError, match=r"kicks differ: the sequence has 4, .* plan has 3"):
        plan(sequence, n_particles=10)


def test_allocations_whose_order_depends_on_the_size_are_refused():
    def run(size):
        for _ in range(size.n_particles // 32):
            torch.ones(3)

    with pytest.raises(scb.ScBridgeError, match=r"allocates .* times, depending on the size"):
        find_pattern(run, "something")


def test_a_line_without_kicks_is_planned():
    records = {"d": Record("d", "Drift", {"length": 0.3})}
    lattice = Lattice("line", "xsuite-json", "", records, ("d",), reference=PROTON)
    planned = plan(scb.KickedSequence(lattice), n_particles=1000)
    assert planned.n_kicks == planned.n_cells == 0
    assert planned.peak > 48e3


@pytest.mark.parametrize("n", [2000, 20])  # with the kernels for rows of elements and without
def test_a_long_line_without_kicks_is_predicted_by_one_element_of_every_kind(n):
    kinds = {
        "qf": ("Quadrupole", {"k1": 0.5}),
        "d": ("Drift", {}),
        "sf": ("Sextupole", {"k2": 5.0}),
    }
    records = {n: Record(n, kind, {"length": 0.1, **f}) for n, (kind, f) in kinds.items()}
    records |= {"hole": Record("hole", "LimitRect", {"max_x": 1.0, "min_x": -1.0})}
    names = ("qf", "d", "sf", "hole", "d") * 80
    sequence = scb.KickedSequence(
        Lattice("line", "xsuite-json", "", records, names, reference=PROTON)
    )
    sequence.requires_grad_(False)
    bunch = fodo_channel(1, n_particles=n)[1]
    predicted = Predictor(sequence, Setting(torch.float64, sequence.reference))
    patterns = predicted._patterns(Size(n, (16, 16, 16)))
    (pattern,) = patterns.forwards
    assert len(pattern.work) < 5000  # of 800 elements some 100 000
    planned = plan(sequence, bunch, backward=False)
    with torch.no_grad(), AllocationTrace() as trace:
        end = scb.track(sequence, bunch)
        del end
    incoming = bunch.coordinates.nbytes + bunch.alive.untyped_storage().nbytes()
    assert planned.choices[-1].tensors == pytest.approx(
        trace.peak() + incoming, rel=PREDICTION, abs=100e3
    )


@pytest.mark.parametrize("nodes", [(32, 32, 32), (16, 40, 24), (64, 96, 64)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_work_space_of_a_solve_is_what_numpy_allocates(nodes, dtype):
    bunch = fodo_channel(1, dtype=dtype)[1]
    settings = SpaceCharge(grid=nodes)
    space_charge_field(bunch, settings)  # buffers and Green function are there from now on
    tracemalloc.start()
    space_charge_field(bunch, settings)
    found = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert solve_bytes(Size(500, nodes), settings, dtype, CPU) == pytest.approx(found, rel=0.05)


def test_a_green_function_takes_no_more_than_is_said():
    nodes = (24, 32, 40)
    with AllocationTrace() as trace:
        kept = octant_transform(green_octant(nodes, (0.3, 0.5)))
    assert 0.6 * GREEN_OCTANTS * kept.nbytes < trace.peak() <= GREEN_OCTANTS * kept.nbytes


SCRIPT = """
import ctypes, json, sys
PR_SET_THP_DISABLE = 41  # large pages would round every array up by a megabyte or two
ctypes.CDLL(None).prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0)
import torch
sys.path.insert(0, "tests")
from channels import fodo_channel
import sc_bridge as scb
from sc_bridge.memory import measure, plan
from sc_bridge.memory.measuring import observe
sequence, bunch = fodo_channel(3, n_particles=100_000, nodes=32, dtype=torch.float32)
measured = measure(sequence, bunch, scb.StoreStates(), resident=True).peak_resident
planned = plan(sequence, bunch)
row = next(c for c in planned.choices if c.dtype == torch.float32)
rows = [(measured, row.tensors, row.peak)]
print(json.dumps(rows))
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's /proc")
def test_predicted_peak_is_the_rise_of_resident_memory():
    """In a process of its own, where the C library leaves no holes in its heap."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=ROOT,
        env={**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"},
        capture_output=True,
        text=True,
        check=True,
    )
    for measured, tensors, peak in json.loads(done.stdout.splitlines()[-1]):
        assert measured == pytest.approx(tensors, rel=PREDICTION)
        assert measured < (1 + PREDICTION) * peak


def test_green_functions_of_a_run_stay_within_the_plan():
    sequence, bunch = fodo_channel(4, nodes=12)
    cache.entries.clear()
    scb.track(sequence, bunch)
    octant = 13**3 * 8
    assert 0 < cache.n_bytes <= sequence.n_kicks * octant
