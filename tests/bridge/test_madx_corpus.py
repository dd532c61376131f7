"""MAD-X files of real machines: xtrack finds the tunes of the oracles in the records themselves.

That tests the reader alone; `test_acceptance.py` has the library's own elements.
"""

from __future__ import annotations

import dataclasses
import json
import os
import time
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import xtrack as xt

from sc_bridge.lattice import Lattice, ReferenceFields
from sc_bridge.readers import read_lattice

ROOT = Path(__file__).parents[2]
LATTICES = Path(os.environ.get("SC_BRIDGE_LATTICES", ROOT / ".." / "shared" / "lattices"))
LENGTH = 1e-6  # m
TUNE = 1e-6
PSB = ["psb/psb.seq", "psb/psb_fb_lhc.str"]
PSR = ["los_alamos_psr/los-alamos-proton-storage-ring.madx"]
# The oracle's optics of thick bends is that of the expanded bend core with linear edges.
MODEL = "expanded_linear_bend_model"
# Energy does not change 4D optics; files without a beam are read at 160 MeV.
PROTON = ReferenceFields(938272088.16, 1.0, 570830143.8632222)


@dataclasses.dataclass(frozen=True)
class Case:
    """Files, sequence, and where the oracle has its counts and tunes."""

    files: list[str]
    sequence: str | None
    counts: tuple[str, ...]
    tunes: tuple[str, ...]


CASES = {
    "psb1": Case(PSB, "psb1", ("psb1", "madx"), ("psb1", "xtrack", MODEL)),
    "psb3": Case(PSB, "psb3", ("psb3", "madx"), ("psb3", "xtrack", MODEL)),
    "booster": Case(
        ["fermilab_booster/sbbooster-cooked-rfon.madx"], None, ("madx",), ("xtrack", MODEL)
    ),
    "psr ring1": Case(PSR, "ring1", ("ring1", "madx"), ("ring1", "xtrack", MODEL)),
    "psr ring2": Case(PSR, "ring2", ("ring2", "madx"), ("ring2", "xtrack", MODEL)),
    "sis18": Case(["sis18/sis18.lat"], None, ("madx",), ("madx",)),
    "sps": Case(["sps/sps_thin.seq"], None, ("madx_twin_sps_thin",), ("madx_twin_sps_thin",)),
}


@cache
def lattice_of(title: str) -> Lattice:
    case = CASES[title]
    return read_lattice([LATTICES / file for file in case.files], sequence=case.sequence)


def oracle(title: str, keys: tuple[str, ...]) -> dict[str, Any]:
    found = json.loads((LATTICES / CASES[title].files[0]).with_name("oracle.json").read_text())
    for key in keys:
        found = found[key]
    return found


def xtrack_line(lattice: Lattice) -> xt.Line:
    """The line that xtrack makes of the records, class by class and field by field."""
    elements = {name: getattr(xt, r.kind)(**r.fields) for name, r in lattice.elements.items()}
    line = xt.Line(elements=elements, element_names=list(lattice.element_names))
    reference = lattice.reference or PROTON
    line.particle_ref = xt.Particles(**dataclasses.asdict(reference))
    line.configure_bend_model(core="expanded", edge="linear")
    return line


@pytest.mark.parametrize("title", CASES)
def test_xtrack_finds_the_tunes_of_the_oracle_in_the_records(title):
    twiss = xtrack_line(lattice_of(title)).twiss4d()
    expected = oracle(title, CASES[title].tunes)
    assert twiss.qx == pytest.approx(expected["qx"], abs=TUNE)
    assert twiss.qy == pytest.approx(expected["qy"], abs=TUNE)
    assert twiss.betx[0] == pytest.approx(expected["betx_start"], rel=TUNE)


# Combined-function bends of kicks and thousands of elements: half a minute each.


def test_spear3_reads_although_its_optics_has_no_oracle():
    lattice = read_lattice(LATTICES / "spear3" / "spear3.madx")
    assert lattice.name == "ring"
    assert lattice.source_counts["quadrupole"] == 108
    # Sum of the lengths in the file, by MAD-X through cpymad 1.20.0.
    assert lattice.length == pytest.approx(234.1259555038831, abs=LENGTH)
    twiss = xtrack_line(lattice).twiss4d()
    assert (twiss.qx, twiss.qy) == pytest.approx((14.19, 5.23), abs=1e-6)  # its design tunes


def test_the_knob_of_the_psb_drives_its_quadrupoles():
    lattice = lattice_of("psb3")
    driven = [key for key, tree in lattice.field_expressions.items() if "kbrqf" in str(tree)]
    assert len(driven) == 32
    assert {field for _, field, _ in driven} == {"k1"}
    assert lattice.variables["kbrqf"] == 0.7691427338


def test_reading_is_quick():
    for title, limit in (("psb1", 2.0), ("sps", 10.0)):
        case = CASES[title]
        start = time.process_time()
        read_lattice([LATTICES / file for file in case.files], sequence=case.sequence)
        assert time.process_time() - start < limit
