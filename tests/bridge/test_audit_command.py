"""`sc-bridge audit`: counts, energies and optics of a lattice file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import sc_bridge as scb
from sc_bridge.cli import main
from sc_bridge.selection import between, range_of
from sc_bridge.species import parse_reference

PSB = Path(__file__).parents[2] / "examples" / "psb" / "psb.json"
KEYS = frozenset(
    [
        "format",
        "length",
        "elements_source",
        "elements_built",
        "left_out",
        "angle",
        "energy_in",
        "energy_out",
        "n_kicks",
        "kick_length",
        "matrix",
        "qx",
        "qy",
        "betx",
        "bety",
        "alfx",
        "alfy",
        "dx",
    ]
)


def audited(capsys, *arguments):
    code = main(["audit", *map(str, arguments), "--json"])
    printed = capsys.readouterr()
    assert code == 0, printed.err
    return json.loads(printed.out)


def test_audit_gives_counts_lengths_and_kicks(capsys):
    found = audited(capsys, PSB)
    assert set(found) >= KEYS
    assert found["format"] == "xsuite-json"
    assert found["length"] == pytest.approx(157.08, abs=1e-9)
    assert found["angle"] == pytest.approx(6.283185307179586, abs=1e-9)
    assert found["elements_source"] == {"Bend": 32, "Cavity": 1, "Drift": 80, "Quadrupole": 48}
    assert found["elements_built"] == found["elements_source"]
    assert found["n_kicks"] == 224
    assert found["kick_length"] == pytest.approx(157.08, abs=1e-9)
    assert found["energy_in"] == found["energy_out"] == pytest.approx(1.09827208943e9)
    assert found["matrix"] is None
    assert found["qx"] is None
    assert found["left_out"] == []


def test_matrix_adds_the_map_and_the_periodic_optics(capsys):
    found = audited(capsys, PSB, "--matrix", "--bend-model", "exact")
    assert found["qx"] == pytest.approx(4.4, abs=1e-8)
    assert found["qy"] == pytest.approx(4.45, abs=1e-8)
    sequence = scb.KickedSequence(scb.read_lattice(PSB), bend_model="exact")
    assert found["matrix"] == sequence.transfer_matrix().tolist()
    assert found["betx"] == pytest.approx(scb.periodic_twiss(sequence).betx)


def test_spacing_none_leaves_every_element_whole(capsys):
    found = audited(capsys, PSB, "--spacing", "none")
    assert found["n_kicks"] == 0
    assert found["length"] == pytest.approx(157.08)


def test_a_range_and_a_reference_can_be_given(capsys):
    reference = "mass = 12 u, charge = 6, kinetic_energy = 2 GeV"
    found = audited(capsys, PSB, "--range", "qf/qf[2]", "--reference", reference, "--matrix")
    assert found["elements_source"]["Quadrupole"] == 3
    assert found["energy_in"] == pytest.approx(12 * 931494103.7 + 2e9, rel=1e-9)
    assert len(found["matrix"]) == 6


def test_the_table_says_why_a_line_is_not_periodic(capsys):
    assert main(["audit", str(PSB), "--range", "qf/qf", "--matrix"]) == 0
    text = capsys.readouterr().out
    assert "6x6 map" in text
    assert "not periodic: " in text
    assert "in the file: 1 Quadrupole" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "cannot be read"),
        (["--range", "qf"], "must be FROM/TO"),
        (["--range", "nothing/qf"], "no element 'nothing' on the line"),
        (["--range", "qf[99]/qf"], r"'qf[99]': 'qf' occurs 32 time(s)"),
        (["--range", "qf[2]/qf[1]"], "is before qf[2]"),
        (["--reference", "proton"], "no energy given"),
        (["--reference", ""], "no particle given"),
        (["--reference", "proton, speed = 3"], "'speed = 3': must be a species or one of"),
        (["--reference", "proton, proton"], "each once"),
        (["--reference", "carbon, momentum = 1 GeV/c"], "unknown species 'carbon'"),
        (["--reference", "proton, momentum = 1 m"], "momentum"),
        (["--spacing", "1"], "the unit is missing"),
        (["--bend-model", "round"], "round"),
        (["--format", "mad-y"], "mad-y"),
        (["--sequence", "other"], "other"),
    ],
)
def test_bad_input_is_one_line_with_the_value_and_the_way_out(capsys, arguments, message):
    path = PSB if arguments else PSB.with_name("none.json")
    assert main(["audit", str(path), *arguments]) == 2
    printed = capsys.readouterr()
    assert message in printed.err or not arguments
    assert printed.err.count("\n") == 1
    assert printed.out == ""


def test_a_range_counts_occurrences_and_ends():
    lattice = scb.read_lattice(PSB)
    assert between(lattice, "#s", "#e").element_names == lattice.element_names
    part = range_of(lattice, "QF[2]/QF[3]")
    assert (part.element_names[0], part.element_names[-1]) == ("qf", "qf")
    assert part.element_names.count("qf") == 2


def test_a_reference_in_one_line_is_that_of_the_keywords():
    ours = parse_reference("proton, kinetic_energy = 160 MeV")
    theirs = scb.reference("proton", kinetic_energy="160 MeV")
    assert ours.p0c.item() == theirs.p0c.item()
    assert parse_reference("mass=0.93827 GeV,charge=-1,momentum=1 GeV/c").q0.item() == -1
