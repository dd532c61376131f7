"""Faulty files and commands end in one line; disks that fill and kills leave nothing half done."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from bad_files import BAD_COMMANDS, BAD_LATTICES, GOOD
from bad_runs import refusal

from sc_bridge import cli

ROOT = Path(__file__).parents[2]
PROTON = ("--reference", "proton, kinetic_energy = 160 MeV")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a good study and its lattice, and the tests in it."""
    for name, text in GOOD.items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", BAD_LATTICES)
def test_a_bad_lattice_is_one_line(tmp_path, capsys, monkeypatch, name):
    file, content, message = BAD_LATTICES[name]
    content = content if isinstance(content, bytes) else content.encode()
    (tmp_path / file).write_bytes(content)
    monkeypatch.chdir(tmp_path)
    line = refusal(tmp_path, capsys, "audit", file, *PROTON)
    assert message in line
    assert file in line


@pytest.mark.parametrize("name", BAD_COMMANDS)
def test_a_bad_command_is_one_line(folder, capsys, name):
    arguments, message = BAD_COMMANDS[name]
    arguments = [text.replace("{folder}", folder.name) for text in arguments]
    assert message in refusal(folder, capsys, *arguments)


def program(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "sc_bridge", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


@pytest.mark.slow
def test_a_run_that_is_killed_leaves_no_results_that_look_whole(folder):
    assert cli.main(["run", "study.toml", "--quiet"]) == cli.OK
    before = (folder / "results" / "results.json").read_bytes()
    text = (folder / "study.toml").read_text()
    (folder / "study.toml").write_text(text.replace("n_particles = 50", "n_particles = 400_000"))
    process = program(folder, "run", "study.toml")
    limit = time.monotonic() + 60
    while not list(folder.rglob(".sc-bridge-*")) and time.monotonic() < limit:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert (folder / "results" / "results.json").read_bytes() == before
    # what it was at stays hidden, and is no obstacle
    (folder / "study.toml").write_text(text)
    assert cli.main(["run", "study.toml", "--quiet"]) == cli.OK
    assert json.loads((folder / "results" / "results.json").read_text())["kicks"] > 0


@pytest.fixture
def full_disk(tmp_path):
    """A file system of 64 KiB, where one may be mounted."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)], capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_is_one_line_and_leaves_nothing(folder, capsys, full_disk):
    line = refusal(folder, capsys, "run", "study.toml", "--output", str(full_disk / "results"))
    assert "No space left on device" in line
    assert list(full_disk.iterdir()) == []


def test_a_full_disk_leaves_the_results_that_were_there(folder, capsys, full_disk):
    (full_disk / "results").mkdir()
    (full_disk / "results" / "results.json").write_text("mine")
    refusal(folder, capsys, "run", "study.toml", "--output", str(full_disk / "results"))
    assert [path.name for path in (full_disk / "results").iterdir()] == ["results.json"]
    assert (full_disk / "results" / "results.json").read_text() == "mine"


def test_a_full_disk_takes_no_lattice(folder, capsys, full_disk):
    ring = json.loads(GOOD["ring.json"])
    ring["elements"] |= {f"d{i}": ring["elements"]["d1"] for i in range(3, 3000)}
    ring["element_names"] = list(ring["elements"])
    (folder / "long.json").write_text(json.dumps(ring))
    line = refusal(folder, capsys, "convert", "long.json", str(full_disk / "long.json"))
    assert "No space left on device" in line
    assert list(full_disk.iterdir()) == []
