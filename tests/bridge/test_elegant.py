"""The grammar of elegant's files, its stores and run files, and refusals with their place."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import sc_bridge as scb
from sc_bridge.errors import ExpressionError, LatticeError, ScBridgeError
from sc_bridge.lattice import Lattice
from sc_bridge.readers import read_lattice
from sc_bridge.readers.elegant.mapping import BUILDERS
from sc_bridge.readers.elegant.types import TYPES, types_like

ROUNDING = 1e-14  # relative: a few operations in float64
Read = Callable[..., Lattice]

RUN = """
&run_setup
  lattice = ring.lte, ! beside this file
  use_beamline = "RING",
  {momentum}
&end
"""


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


# ---- grammar -------------------------------------------------------------------------------


def test_names_types_and_parameters_are_read_as_elegant_reads_them(read):
    lattice = read(
        "! a comment, with & at its end &\n"
        "% 0.25 sto lq\n"
        'q1: quad, l="lq 2 *", K1=+1.5e0, ! strong\n'
        "QBASE: KQUADRUPOLE, L=.5, N_KICKS=4,\n"
        '"q:2": QBASE, K1= &\n! a comment between\n  2., nkicks = 8\n'
        "D&\n1: DRI&\nFT, L = 1\n"
        'RING: LINE = (Q1, "q:2", 2*D1, -(3*Q1)&\n)\n'.replace("-(3*Q1)", "(2*(D1),Q1)")
    )
    assert lattice.element_names == ("Q1", "q:2", "D1", "D1", "D1", "D1", "Q1")
    assert lattice.elements["Q1"].fields == {"length": 0.5, "k1": 1.5}
    assert lattice.elements["q:2"].fields == {"length": 0.5, "k1": 2.0}
    assert lattice.elements["D1"].fields == {"length": 1.0}
    assert lattice.source_counts == {"QUAD": 2, "KQUADRUPOLE": 1, "DRIFT": 4}
    assert lattice.elements["D1"].line == 8


def test_types_are_shortened_and_lengthened():
    assert types_like("SBEN") == ["SBEN"]
    assert types_like("SBEND") == ["SBEN"]
    assert types_like("HKIC") == ["HKICK"]
    assert types_like("RFC") == ["RFCA", "RFCW"]
    assert types_like("NOTHING") == []
    assert set(BUILDERS) <= set(TYPES)


def test_stores_are_live_and_keep_their_order(read):
    lattice = read(
        "% 2 sto k\n% k 3 * sto k3\n"
        'A: QUAD, L=1, K1="k"\n'
        "% 5 sto k\n"
        'B: QUAD, L=1, K1="k k3 +"\nC: A\n'
        "RING: LINE=(A,B,C)\n"
    )
    assert lattice.variables == {"k#1": 2.0, "k3": 6.0, "k": 5.0}
    assert {name: str(tree) for name, tree in lattice.expressions.items()} == {"k3": "k#1 * 3"}
    driven = {name: str(tree) for (name, _, _), tree in lattice.field_expressions.items()}
    # elegant reads the text of A again where C copies it
    assert driven == {"A": "k#1", "B": "k + k3", "C": "k"}
    assert [lattice.elements[name].fields["k1"] for name in "ABC"] == [2.0, 11.0, 5.0]


def test_a_word_without_quotes_is_a_store_in_upper_case_or_as_it_stands(read):
    lattice = read("% 3 sto LQ\n% 4 sto lq\nA: DRIF,L=lq\n% 1 sto b\nB: DRIF,L=b\nR: LINE=(A,B)\n")
    assert [lattice.elements[name].fields["length"] for name in "AB"] == [3.0, 1.0]


def test_a_store_is_a_knob_whose_gradient_is_exact(read):
    lattice = read(
        '% 0.3 sto k\nF: QUAD,L=0.5,K1="k"\nD: QUAD,L=0.5,K1="k chs 2 *"\nO: DRIF,L=1\n'
        "RING: LINE=(F,O,D,O)\n",
        RUN.format(momentum="p_central_mev = 1000"),
    )
    sequence = scb.KickedSequence(lattice)
    knob = sequence.knobs["k"].requires_grad_()

    def half_trace() -> torch.Tensor:
        matrix = sequence.transfer_matrix()
        return 0.5 * (matrix[0, 0] + matrix[1, 1])

    (slope,) = torch.autograd.grad(half_trace(), knob)
    values = []
    step = 1e-4
    for value in (0.3 + step, 0.3 - step):
        with torch.no_grad():
            sequence.knobs["k"] = value
            values.append(half_trace().item())
    assert slope.item() == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-6)


def test_a_reflected_line_exchanges_the_ends_of_its_bends(read):
    lattice = read(
        "B: CSBEND,L=1,ANGLE=0.1,E1=0.02,E2=0.03,HGAP=0.01,FINT1=0.4,EDGE2_EFFECTS=0\n"
        "S: CSBEND,L=1,ANGLE=0.1,E1=0.05,E2=0.05\nD: DRIF,L=1\n"
        "HALF: LINE=(B,D,S)\nRING: LINE=(HALF,-HALF,-B,-1*HALF)\n"
    )
    assert lattice.element_names == (
        "B", "D", "S", "S", "D", "B_reflected", "B_reflected", "S", "D", "B_reflected",
    )  # fmt: skip
    assert lattice.elements["B"].fields == {
        "length": 1.0, "angle": 0.1, "edge_entry_angle": 0.02, "edge_exit_angle": 0.03,
        "edge_entry_fint": 0.4, "edge_exit_fint": 0.5, "edge_entry_hgap": 0.01,
        "edge_exit_hgap": 0.01, "edge_exit_active": False,
    }  # fmt: skip
    assert lattice.elements["B_reflected"].fields == {
        "length": 1.0, "angle": 0.1, "edge_entry_angle": 0.03, "edge_exit_angle": 0.02,
        "edge_entry_fint": 0.5, "edge_exit_fint": 0.4, "edge_entry_hgap": 0.01,
        "edge_exit_hgap": 0.01, "edge_entry_active": False,
    }  # fmt: skip
    assert lattice.source_counts == {"CSBEND": 7, "DRIF": 3}


def test_use_return_title_and_include(read, tmp_path):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "q.lte").write_text("Q: QUAD,L=1\nRETURN\nnot read\n")
    lattice = read(
        'TITLE\nany text: "\n#INCLUDE: "parts/q.lte"\nA: LINE=(Q)\nB: LINE=(2*Q)\nUSE, b\nnot read'
    )
    assert lattice.name == "B"
    assert lattice.elements["Q"].file == "parts/q.lte"
    assert read_lattice("ring.lte", sequence="a").name == "A"


def test_an_include_cannot_leave_the_folder_or_go_in_circles(read, tmp_path):
    with pytest.raises(LatticeError, match=r"ring\.lte:1: .* outside the folders"):
        read("#INCLUDE: /etc/passwd\n")
    with pytest.raises(LatticeError, match=r"in a circle: ring\.lte -> ring\.lte"):
        read("#INCLUDE: ring.lte\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A: DRIF,L=1\nA: QUAD\n", r"ring.lte:2: 'A' is defined already at ring.lte:1"),
        ("A: DRIF\nA: LINE=(B)\n", r"'A' is defined already"),
        ("A: RFC\n", r"ring.lte:1: A: type or element 'RFC' may be RFCA, RFCW: write more"),
        ("A: NOTHING,L=1\n", r"type or element 'NOTHING' is not known"),
        ("A: \n", r"A: no type found"),
        ("A: DRIF,L\n", r"ring.lte:1: A: 'L' is not KEY=value"),
        ("A: DRIF,L=\n", r"'L=' is not KEY=value"),
        ("what is this\n", r"ring.lte:1: not understood: 'what is this'"),
        ('A: DRIF,L="1\n', r"a quotation mark is not closed"),
        ("RENAME,A,B\n", r"RENAME is not supported"),
        ("A#1: DRIF\n", r"'A#1' is not a name"),
        ("R: LINE=(A,B\n)\n", r"no type found|not understood"),
        ("R: LINE=(A,(B)\n", r"\(' is never closed"),
        ("R: LINE=(A))\n", r"'\)' not opened"),
        ("R: LINE=(3*)\n", r"'3\*' is no entry|not defined"),
        ("R: LINE=(-(A,B))\n", r"elegant overlooks this sign"),
        ("R: LINE=" + "(" * 60 + "A" + ")" * 60 + "\n", r"brackets more than 50 deep"),
        ("R: LINE=(A)\n", r"ring.lte:1: R: element 'A' is not defined"),
        ("R: LINE=(R)\nUSE,R\n", r"a line contains itself"),
        ("A: DRIF\nR: LINE=(999999999*A)\n", r"places, more than"),
        ("A: DRIF\n", r"holds 0 sequences"),
        ("A: DRIF\nR: LINE=(A)\nUSE,X\n", r"no sequence 'X'"),
        ("% 1 0 / sto a\n", r"division by zero"),
        ("% 1 +\n", r"ring.lte:1: expression '1 \+': '\+': an operand is missing"),
        ("A: DRIF,L=1e400\nR: LINE=(A)\n", r"ring.lte:1: A.L = 1e400: too large a number"),
        ("A: DRIF,L=2x\nR: LINE=(A)\n", r"A.L: '2x' is not a number: an expression is put in"),
        ('A: DRIF,L="2 sto x"\nR: LINE=(A)\n', r"'sto' is not allowed here"),
        ('A: DRIF,L="1 0 /"\nR: LINE=(A)\n', r"A.L: 1 / 0: division by zero"),
        ("A: DRIF,L=b\nR: LINE=(A)\n", r"'b' is neither a number"),
    ],
)
def test_what_is_not_understood_is_refused_with_its_place(read, text, message):
    with pytest.raises((LatticeError, ExpressionError), match=message):
        read(text)


def test_another_element_must_not_have_the_name_of_a_part(read):
    with pytest.raises(LatticeError, match="another element is called 'A_aper': rename one"):
        read('A: RCOL,X_MAX=1,Y_MAX=1\n"A_aper": DRIF\nR: LINE=("A_aper",A)\n')


# ---- run files -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("momentum", "commands", "mass0", "q0", "p0c"),
    [
        ("p_central_mev = 125", "", 510998.95069, -1.0, 125e6),
        ("p_central = 100", "", 510998.95069, -1.0, 51099895.069),
        ('p_central_mev = "(2 3 *)"', "", 510998.95069, -1.0, 6e6),
        ('p_central_mev = "(p 2 *)"', "% 7 sto p\n", 510998.95069, -1.0, 14e6),
        ("p_central = 2", "&change_particle name=proton &end", 938272089.43, 1.0, 1876544178.86),
        (
            "p_central = 2",
            '&change_particle name="custom", mass_ratio=2, charge_ratio=-3 &end',
            1021997.90138, 3.0, 2043995.80276,
        ),
    ],
)  # fmt: skip
def test_a_run_file_has_momentum_particle_and_line(read, momentum, commands, mass0, q0, p0c):
    text = "A: DRIF,L=1\nRING: LINE=(A)\nOTHER: LINE=(2*A)\n"
    lattice = read(text, commands + RUN.format(momentum=momentum))
    assert lattice.name == "RING"
    reference = lattice.reference
    assert reference is not None
    assert (reference.mass0, reference.q0) == pytest.approx((mass0, q0), rel=ROUNDING)
    assert reference.p0c == pytest.approx(p0c, rel=ROUNDING)
    assert read_lattice(["ring.lte", "ring.ele"]).reference == reference
    assert read_lattice("ring.lte", sequence="OTHER").reference is None


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (RUN.format(momentum="p_central = <p>"), r"ring.ele:2: p_central = '<p>': a macro"),
        (RUN.format(momentum="p_central = x"), r"p_central: expression 'x': 'x' is neither"),
        (RUN.format(momentum="p_central = -1"), r"p_central = -1: must not be negative"),
        ("&change_particle name=ufo &end" + RUN, r"particle 'ufo' is not known: known are elec"),
        ("&change_particle name=custom &end" + RUN, r"a custom particle needs mass_ratio"),
        ("&run_setup p_central=1 &end", r"no lattice in &run_setup"),
        ("&run_setup lattice=../x.lte &end", r"ring.ele:1: file '../x.lte' is outside"),
        ("&alter_elements name=A,item=L,value=2 &end" + RUN, r"&alter_elements: parameters of"),
    ],
)
def test_a_run_file_that_does_not_fit_is_refused_with_its_place(read, run, message):
    with pytest.raises(ScBridgeError, match=message):
        read("A: DRIF,L=1\nRING: LINE=(A)\n", run.replace("{momentum}", ""))


def test_what_a_run_file_changes_may_be_left_out(read):
    run = "&alter_elements name=A,item=L,value=2 &end" + RUN.format(momentum="p_central=1")
    lattice = read("A: DRIF,L=1\nRING: LINE=(A)\n", run, allow=["alter_elements"])
    assert str(lattice.left_out[0]).endswith(
        "&alter_elements: parameters of elements (alter_elements)"
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ring.ele", "&a " * 100_000),
        ("ring.ele", "&run_setup " + "a" * 100_000),
        ("ring.ele", '&a "' * 100_000),
        ("ring.lte", "A: LINE=(" + "(" * 100_000),
        ("ring.lte", "A: DRIF" + ",L=1" * 100_000),
        ("ring.lte", "% 1 sto a\n" + "% a a + sto a\n" * 2000),
        ("ring.lte", '"' * 100_001),
    ],
    ids=lambda value: value[:12].strip(),
)
def test_long_and_unclosed_text_takes_time_in_proportion(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    start = time.process_time()
    with pytest.raises(ScBridgeError):
        read_lattice(tmp_path / name)
    assert time.process_time() - start < 5.0


def test_two_run_files_are_refused(read, tmp_path):
    read("A: DRIF,L=1\nRING: LINE=(A)\n", RUN.format(momentum="p_central=1"))
    with pytest.raises(LatticeError, match="2 run files: give one"):
        read_lattice(["ring.ele", "ring.ele"])
