"""The benchmark of maps: it runs from a checkout and ends with its figures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "examples" / "benchmarks" / "maps.py"
PARITY = 1e-12


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


def test_the_last_line_holds_the_figures_of_every_class():
    done = run("--particles", "1000", "--seconds", "0", "--classes", "Drift", "BendExact", "--json")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])["elements"]
    assert set(figures) == {"Drift", "BendExact"}
    for row in figures.values():
        assert row["forward_vs_xtrack"] > 0 and row["gradient_vs_xtrack"] > 0
        assert row["max_abs_error"] < PARITY
    # a few numbers of the map, however many particles
    assert figures["Drift"]["kept_bytes_per_particle"] < 0.1
    assert figures["BendExact"]["kept_bytes_per_particle"] > 48.0


def test_unknown_classes_are_named():
    done = run("--classes", "Wiggler")
    assert done.returncode and "unknown: Wiggler; known: Drift" in done.stderr
