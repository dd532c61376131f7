"""JuTrack's constructor files: SPEAR3, strengths and polynomials, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import pytest
from reader_cases import LATTICES, LENGTH, map_of, oracle

from sc_bridge.errors import LatticeError, ScBridgeError
from sc_bridge.readers import read_lattice

SPEAR = LATTICES / "spear3" / "spear3_jutrack.jl"
TUNE = 1e-6


@pytest.fixture
def read(tmp_path):
    def read_it(text: str, **options: Any):
        path = tmp_path / "ring.jl"
        path.write_text("using JuTrack\n" + text)
        return read_lattice(path, **options)

    return read_it


def test_spear3_has_the_length_the_elements_and_the_tunes_of_its_oracle():
    lattice, expected = read_lattice(SPEAR), oracle("spear3")
    optics = expected["from_jl_via_pyAT"]
    assert (lattice.format, lattice.name) == ("jutrack", "RING")
    assert lattice.source_counts == expected["counts"]
    assert len(lattice.element_names) == optics["n"]
    assert lattice.length == pytest.approx(optics["length"], abs=LENGTH)
    matrix = map_of(lattice)
    for plane, key in ((0, "qx"), (2, "qy")):
        block = matrix[plane : plane + 2, plane : plane + 2]
        turn = math.acos(0.5 * block.trace().item()) / (2 * math.pi)
        tune = turn if block[0, 1] > 0 else 1.0 - turn
        assert tune == pytest.approx(optics[key] % 1, abs=TUNE)


def test_julia_is_read_as_far_as_it_is_assignments(read):
    lattice = read(
        "#= a block\n of comment =#\nk = 2^3/4.0  # knob\nQ = KQUAD(name=\"Q#1\", len=0.5, k1=-k)\n"
        "const D = DRIFT_SC(len=1.0)\nCELL = [Q, D]\nRING = [CELL, CELL]\n"
    )  # fmt: skip
    assert lattice.element_names == ("Q#1", "D", "Q#1", "D")
    assert lattice.variables == {"k": 2.0}
    assert lattice.elements["Q#1"].fields == {"length": 0.5, "k1": -2.0}
    assert lattice.elements["Q#1"].line == 5
    assert lattice.source_counts == {"KQUAD": 2, "DRIFT_SC": 2}


def test_strengths_and_polynomials_add_up(read):
    lattice = read(
        "B = SBEND(len=2.0, angle=0.1, PolynomB=[0.0, 0.3, 0.2, 0.1], gap=0.04, fint1=0.5)\n"
        "R = RBEND(len=1.0, angle=0.2)\nS = KSEXT(len=1.0, k2=4.0, PolynomA=[0.0, 0.1, 0.5])\n"
        "M = thinMULTIPOLE(PolynomB=[0.0, 0.0, 1.5])\nC = CORRECTOR(len=0.1, xkick=1e-3)\n"
        "Z = SOLENOID(len=1.0, ks=0.5)\nV = RFCA(len=0.0, volt=1e6, freq=5e8, h=10.0, energy=3e9)\n"
        "RING = [B, R, S, M, C, Z, V]\n"
    )
    fields = {name: record.fields for name, record in lattice.elements.items()}
    assert (fields["B"]["k1"], fields["B"]["k2"]) == (0.3, 0.4)
    assert fields["B"]["knl"] == [0.0, 0.0, 0.0, pytest.approx(1.2)]
    assert fields["B"]["edge_entry_hgap"] == 0.02
    assert fields["R"]["edge_exit_angle"] == 0.1
    assert fields["S"] == {"length": 1.0, "k2": 4.0, "k2s": 1.0, "ksl": [0.0, 0.1]}
    assert fields["M"] == {"knl": [0.0, 0.0, 3.0]}
    assert fields["C"] == {"length": 0.1, "knl": [-1e-3], "isthick": True}
    assert fields["Z"] == {"length": 1.0, "ks": 0.5}
    assert fields["V"] == {"voltage": 1e6, "frequency": 5e8, "phase": math.pi}
    assert lattice.reference is not None
    assert math.hypot(lattice.reference.p0c, lattice.reference.mass0) == pytest.approx(3e9)


REFUSED = [
    ("X = WIGGLER(len=1.0)\nR = [X]", r"ring\.jl:2: X: the WIGGLER would be lost"),
    ("X = SPACECHARGE()\nR = [X]", r"allow = \['space charge'\] accepts that"),
    ("X = QUARK(len=1.0)\nR = [X]", "'QUARK': no element of JuTrack"),
    ("X = SBEND(len=1.0, PolynomB=[0.1])\nR = [X]", "a field beside that of the angle"),
    ("X = DRIFT(len=1.0, T1=[1.0])\nR = [X]", r"T1 = \[.*\] would be lost"),
    ("X = RFCA(energy=1.0)\nR = [X]", "energy = 1 eV: too small"),
    ("X = DRIFT(len=1.0)\nR = [X...]", r"ring\.jl:3: \* of what is no sequence"),
    ("function f()\nend", r"ring\.jl:2: 'function': not understood"),
    ("X = DRIFT(len=1.0)\nR = reverse([X])", "the function reverse: not understood"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_what_has_no_counterpart_is_refused_with_its_place(read, text, message):
    with pytest.raises(ScBridgeError, match=message):
        read(text + "\n")


def test_what_is_left_out_by_leave_keeps_its_length(read):
    assert read("X = WIGGLER(len=1.0)\nR = [X]\n", allow=["WIGGLER"]).length == 1.0
    with pytest.raises(LatticeError, match="0 sequences"):
        read("X = DRIFT(len=1.0)\n")


def test_splats_are_the_entries_of_a_vector(read):
    lattice = read('D = DRIFT(len=1.0)\nM = MARKER(name="m")\nC = [D, M]\nRING = [C..., M, C...]\n')
    assert lattice.name == "RING"
    assert lattice.element_names == ("D", "m", "m", "D", "m")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("function cell(k)\n    return [DRIFT(len=k)]\nend\nR = cell(1.0)\n", "'function'"),
        ("R = []\nfor i in 1:4\n    push!(R, D)\nend\n", "'for'"),
        ("R = [DRIFT(len=1.0*i) for i in 1:4]\n", "'for'"),
        ("R = []\npush!(R, D)\n", "push!"),
        ("f(k) = DRIFT(len=k)\nR = [f(1.0)]\n", "the function f"),
        ("if true\n    R = []\nend\n", "'if'"),
    ],
)
def test_what_is_no_assignment_is_named(read, text, what):
    with pytest.raises(LatticeError, match=rf":\d: {what}: not understood: only assignments"):
        read(text)
    comment = 'D = DRIFT(name="for i in 1", len=1.0) # if\n#= for x in y\n=#\nR = [D]\n'
    assert read(comment).length == 1.0
