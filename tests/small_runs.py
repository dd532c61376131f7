"""A small study and its lattice in a folder, run by the command line."""

from __future__ import annotations

import json
from pathlib import Path

from sc_bridge import cli

ROOT = Path(__file__).parents[1]
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


def prepare(folder):
    content = json.loads(PSB.read_text())
    content["element_names"] = [*content["element_names"][:10], "cavity"]
    (folder / "psb.json").write_text(json.dumps(content, indent=1))
    (folder / "study.toml").write_text(SMALL)
    return folder


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
