"""sc-bridge optimise: knobs, fields and beam parameters, to where an objective is least."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import tomllib

import pytest
from command_runs import OPTIMISE, interrupt_after, names, refuses, run

from sc_bridge import cli
from sc_bridge.adjoint import StoreStates
from sc_bridge.study import load_study, run_study
from sc_bridge.study.limit import Decision
from study_texts import PERIOD, PSB, write_study

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def _unplanned(monkeypatch):
    """Take the default strategy without the seconds that a prediction of memory takes."""
    for module in ("running", "problem"):
        monkeypatch.setattr(f"sc_bridge.study.{module}.decide", lambda *_: Decision(StoreStates()))


@pytest.fixture
def optimisable(tmp_path):
    study = write_study(tmp_path)
    study.write_text(study.read_text() + OPTIMISE)
    return study


def test_optimising_lowers_the_objective_within_its_bounds(capsys, optimisable):
    found = json.loads(run(capsys, "optimise", optimisable, "--json"))
    assert found["value"] < found["start_value"]
    assert 0.6 <= found["optimum"]["kbrqf"] <= 0.9
    assert found["value_with_new_grids"] == pytest.approx(found["value"], rel=0.05)
    assert found["unit"] == "m^2"
    assert len(found["steps"]) >= 1
    folder = optimisable.parent / "results"
    assert names(folder) == ["optimise.json", "optimised.toml"]
    # the optimum is a study's own: its knobs are pasted
    knobs = (folder / "optimised.toml").read_text()
    optimisable.write_text(optimisable.read_text() + knobs)
    assert load_study(optimisable).model.lattice.knobs == found["optimum"]


@pytest.mark.parametrize(
    "vary", ["kbrqf = [0.6, 0.9]", '"bunch.nemitt_*" = ["0.5 um", "9 um"], kbrqd = [-0.9, -0.6]']
)
def test_an_interrupted_optimisation_ends_as_one_that_was_not(
    capsys, optimisable, monkeypatch, vary
):
    text = optimisable.read_text().replace("kbrqf = [0.6, 0.9]", vary)
    optimisable.write_text(text.replace('"sigma_x*sigma_y"', '"(sigma_x/6e-3 - 1)^2"'))
    whole = json.loads(
        run(capsys, "optimise", optimisable, "--json", "--output", optimisable.parent / "whole")
    )
    command = ["optimise", str(optimisable), "--json"]
    with monkeypatch.context() as patched:
        interrupt_after(patched, "sc_bridge.study.problem.track", 3)
        assert cli.main(command) == cli.INTERRUPTED
    assert "3 evaluations kept in" in capsys.readouterr().err
    assert names(optimisable.parent / "results") == ["optimise.json"]
    again = json.loads(run(capsys, *command))
    assert again == whole


def test_an_optimisation_steps_back_from_where_the_bunch_diverges(capsys, optimisable):
    # the first trial is a tenth of the bounds away, where quadrupoles overflow
    text = optimisable.read_text().replace("[0.6, 0.9]", "[0.0, 1e9]")
    optimisable.write_text(text.replace("max_steps = 4", "max_steps = 1"))
    found = json.loads(run(capsys, "optimise", optimisable, "--json"))
    assert found["value"] <= found["start_value"]
    assert found["optimum"]["kbrqf"] < 10.0
    folder = optimisable.parent / "results"
    assert json.loads((folder / "optimise.json").read_text())["evaluations"] > 2


# ---- beam parameters -------------------------------------------------------------------------

# Name, where the study begins, bounds, and the value that is to be found again.
FOUND_AGAIN = [
    ("bunch.nemitt_x", "2e-6 m", '["0.5 um", "8 um"]', "4.6e-6 m"),
    ("bunch.intensity", "1.6e12", "[1e11, 9e12]", "5e12"),
    ("bunch.sigma_z", "1 m", '["0.4 m", "2 m"]', "0.7 m"),
    ("bunch.sigma_delta", "1e-3", "[1e-4, 8e-3]", "5e-3"),
    ("reference.kinetic_energy", "160 MeV", '["100 MeV", "300 MeV"]', "120 MeV"),
]
# One grid for all, so that a size belongs to one beam alone.
ONE_GRID = """grid = [8, 8, 8]
x_range = ["-0.1 m", "0.1 m"]
y_range = ["-0.1 m", "0.1 m"]
z_range = ["-9 m", "9 m"]
"""


@pytest.mark.parametrize(("name", "start", "bounds", "wanted"), FOUND_AGAIN)
def test_the_beam_that_gave_a_size_is_found_again(capsys, tmp_path, name, start, bounds, wanted):
    section, key = name.split(".")
    value, new = (json.dumps(v) if " " in v else v for v in (start, wanted))
    text = PERIOD.replace("grid = [8, 8, 8]\n", ONE_GRID)
    text = re.sub(rf"^{key} = .*$", f"{key} = {value}", text, flags=re.MULTILINE)
    target = tmp_path / "target"
    target.mkdir()
    hidden = re.sub(rf"^{key} = .*$", f"{key} = {new}", text, flags=re.MULTILINE)
    assert hidden != text
    final = run_study(load_study(write_study(target, text=hidden))).final
    optimise = f"""
[optimise]
minimise = "(sigma_x/{final["sigma_x"]!r} - 1)^2"
vary = {{ "{name}" = {bounds} }}
tolerance = 1e-14
"""
    study = write_study(tmp_path, text=text + optimise)
    found = json.loads(run(capsys, "optimise", study, "--json"))
    number, _, unit = wanted.partition(" ")
    expected = float(number) * (1e6 if unit == "MeV" else 1.0)
    assert found["optimum"][name] == pytest.approx(expected, rel=1e-4)
    assert found["value_with_new_grids"] == pytest.approx(found["value"], abs=1e-9)
    # what is written is a study's own
    said = tomllib.loads((tmp_path / "results" / "optimised.toml").read_text())
    assert list(said) == [section]
    again = re.sub(rf"^{key} = .*$", f"{key} = {json.dumps(said[section][key])}", text, flags=re.M)
    assert run_study(load_study(write_study(tmp_path, text=again))).final["sigma_x"] == (
        pytest.approx(final["sigma_x"], rel=1e-4)
    )


def test_a_bunch_may_grow_out_of_its_grids(capsys, tmp_path):
    """Without space charge a size is the root of its emittance; with a little, nearly so."""
    text = PERIOD.replace("1.6e12", "1e9").replace("sigma_delta = 1e-3", "sigma_delta = 0.0")
    start = run_study(load_study(write_study(tmp_path, text=text))).final["sigma_x"]
    optimise = f"""
[optimise]
minimise = "(sigma_x/{2.0 * start!r} - 1)^2"
vary = {{ "bunch.nemitt_x" = ["1 um", "20 um"] }}
tolerance = 1e-14
"""
    study = write_study(tmp_path, text=text + optimise)
    found = json.loads(run(capsys, "optimise", study, "--json"))
    assert found["optimum"]["bunch.nemitt_x"] == pytest.approx(4 * 2e-6, rel=1e-3)
    assert found["value_with_new_grids"] < 1e-10


@pytest.mark.parametrize(
    ("name", "bounds"), [("bunch.intensity", "[0, 9e12]"), ("cavity.voltage", "[0, 9000]")]
)
def test_what_moves_nothing_is_refused_by_name(capsys, tmp_path, name, bounds):
    text = f"""{PERIOD[: PERIOD.index("[space_charge]")]}
[monitors.early]
at = "1 m"
[optimise]
minimise = "early.sigma_x"
vary = {{ "{name}" = {bounds} }}
"""
    message = refuses(capsys, "optimise", write_study(tmp_path, text=text))
    assert f"optimise.vary: early.sigma_x does not depend on {name}: leave it out" in message


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (OPTIMISE, "", "[optimise] is missing: write minimise and vary"),
        ("[0.6, 0.9]", "[0.6, 0.7]", "kbrqf is 0.769142734, outside: widen the bounds"),
        ("[0.6, 0.9]", "[0.9, 0.6]", "optimise.vary.kbrqf = [0.9, 0.6]: the first must be"),
        ("[0.6, 0.9]", "[0.6]", "optimise.vary.kbrqf = [0.6]: must have at least 2 entries"),
        ("kbrqf = [0.6, 0.9]", "kbrqx = [0.6, 0.9]", "optimise.vary: no knob, field or key"),
        (
            "kbrqf = [0.6, 0.9]",
            '"bunch.sigma_z" = ["-1 m", "2 m"]',
            "bunch.sigma_z = [-1, 2]: bunch.sigma_z must not be negative: take 0 or more",
        ),
        (
            "kbrqf = [0.6, 0.9]",
            '"bunch.sigma_z" = [0, 2]',
            "optimise.vary.bunch.sigma_z = '0.0': the unit is missing: it is measured in m",
        ),
        (
            "kbrqf = [0.6, 0.9]",
            '"bunch.seed" = [0, 2]',
            "bunch.seed: the bunch does not depend on it in a way that has a derivative: it has in",
        ),
        (
            "kbrqf = [0.6, 0.9]",
            '"reference.momentum" = ["1 MeV/c", "1 GeV/c"], '
            '"reference.kinetic_energy" = ["1 MeV", "1 GeV"]',
            "reference.momentum and reference.kinetic_energy are one and the same: choose one",
        ),
        (
            "kbrqf = [0.6, 0.9]",
            'kbrqf = [0.6, 0.9], "kbrq[f]" = [0.6, 0.8]',
            "optimise.vary: kbrqf has bounds twice: leave out one",
        ),
        ('"sigma_x*sigma_y"', '"sigma"', "optimise.minimise: expression 'sigma': no moment"),
        ('"sigma_x*sigma_y"', '"a.sigma_x"', "optimise.minimise: 'a.sigma_x': no monitor 'a'"),
    ],
)
def test_an_optimisation_that_means_nothing_is_one_line(capsys, optimisable, old, new, message):
    text = optimisable.read_text()
    assert old in text
    optimisable.write_text(text.replace(old, new))
    assert message in refuses(capsys, "optimise", optimisable)
    assert names(optimisable.parent) == ["psb.json", "study.toml"]


@pytest.mark.parametrize("command", [("scan", "kbrqf", "--values", "0.7"), ("optimise",)])
def test_a_study_is_not_written_over(capsys, optimisable, command):
    name = "optimised.toml" if command[0] == "optimise" else "scan_kbrqf.csv"
    study = optimisable.rename(optimisable.parent / name)
    options = (command[0], study, *command[1:], "--output", study.parent / ".")
    message = refuses(capsys, *options)
    assert f"{name} would be read and written: choose another --output" in message
    assert names(study.parent) == sorted(["psb.json", name])


def test_a_file_that_is_no_journal_is_refused(capsys, optimisable):
    folder = optimisable.parent / "results"
    folder.mkdir()
    (folder / "optimise.json").write_text("[1, 2")
    assert "is not what an interrupted run left" in refuses(capsys, "optimise", optimisable)
    assert (folder / "optimise.json").read_text() == "[1, 2"


@pytest.mark.slow
def test_ctrl_c_leaves_a_whole_journal_and_nothing_else(optimisable):
    text = optimisable.read_text().replace("n_particles = 50", "n_particles = 100_000")
    optimisable.write_text(text.replace("max_steps = 4", "max_steps = 1000\ntolerance = 1e-300"))
    program = subprocess.Popen(
        [sys.executable, "-m", "sc_bridge", "optimise", str(optimisable)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PSB.parents[2])},
    )
    journal = optimisable.parent / "results" / "optimise.json"
    deadline = time.monotonic() + 100.0
    while program.poll() is None and not journal.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    program.send_signal(signal.SIGINT)
    out, err = program.communicate(timeout=60)
    assert program.returncode == cli.INTERRUPTED, err
    assert out == ""
    assert re.fullmatch(r"sc-bridge: interrupted, \d+ evaluations kept in .*goes on\n", err)
    assert names(journal.parent) == ["optimise.json"]
    kept = json.loads(journal.read_text())
    assert kept["complete"] is False
    assert len(kept["entries"]) >= 1
