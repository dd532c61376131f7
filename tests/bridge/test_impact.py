"""IMPACT-Z decks: columns, units, the linac of the corpus, and what is refused."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
from reader_cases import (
    LATTICES,
    LENGTH,
    MATRIX,
    deviation,
    map_of,
    oracle,
)

import sc_bridge as scb
from sc_bridge.errors import LatticeError
from sc_bridge.inspection import outgoing_reference
from sc_bridge.readers import read_lattice

LINAC = LATTICES / "impactz_linac" / "ImpactZ.in"
DTL = LATTICES / "impactz_linac" / "dtl_324MHz" / "ImpactZ.in"
ALLOWED = ("wake", "laser heater")
ENERGY = 1e-9  # relative, of sums of five gains
C_LIGHT = 299792458.0

HEADER = """! a deck
1 1
6 100 1 0 1
32 32 32 1 1.0 1.0 1.0
19 0 0 1
100
0.1
-1.0d-6
1 2 3 1 1 0 0
1 2 3 1 1 0 0
1 2 3 1 1 0 0
0.1 1.0d9 938.27d6 1.0 1.3d9 0.0
"""
RIGIDITY = math.sqrt(1e9 * (1e9 + 2 * 938.27e6)) / C_LIGHT


@pytest.fixture
def read(tmp_path):
    def read_it(text: str, header: str = HEADER, **options: Any):
        path = tmp_path / "ImpactZ.in"
        path.write_text(header + text)
        return read_lattice(path, **options)

    return read_it


def test_the_linac_has_the_length_the_elements_and_the_optics_of_its_oracle():
    lattice, expected = read_lattice(LINAC, allow=ALLOWED), oracle("impactz_linac")
    assert lattice.format == "impactz"
    assert lattice.source_counts == expected["element_type_codes"]
    assert lattice.length == pytest.approx(expected["total_length"], abs=LENGTH)
    assert lattice.reference is not None
    assert lattice.reference.p0c / C_LIGHT == pytest.approx(expected["header"]["brho_Tm"])
    first = next(i for i, record in enumerate(lattice.records) if record.source_type == "103")
    head = dataclasses.replace(lattice, element_names=lattice.element_names[:first], labels=())
    assert head.length == pytest.approx(expected["length_to_first_rf"], abs=LENGTH)
    matrix, wanted = map_of(head), expected["R_6x6_to_first_rf"]
    assert deviation(matrix[:4, :4], [row[:4] for row in wanted[:4]]) < MATRIX


def test_the_linac_gains_the_energy_of_its_five_cavities():
    sequence = scb.KickedSequence(read_lattice(LINAC, allow=ALLOWED))
    cavity = oracle("impactz_linac")["rf"]
    gain = 10907447.83 * cavity["length"] * math.cos(math.radians(cavity["phase_deg"]))
    found = outgoing_reference(sequence).energy0 - sequence.reference.energy0
    assert found.item() == pytest.approx(cavity_count() * gain, rel=ENERGY)


def cavity_count() -> int:
    return oracle("impactz_linac")["n_rf"]


def test_the_drift_tube_linac_is_refused_and_keeps_its_length_by_leave():
    with pytest.raises(LatticeError, match=r"ImpactZ\.in:\d+: .*the DTL cell would be lost"):
        read_lattice(DTL)
    lattice = read_lattice(DTL, allow=["field map"])
    assert len(lattice.left_out) == lattice.source_counts["101"] == 9
    assert lattice.reference is not None
    assert lattice.reference.q0 == -1.0


def test_strengths_are_fields_unless_the_file_number_is_negative(read):
    lattice = read("0.5 1 10 1 3.0 0 0.1 /\n0.5d0 1 10 1 3.0 -1.0 0.1 1e-3 2e-3 0 0 0.1 / text\n")
    first, second = lattice.records
    assert first.fields == {"length": 0.5, "k1": pytest.approx(3.0 / RIGIDITY)}
    assert second.fields == {
        "length": 0.5, "k1": 3.0, "shift_x": 1e-3, "shift_y": 2e-3, "rot_s_rad": 0.1,
    }  # fmt: skip
    assert second.line == 14


def test_bends_solenoids_and_multipoles_have_their_columns(read):
    lattice = read(
        "1.0 1 10 4 0.1 0.2 150 0.03 0.05 0.06 0 0 0.4 /\n"
        "0.5 1 10 3 2.0 0 0.1 /\n0.5 1 10 5 2 6.0 0 0.1 /\n0.5 1 10 5 4 6.0 0 0.1 /\n"
    )
    bend, solenoid, sextupole, decapole = lattice.records
    assert bend.fields == {
        "length": 1.0, "angle": 0.1, "k1": 0.2, "edge_entry_angle": 0.05, "edge_exit_angle": 0.06,
        "edge_entry_fint": 0.4, "edge_exit_fint": 0.4, "edge_entry_hgap": 0.03,
        "edge_exit_hgap": 0.03,
    }  # fmt: skip
    assert solenoid.fields["ks"] == pytest.approx(2.0 / RIGIDITY)
    assert (sextupole.kind, sextupole.fields["k2"]) == (
        "Sextupole", pytest.approx(12.0 / RIGIDITY),
    )  # fmt: skip
    assert decapole.fields["knl"][4] == pytest.approx(0.5 * 24 * 6.0 / RIGIDITY)


def test_constant_focusing_is_an_oscillator(read):
    matrix = map_of(read("0.5 1 1 2 4.0 -1.0 0.0 0.1 /\n"))
    assert matrix[0, 0].item() == pytest.approx(math.cos(1.0))
    assert matrix[1, 0].item() == pytest.approx(-2.0 * math.sin(1.0))
    assert matrix[2, 3].item() == pytest.approx(math.sinh(0.5))


def test_a_deck_stops_where_it_says(read):
    lattice = read("1 1 1 0 1 /\n0 0 0 -99 /\n1 1 1 0 1 /\n")
    assert (lattice.length, lattice.source_counts) == (1.0, {"0": 1})
    turned = read("0 0 0 -18 0 0.5 /\n0 0 0 -2 1 /\n")
    assert [record.kind for record in turned.records] == ["Rotation", "Marker"]


REFUSED = [
    ("1 1 1 6 1 /", r"ImpactZ\.in:13: element_1: the wiggler would be lost: allow = \['6'\]"),
    ("1 1 1 110 1 /", r"allow = \['field map'\] accepts that"),
    ("1 1 1 1 1.0 12.0 /", r"quad_1: the field of file 12 would be lost"),
    ("1 1 1 4 0.1 0 250 /", r"coherent synchrotron radiation in the bend would be lost"),
    ("1 1 1 4 0.1 0 50 /", r"the field of file 50 would be lost"),
    ("1 1 1 4 0.1 0 150 0 0 0 1 /", r"the curvature of a face would be lost"),
    ("1 1 1 1 1.0 0 0.1 0 0 0.5 /", r"the rotation about x would be lost"),
    ("1 1 1 2 1 1 1 0 1e-3 /", r"its shifts and rotations would be lost"),
    ("1 1 1 2 1e9 1 1 /", r"focuses too strongly"),
    ("1 1 1 103 1e6 1e9 0 4 /", r"the field of file 4 would be lost"),
    ("1 1 1 5 9 1 /", r"v1 = 9\.0: must be a whole number from 2 to 5"),
    ("0 0 1 -41 1 41 1 /", r"the wake of the structures that follow would be lost"),
    ("0 0 1 -52 1 /", r"the laser heater would be lost"),
    ("1 1 1 0.5 /", r"type 0\.5: must be a whole number"),
    ("-1 1 1 0 /", r"length -1 m: must not be negative"),
    ("1 1 x 0 /", r"ImpactZ\.in:13: 'x': must be a number"),
    ("1 1 1d999 0 /", r"too large a number"),
    ("1 " * 70, r"70 columns: at most 64"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_what_has_no_counterpart_is_refused_with_its_place(read, text, message):
    with pytest.raises(LatticeError, match=message):
        read(text + "\n", format="impactz")


def test_a_header_that_is_none_is_refused(read):
    with pytest.raises(LatticeError, match="11 records: must have a header of 11 and elements"):
        read("", format="impactz")
    with pytest.raises(LatticeError, match="energy -1e\\+09 eV"):
        read("1 1 1 0 /\n", HEADER.replace("0.1 1.0d9", "0.1 -1.0d9"), format="impactz")


# ---- IMPACT-T ------------------------------------------------------------------------------

INJECTOR = LATTICES / "facet2" / "impactt" / "ImpactT.in"
T_HEADER = "! t\n1 1\n5e-13 100 1\n6 10 1 0 2 1 0\n8 8 8 1 1 1 1\n16 0 0 1 1e-12\n" + (
    "1 0 0 1 1 0 0\n" * 3 + "0.1 1.0d9 938.27d6 1.0 1.3d9 0.0\n"
)


def test_an_injector_of_field_maps_is_refused_with_its_place():
    with pytest.raises(LatticeError, match=r"ImpactT\.in:26: GUNF: the field map of a cavity"):
        read_lattice(INJECTOR)
    with pytest.raises(LatticeError, match=r"CQ10121: what begins at 0\.016\d* m, in what ends"):
        read_lattice(INJECTOR, allow=["field map", "wake"])
    lattice = read_lattice(INJECTOR, allow=["field map", "wake", "overlap"])
    assert lattice.length == pytest.approx(12.0)
    assert lattice.source_counts["1"] == 7
    assert "without its field maps nothing is accelerated" in lattice.warnings[0]


def test_quadrupoles_stand_at_their_places(read):
    lattice = read(
        "0.5 0 0 1 2.0 3.0 0 0.1 /!name:QB\n0.5 0 0 1 1.0 -3.0 0 0.1 /!name:QA\n"
        "0 1 7 -2 0 0 1.75 /!name:screen\n0 0 0 -4 0 0 0.25 1e-12 /\n0 0 0 -99 4 0 4.0 /\n",
        T_HEADER,
    )
    assert lattice.format == "impactt"
    assert [name for name in lattice.element_names if "gap" not in name] == ["QA", "screen", "QB"]
    assert lattice.length == pytest.approx(4.0)
    assert lattice.elements["QA"].fields["k1"] == pytest.approx(-3.0 / RIGIDITY)
    assert lattice.source_counts == {"implicit drift": 4, "1": 2, "-2": 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "1 0 0 1 0 1 /\n1 0 0 1 0.5 1 /",
            r"what begins at 0\.5 m, in what ends at 1 m, would be lost",
        ),
        ("1 0 0 1 0 1 0.2 /", r"the soft edge of the quadrupole would be lost"),
        ("1 0 0 1 0 1 0 0 0 0 0.1 /", r"the rotation about x would be lost"),
        ("1 0 0 4 0 1 /", r"the element of type 4 would be lost"),
        ("0 0 0 -6 1 1 1 /", r"the wake would be lost"),
    ],
)
def test_what_makes_no_line_is_refused(read, text, message):
    with pytest.raises(LatticeError, match=message):
        read(text + "\n", T_HEADER, format="impactt")
