"""Every type of elegant becomes what it is in Xsuite, or is refused with its place."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import sc_bridge as scb
from sc_bridge.elements import Bunch
from sc_bridge.errors import LatticeError
from sc_bridge.lattice import Lattice, Record
from sc_bridge.readers import read_lattice

ROUNDING = 1e-14  # relative: a few operations in float64
Read = Callable[..., Lattice]

RUN = """
{commands}
&run_setup
  lattice = ring.lte, use_beamline = "RING", {momentum}
&end
"""


def run_file(momentum: str, commands: str = "") -> str:
    return RUN.format(momentum=momentum, commands=commands)


@pytest.fixture
def read(tmp_path, monkeypatch) -> Read:
    """Write a lattice (and a run file), and read it."""
    monkeypatch.chdir(tmp_path)

    def read_it(text: str, run: str | None = None, **options: Any) -> Lattice:
        Path("ring.lte").write_text(text)
        if run is None:
            return read_lattice("ring.lte", **options)
        Path("ring.ele").write_text(run)
        return read_lattice("ring.ele", **options)

    return read_it


@pytest.fixture
def element(read) -> Callable[..., Record]:
    """Read one element, and return its last record."""

    def read_one(definition: str, **options: Any) -> Record:
        lattice = read(f"X: {definition}\nRING: LINE=(X)\n", **options)
        return lattice.elements[lattice.element_names[-1]]

    return read_one


ALIGNED = {"shift_x": 1e-3, "shift_y": 2e-3, "shift_s": 3e-3, "rot_s_rad": 0.1}
SHIFTS = "DX=1e-3,DY=2e-3,DZ=3e-3,TILT=0.1"
BEND = {"length": 2.0, "angle": 0.2}
HALF = 2.0 * 0.1 / math.sin(0.1)  # arc of a chord of 2 m and 0.2 rad


@pytest.mark.parametrize(
    ("definition", "kind", "fields"),
    [
        ("DRIF,L=-1", "Drift", {"length": -1.0}),
        ("EDRIFT,L=1", "Drift", {"length": 1.0, "model": "exact"}),
        ("CSRDRIFT,L=1,CSR=0", "Drift", {"length": 1.0}),
        ("LSCDRIFT,L=1,LSC=0", "Drift", {"length": 1.0}),
        ("MARK", "Marker", {}),
        ("MONI,L=0.1", "Drift", {"length": 0.1}),
        ('WATCH,FILENAME="%s.w",MODE=coord', "Marker", {}),
        (f"QUAD,L=1,K1=2,FSE=0.5,{SHIFTS}", "Quadrupole", {"length": 1.0, "k1": 3.0} | ALIGNED),
        (
            "KQUAD,L=1,K1=2,HKICK=1e-3,HCALIBRATION=2,VKICK=1e-4", "Quadrupole",
            {"length": 1.0, "k1": 2.0, "knl": [-2e-3], "ksl": [1e-4]},
        ),
        (
            "KQUSE,L=2,K1=3,FSE1=1,K2=4,FSE2=0.5", "Quadrupole",
            {"length": 2.0, "k1": 6.0, "knl": [-0.0, 0.0, 12.0]},
        ),
        ("SEXT,L=2,K2=3", "Sextupole", {"length": 2.0, "k2": 3.0}),
        ("KSEXT,L=2,K2=3,K1=4", "Sextupole", {"length": 2.0, "k2": 3.0, "knl": [-0.0, 8.0]}),
        ("OCTU,L=2,K3=3", "Octupole", {"length": 2.0, "k3": 3.0}),
        ("MULT,KNL=2,ORDER=3,FACTOR=2", "Multipole", {"knl": [0.0, 0.0, 0.0, 4.0]}),
        ("MULT,L=1,KNL=2", "Multipole", {"length": 1.0, "isthick": True, "knl": [0.0, 2.0]}),
        ("HKICK,KICK=1e-3,CALIBRATION=2", "Multipole", {"knl": [-2e-3]}),
        ("EVKICK,L=1,KICK=1e-3", "Multipole", {"length": 1.0, "isthick": True, "ksl": [1e-3]}),
        ("KICKER,HKICK=1,VKICK=2", "Multipole", {"knl": [-1.0], "ksl": [2.0]}),
        ("SBEN,L=2,ANGLE=0.2,K1=1,K2=2", "Bend", BEND | {"k1": 1.0, "k2": 2.0}),
        ("CSBEND,L=2,ANGLE=0.2,K4=3", "Bend", BEND | {"knl": [-0.0, 0.0, 0.0, 0.0, 6.0]}),
        ("CSRCSBEND,L=2,ANGLE=0.2,CSR=0,BINS=9,SG_ORDER=1", "Bend", BEND),
        (
            "RBEN,L=2,ANGLE=0.2,E1=0.01", "Bend",
            {"length": HALF, "angle": 0.2, "edge_entry_angle": 0.11, "edge_exit_angle": 0.1},
        ),
        (
            "CCBEND,L=2,ANGLE=0.2", "RBend",
            {
                "length_straight": 2.0 * math.sin(0.1) / 0.1, "angle": 0.2,
                "rbend_model": "straight-body",
            },
        ),
        (
            "BEDGE,RHO=2,BETA=0.1,HGAP=0.02", "DipoleEdge",
            {"k": 0.5, "e1": 0.1, "fint": 0.5, "hgap": 0.02},
        ),
        ("BEDGE,RHO=2,EXIT=1", "DipoleEdge", {"k": 0.5, "fint": 0.5, "side": "exit"}),
        ("SOLE,L=1,KS=2,DX=1e-3", "UniformSolenoid", {"length": 1.0, "ks": 2.0, "shift_x": 1e-3}),
        (
            "RFCA,L=1,VOLT=2e6,PHASE=60,FREQ=3e9", "Cavity",
            {"length": 1.0, "voltage": 2e6, "phase": math.pi / 3, "frequency": 3e9},
        ),
        (
            'RFCA,VOLT=2e6,PHASE=60,CHANGE_P0=1,END1_FOCUS=1,BODY_FOCUS_MODEL="SRS"', "LinacCavity",
            {
                "voltage": 2e6, "phase": -math.pi / 6, "frequency": 5e8, "structure": "standing",
                "entry_focusing": True, "exit_focusing": False,
            },
        ),
        (
            "RFCW,L=1,VOLT=1e6,PHASE=90,CHANGE_P0=1,LSC=0,CELL_LENGTH=0.1", "LinacCavity",
            {
                "length": 1.0, "voltage": 1e6, "frequency": 5e8, "structure": "travelling",
                "entry_focusing": False, "exit_focusing": False,
            },
        ),
        ("MODRF,VOLT=1e6,AMFREQ=3", "Cavity", {"voltage": 1e6, "frequency": 5e8}),
        ("RFDF,L=1,PHASE=90,VOLTAGE=0", "Drift", {"length": 1.0}),
        (
            "RFDF,L=1,PHASE=-90,VOLTAGE=1e6,FREQUENCY=3e9", "CrabCavity",
            {"length": 1.0, "crab_voltage": 1e6, "frequency": 3e9},
        ),
        ("ROTATE,TILT=0.1", "Rotation", {"rot_s_rad": 0.1}),
        ("MALIGN,DX=1e-3,DY=2e-3", "XYShift", {"dx": -1e-3, "dy": -2e-3}),
        ("MALIGN,DXP=1e-3,DYP=2e-3", "Multipole", {"knl": [-1e-3], "ksl": [2e-3]}),
        ("ENERGY,CENTRAL_MOMENTUM=10", "ReferenceEnergyChange", {"p0c": 5109989.5069}),
        ("ENERGY", "Marker", {}),
        ("RCOL,X_MAX=0,Y_MAX=0", "Marker", {}),
        ("CENTER", "Marker", {}),
    ],
)  # fmt: skip
def test_a_type_becomes_what_it_is_in_xsuite(element, definition, kind, fields):
    record = element(definition)
    assert record.kind == kind
    assert record.fields.keys() == fields.keys()
    for name, expected in fields.items():
        exact = isinstance(expected, (str, bool))
        value = record.fields[name]
        assert value == (expected if exact else pytest.approx(expected, rel=ROUNDING)), name


@pytest.mark.parametrize(
    ("definition", "limits"),
    [
        ("RCOL,X_MAX=1,Y_MAX=2", {"min_x": -1.0, "max_x": 1.0, "min_y": -2.0, "max_y": 2.0}),
        ("RCOL,X_MAX=1,DX=0.1", {"min_x": -1.0, "max_x": 1.0, "shift_x": 0.1}),
        ("ECOL,X_MAX=1,Y_MAX=2", {"a": 1.0, "b": 2.0}),
        ("ECOL,Y_MAX=2", {"min_y": -2.0, "max_y": 2.0}),
        ('SCRAPER,POSITION=1,INSERT_FROM="+x"', {"max_x": 1.0}),
        ('SCRAPER,POSITION=-1,INSERT_FROM="-v"', {"min_y": -1.0}),
        ('SCRAPER,POSITION=1,INSERT_FROM="y"', {"min_y": -1.0, "max_y": 1.0}),
        ("SCRAPER,POSITION=0,DIRECTION=2", {"min_x": 0.0}),
    ],
)
def test_apertures_stand_before_what_they_limit(read, definition, limits):
    lattice = read(f"X: {definition}\nRING: LINE=(X)\n")
    names = lattice.element_names
    assert names[0] == "X_aper"
    assert lattice.elements["X_aper"].fields == limits
    assert lattice.source_counts == {definition.split(",")[0]: 1}
    assert read_lattice("ring.lte", allow=["aperture"]).element_names == ("X",)


def test_a_thick_collimator_limits_at_both_ends_and_maxamp_until_the_next(read):
    lattice = read(
        "A: MAXAMP,X_MAX=1,Y_MAX=2,ELLIPTICAL=1\nB: MAXAMP\nD: DRIF,L=1\nM: MARK\n"
        "C: RCOL,L=1,X_MAX=3\nRING: LINE=(D,A,M,D,C,B,D)\n"
    )
    assert lattice.element_names == (
        "D", "A", "A_aper", "M", "D", "A_aper", "C_aper", "C", "C_aper", "A_aper", "B", "D",
    )  # fmt: skip
    assert lattice.elements["A_aper"].kind == "LimitEllipse"


@pytest.mark.parametrize(
    ("definition", "word"),
    [
        ("CSRCSBEND,L=1,ANGLE=0.1", "CSR"),
        ("CSRDRIFT,L=1", "CSR"),
        ("CSRDRIFT,L=1,CSR=0,LSC_BINS=10", "space charge"),
        ("LSCDRIFT,L=1", "space charge"),
        ('RFCW,L=1,LSC=0,ZWAKEFILE="a"', "wake"),
        ('RFCW,L=1,LSC=0,ZWAKE=0,WAKEFILE="a"', "wake"),
        ("RFCW,L=1", "space charge"),
        ("CSBEND,L=1,ANGLE=0.1,ISR=1", "radiation"),
        ("QUAD,L=1,SYNCH_RAD=1", "radiation"),
        ("CSBEND,L=1,ANGLE=0.1,FSE=1e-3", "FSE"),
        ("CSBEND,L=1,ANGLE=0.1,H1=1", "H1"),
        ("CSBEND,L=1,ANGLE=0.1,NONLINEAR=0", "NONLINEAR"),
        ("HKICK,L=1,EDGE_EFFECTS=1", "EDGE_EFFECTS"),
        ("KQUAD,L=1,EDGE1_EFFECTS=1", "EDGE1_EFFECTS"),
        ('KQUAD,L=1,SYSTEMATIC_MULTIPOLES="a.sdds"', "SYSTEMATIC_MULTIPOLES"),
        ("SOLE,L=1,B=2", "B"),
        ("DRIF,L=1,NOTHING=3", "NOTHING"),
        ("RFCA,L=1,VOLT=1,END1_FOCUS=1", "RF focusing"),
        ("RFCA,L=1,CHANGE_P0=1,BODY_FOCUS_MODEL=XX", "BODY_FOCUS_MODEL"),
        ("MODRF,VOLT=1,AMMAG=0.1", "AMMAG"),
        ("ROTATE,TILT=1,ON_PASS=3", "ON_PASS"),
        ("MALIGN,DP=1e-3", "DP"),
        ("ENERGY,MATCH_BEAMLINE=1", "energy"),
        ("RCOL,X_MAX=1,INVERT=1", "INVERT"),
        ("ECOL,X_MAX=1,Y_MAX=1,EXPONENT=4", "aperture"),
        ("WIGGLER,L=1,B=1", "field map"),
        ("WAKE", "wake"),
        ("TAPERAPC,L=1", "aperture"),
        ("SREFFECTS", "radiation"),
        ("BEAMBEAM", "beam-beam"),
        ("ILMATRIX,L=2", "ILMATRIX"),
        ("STRAY,L=2", "STRAY"),
    ],
)
def test_what_has_no_counterpart_is_refused_unless_it_is_allowed(element, definition, word):
    with pytest.raises(LatticeError, match=rf"ring\.lte:1: X: .* lost: allow = \['{word}'\]"):
        element(definition)
    record = element(definition, allow=[word])
    length = 1.0 * ("L=1" in definition) + 2.0 * ("L=2" in definition)
    assert record.fields.get("length", 0.0) == length


@pytest.mark.parametrize(
    ("definition", "message"),
    [
        ("MULT,ORDER=-1,KNL=1", r"ring.lte:1: X: ORDER = -1: must be 0 to 100"),
        ("BEDGE", r"X: RHO = 0 m: an edge needs a radius"),
        ("SCRAPER,INSERT_FROM=up", r"INSERT_FROM = 'UP' is not known"),
        ("MATR", r"X: MATR without FILENAME"),
        ("MATR,FILENAME=../m.mat", r"outside the folders"),
        ("EMATRIX,R11=1", r"X: R22 is not given"),
    ],
)
def test_a_definition_that_makes_no_element_is_refused_with_its_place(element, definition, message):
    with pytest.raises(LatticeError, match=message):
        element(definition)


def test_a_cavity_that_stops_the_beam_is_refused(read):
    text = "A: RFCA,VOLT=1e6,PHASE=-90,CHANGE_P0=1\nRING: LINE=(A)\n"
    with pytest.raises(LatticeError, match=r"ring.lte:1: A: an energy gain of -1e\+06 eV stops"):
        read(text, run_file("p_central_mev=1"))


def test_a_positive_particle_is_accelerated_at_the_opposite_phase(read):
    run = run_file("p_central=1", "&change_particle name=proton &end")
    lattice = read("A: RFCA,VOLT=1e6,PHASE=90\nRING: LINE=(A)\n", run)
    assert lattice.elements["A"].fields["voltage"] == -1e6


# ---- matrices ------------------------------------------------------------------------------

MATRIX_FILE = """a title
C: 1e-7 2e-7 0 0 {length} 0
R1: 1 {length} 0 0 0 0.5
R2: 0 1 0 0 0 0
R3: 0 0 1 {length} 0 0
R4: 0 0 0 1 0 0
R5: 0 0.5 0 0 1 0.25
R6: 0 0 0 0 0 1
{more}
"""


def write_matrix(length: float = 2.0, more: str = "") -> None:
    Path("m.mat").write_text(MATRIX_FILE.format(length=length, more=more))


def test_a_matrix_from_a_file_moves_particles_in_path_and_time(read):
    write_matrix()
    lattice = read(
        'A: MATR,L=2,FILENAME="m.mat",ORDER=1\nRING: LINE=(A)\n',
        run_file("p_central = 0.75"),  # beta 0.6, gamma 1.25
    )
    reference = lattice.reference
    assert reference is not None
    sequence = scb.KickedSequence(lattice)
    x, px, delta = 1e-7, 2e-7, 3e-7
    energy = math.hypot(reference.p0c * (1 + delta), reference.mass0)
    pzeta = (energy - math.hypot(reference.p0c, reference.mass0)) / (0.6 * reference.p0c)
    bunch = Bunch(
        coordinates=torch.tensor([[x], [px], [0.0], [0.0], [0.0], [pzeta]], dtype=torch.float64),
        weight=1.0,
        reference=sequence.reference,
    )
    out = scb.track(sequence, bunch).coordinates.squeeze(-1).tolist()
    path = 2.0 + 0.5 * px + 0.25 * delta
    beta = reference.p0c * (1 + delta) / energy
    # zeta = s - beta0 c t, with the time that the path takes at the particle's own speed
    expected = [x + 2.0 * px + 0.5 * delta + 1e-7, px + 2e-7, 2.0 - 0.6 * path / beta]
    second_order = 1e-12
    assert [out[0], out[1], out[4]] == pytest.approx(expected, abs=second_order)
    assert out[5] == pytest.approx(pzeta, rel=1e-6)


def test_without_a_momentum_a_matrix_is_that_of_the_speed_of_light(read):
    write_matrix()
    lattice = read('A: MATR,FILENAME="m.mat"\nRING: LINE=(A)\n')
    assert lattice.element_names == ("A_in", "A", "A_out")
    assert lattice.source_counts == {"MATR": 1}
    assert lattice.elements["A"].fields["m1"][4] == [-0.0, -0.5, -0.0, -0.0, 1.0, -0.25]
    # beside the two drifts, nothing is left of R12
    assert lattice.elements["A"].fields["m1"][0] == [1.0, 0.0, 0.0, 0.0, -0.0, 0.5]
    assert lattice.length == 2.0
    assert "no momentum is known" in lattice.warnings[0]


def test_a_matrix_at_two_energies_is_that_of_the_first(read):
    write_matrix()
    lattice = read(
        'A: MATR,FILENAME="m.mat"\nC: RFCA,VOLT=1e6,PHASE=90,CHANGE_P0=1\nRING: LINE=(A,C,A)\n',
        run_file("p_central_mev = 10"),
    )
    assert "its matrix is that of the first" in lattice.warnings[0]


@pytest.mark.parametrize(
    ("more", "options", "message"),
    [
        ("T11: 1", "ORDER=2", r"the matrix beyond first order would be lost"),
        ("", "FRACTION=0.5", r"a fraction of a matrix would be lost"),
    ],
)
def test_parts_of_a_matrix_are_not_lost_in_silence(read, more, options, message):
    write_matrix(more=more)
    with pytest.raises(LatticeError, match=message):
        read(f'A: MATR,FILENAME="m.mat",{options}\nRING: LINE=(A)\n')


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("R1: 1 0 0 0 0 0\n", r"m.mat: not a matrix of elegant: no row C, R2"),
        (MATRIX_FILE.format(length="x", more=""), r"m.mat:2: not a row of numbers"),
        (MATRIX_FILE.format(length="1 2", more=""), r"m.mat: row C has 7 numbers, not 6"),
    ],
)
def test_a_file_that_is_no_matrix_is_refused(read, text, message):
    Path("m.mat").write_text(text)
    with pytest.raises(LatticeError, match=message):
        read('A: MATR,FILENAME="m.mat"\nRING: LINE=(A)\n')


def test_a_matrix_of_another_length_than_its_element_is_noted(read):
    write_matrix(length=2.0)
    lattice = read('A: MATR,L=1,FILENAME="m.mat"\nRING: LINE=(A)\n')
    assert "L = 1 m, but its matrix is of 2 m" in lattice.warnings[0]


def test_an_explicit_matrix_keeps_its_numbers(read):
    diagonal = ",".join(f"R{i}{i}=1" for i in range(1, 7))
    lattice = read(
        f'% 2 sto r\nA: EMATRIX,L=1,{diagonal},R12="r",C1=1e-3\nRING: LINE=(A)\n',
        run_file("p_central_mev = 1e6"),
    )
    fields = lattice.elements["A"].fields
    assert lattice.length == 1.0
    # a drift of 1 m is outside of the map
    assert (fields["m0"][0], fields["m1"][0][1]) == (1e-3, 2.0 - 1.0)
    assert "follows no knob" in lattice.warnings[0]
