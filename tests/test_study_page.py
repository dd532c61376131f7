"""The page on studies: its tables are those of the models, and its examples are studies."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path

from sc_bridge.study import StudyModel

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "study.md"


def generator():
    spec = importlib.util.spec_from_file_location("study_page", ROOT / "docs" / "generate_study.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_are_current():
    text = PAGE.read_text(encoding="utf-8")
    assert generator().renewed(text) == text, "run python docs/generate_study.py"


def test_every_section_has_a_table():
    text = PAGE.read_text(encoding="utf-8")
    named = {"lattice", "reference", "bunch", "bunch.twiss", "space_charge", "slicing"}
    named |= {"monitors.NAME", "derivatives", "adjoint", "optimise", "output"}
    assert set(re.findall(r"^\*\*`\[([\w.]+)\]`\*\*", text, re.MULTILINE)) == named


def test_every_example_is_a_study():
    blocks = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) >= 2
    for block in blocks:
        StudyModel.model_validate(tomllib.loads(block))
