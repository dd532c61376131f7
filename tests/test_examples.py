"""Examples and the README run as written."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from sc_bridge import cli
from sc_bridge.elements.space_charge import SpaceCharge, space_charge_kick
from sc_bridge.study import build_sequence, load_study

ROOT = Path(__file__).resolve().parent.parent
STUDY = ROOT / "examples" / "psb" / "study.toml"
# The magnets' lengths add up to the circumference with rounding only.
ROUNDING = 1e-9


def readme_python() -> str:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    return code


def run_python(code: str, folder: Path) -> str:
    """Run code in a folder of its own, where it may leave files, with the examples beside it."""
    (folder / "examples").symlink_to(ROOT / "examples")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_study_of_the_booster_has_a_kick_in_every_metre():
    sequence = build_sequence(load_study(STUDY))
    audit = sequence.audit()
    assert audit.kicks == sequence.n_kicks == 224
    assert abs(audit.kick_length - 157.08) < ROUNDING


def test_the_python_of_the_readme_runs_on_a_smaller_bunch(tmp_path):
    code = readme_python().replace("10_000", "100").replace("(32, 32, 32)", "(8, 8, 8)")
    # the default bend is an integrator of 160 steps
    code = code.replace("(8, 8, 8))", '(8, 8, 8)), bend_model="exact"').replace('"1 m"', '"5 m"')
    out = run_python(code, tmp_path)
    assert "file, built elements and slices agree" in out
    assert "dtype=torch.float64" in out.splitlines()[-1]


@pytest.mark.slow
def test_the_python_of_the_readme_runs_as_written(tmp_path):
    assert "224 kicks" in run_python(readme_python(), tmp_path)


@pytest.mark.slow
def test_the_study_of_the_booster_gives_every_derivative(tmp_path):
    assert cli.main(["run", str(STUDY), "--quiet", "--output", str(tmp_path)]) == cli.OK
    content = json.loads((tmp_path / "results.json").read_text())
    assert sum(len(row) for row in content["derivatives"].values()) == 30
    assert content["kicks"] == 224
    # focusing more in x makes the beam smaller there
    assert content["derivatives"]["sigma_x"]["kbrqf"]["value"] < 0


def test_documentation_names_only_keys_that_exist():
    text = (ROOT / "docs" / "study.md").read_text()
    raw = load_study(STUDY).raw
    for section, content in raw.items():
        assert section in text
        for key in content if isinstance(content, dict) else ():
            assert f"`{key}`" in text


@pytest.mark.slow
def test_the_turn_beside_xsuite_gives_the_same_sizes():
    command = [sys.executable, "examples/benchmarks/turn.py", "--json", "--bends", "exact"]
    done = subprocess.run(
        [*command, "--particles", "2000", "--grid", "16"], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout.splitlines()[-1])
    # a grid that follows the bunch and a fixed one of 16^3 nodes
    assert content["sigma_x_over_xsuite_exact_bends"] == pytest.approx(1.0, abs=0.01)
    assert content["sigma_y_over_xsuite_exact_bends"] == pytest.approx(1.0, abs=0.01)
    assert content["gradient_vs_xsuite_forward_exact_bends"] > 0


# A grid of cloud-in-cell forces that ends at 3 rms sizes, and one that follows the bunch.
TWO_GRIDS = 0.02


def test_the_paper_s_scheme_gives_the_kick_of_the_library(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "examples" / "paper"))
    from paper_figures import case, scheme  # pyright: ignore[reportMissingImports]

    bunch = case.make_bunch(case.make_inputs(False), 20_000, torch.float64)
    theirs = scheme.recorded_kick(bunch, 1.8, 32).coordinates
    ours = space_charge_kick(bunch, 1.8, SpaceCharge(grid=(32, 32, 32))).coordinates
    difference = (theirs - ours)[1::2].std(-1) / ours[1::2].std(-1)
    assert bool((difference < TWO_GRIDS).all())
    assert torch.equal(theirs[::2], ours[::2])


@pytest.mark.slow
def test_one_command_draws_the_paper_s_figures_and_their_table(tmp_path):
    command = [sys.executable, "-W", "error", "examples/paper/make_figures.py", "--quick"]
    done = subprocess.run(
        [*command, "--output", str(tmp_path)], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    pictures = sorted(path.name for path in tmp_path.glob("*.png"))
    assert [name[:8] for name in pictures] == [f"figure_{n}" for n in range(1, 9)]
    assert all((tmp_path / name).read_bytes()[:4] == b"\x89PNG" for name in pictures)
    table = (tmp_path / "table.md").read_text()
    for row in (
        "StoreStates() | float32 | 24.0 | 4.0 | 1.000000",
        "StoreStates() | float64 | 48.0 | 8.0 | 1.000000",
        "Reversible() | float32 | 0 | 0 | 1.000000",
        "inverse FFT | float32 | 0 | 0 | 1.000000",
    ):
        assert row in table
    assert re.search(r"Cheetah.* whole kick .*(not installed|1\.000000)", table)
