"""A faulty study ends in one line that says where, what and how to go on; nothing is written."""

from __future__ import annotations

import pytest
from bad_runs import refusal
from bad_studies import BAD_STUDIES, RING, STUDY

from sc_bridge import cli


@pytest.mark.parametrize("name", BAD_STUDIES)
def test_a_bad_study_is_one_line_and_nothing_written(tmp_path, capsys, monkeypatch, name):
    old, new, message = BAD_STUDIES[name]
    assert old in STUDY
    (tmp_path / "ring.json").write_text(RING)
    (tmp_path / "study.toml").write_text(STUDY.replace(old, new, 1))
    monkeypatch.chdir(tmp_path)
    line = refusal(tmp_path, capsys, "run", "study.toml")
    assert message in line
    assert any(place in line for place in ("study.toml", "ring.json", str(tmp_path)))


def test_the_study_that_they_are_made_of_is_good(tmp_path, capsys):
    (tmp_path / "ring.json").write_text(RING)
    (tmp_path / "study.toml").write_text(STUDY)
    assert cli.main(["run", str(tmp_path / "study.toml"), "--quiet"]) == cli.OK
    assert (tmp_path / "results" / "results.json").exists()
