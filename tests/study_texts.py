"""A small study that tests of studies and commands change: one period of the PS Booster."""

from __future__ import annotations

import json
from pathlib import Path

PSB = Path(__file__).parents[1] / "examples" / "psb" / "psb.json"
PERIOD = """
turns = 1
[lattice]
file = "psb.json"
bend_model = "exact"
[reference]
species = "proton"
kinetic_energy = "160 MeV"
[bunch]
n_particles = 50
intensity = 1.6e12
nemitt_x = "2 um"
nemitt_y = "2 um"
sigma_z = "1 m"
sigma_delta = 1e-3
[space_charge]
grid = [8, 8, 8]
[slicing]
max_spacing = "2 m"
"""
SMALL = f"""{PERIOD}[derivatives]
of = ["sigma_x"]
with_respect_to = ["kbrqf"]
"""


def write_lattice(folder: Path) -> None:
    """Write psb.json: one period of the PS Booster and its cavity."""
    content = json.loads(PSB.read_text())
    content["element_names"] = [*content["element_names"][:10], "cavity"]
    (folder / "psb.json").write_text(json.dumps(content))


def write_study(folder: Path, *changes: tuple[str, str], text: str = SMALL) -> Path:
    """Write a study with some of its text replaced, and its lattice, and return its path."""
    write_lattice(folder)
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    (folder / "study.toml").write_text(text)
    return folder / "study.toml"
