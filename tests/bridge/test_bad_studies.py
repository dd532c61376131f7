"""A faulty study ends in one line that says where, what and how to go on; nothing is written."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from bad_studies import BAD_STUDIES, RING, STUDY

from sc_bridge import cli

SECONDS = 10.0  # of the processor


def refusal(folder: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run the command line, check that it refuses as it should, and return its one line."""
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    start = time.process_time()
    assert cli.main(arguments) == cli.REFUSED
    assert time.process_time() - start < SECONDS
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert lines[-1].startswith("sc-bridge: error: ")
    assert all(line.startswith("sc-bridge: warning: ") for line in lines[:-1])
    assert len(lines[-1]) < 1100 and lines[-1].isprintable()
    assert captured.out == ""
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before
    return lines[-1]


@pytest.mark.parametrize("name", BAD_STUDIES)
def test_a_bad_study_is_one_line_and_nothing_written(tmp_path, capsys, monkeypatch, name):
    old, new, message = BAD_STUDIES[name]
    assert old in STUDY
    (tmp_path / "ring.json").write_text(RING)
    (tmp_path / "study.toml").write_text(STUDY.replace(old, new, 1))
    monkeypatch.chdir(tmp_path)
    line = refusal(tmp_path, capsys, "run", "study.toml")
    assert message in line
    assert "study.toml" in line or "ring.json" in line or "results" in line


def test_the_study_that_they_are_made_of_is_good(tmp_path, capsys):
    (tmp_path / "ring.json").write_text(RING)
    (tmp_path / "study.toml").write_text(STUDY)
    assert cli.main(["run", str(tmp_path / "study.toml"), "--quiet"]) == cli.OK
    assert (tmp_path / "results" / "results.json").exists()
