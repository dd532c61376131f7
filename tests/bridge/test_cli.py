"""Command line: results, exit codes, one line an error, nothing half-written."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import sc_bridge as scb
from sc_bridge import cli, results
from sc_bridge.study import build_sequence, load_study, make_bunch, run_study

ROOT = Path(__file__).parents[2]
PSB = ROOT / "examples" / "psb" / "psb.json"
# One period of the PS Booster and its cavity, on the smallest grid.
SMALL = """
title = "a small test"
[lattice]
file = "psb.json"
bend_model = "exact"
[reference]
species = "proton"
kinetic_energy = "160 MeV"
[bunch]
n_particles = 200
intensity = 1.6e12
nemitt_x = "2 um"
nemitt_y = "2 um"
sigma_z = "1 m"
sigma_delta = 1e-3
seed = 3
[space_charge]
grid = [8, 8, 8]
[slicing]
max_spacing = "1 m"
[derivatives]
of = ["sigma_x", "nemitt_y"]
with_respect_to = ["kbrqf", "bunch.intensity", "bunch.nemitt_y", "reference.kinetic_energy",
                   "cavity.voltage"]
"""
N_KICKS = 14  # of at most 1 m in one period
FILES = {
    *("results.json", "report.html", "moments.csv", "envelopes.png"),
    *("bunch_final.h5", "bunch_final.npz"),
}
# Every output of a small run depends smoothly on its inputs over a step of a millionth.
FINITE_DIFFERENCE = 1e-5
ROUNDING = 1e-9


def prepare(folder):
    content = json.loads(PSB.read_text())
    content["element_names"] = [*content["element_names"][:10], "cavity"]
    (folder / "psb.json").write_text(json.dumps(content, indent=1))
    (folder / "study.toml").write_text(SMALL)
    return folder


@pytest.fixture
def folder(tmp_path):
    """A folder with a study and its lattice."""
    return prepare(tmp_path)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A finished run: folder of the study and results.json."""
    folder = prepare(tmp_path_factory.mktemp("done"))
    assert cli.main(["run", str(folder / "study.toml"), "--quiet"]) == cli.OK
    return folder, json.loads((folder / "results" / "results.json").read_text())


def refuses(folder, capsys, *options):
    """Run the study in `folder`, expect a refusal, and return its one line."""
    before = sorted(path.name for path in folder.rglob("*"))
    assert cli.main(["run", str(folder / "study.toml"), *options]) == cli.REFUSED
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("sc-bridge: error: ")
    assert captured.err.count("\n") == 1
    assert sorted(path.name for path in folder.rglob("*")) == before
    return captured.err


def edit(folder, old, new, name="study.toml"):
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new, 1))


# ---- results ---------------------------------------------------------------------------


def test_results_have_the_promised_shape(done):
    _, content = done
    assert set(content) >= {
        *("final", "derivatives", "kicks", "audit", "memory", "seconds", "versions", "study"),
    }
    assert content["final"]["sigma_x"]["unit"] == "m"
    assert content["kicks"] == content["audit"]["kicks"] == N_KICKS
    assert content["study"]["bunch"]["seed"] == 3
    assert content["versions"]["torch"] == torch.__version__
    assert content["memory"]["saved_for_backward"]["value"] > 0
    assert content["seconds"]["total"] > 0
    assert len(content["along_s"]["s"]["value"]) == content["kicks"] + 2
    assert content["along_s"]["s"]["value"][-1] == pytest.approx(9.8175, abs=ROUNDING)


def test_every_derivative_has_value_and_unit(done):
    table = done[1]["derivatives"]
    units = {name: entry["unit"] for name, entry in table["sigma_x"].items()}
    assert units == {
        "kbrqf": "m^3",
        "bunch.intensity": "m",
        "bunch.nemitt_y": "1",
        "reference.kinetic_energy": "m/eV",
        "cavity.voltage": "m/V",
    }
    assert set(table) == {"sigma_x", "nemitt_y"}
    assert all(isinstance(e["value"], float) for row in table.values() for e in row.values())


def test_final_moments_are_those_of_the_written_bunch(done):
    folder, content = done
    bunch = scb.read_bunch(folder / "results" / "bunch_final.h5")
    for name in ("sigma_x", "sigma_y", "sigma_zeta", "nemitt_x", "intensity"):
        assert getattr(bunch, name).item() == content["final"][name]["value"]


def test_only_the_promised_files_are_left_behind(done):
    folder, _ = done
    assert {path.name for path in (folder / "results").iterdir()} == FILES
    assert {path.name for path in folder.iterdir()} == {"psb.json", "study.toml", "results"}
    assert (folder / "results" / "envelopes.png").read_bytes().startswith(b"\x89PNG")


def test_derivatives_are_those_of_a_finite_difference(done):
    folder, content = done
    study = load_study(folder / "study.toml")
    sequence = build_sequence(study)
    sequence.freeze_grids(make_bunch(study, sequence))
    knob = sequence.knobs["kbrqf"]
    at, step = knob.item(), 1e-6

    def sigma_x(value):
        sequence.knobs["kbrqf"] = value
        with torch.no_grad():
            # the matched optics are held fixed
            return scb.track(sequence, bunch).sigma_x.item()

    bunch = make_bunch(study, sequence)
    slope = (sigma_x(at + step) - sigma_x(at - step)) / (2 * step)
    value = content["derivatives"]["sigma_x"]["kbrqf"]["value"]
    assert value == pytest.approx(slope, rel=FINITE_DIFFERENCE)


def test_a_run_is_reproducible(folder):
    study = load_study(folder / "study.toml")
    first, second = run_study(study), run_study(study)
    assert first.final == second.final
    assert [d.value for d in first.derivatives] == [d.value for d in second.derivatives]


def test_what_nothing_depends_on_has_derivatives_of_zero(folder):
    edit(folder, '"sigma_x", "nemitt_y"', '"intensity", "sigma_x"')
    edit(folder, '"kbrqf", ', '"t_turn_s", ')
    found = {
        (d.of, d.input.name): d.value
        for d in run_study(load_study(folder / "study.toml")).derivatives
    }
    assert found["sigma_x", "t_turn_s"] == found["intensity", "t_turn_s"] == 0.0
    assert found["intensity", "bunch.intensity"] == pytest.approx(1.0)


def test_a_title_is_plain_text(folder):
    text = (folder / "study.toml").read_text().split("\n")
    kept = [line for line in text if not line.startswith("title")]
    (folder / "study.toml").write_text("\n".join(["title = '$y^$'", *kept]))
    outcome = run_study(load_study(folder / "study.toml"))
    with results.output_folder(folder / "out") as output:
        output.write(outcome)
    assert (folder / "out" / "envelopes.png").stat().st_size > 0


def test_a_study_without_kicks_or_derivatives_runs(folder):
    text = (folder / "study.toml").read_text().split("[space_charge]")[0]
    (folder / "study.toml").write_text(text)
    outcome = run_study(load_study(folder / "study.toml"))
    assert outcome.sequence.n_kicks == 0
    assert outcome.derivatives == ()
    assert outcome.memory.saved_for_backward == 0
    with results.output_folder(folder / "out") as output:
        output.write(outcome)
    assert {path.name for path in (folder / "out").iterdir()} == FILES


def test_progress_reports_every_kick(folder):
    seen = []
    run_study(load_study(folder / "study.toml"), lambda *report: seen.append(report))
    done = [kicks for stage, kicks, total in seen if stage == "tracking" and total == N_KICKS]
    assert done[0] == 0
    assert done[-1] == N_KICKS
    assert seen[-1][0] == "backward pass"


# ---- what is printed ---------------------------------------------------------------------


def test_tables_are_printed_without_colours_into_a_pipe(folder, capsys):
    assert cli.main(["run", str(folder / "study.toml")]) == cli.OK
    captured = capsys.readouterr()
    for text in ("Audit of", "Quadrupole", "9.817500", "kept for the backward pass", "m/eV"):
        assert text in captured.out
    assert "\x1b" not in captured.out
    assert captured.err == ""


def test_json_prints_what_is_written(folder, capsys):
    assert cli.main(["run", str(folder / "study.toml"), "--json"]) == cli.OK
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((folder / "results" / "results.json").read_text())


def test_output_goes_where_it_is_told(folder, capsys):
    target = folder / "deep" / "er"
    assert cli.main(["run", str(folder / "study.toml"), "--quiet", "--output", str(target)]) == 0
    assert {path.name for path in target.iterdir()} == FILES
    assert not (folder / "results").exists()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", ["bunch_final.h5", "bunch_mine.npz"])
def test_a_run_does_not_replace_the_bunch_that_it_reads(folder, capsys, name):
    study = load_study(folder / "study.toml")
    (folder / "results").mkdir()
    before = make_bunch(study, build_sequence(study))
    scb.write_bunch(folder / "results" / name, before)
    text = SMALL[: SMALL.index("[bunch]")] + f'[bunch]\nfile = "results/{name}"\n'
    (folder / "study.toml").write_text(text + '[output]\nreport = false\nbunches = ["npz"]\n')
    message = refuses(folder, capsys)
    assert f"results/{name} is in {folder / 'results'}, where a run replaces files" in message
    (folder / "link").symlink_to(folder / "results")
    assert "choose another --output" in refuses(folder, capsys, "--output", str(folder / "link"))
    elsewhere = ("--quiet", "--output", str(folder / "next"))
    assert cli.main(["run", str(folder / "study.toml"), *elsewhere]) == cli.OK
    assert torch.equal(scb.read_bunch(folder / "results" / name).coordinates, before.coordinates)


def test_a_new_run_replaces_results_and_leaves_other_files(folder):
    (folder / "results").mkdir()
    (folder / "results" / "notes.txt").write_text("mine")
    (folder / "results" / "results.json").write_text("old")
    assert cli.main(["run", str(folder / "study.toml"), "--quiet"]) == cli.OK
    assert (folder / "results" / "notes.txt").read_text() == "mine"
    assert json.loads((folder / "results" / "results.json").read_text())["kicks"] == N_KICKS


@pytest.mark.parametrize("options", [[], ["run"], ["walk"], ["run", "a", "b"]])
def test_wrong_usage_exits_with_two(options, capsys):
    with pytest.raises(SystemExit, match="2"):
        cli.main(options)
    assert "usage: sc-bridge" in capsys.readouterr().err


def test_help_shows_examples(capsys):
    with pytest.raises(SystemExit, match="0"):
        cli.main(["run", "--help"])
    assert "sc-bridge run examples/psb/study.toml" in capsys.readouterr().out


def test_version_is_printed(capsys):
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--version"])
    assert capsys.readouterr().out.startswith("sc-bridge ")


# ---- bad input ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('file = "psb.json"', 'file = "nothing.json"', "lattice.file = 'nothing.json': no file"),
        ('file = "psb.json"', 'file = "study.toml"', "is a study by its name"),
        ('"2 um"', '"2"', "bunch.nemitt_x = '2': the unit is missing"),
        ('"2 um"', '"2 s"', "bunch.nemitt_x = '2 s': has the unit 's'"),
        ("seed", "sead", "unknown key bunch.sead: did you mean 'seed'"),
        ('"proton"', '"neutron"', "unknown species 'neutron'"),
        ('kinetic_energy = "160 MeV"\n', "", "no energy given"),
        ("grid = [8, 8, 8]", "grid = [4, 8, 8]", "grid"),
        ('"1 m"\nsigma_delta = 1e-3', '"100 m"', "does not fit the bucket"),
        ('["kbrqf",', '["kbrqx",', "no knob, field or key 'kbrqx': did you mean kbrq"),
        ('"kbrqf"', '"qf.k1"', "'qf.k1' is no free number"),
        ('"kbrqf"', '"reference.momentum"', "are one and the same: choose one"),
        ('"kbrqf"', '"bunch.seed"', "no knob, field or key 'bunch.seed'"),
    ],
)  # fmt: skip
def test_a_bad_study_is_one_line_and_nothing_written(folder, capsys, old, new, message):
    edit(folder, old, new)
    assert message in refuses(folder, capsys)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"Quadrupole"', '"Wobbler"', "'Wobbler'"),
        ("vars['kbrqf']", "__import__('os').system('touch hacked')", "__import__"),
        ("vars['kbrqf']", "vars['kbrqf'].__class__", "__class__"),
        ('"element_names"', '"element_nams"', "element_names"),
        ("{", "", "psb.json"),
    ],
)  # fmt: skip
def test_a_bad_lattice_is_one_line_and_nothing_written(folder, capsys, old, new, message):
    edit(folder, old, new, name="psb.json")
    line = refuses(folder, capsys)
    assert message in line
    assert "psb.json" in line
    assert not Path("hacked").exists()


def test_a_missing_study_is_one_line(tmp_path, capsys):
    assert "no such file" in refuses(tmp_path, capsys)


def test_an_output_that_is_a_file_is_refused_before_the_run(folder, capsys, monkeypatch):
    monkeypatch.setattr("sc_bridge.study.run_study", None)
    line = refuses(folder, capsys, "--output", str(folder / "psb.json"))
    assert "is a file, not a folder" in line


def test_an_output_that_cannot_be_written_is_refused_before_the_run(folder, capsys, monkeypatch):
    def refuse(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("sc_bridge.study.run_study", None)
    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    assert "results cannot be written: Permission denied" in refuses(folder, capsys)


def test_a_full_disk_leaves_nothing_half_written(folder, capsys, monkeypatch):
    def refuse(path, outcome):
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sc_bridge.pictures.figures.save_envelopes", refuse)
    assert "No space left on device" in refuses(folder, capsys)


def test_interrupting_exits_with_130_and_leaves_nothing(folder, capsys, monkeypatch):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("sc_bridge.study.running.track", interrupt)
    assert cli.main(["run", str(folder / "study.toml")]) == cli.INTERRUPTED
    assert "interrupted" in capsys.readouterr().err
    assert {path.name for path in folder.iterdir()} == {"psb.json", "study.toml"}


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: 1 bytes")]
)
def test_too_little_memory_is_one_line(folder, capsys, monkeypatch, error):
    def refuse(*arguments, **options):
        raise error

    monkeypatch.setattr("sc_bridge.study.running.track", refuse)
    assert "not enough memory: take fewer particles" in refuses(folder, capsys)


def test_a_fault_of_our_own_is_not_hidden(folder, monkeypatch):
    def fail(*arguments, **options):
        raise RuntimeError("a bug")

    monkeypatch.setattr("sc_bridge.study.running.track", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        cli.main(["run", str(folder / "study.toml"), "--quiet"])


def test_a_bunch_that_becomes_infinite_is_refused_with_its_place(folder, capsys, monkeypatch):
    def explode(sequence, bunch, observer, **options):
        bunch = bunch.replace(coordinates=bunch.coordinates * float("nan"))
        observer(1.5, bunch.detach(), 1)

    monkeypatch.setattr("sc_bridge.study.running.track", explode)
    assert "sigma_x is not finite at s = 1.5 m" in refuses(folder, capsys)


def test_a_spread_that_the_bucket_decides_is_no_input(folder, capsys):
    edit(folder, "sigma_delta = 1e-3\n", "")
    edit(folder, 'sigma_z = "1 m"', 'sigma_z = "0.1 m"')
    edit(folder, '"kbrqf"', '"bunch.sigma_delta"')
    assert "the study leaves it to the bucket: give bunch.sigma_delta" in refuses(folder, capsys)


# ---- as a program ------------------------------------------------------------------------


def program(*options, **keywords):
    return subprocess.Popen(
        [sys.executable, "-m", "sc_bridge", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        **keywords,
    )


def test_the_program_refuses_in_one_line_without_a_traceback(folder):
    edit(folder, '"2 um"', '"2 s"')
    process = program("run", "study.toml", cwd=folder)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert out == ""
    assert err == (
        "sc-bridge: error: study.toml: bunch.nemitt_x = '2 s': has the unit 's': "
        "write a length, such as '1.5 mm'\n"
    )


def test_a_full_output_is_one_line(folder):
    with open("/dev/full", "w") as full:
        process = subprocess.run(
            [sys.executable, "-m", "sc_bridge", "run", "study.toml", "--json"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
    assert process.returncode == 2
    assert process.stderr == "sc-bridge: error: cannot print: No space left on device\n"


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_in_the_middle_leaves_nothing(folder, number, code):
    edit(folder, "n_particles = 200", "n_particles = 200_000")
    process = program("run", "study.toml", cwd=folder)
    limit = time.monotonic() + 60
    while not list(folder.glob(".sc-bridge-*")) and time.monotonic() < limit:
        time.sleep(0.05)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert "Traceback" not in err
    assert {path.name for path in folder.iterdir()} == {"psb.json", "study.toml"}
