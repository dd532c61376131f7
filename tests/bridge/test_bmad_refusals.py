"""Bmad decks that are refused, by table, and damaged ones."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sc_bridge.errors import ScBridgeError
from sc_bridge.lattice import Lattice
from sc_bridge.readers import read_lattice

ROOT = Path(__file__).parents[2]
LATTICES = Path(os.environ.get("SC_BRIDGE_LATTICES", ROOT / ".." / "shared" / "lattices"))
PSR = LATTICES / "los_alamos_psr" / "Dragt_PSR_small_ring.bmad"

Read = Callable[..., Lattice]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Read the text of a deck."""

    def read_it(text: str, **options: Any) -> Lattice:
        path = tmp_path / "ring.bmad"
        path.write_text(text)
        return read_lattice(path, **options)

    return read_it


# ---- refusals ------------------------------------------------------------------------------

LINE = "\nr: line = (x)\nuse, r\n"
REFUSED: dict[str, tuple[str, str]] = {
    "nothing": ("! empty\n", "holds 0 sequences"),
    "no such element": ("r: line = (y)\n", "bmad:1: 'y' is neither an element nor a line"),
    "no such type": ("x: quadrupol_e, l = 1" + LINE, "'quadrupol_e' is no type of element"),
    "two types": ("x: phot" + LINE, "type 'phot' could be photon_fork, photon_init"),
    "no such name": ("x: drift, l = y" + LINE, r"x\[l\] has no value .*'y' is not defined"),
    "a name too late": ("y[l] = 3\nx: drift" + LINE, "no element 'y' is defined"),
    "no statement": ("x drift" + LINE, "bmad:1: 'x drift' is not understood"),
    "a circle": ("r: line = (s)\ns: line = (r)\nuse, r\n", "a line contains itself"),
    "too many places": (
        "x: marker\na: line = (1000000*x)\nr: line = (1000000*a)\nuse, r\n", "places, more than",
    ),
    "arguments without end": (
        "x: marker\na(y): line = (a((y, y)))\nr: line = (a(x))\nuse, r\n", "refused",
    ),
    "wrong arguments": ("a(y): line = (y)\nr: line = (a)\nuse, r\n", "takes 1 arguments, 0 given"),
    "minus signs": ("x: marker\nr: line = (---x)\n", "more than two minus signs"),
    "no entry": ("x: marker\nr: line = (x +)\n", "is no entry of a line"),
    "a short list": ("x: marker\nl: list = (x)\nr: line = (l, l)\nuse, r\n", "too few entries"),
    "a line in a list": (
        "k: line = (x)\nl: list = (k)\nr: line = (l)\nuse, r\n", "a list holds elements only",
    ),
    "two lines": ("x: marker\nr: line = (x)\ns: line = (x)\n", r"holds 2 sequences \(r, s\)"),
    "no such line": ("x: marker\nr: line = (x)\nuse, s\n", "use, s: no such line"),
    "no reference": ("x: quadrupole, l = 1, b1_gradient = 2" + LINE, "needs the reference"),
    "an unknown particle": (
        "parameter[particle] = muonium\nparameter[p0c] = 1e9\nx: drift" + LINE,
        "'muonium' is not known",
    ),
    "too little energy": (
        "parameter[particle] = proton\nparameter[e_tot] = 1e6\nx: drift" + LINE, "must exceed",
    ),
    "a stop": (
        "parameter[p0c] = 1e6\nx: lcavity, l = 1, voltage = -1e9" + LINE, "stops the particle",
    ),
    "a control in the line": ("x: overlay = {y[k1]: a}, var = {a}" + LINE, "no element of a line"),
    "a bad control": ("o: overlay = {y z: a}, var = {a}\nx: marker" + LINE, "not understood"),
    "text for a number": ("x: drift, l = 'abc'" + LINE, "must be a number"),
    "too deep": ("x: drift, l = " + "sqrt(" * 300 + "1" + ")" * 300 + LINE, "has no value"),
    "a superposition outside": (
        "x: drift, l = 1\nm: marker, superimpose, offset = 5" + LINE, "beyond the 1 m",
    ),
    "a bad origin": (
        "x: drift, l = 1\nm: marker, superimpose, ref_origin = middle" + LINE, "'middle' is not",
    ),
    "an occurrence that is no number": (
        "x: drift, l = 1\nm: marker, superimpose, ref = x##0" + LINE, "behind ## must be 1, 2",
    ),
    "half an ellipse": (
        "x: drift, l = 1, x_limit = 1, aperture_type = elliptical" + LINE, "needs x_limit and",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_deck_is_one_clear_line(read, case):
    text, match = REFUSED[case]
    with pytest.raises(ScBridgeError, match=match) as caught:
        read(text)
    assert "\n" not in str(caught.value)


# What is lost, and the word that accepts it.
LOST: dict[str, tuple[str, str]] = {
    "wiggler": ("x: wiggler, l = 1, b_max = 1" + LINE, "wiggler"),
    "sol_quad": ("x: sol_quad, l = 1, ks = 1" + LINE, "sol_quad"),
    "taylor": ("x: taylor" + LINE, "taylor"),
    "patch": ("x: patch, x_offset = 1" + LINE, "patch"),
    "energy": ("x: patch, e_tot_offset = 1e6" + LINE, "energy"),
    "pitch": ("x: quadrupole, l = 1, k1 = 1, x_pitch = 1e-3" + LINE, "misalignment"),
    "CSR": ("x: sbend, l = 1, g = 0.1, csr_method = 1_dim" + LINE, "CSR"),
    "wake": ("x: rfcavity, l = 1, sr_wake = {z_long}" + LINE, "wake"),
    "faces": ("x: sbend, l = 1, g = 0.1, h1 = 0.3" + LINE, "h1"),
    "fringe": ("x: quadrupole, l = 1, k1 = 1, fringe_type = full" + LINE, "fringe"),
    "multipole errors": ("x: quadrupole, l = 1, k1 = 1, b3 = 2" + LINE, "b3"),
    "off": ("x: quadrupole, l = 1, k1 = 1, is_on = F" + LINE, "is_on"),
    "one occurrence": ("x: drift, l = 1\nx##2[l] = 3" + LINE, "##"),
    "a girder": ("x: drift, l = 1\ng: girder = {x}, x_offset = 1" + LINE, "misalignment"),
    "a table": ("x: quad, l = 1\no: overlay = {x[k1]: {0, 1}}, var = {a}" + LINE, "knots"),
    "a command": ("x: drift, l = 1\nslice_lattice, x" + LINE, "slice_lattice"),
    "on top of a magnet": (
        "x: quad, l = 2, k1 = 1\ns: quad, l = 1, superimpose, ref = x" + LINE, "superimpose",
    ),
    "an occurrence too many": (
        "x: drift, l = 1\nm: marker, superimpose, ref = x##2" + LINE, "superimpose",
    ),
    "on nothing": (
        "x: drift, l = 1\nm: marker, superimpose, ref = nowhere" + LINE, "superimpose",
    ),
    "a wall": (
        "x: drift, l = 1, aperture_type = wall3d, wall = {section = {s = 0,\n v(1) = 1}}" + LINE,
        "aperture",
    ),
    "an aperture of its own": (
        "x: drift, l = 1, x_limit = 1, aperture_type = wall3d" + LINE, "aperture",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", LOST)
def test_what_has_no_counterpart_is_refused_unless_allowed(read, case):
    text, word = LOST[case]
    with pytest.raises(ScBridgeError, match=rf"would be lost: allow = \['{word}'\]"):
        read(text)
    assert word in {entry.word for entry in read(text, allow=[word]).left_out}


def test_an_aperture_may_be_left_out(read):
    text = "x: drift, l = 1, x_limit = 1" + LINE
    lattice = read(text, allow=["aperture"])
    assert lattice.element_names == ("x",)
    assert lattice.left_out[0].word == "aperture"
