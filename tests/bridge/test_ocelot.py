"""Ocelot's files are read over their syntax tree: ARES, arithmetic, refusals; nothing runs."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from reader_cases import (
    LATTICES,
    LENGTH,
    MATRIX,
    deviation,
    electron,
    oracle,
)

import sc_bridge as scb
from sc_bridge.errors import LatticeError, ScBridgeError
from sc_bridge.readers import read_lattice

ARES = LATTICES / "ares" / "ares_ocelot.py"
TWIN = LATTICES / "ares" / "ARESlatticeStage3v1_9.json"
ENERGY = 107.315902e6  # eV
STORED = 2e-6  # relative: the twin in JSON has float32 numbers


@pytest.fixture
def read(tmp_path):
    def read_it(text: str, **options: Any):
        path = tmp_path / "lattice.py"
        path.write_text("from ocelot import *\n" + text)
        return read_lattice(path, **options)

    return read_it


def powered(path) -> torch.Tensor:
    """4x4 map of ARES with the oracle's quadrupoles."""
    sequence = scb.KickedSequence(read_lattice(path), reference=electron(ENERGY))
    with torch.no_grad():
        for name, strength in oracle("ares")["settings"].items():
            sequence[name].k1.fill_(strength)
    return sequence.transfer_matrix().detach()[:4, :4]


def test_ares_has_the_length_the_elements_and_the_optics_of_its_oracle():
    lattice, expected = read_lattice(ARES), oracle("ares")
    assert (lattice.format, lattice.name) == ("ocelot", "cell")
    assert lattice.source_counts == expected["counts_ocelot"]
    assert lattice.length == pytest.approx(expected["length_ocelot"], abs=LENGTH)
    assert deviation(powered(ARES), expected["R4_full_ocelot"]) < MATRIX


def test_ares_is_the_same_from_cheetah():
    assert deviation(powered(ARES), powered(TWIN)) < STORED


def test_names_are_those_of_eid_and_attributes_are_assigned_later(read):
    lattice = read(
        "import numpy as np\nd = Drift(l=1., eid='D_1')\nm = Marker()\n"
        "b = SBend(l=2*d.l, angle=np.pi/10, e2=0.1)\nq = Quadrupole(0.5, k1=-1)\n"
        "q.k1 = q.k1 * 2\nq.ps_id = 'x'\nhalf = (d, q)\ncell = (half, m, b) + half[::-1]*2\n"
    , allow=["ps_id"])  # fmt: skip
    assert lattice.element_names == ("D_1", "q", "m", "b", "q", "D_1", "q", "D_1")
    assert lattice.elements["q"].fields == {"length": 0.5, "k1": -2.0}
    assert lattice.elements["b"].fields["angle"] == pytest.approx(math.pi / 10)
    assert lattice.elements["b"].fields["edge_exit_angle"] == 0.1
    assert lattice.elements["q"].line == 6


def test_named_numbers_are_knobs_and_keep_their_order(read):
    lattice = read(
        "k = 1.5\na = Quadrupole(l=1, k1=k)\nk = 2.0\nkd = -sqrt(k)\n"
        "b = Quadrupole(l=1, k1=kd/2)\ncell = [a, b]\n"
    )
    assert lattice.variables == {"k#1": 1.5, "k": 2.0, "kd": -math.sqrt(2.0)}
    driven = {name: str(tree) for (name, _, _), tree in lattice.field_expressions.items()}
    assert driven == {"a": "k#1", "b": "kd / 2"}
    assert lattice.elements["b"].fields["k1"] == pytest.approx(-math.sqrt(2.0) / 2)


def test_the_energy_of_a_twiss_is_the_reference(read):
    lattice = read("t = Twiss()\nt.E = 0.13\nd = Drift(l=1)\nc = Cavity(l=1, v=0.01, phi=10.)\n"
                   "cell = (d, c)\n")  # fmt: skip
    assert lattice.reference is not None
    assert math.hypot(lattice.reference.p0c, lattice.reference.mass0) == pytest.approx(0.13e9)
    fields = lattice.elements["c"].fields
    assert fields["voltage"] == 1e7
    assert fields["phase"] == pytest.approx(-math.radians(10.0))
    with pytest.raises(LatticeError, match=r"E = 0 GeV: too small"):
        read("t = Twiss()\nt.E = 0.0\nd = Drift(l=1)\ncell = (d,)\n")


def test_other_elements_have_their_fields(read):
    lattice = read(
        "x = 0.1\ns = Sextupole(l=1, k2=2., tilt=x)\no = Octupole(l=1, k3=3.)\n"
        "r = RBend(l=1, angle=0.2, gap=0.04, fint=0.5)\nh = Hcor(l=0.1, angle=1e-3)\n"
        "v = Vcor(angle=1e-3)\nm = Multipole(kn=[0., 2.])\nz = Solenoid(l=1, k=0.5)\n"
        "a = Aperture(xmax=0.1, ymax=0.2, type='ellipt')\nb = Aperture(xmax=0.1)\n"
        "w = TWCavity(l=1, v=0.1, freq=1e9)\ncell = [s, o, r, h, v, m, z, a, b, w]\n"
    )
    fields = {name: record.fields for name, record in lattice.elements.items()}
    assert fields["s"] == {"length": 1.0, "k2": 2.0, "rot_s_rad": 0.1}
    assert fields["o"] == {"length": 1.0, "k3": 3.0}
    assert fields["r"]["edge_entry_angle"] == 0.1
    assert fields["r"]["edge_exit_hgap"] == 0.02
    assert fields["r"]["edge_exit_fint"] == 0.5
    assert fields["h"] == {"length": 0.1, "knl": [-1e-3], "isthick": True}
    assert fields["v"] == {"ksl": [1e-3]}
    assert fields["m"] == {"knl": [0.0, 2.0]}
    assert fields["z"] == {"length": 1.0, "ks": 1.0}
    assert fields["a"] == {"a": 0.1, "b": 0.2}
    assert fields["b"] == {"min_x": -0.1, "max_x": 0.1}
    assert fields["w"]["structure"] == "travelling"


ELEMENTS = [
    ("Undulator(lperiod=0.1, nperiods=10)", r"lattice\.py:2: x: the Undulator would be lost"),
    ("TDCavity(l=1, v=0.1)", "the deflection of the cavity would be lost"),
    ("Cavity(l=1, vx_up=1+2j)", "the kicks of its couplers would be lost"),
    ("SBend(l=1, h_pole1=1.)", "the curvature of a face would be lost"),
    ("Multipole(kn=[0.1])", "the bend of a multipole would be lost"),
    ("Drift(l='a')", r"x\.l = 'a': must be a number"),
    ("Drift(l=1, wiggle=2)", "wiggle = 2 would be lost"),
    ("Quark(l=1)", "'Quark': no class of Ocelot"),
    ("Aperture(xmax=1, type='star')", "must be rect or ellipt"),
    ("Drift(1, 2)", "Drift with 2 positional arguments: not understood"),
    ("Drift(**y)", r"\*\*: not understood"),
    ("Drift(l=y)", r"lattice\.py:2: 'y' is not defined"),
    ("Drift(l=m.l)", "'m' is not defined"),
    ("Drift(l=1/0)", "lattice.py:2"),
    ("Drift(l=9**9**9)", "lattice.py:2"),
    ("Drift(l=1e400)", "must be a finite number"),
    ("Drift(l=" + "9" * 400 + ")", "too large a number"),
    ("Drift(l=b'a')", "not understood"),
    ("Drift(l=1 if 2 else 3)", "ifexp: not understood"),
    ("Drift(l=7 % 2)", "mod: not understood"),
    ("Drift(l=sin(1, 2))", "sin of 2 arguments"),
    ("Drift(l='a' + 1)", "arithmetic with something that is no number"),
    ("Drift(l=" + "-" * 150 + "1)", "more than 100 levels"),
    ("open('/etc/passwd')", "the function open: not understood"),
    ("os.system('ls')", "this call: not understood"),
    ("Drift(l=1).__class__", "attribute: not understood"),
]


@pytest.mark.parametrize(("text", "message"), ELEMENTS)
def test_what_has_no_counterpart_is_refused_with_its_place(read, text, message):
    with pytest.raises(ScBridgeError, match=message):
        read(f"x = {text}\ncell = (x,)\n")


STATEMENTS = [
    ("while True:\n    pass\n", "while: not understood"),
    ("def f():\n    return 1\n", "functiondef: not understood"),
    ("x = (\n", r"lattice\.py:\d+: not understood"),
    ("x.l = 1\n", r"x\.l = \.\.\.: not understood"),
    ("a = [1]\na[0] = 2\n", "this assignment: not understood"),
    ("d = Drift(l=1)\na = (d,)\nb = (d, a[5])\n", "this index: not understood"),
    ("d = Drift(l=1)\na = (d,) - (d,)\n", "this operation on a sequence"),
    ("d = Drift(l=1)\na = (d,)*1000\nb = (a,)*1000\nc = (b,)*1000\n", "places: more than"),
    ("d = Drift(l=1)\na = (d,)*10**9\n", "places: more than"),
    ("d = Drift(l=1)\na = (d,)\nb = (d,)\n", r"2 sequences \(a, b\): choose one"),
    ("d = Drift(l=1)\nd = d.k\n", "d.k is not set"),
    ("\0", "not a lattice|not a text|not understood"),
]


@pytest.mark.parametrize(("text", "message"), STATEMENTS)
def test_statements_beyond_assignments_are_refused(read, text, message):
    with pytest.raises(ScBridgeError, match=message):
        read(text)


def test_an_expression_cannot_grow_without_end(read):
    with pytest.raises(LatticeError, match="an expression of more than 200 terms"):
        read("k = 1.\nd = Drift(l=k)\n" + "d.l = d.l + d.l\n" * 20 + "cell = (d,)\n")


def test_what_is_left_out_by_leave_keeps_its_length(read):
    lattice = read("u = Undulator(lperiod=0.1, nperiods=10)\ncell=(u,)\n", allow=["Undulator"])
    assert lattice.length == 1.0
    lattice = read("a = Aperture(xmax=1.)\ncell=(a,)\n", allow=["aperture"])
    assert [entry.word for entry in lattice.left_out] == ["aperture"]


LATTICE = "q = Quadrupole(l=0.3, k1=1.0)\nd = Drift(l=1.0)\nodd = [d]\ncell = [q, d]\n"


@pytest.mark.parametrize(
    "rest",
    [
        'lat = MagneticLattice(cell * 2, method={"global": SecondTM, Sextupole: KickTM})\n',
        "method = MethodTM()\nmethod.global_method = SecondTM\n"
        "lat = MagneticLattice(cell + cell, method=method)\n",
    ],
)
def test_the_line_is_that_of_the_magnetic_lattice_however_ocelot_tracks_it(read, rest):
    lattice = read(LATTICE + rest)
    assert lattice.name == "lat"
    assert lattice.element_names == ("q", "d", "q", "d")
    assert read(LATTICE + "lat = MagneticLattice(cell)\n").name == "cell"


@pytest.mark.parametrize("key", ["start", "stop"])
def test_a_part_of_a_line_is_refused_unless_allowed(read, key):
    text = LATTICE + f"lat = MagneticLattice(cell, {key}=q)\n"
    with pytest.raises(LatticeError, match=rf"lattice\.py:\d: .*{key} = .*allow = \['{key}'\]"):
        read(text)
    assert read(text, allow=[key]).length == pytest.approx(1.3)


def test_lines_that_grow_in_loops_cost_little_or_are_refused(read):
    loop = "q = Quadrupole(l=1.0)\ncell = []\nfor i in range({}):\n    {}\n"
    for step in ("cell += [q]", "cell = cell + [q]"):
        assert len(read(loop.format(5000, step)).element_names) == 5000
        with pytest.raises(LatticeError, match=r"lattice\.py:5: sequences are joined too often"):
            read(loop.format(60_000, step))


def test_loops_splats_and_pairs_are_read(read):
    lattice = read(
        "import numpy as np\nk = 2.0\nqf, qd = Quadrupole(l=0.3, k1=k), Quadrupole(l=0.3, k1=-k)\n"
        "d = Drift(l=1.0)\nb = SBend(l=1.0, angle=np.deg2rad(90))\ncell = [qf, d]\n"
        "for i in range(2):\n    cell += [qd, d]\n    for q in (qf, qd):\n        q.k1 *= 2\n"
        "ring = [*cell, b]\n"
    )  # fmt: skip
    assert lattice.name == "ring"
    assert lattice.element_names == ("qf", "d", "qd", "d", "qd", "d", "b")
    assert lattice.elements["qf"].fields["k1"] == 8.0
    assert lattice.elements["qd"].fields["k1"] == -8.0
    assert lattice.elements["b"].fields["angle"] == pytest.approx(math.pi / 2)
    assert lattice.field_expressions["qf", "k1", None].variables() == {"k"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("for i in range(10**9):\n    x = i\n", r"lattice\.py:2: .*places: more than"),
        (
            "for i in range(1000):\n    for j in range(1000):\n        x = j\n",
            "more than 100000 st",
        ),
        ("for i in range(0.5):\n    x = i\n", "this range: not understood"),
        ("for i in range(1, 5, 0):\n    x = i\n", "a range of step 0: not understood"),
        ("for i in 3:\n    x = i\n", "a loop over this: not understood"),
        ("a, b = (1, 2, 3)\n", "2 names for 3 values: not understood"),
        ("cell = [*3]\n", r"\* of what is no sequence: not understood"),
    ],
)
def test_loops_have_bounds_and_their_refusals_a_line(read, text, message):
    with pytest.raises(LatticeError, match=message):
        read(text)
