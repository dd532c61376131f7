"""The table of elements in the docs: complete, and current."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from cases import ELEMENT_CASES

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "elements.md"
PARITY = 1e-12


def rows() -> dict[str, list[str]]:
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line[:3] == "| `"]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0].strip("`"): row[1:] for row in cells if len(row) == 6}


def test_every_class_has_a_row_with_its_number_of_cases():
    assert {name: int(row[0]) for name, row in rows().items()} == {
        kind.__name__: len(cases) for kind, cases in ELEMENT_CASES.items()
    }


def test_every_figure_is_within_parity():
    figures = [row[1] for row in rows().values() if not row[1].startswith("not in Xsuite")]
    assert all(float(figure) <= PARITY for figure in figures)


def test_the_table_is_current():
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(ROOT / "docs" / "generate_elements.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
