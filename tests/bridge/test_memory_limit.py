"""A study states a memory limit: it is kept, or refused before the run."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

import sc_bridge as scb
from sc_bridge.memory.footprint import peak_resident
from sc_bridge.results import to_dict
from sc_bridge.study import load_study, run_study
from sc_bridge.study.building import build_sequence, make_bunch
from sc_bridge.study.limit import EXAMPLE, check_size, decide
from study_texts import write_lattice

STUDY = """
{top}
[lattice]
file = "psb.json"
bend_model = "exact"
[reference]
species = "proton"
kinetic_energy = "160 MeV"
[bunch]
n_particles = {n_particles}
intensity = 1.6e12
nemitt_x = "2 um"
nemitt_y = "2 um"
sigma_z = "1 m"
sigma_delta = 1e-3
[space_charge]
grid = [8, 8, 8]
[slicing]
max_spacing = "1 m"
"""
DERIVATIVES = """
[derivatives]
of = ["sigma_x", "nemitt_y"]
with_respect_to = ["kbrqf", "bunch.intensity", "reference.kinetic_energy"]
"""


@pytest.fixture
def study_of(tmp_path):
    def write(top, n_particles=200, derivatives=DERIVATIVES):
        write_lattice(tmp_path)
        text = STUDY.format(top=top, n_particles=n_particles) + derivatives
        (tmp_path / "study.toml").write_text(text)
        return load_study(tmp_path / "study.toml")

    return write


def test_a_limit_that_holds_is_predicted_beside_what_was_measured(study_of):
    memory = to_dict(run_study(study_of('memory_limit = "64 GiB"')))["memory"]
    assert memory["adjoint"] == "StoreStates()"
    assert memory["predicted_peak_resident"]["unit"] == "B"
    assert 0 < memory["predicted_peak_resident"]["value"] < 64 * 2**30


# Of the process's peak: what libraries load as they go.
OTHERS = 0.1
# Without the holes that glibc leaves in its heap, which nobody predicts.
NO_HOLES = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}


def test_every_run_predicts_its_peak_and_comes_near_it(study_of):
    study = study_of("", n_particles=60_000)
    command = [sys.executable, "-m", "sc_bridge", "run", str(study.path), "--json"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env=os.environ | NO_HOLES
    )
    memory = json.loads(done.stdout)["memory"]
    predicted, measured = (
        memory[key]["value"] for key in ("predicted_peak_resident", "peak_resident")
    )
    assert memory["saved_for_backward"]["value"] > OTHERS * measured
    assert predicted == pytest.approx(measured, rel=OTHERS)


@pytest.mark.parametrize("adjoint", ["", 'adjoint = "RecordAll"'])
def test_what_this_machine_cannot_hold_is_refused(study_of, monkeypatch, adjoint):
    monkeypatch.setattr("sc_bridge.study.limit._memory_of_machine", lambda: 64 * 2**30)
    study = study_of(adjoint, 10**9)
    with pytest.raises(
        scb.StudyError,
        match=r"this machine: .* 1,000,000,000 particles.* need .*iB with \w+.*iB: take",
    ):
        run_study(study)


def test_a_plan_without_a_limit_keeps_within_this_machine(study_of, monkeypatch):
    monkeypatch.setattr("sc_bridge.study.limit._memory_of_machine", lambda: peak_resident() + 2**30)
    study = study_of('adjoint = "plan"', 10**6, derivatives="")
    sequence = build_sequence(study)

    def example():
        return make_bunch(study, sequence, n_particles=EXAMPLE)

    chosen = decide(study, sequence, example, lambda end: end.sigma_x.reshape(1)).adjoint
    assert not isinstance(chosen, scb.StoreStates)


def test_a_scan_refuses_more_particles_than_this_machine_holds(study_of, monkeypatch):
    monkeypatch.setattr("sc_bridge.study.limit._memory_of_machine", lambda: 64 * 2**30)
    study = study_of("", 10**9)
    with pytest.raises(
        scb.StudyError, match=r"n_particles = 1000000000: needs at least 9.6e\+10 B"
    ):
        check_size(study)


@pytest.mark.parametrize("derivatives", [DERIVATIVES, ""], ids=["derivatives", "none"])
def test_what_exceeds_the_limit_is_refused_before_anything_is_made(study_of, derivatives):
    study = study_of('memory_limit = "64 GiB"', 10**9, derivatives)
    with pytest.raises(
        scb.StudyError,
        match=r"memory_limit: plan: 1,000,000,000 particles, 512 cells and 14 kicks need .*iB "
        r"with \w+, the least of all strategies, and may take .* at most [\d,]+ particles",
    ):
        run_study(study)


def test_a_fixed_strategy_is_held_to_the_limit(study_of):
    top = 'memory_limit = "64 GiB"\nadjoint = "StoreStates"'
    with pytest.raises(scb.StudyError, match=r'need .*iB with StoreStates.* take adjoint = "plan"'):
        run_study(study_of(top, 10**9))


def test_a_limit_below_the_program_itself_is_refused(study_of):
    with pytest.raises(scb.StudyError, match=r"the program alone takes .* B: give more"):
        run_study(study_of('memory_limit = "1 MB"'))


@pytest.mark.parametrize(
    ("top", "message"),
    [
        ('memory_limit = "8"', "memory_limit = '8': the unit is missing"),
        ('memory_limit = "0 GiB"', "memory_limit = 0: must be positive"),
        ('adjoint = "best"', "adjoint.strategy = 'best': input should be 'plan', 'StoreStates'"),
    ],
)
def test_settings_that_mean_nothing_are_refused(study_of, top, message):
    with pytest.raises(scb.ScBridgeError, match=message):
        study_of(top)
