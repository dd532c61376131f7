"""Bmad files: the PSR as its oracle has it, and the grammar statement by statement."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import sc_bridge as scb
from sc_bridge.elements.passing import transfer_matrix
from sc_bridge.errors import ScBridgeError
from sc_bridge.lattice import Lattice
from sc_bridge.readers import read_lattice
from sc_bridge.readers.bmad.deck import matches

ROOT = Path(__file__).parents[2]
LATTICES = Path(os.environ.get("SC_BRIDGE_LATTICES", ROOT / ".." / "shared" / "lattices"))
PSR = LATTICES / "los_alamos_psr" / "Dragt_PSR_small_ring.bmad"
LENGTH = 1e-6  # m
TUNE = 1e-8  # its digits, and a rest energy of the proton that CODATA changed by 1e-9 since
ROUNDING = 1e-12  # relative: the same arithmetic in another order
PROTON = "parameter[particle] = proton\nparameter[p0c] = 1e9\n"

Read = Callable[..., Lattice]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Read the text of a deck."""

    def read_it(text: str, **options: Any) -> Lattice:
        path = tmp_path / "ring.bmad"
        path.write_text(text)
        return read_lattice(path, **options)

    return read_it


# ---- the PSR -------------------------------------------------------------------------------


def test_the_psr_has_the_tunes_of_its_own_gradients():
    lattice = read_lattice(PSR)
    oracle = json.loads((PSR.parent / "oracle.json").read_text())
    counts = dict(oracle["ring2"]["madx"]["element_counts"])
    counts.pop("marker")
    assert lattice.source_counts == counts
    assert lattice.length == pytest.approx(oracle["ring2"]["madx"]["length"], abs=LENGTH)
    assert lattice.warnings == () and lattice.left_out == ()
    twiss = scb.periodic_twiss(scb.KickedSequence(lattice, bend_model="expanded"))
    assert twiss.qx == pytest.approx(oracle["bmad_file"]["qx"], abs=TUNE)
    assert twiss.qy == pytest.approx(oracle["bmad_file"]["qy"], abs=TUNE)
    assert twiss.qx == pytest.approx(oracle["ring2"]["madx"]["qx"], abs=1e-5)


# ---- statements ----------------------------------------------------------------------------


def names_of(read: Read, lines: str, **options: Any) -> list[str]:
    lattice = read(
        "a: marker\nb: marker\nc: marker\nd: drift, l = 1\n"
        "m: sbend, l = 1, angle = 0.1, e1 = 0.1, e2 = 0.2\n" + lines,
        **options,
    )
    return list(lattice.element_names)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("r: line = (a, b, c)", "a b c"),
        ("R: LINE = (A, &\n b,\n c) ! comment", "a b c"),
        ("l: line = (a, b); r: line = (l, -l, 2*l)", "a b b a a b a b"),
        ("l: line = (a, b)\nr: line = (3*c, -2*l, c)", "c c c b a b a c"),
        ("r: line = (a, 2*(b, c), -(a, b))", "a b c b c b a"),
        ("l: line = (a, b)\nk: line = (l, c)\nr: line = (-k)", "c b a"),
        ("l: line = (a, -k)\nk: line = (b, c)\nr: line = (-l)", "b c a"),
        ("l(x, y): line = (x, y, x)\nr: line = (l(a, b), l(b, c))", "a b a b c b"),
        ("l: list = (a, 2*b)\nr: line = (l, c, l, l)", "a c b b"),
        ("t: line = (a, b)\nr: line = (one=t, two=t)", "a b a b"),
        ("l: line[multipass] = (a, b)\nr: line = (l, l)", "a b a b"),
        ("r: line = (a, b)\ns: line = (c)\nuse, s", "c"),
        ("r: line = (--m, m)", "m m_2"),
    ],
)
def test_lines(read, lines, expected):
    assert names_of(read, lines) == expected.split()


def test_a_line_backwards_keeps_its_edges_and_one_turned_round_exchanges_them(read):
    deck = (
        "m: sbend, l = 1, angle = 0.1, e1 = 0.1, e2 = 0.2, x_limit = 1\n"
        "l: line = (m)\nr: line = ({}l)\nuse, r\n"
    )
    kept, turned = read(deck.format("-")), read(deck.format("--"))
    assert kept.elements["m"].fields["edge_entry_angle"] == 0.1
    assert turned.elements["m"].fields["edge_entry_angle"] == 0.2
    assert kept.element_names == ("m", "m_aper_exit")
    assert turned.element_names == ("m_aper_exit", "m")
    assert "turned round" in turned.warnings[0]


def test_settings_reach_elements_by_name_pattern_and_type(read):
    lattice = read(
        f"{PROTON}k = 0.1; kk := 2*k\n"
        "q1: quadrupole, l = 1, k1 = kk\nq2: q1, l = 2\nqx: quad, l = 1\n"
        "quadrupole::q%[tilt] = 0.1\n*[tracking_method] = bmad_standard\n"
        "q2[k1] = -q1[k1] + 0.05\nqx[k1] = q2[l] ^ 2\n"
        "r: line = (q1, q2, qx)\nuse, r\nq1[l] = 3\n"
    )
    q1, q2, qx = (lattice.elements[name].fields for name in ("q1", "q2", "qx"))
    assert (q1["length"], q1["k1"], q1["rot_s_rad"]) == (3.0, 0.2, 0.1)
    assert (q2["length"], q2["rot_s_rad"]) == (2.0, 0.1)
    assert q2["k1"] == pytest.approx(-0.15)
    assert qx["k1"] == 4.0
    assert lattice.variables == {"k": 0.1, "kk": 0.2}
    assert {key[0] for key in lattice.field_expressions} == {"q1", "q2"}
    knobs = scb.KickedSequence(lattice).knobs
    assert "k" in knobs


def test_a_variable_defined_again_holds_from_there_on(read):
    lattice = read("k = 1\nd: drift, l = k\nk = 2\ne: drift, l = k\nr: line = (d, e)\n")
    assert lattice.length == 3.0
    assert "defined again" in lattice.warnings[0]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-2^2", -4.0),
        ("36*raddeg", math.pi / 5),
        ("sqrt(4) + 1.5e1 - modulo(7, 4)", 14.0),
        ("mass_of(proton) / m_proton", 1.0),
        ("2 * charge_of(electron) + 3", 1.0),
        ("atan2(1, 1) * degrad", 45.0),
        ("parameter[p0c] / 1e9", 1.0),
    ],
)
def test_expressions(read, text, value):
    lattice = read(f"{PROTON}d: drift, l = {text}\nr: line = (d)\n")
    assert lattice.elements["d"].fields["length"] == pytest.approx(value, rel=ROUNDING)


def test_overlays_assign_and_groups_add_and_both_are_knobs(read):
    lattice = read(
        f"{PROTON}q1: quadrupole, l = 1, k1 = 9\nq2: quadrupole, l = 1, k1 = 0.3\n"
        "q3: quadrupole, l = 1\ns = 2\n"
        "o1: overlay = {q1[k1]: s*a + b^2, q3[k1]: -0.5}, var = {a, b}, a = 0.1, b = 0.2\n"
        "o2: overlay = {q1:1}, k1, k1 = 0.01\n"
        "o3: overlay = {o1[b]: c}, var = {c}, c = 0.3\n"
        "g: group = {q2[k1]: 2*x}, var = {x}, x = 0.05\n"
        "r: line = (q1, q2, q3)\no1[a] = 0.4\nuse, r\n"
    )
    k1 = {name: record.fields["k1"] for name, record in lattice.elements.items()}
    assert k1 == pytest.approx({"q1": 0.8 + 0.09 + 0.01, "q2": 0.4, "q3": -0.2})
    assert lattice.variables["o1[a]"] == 0.4
    assert lattice.variables["o1[b]"] == 0.3  # which another overlay sets
    knobs = scb.KickedSequence(lattice).knobs
    assert {"o1[a]", "o2[k1]", "o3[c]", "g[x]"} <= set(knobs)


def test_elements_are_superimposed_on_drifts_and_cut_magnets(read):
    lattice = read(
        "d: drift, l = 4\nq: quadrupole, l = 2, k1 = 0.3\nb: sbend, l = 1, angle = 0.1, e1 = 0.05\n"
        "m: marker, superimpose, ref = q, offset = 0.5\n"
        "n: marker, superimpose, ref = b\n"
        "s: sextupole, l = 1, k2 = 3, superimpose, ref = d, ref_origin = beginning, "
        "ele_origin = beginning, offset = 1\n"
        "r: line = (d, q, b)\nuse, r\n"
    )
    assert lattice.element_names == ("d", "s", "d_2", "q", "m", "q_2", "b", "n", "b_2")
    assert lattice.length == pytest.approx(7.0)
    fields = {name: record.fields for name, record in lattice.elements.items()}
    lengths = {name: value["length"] for name, value in fields.items() if "length" in value}
    expected = {"d": 1, "s": 1, "d_2": 2, "q": 1.5, "q_2": 0.5, "b": 0.5, "b_2": 0.5}
    assert lengths == pytest.approx(expected)
    assert fields["b"]["edge_exit_active"] is False
    assert fields["b_2"]["edge_entry_active"] is False
    assert fields["b_2"]["angle"] == pytest.approx(0.05)


def test_a_superposition_refers_to_the_nth_of_a_name_or_to_all_of_a_pattern(read):
    lattice = read(
        "q: quadrupole, l = 1\nd: drift, l = 1\n"
        "m: marker, superimpose, ref = q##2, ref_origin = beginning\n"
        "n: marker, superimpose, ref = quad::*, ref_origin = end\n"
        "r: line = (q, d, q, d, q)\nuse, r\n"
    )
    assert lattice.element_names == ("q", "n", "d", "m", "q", "n", "d", "q", "n")


def test_pieces_of_a_magnet_are_the_magnet(read):
    deck = (
        f"{PROTON}b: sbend, l = 2, angle = 0.3, e1 = 0.1, e2 = 0.05, k1 = 0.2\n{{}}"
        "r: line = (b)\nuse, r\n"
    )
    matrices = []
    for marker in ("", "m: marker, superimpose, ref = b, offset = 0.3\n"):
        sequence = scb.KickedSequence(read(deck.format(marker)), bend_model="expanded")
        matrices.append(transfer_matrix(sequence.transport(), sequence.reference))
    torch.testing.assert_close(matrices[1], matrices[0], rtol=0.0, atol=ROUNDING)


def test_a_called_file_is_found_beside_the_caller_and_by_the_environment(tmp_path, monkeypatch):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "quads.bmad").write_text("q: quadrupole, l = 1\nreturn\nnonsense here\n")
    (tmp_path / "d.bmad").write_text("d: drift, l = 2\n")
    (tmp_path / "ring.bmad").write_text(
        "call, file = $RING_PARTS/quads.bmad\ncall, file = 'd.bmad'\nr: line = (q, d)\n"
    )
    monkeypatch.setenv("RING_PARTS", str(tmp_path / "sub"))
    assert read_lattice(tmp_path / "ring.bmad").length == 3.0
    monkeypatch.delenv("RING_PARTS")
    with pytest.raises(ScBridgeError, match=r"ring.bmad:1: \$RING_PARTS is not set"):
        read_lattice(tmp_path / "ring.bmad")
    monkeypatch.setenv("RING_PARTS", "/etc")
    with pytest.raises(ScBridgeError, match="outside the folders of the given files"):
        read_lattice(tmp_path / "ring.bmad")


def test_patterns_match_without_backtracking():
    assert matches("q*1", "qf_1") and not matches("q*1", "qf_2")
    assert matches("q%", "qf") and not matches("q%", "q")
    assert not matches("*a" * 50 + "b", "a" * 200)


def test_a_variable_without_a_value_is_left_aside_where_nothing_needs_it(read):
    lattice = read("k = 1\nbad = sqrt(-k)\nd: drift, l = k\nr: line = (d)\n")
    assert lattice.variables == {"k": 1.0}
    assert "'bad' has no value" in lattice.warnings[0]
    with pytest.raises(ScBridgeError, match="no finite real value"):
        read("k = 1\nbad = sqrt(-k)\nd: drift, l = bad\nr: line = (d)\n")
