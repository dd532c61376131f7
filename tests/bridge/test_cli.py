"""Command line: exit codes, one line an error, nothing half-written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from small_runs import ROOT, edit, prepare, refuses

from sc_bridge import cli


@pytest.fixture
def folder(tmp_path):
    """A folder with a study and its lattice."""
    return prepare(tmp_path)


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
        ('"kbrqf"', '"bunch.seed"', "bunch does not depend on it in a way that has a derivative"),
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
    limit = time.monotonic() + 240
    while not list(folder.glob(".sc-bridge-*")):
        assert time.monotonic() < limit, "it has not begun"
        time.sleep(0.05)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert "Traceback" not in err
    assert {path.name for path in folder.iterdir()} == {"psb.json", "study.toml"}
