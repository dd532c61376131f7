"""Other readers on the same files: where they are right, they find what this one finds."""

from __future__ import annotations

import dataclasses
import re
import warnings
from typing import Any

import at
import latform
import lattix
import pytest
import sixtracktools
import xtrack as xt
from corpus import MACHINES
from reader_cases import LATTICES

from sc_bridge.lattice import Lattice
from sc_bridge.readers import read_lattice
from sc_bridge.writers import write_lattice

TUNE = 1e-9  # the same elements, read twice
PSR = LATTICES / "los_alamos_psr"


def our_line(lattice: Lattice, path: Any) -> xt.Line:
    """What is read here, as xtrack's line: its optics tests the reader alone."""
    write_lattice(lattice, path)
    return _expanded(xt.load(path))


def _expanded(line: xt.Line) -> xt.Line:
    line.configure_bend_model(core="expanded", edge="linear")
    return line


def tunes(line: xt.Line) -> tuple[float, float]:
    twiss = line.twiss4d()
    return twiss.qx, twiss.qy


# xtrack's own MAD-X loader: Booster fails on `;;`, SIS18 redefines a constant
NATIVE = ("psb3", "psr ring2", "sps madx")


@pytest.mark.parametrize(
    "title", [pytest.param(t, marks=[pytest.mark.slow] if t == "sps madx" else []) for t in NATIVE]
)
def test_xtrack_loads_the_same_madx_file(title, tmp_path):
    machine = MACHINES[title]
    lattice = machine.read()
    text = "\n".join((LATTICES / machine.folder / f).read_text() for f in machine.files)
    # what its parser does not know: titles, commands, declarations of numbers
    text = re.sub(r"(?im)^\s*(title|twiss|select|beam|use)\b[^;]*;|^\s*real\b", "", text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        environment = xt.load(string=text, format="madx")
    name = lattice.name.lower()
    theirs = environment.lines[name]
    theirs.particle_ref = xt.Particles(**dataclasses.asdict(lattice.reference))
    assert theirs.get_length() == pytest.approx(lattice.length, abs=1e-9)
    assert tunes(_expanded(theirs)) == pytest.approx(
        tunes(our_line(lattice, tmp_path / "ours.json")), abs=TUNE
    )


# lattix 0.2.0, where its optics are right; it expands the periods of an ImpactX input
LATTIX = {"psr elegant": 1, "psr pals": 1, "iota": 5}


@pytest.mark.parametrize("title", LATTIX)
def test_lattix_reads_the_same(title, tmp_path):
    machine, periods = MACHINES[title], LATTIX[title]
    path = tmp_path / f"copy.{'impactx.in' if title == 'iota' else machine.files[0]}"
    path.write_bytes((LATTICES / machine.folder / machine.files[0]).read_bytes())
    lattix.translate(path, tmp_path / "theirs.json")
    theirs = xt.load(tmp_path / "theirs.json")
    lattice = machine.read()
    if isinstance(theirs, xt.Environment):
        theirs = next(
            line for name, line in theirs.lines.items() if name.lower() == lattice.name.lower()
        )
    assert theirs.get_length() == pytest.approx(periods * lattice.length, abs=1e-9)
    theirs.particle_ref = xt.Particles(**dataclasses.asdict(lattice.reference))
    ours = our_line(lattice, tmp_path / "ours.json")
    found, expected = tunes(_expanded(theirs)), tunes(ours)
    assert found[0] / periods == pytest.approx(expected[0], abs=TUNE)
    # of IOTA, ImpactX itself has our vertical tune: its fringe is linear in the gap
    bound = 1e-4 if title == "iota" else TUNE
    assert found[1] / periods == pytest.approx(expected[1], abs=bound)


def test_pyat_loads_sis18_as_we_do():
    # as MAD-X it keeps its own raddeg, which the file redefines; the 4D optics is linear
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ring = at.load_madx(
            str(LATTICES / "sis18" / "sis18.lat"), use="sis18", energy=950e6, particle="proton"
        )
    lattice = MACHINES["sis18"].read()
    assert ring.get_s_pos(len(ring))[0] == pytest.approx(lattice.length, abs=1e-4)


def test_latform_parses_the_statements_that_we_read():
    path = PSR / "Dragt_PSR_small_ring.bmad"
    statements = latform.parse_file(path)
    defined = {str(s.name).lower() for s in statements if type(s).__name__ in ("Element", "Line")}
    lattice = read_lattice(path)
    assert {name.lower() for name in lattice.elements} <= defined


# it leaves its files open
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_sixtracktools_expands_hllhc_into_the_same_elements():
    six = sixtracktools.SixInput(str(LATTICES / "hllhc"))
    lattice = MACHINES["hllhc"].read()
    structure = list(six.iter_struct())
    assert [name.lower() for name in structure] == [n.lower() for n in lattice.element_names]
