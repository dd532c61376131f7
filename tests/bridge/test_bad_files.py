"""Faulty files and commands end in one line; disks that fill and kills leave nothing half done."""

from __future__ import annotations

import json
import os
import shlex
import shutil
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


# Writes results again and again, each time in a process that is killed at one more of its renames.
_KILLED_AT_RENAMES = """
import os, signal, sys
from pathlib import Path
import torch
from sc_bridge.results import output_folder
from sc_bridge.study import load_study, run_study

torch.set_num_threads(1)
outcome = run_study(load_study(Path("study.toml")))
rename, count = os.replace, 0

def killed_at(last):
    done = 0
    def replace(*arguments):
        nonlocal done
        if done == last:
            os.kill(os.getpid(), signal.SIGKILL)
        done += 1
        rename(*arguments)
    return replace

while True:
    child = os.fork()
    if child == 0:
        os.replace = killed_at(count)
        with output_folder(Path("results")) as output:
            output.write(outcome)
        os._exit(0)
    if os.waitpid(child, 0)[1] == 0:
        break
    present = sorted(p.name for p in Path("results").iterdir() if not p.name.startswith("."))
    print(count, *present)
    count += 1
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot be forked here")
def test_a_kill_between_any_two_files_leaves_nothing_that_looks_whole(folder):
    text = (folder / "study.toml").read_text().replace("report = false", "report = true")
    (folder / "study.toml").write_text(text)
    assert cli.main(["run", "study.toml", "--quiet"]) == cli.OK
    whole = {path.name for path in (folder / "results").iterdir()}
    done = subprocess.run(
        [sys.executable, "-c", _KILLED_AT_RENAMES],
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )
    states = [line.split()[1:] for line in done.stdout.splitlines()]
    assert len(states) >= len(whole) >= 6
    # before the first rename all is of the run before; results.json comes last
    assert all(set(names) == whole or "results.json" not in names for names in states)
    assert any("results.json" not in names for names in states)
    left = {p.name for p in (folder / "results").iterdir() if not p.name.startswith(".sc-bridge-")}
    assert left == whole


@pytest.fixture
def full_disk(tmp_path):
    """A file system of 64 KiB: mounted by root, or by anybody in a namespace of a child's own."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)]
    refused = _refused(mount)
    if refused is None:
        yield place
        subprocess.run(["umount", str(place)], check=True)
        return
    # the child keeps it mounted until its input ends; we see it through the child's root
    held = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-ec"]
    script = f"{shlex.join(mount)}; echo mounted; read -r _"
    if shutil.which(held[0]) is None:
        pytest.skip(f"no tmpfs can be mounted here: {refused}; no unshare")
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen([*held, script], text=True, **pipes) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        seen = Path(f"/proc/{child.pid}/root{place}")
        if child.stdout.readline() != "mounted\n":
            reason = child.stderr.read().strip()
            pytest.skip(f"no tmpfs can be mounted here: {refused}; in a namespace: {reason}")
        yield seen


def _refused(command):
    """Run a command; why it cannot be run or fails, None if it does not."""
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        return str(error)
    return None if done.returncode == 0 else done.stderr.strip().partition("\n")[0]


def test_a_small_disk_is_full_soon(full_disk):
    with pytest.raises(OSError, match="No space left on device"):
        (full_disk / "large").write_bytes(bytes(100_000))
    (full_disk / "large").unlink()


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
    line = refusal(folder, capsys, "convert", "long.json", "--output", str(full_disk / "l.json"))
    assert "No space left on device" in line
    assert list(full_disk.iterdir()) == []
