"""SixTrack: HL-LHC as its oracle has it, every type of element, refusals with their place."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import xtrack as xt

import sc_bridge as scb
from sc_bridge.errors import LatticeError
from sc_bridge.lattice import Lattice, Record
from sc_bridge.readers import read_lattice

ROOT = Path(__file__).parents[2]
LATTICES = ROOT / os.environ.get("SC_BRIDGE_LATTICES", "../shared/lattices")
HLLHC = LATTICES / "hllhc"
LENGTH = 1e-6  # m
XTRACK = 1e-8  # the oracle's tunes come from xtrack too, from another reader
ROUNDING = 1e-14  # relative: a few operations in float64

Read = Callable[..., Lattice]

FORT3 = """GEOME-STRENG TITLE: a ring
/ a comment
INITIAL COORDINATES-----
 2 0. 0. 1 0
{zeros}
 5000.
 5000.
 5000.
NEXT
SYNCHROTRON OSCILLATIONS
 400 .0003 16. 0. 100. {mass} 1
 1. 1.
NEXT
{more}
ENDE====
not read
"""
MASS = 4000.0  # MeV: of the energy 5000 MeV, a momentum of 3000 MeV/c


def fort3(more: str = "", mass: float = MASS) -> str:
    return FORT3.format(zeros="0.\n" * 12, more=more, mass=mass)


def fort2(singles: str, structure: str = "x", blocks: str = "1 1") -> str:
    return (
        f"SINGLE ELEMENTS---\n{singles}\nNEXT\nBLOCK DEFINITIONS---\n{blocks}\nNEXT\n"
        f"STRUCTURE INPUT---\n{structure}\nNEXT\n"
    )


@pytest.fixture
def read(tmp_path, monkeypatch) -> Read:
    """Write fort.2 and fort.3, and read them."""
    monkeypatch.chdir(tmp_path)

    def read_them(geometry: str, general: str | None = None, **options: Any) -> Lattice:
        Path("fort.2").write_text(geometry)
        if general is None:
            return read_lattice("fort.2", **options)
        Path("fort.3").write_text(general)
        return read_lattice(["fort.2", "fort.3"], **options)

    return read_them


# ---- HL-LHC --------------------------------------------------------------------------------


@cache
def hllhc() -> Lattice:
    return read_lattice([HLLHC / "fort.2", HLLHC / "fort.3"], allow=["beam-beam"])


@cache
def oracle() -> dict[str, Any]:
    return json.loads((HLLHC / "oracle.json").read_text())


def test_hllhc_has_the_length_and_the_elements_of_its_oracle():
    lattice, expected = hllhc(), oracle()
    assert lattice.length == pytest.approx(
        expected["xtrack"]["full_bend_model"]["length"], abs=LENGTH
    )
    assert lattice.source_counts == expected["structure_types"]
    assert len(lattice.elements) == expected["n_single_elements"]
    assert len(lattice.left_out) == expected["single_types"]["20"]
    reference = lattice.reference
    assert reference is not None
    assert math.hypot(reference.p0c, reference.mass0) == pytest.approx(expected["e0_MeV"] * 1e6)


def test_fort_3_alone_opens_the_fort_2_beside_it():
    lattice = read_lattice(HLLHC / "fort.3", allow=["beam-beam"])
    assert lattice.element_names == hllhc().element_names
    assert lattice.reference == hllhc().reference


def test_hllhc_is_refused_with_its_beam_beam_kicks():
    with pytest.raises(
        LatticeError, match=r"fort\.2:\d+: bb_\S+: the beam-beam kick would be lost"
    ):
        read_lattice([HLLHC / "fort.2", HLLHC / "fort.3"])


def test_hllhc_is_read_within_ten_seconds():
    start = time.process_time()
    read_lattice([HLLHC / "fort.2", HLLHC / "fort.3"], allow=["beam-beam"])
    assert time.process_time() - start < 10.0


def test_xtrack_finds_the_tunes_of_the_oracle_in_the_records():
    lattice, expected = hllhc(), oracle()["xtrack_without_beambeam"]
    elements = {name: getattr(xt, r.kind)(**r.fields) for name, r in lattice.elements.items()}
    line = xt.Line(elements=elements, element_names=list(lattice.element_names))
    assert lattice.reference is not None
    line.particle_ref = xt.Particles(**dataclasses.asdict(lattice.reference))
    twiss = line.twiss4d()
    assert (twiss.qx, twiss.qy) == pytest.approx((expected["qx"], expected["qy"]), abs=XTRACK)
    assert twiss.betx[0] == pytest.approx(expected["betx_start"], rel=1e-6)


# ---- types ---------------------------------------------------------------------------------

MULT = "MULTIPOLE COEFFICIENT\nx {r0} {delta0}\n{rows}\nNEXT\n"

CAVITY = {"voltage": 2e6, "harmonic": 400.0}


@pytest.mark.parametrize(
    ("single", "kind", "fields"),
    [
        ("x 0 0 0 2.5", "Drift", {"length": 2.5}),
        ("x 0 0. 0. 0.", "Marker", {}),
        ("x 25 0 0 0", "Marker", {}),
        ("x 1 1D-3 0 0", "Multipole", {"knl": [-1e-3]}),
        ("x -1 1e-3 0 0", "Multipole", {"ksl": [1e-3]}),
        ("x 2 2e-3 0 0", "Multipole", {"knl": [0.0, -2e-3]}),
        ("x -2 2e-3 0 0", "Multipole", {"ksl": [0.0, 2e-3]}),
        ("x 4 2 0 0", "Multipole", {"knl": [0.0, 0.0, 0.0, -12.0]}),
        (
            "x 11 -0.1 3 -1", "Multipole",
            {"knl": [0.1], "hxl": 0.1, "length": 3.0},
        ),
        ("x 12 2 400 10", "Cavity", CAVITY | {"phase": math.radians(170.0)}),
        ("x -12 2 0 10", "Cavity", CAVITY | {"phase": math.radians(10.0)}),
        (
            "x 23 3 400 0.5", "RFMultipole",
            {"frequency": 4e8, "knl": [1e-3], "phase_n": [math.pi / 2 - 0.5]},
        ),
        (
            "x -23 3 400 0", "RFMultipole",
            {"frequency": 4e8, "ksl": [-1e-3], "phase_s": [math.pi / 2]},
        ),
    ],
)  # fmt: skip
def test_a_type_becomes_what_it_is_in_xsuite(read, single, kind, fields):
    record = read(fort2(single), fort3()).elements["x"]
    assert (record.kind, record.source_type) == (kind, single.split()[1])
    assert record.fields.keys() == fields.keys()
    for name, value in fields.items():
        assert record.fields[name] == pytest.approx(value, rel=ROUNDING), name


def block_of(read: Read, single: str, rows: str, **options: Any) -> Record:
    more = MULT.format(r0=10.0, delta0=2.0, rows=rows)
    return read(fort2(single), fort3(more), **options).elements["x"]


def test_a_multipole_block_has_its_strengths_relative_to_its_bend(read):
    record = block_of(read, "x 11 1 1 0", "0 0 0 0\n3 0 4 0\n5 0 0 0")
    # d0 b r0^(1-n) 10^(3n-6) (n-1)!, r0 in mm and d0 in mrad
    knl = [0.0, -2e-3 * 3 / 10e-3, -2e-3 * 5 / 10e-3**2 * 2]
    assert record.fields["knl"] == pytest.approx(knl, rel=ROUNDING)
    assert record.fields["ksl"] == pytest.approx([0.0, 2e-3 * 4 / 10e-3, 0.0], rel=ROUNDING)
    bend = block_of(read, "x 11 -0.1 3 -1", "7 0 0 0\n3 0 0 0")
    assert bend.fields["knl"] == pytest.approx([0.1, knl[1]], rel=ROUNDING)


def test_the_element_cav_is_that_of_the_synchrotron_block(read):
    lattice = read(fort2("a 0 0 0 1", "a CAV a"), fort3())
    assert lattice.elements["CAV"].fields == {"voltage": 16e6, "harmonic": 400.0, "phase": math.pi}


def test_ions_have_their_charge_and_mass(read):
    lattice = read(fort2("x 0 0 0 1"), fort3("HION\n208 82 4\nNEXT"))
    assert lattice.reference == scb.lattice.ReferenceFields(4e9, 82.0, 3e9)


# ---- grammar -------------------------------------------------------------------------------


def test_blocks_continue_and_the_structure_begins_at_go(read):
    lattice = read(
        fort2(
            "a 0 0 0 1\nb 0 0 0 2 0 0 0\n/ c 0 0 0 9\nm 0 0 0 0",
            "B1 m GO a\nB2 m",
            "2 1 1\nB1 a b\n     b\nB2 b",
        )
    )
    turn = ("a", "b", "m", "a", "b", "b", "m")
    assert lattice.element_names == turn * 2
    assert lattice.length == 2 * 8.0
    assert lattice.reference is None
    assert lattice.elements["b"].line == 3


def test_a_structure_in_columns_names_its_elements_in_the_second(read):
    lattice = read(fort2("a 0 0 0 1", "MULTICOL\none a 0.0\ntwo a 1.0"))
    assert lattice.element_names == ("a", "a")


@pytest.mark.parametrize(
    ("geometry", "general", "message"),
    [
        (fort2("x 0 0 0 1\nx 0"), None, r"fort.2:3: element 'x' is defined already at fort.2:2"),
        (fort2("x y"), None, r"fort.2:2: 'y' is no number \(column 2\)"),
        (fort2("x"), None, r"fort.2:2: 'nothing' is no number"),
        (fort2("x 0 nan"), None, r"'nan' is no number \(column 3\)"),
        (fort2("x 0.5"), None, r"type 0.5 is no integer"),
        (fort2("x 0 0 0 1", "x y"), None, r"fort.2:7: element 'y' is not defined"),
        (fort2("x 0 0 0 1", blocks="0 1"), None, r"fort.2:5: 0 superperiods: must be 1 to 1000"),
        (fort2("x 0 0 0 1", blocks="2 1 -1"), None, r"reflected superperiods are not supported"),
        (fort2("x 0 0 0 1", blocks="1 1\n  x"), None, r"a block must begin with its name"),
        (fort2("x 0 0 0 1", "B", blocks="1 1\nB B"), None, r"a line contains itself: B -> B"),
        (
            fort2("x 0 0 0 1", "B " * 3000, blocks="1000 1\nB x x"),
            None,
            r"1000 superperiods: 6e\+06 places, more than",
        ),
        (fort2("x 0 0 0 1", "MULTICOL\nx"), None, r"MULTICOL needs a name and an element"),
        ("SINGLE ELEMENTS\nx 0\n", None, r"fort.2:1: block SING has no NEXT"),
        ("SINGLE ELEMENTS\nx 0\nNEXT\n", None, r"no STRUCTURE INPUT: is this fort.2"),
        (fort2("x 12 1 0 0"), None, r"fort.2:2: x: no harmonic: give fort.3"),
        (fort2("x 23 1 400 0"), None, r"x: the voltage needs the energy: give fort.3"),
        (fort2("x 0 0 0 1"), fort3(mass=6000.0), r"energy 5e\+09 eV is not above the mass"),
        (
            fort2("x 11 1 1 0"),
            fort3(MULT.format(r0=0, delta0=1, rows="0 0 0 0\n1 0 0 0")),
            r"the reference radius 0 mm must be positive",
        ),
        (
            fort2("x 11 1 1 0"),
            fort3(MULT.format(r0=1, delta0=1, rows="0 0 0 0\n" * 21)),
            r"21 orders, more than 20",
        ),
    ],
)
def test_what_is_not_understood_is_refused_with_its_place(read, geometry, general, message):
    with pytest.raises(LatticeError, match=message):
        read(geometry, general)


@pytest.mark.parametrize(
    ("single", "more", "word"),
    [
        ("x 2 1 0 3", "", "type 2"),
        ("x 2 1 1e-3 0", "", "errors"),
        ("x 11 -0.1 3 -2", "", "vertical bend"),
        ("x 11 2 1 0", MULT.format(r0=1, delta0=1, rows="1 0 0 0"), "scale"),
        ("x 11 1 1 0", MULT.format(r0=1, delta0=1, rows="1 1 0 0"), "errors"),
        ("x 15 1 1 1", "", "type 15"),
        ("x 25 1 0 0", "", "solenoid"),
        ("x 0 0 0 1", "TUNE VARIATION\nx 1.\nNEXT", "TUNE"),
        ("x 0 0 0 1", "DISPLACEMENT\nx 1. 0. 0. 0.\nNEXT", "misalignment"),
    ],
)
def test_what_has_no_counterpart_is_refused_unless_it_is_allowed(read, single, more, word):
    with pytest.raises(LatticeError, match=rf"would be lost: allow = \['{word}'\]"):
        read(fort2(single), fort3(more))
    lattice = read(fort2(single), fort3(more), allow=[word])
    assert [entry.word for entry in lattice.left_out] == [word]
