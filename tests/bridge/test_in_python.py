"""What a user sees in Python: the quickstart, reprs, quantities, progress."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pint
import pytest
import rich.console

import sc_bridge as scb

README = Path(__file__).parents[2] / "README.md"


@pytest.fixture
def small(psb_lattice):
    return scb.KickedSequence(
        psb_lattice,
        slicing=scb.MaxSpacing("20 m"),
        space_charge=scb.SpaceCharge(grid=(8, 8, 8)),
        bend_model="exact",
    )


@pytest.fixture
def bunch(small):
    shape = {"nemitt_x": "2 um", "nemitt_y": "2 um", "sigma_z": "15 m"}
    return scb.gaussian(small, 20, 1.6e12, **shape)


def test_the_quickstart_has_at_most_fifteen_lines():
    (block,) = re.findall(r"## In Python\n\n```python\n(.*?)```", README.read_text(), re.DOTALL)
    lines = [line for line in block.splitlines() if line.strip()]
    assert len(lines) <= 15
    assert "plot(" in block
    assert ".backward()" in block


def test_reprs_say_what_they_stand_for(small, bunch):
    assert re.fullmatch(
        r"KickedSequence\(.*psb.json: 161 elements, 157.08 m, \d+ kicks\)", f"{small!r}"
    )
    assert re.fullmatch(r"Lattice\('.*psb.json', .*161 places.*variables\)", f"{small.lattice!r}")
    assert re.fullmatch(
        r"Audit\('.*': 161 elements, 157.08 m, \d+ kicks, all.*\)", f"{small.audit()!r}"
    )
    assert "20 particles, 1.6e+12 real ones" in repr(bunch)
    monitors = {
        "end": scb.MomentsMonitor(at="157 m"),
        "screen": scb.BunchMonitor(at=["1 m", "2 m"]),
    }
    result = scb.track(small, bunch, monitors=monitors)
    assert "monitors: end x 1, screen x 2, lost: 0 particles" in repr(result)
    assert repr(result["screen"]) == "BunchRecord(2 looks, s = 1 to 2 m, 1 turns)"
    assert repr(result["end"]) == "MomentsRecord(1 looks, s = 157 to 157 m, 1 turns)"


def test_a_repr_counts_the_lost(bunch):
    alive = bunch.alive.clone()
    alive[:3] = False
    assert "20 particles, 3 of them lost" in repr(bunch.replace(alive=alive))


def test_quantities_of_pint_go_where_a_user_would_type_one(small):
    unit = pint.UnitRegistry()
    assert scb.MaxSpacing(2.0 * unit.cm).spacing == pytest.approx(0.02)
    at = scb.reference("proton", kinetic_energy=160 * unit.MeV)
    text = scb.reference("proton", kinetic_energy="160 MeV")
    assert at.p0c.item() == text.p0c.item()
    kept = scb.Checkpoint(memory=1 * unit.GiB)
    assert kept.memory == 2**30
    monitor = scb.BunchMonitor(at=1.5 * unit.m)
    assert monitor.places(frozenset())[1] == [1.5]
    bunch = scb.gaussian(
        small, 10, 1e10, nemitt_x=2 * unit.um, nemitt_y=2 * unit.um, sigma_z=15 * unit.m
    )
    assert bunch.n_particles == 10


def test_progress_is_shown_on_a_terminal_and_nowhere_else(small, bunch, capsys, monkeypatch):
    quiet = scb.track(small, bunch, progress=True)
    assert capsys.readouterr() == ("", "")
    shown = io.StringIO()
    console = rich.console.Console(file=shown, force_terminal=True, width=120)
    monkeypatch.setattr("rich.console.Console", lambda **options: console)
    seen = []
    loud = scb.track(small, bunch, progress=True, observer=lambda *look: seen.append(look[2]))
    assert "tracking" in shown.getvalue()
    assert seen[-1] == small.n_kicks
    assert (loud.coordinates == quiet.coordinates).all()
