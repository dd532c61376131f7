"""MAD-X files of real machines: lengths, counts and tunes are those of their oracles.

Tunes are taken twice: by xtrack from the records themselves, which tests the reader alone, and by
the library's own elements.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import time
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import xtrack as xt

import sc_bridge as scb
from oracles import central_difference
from sc_bridge.elements.base import transfer_matrix
from sc_bridge.lattice import IMPLICIT_DRIFT, Lattice, ReferenceFields
from sc_bridge.readers import read_lattice

ROOT = Path(__file__).parents[2]
LATTICES = Path(os.environ.get("SC_BRIDGE_LATTICES", ROOT / ".." / "shared" / "lattices"))
LENGTH = 1e-6  # m
TUNE = 1e-6
DERIVATIVE = 1e-6  # relative, of a fourth-order central difference
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


@pytest.mark.parametrize("title", CASES)
def test_length_and_counts_by_type_are_those_of_madx(title):
    lattice = lattice_of(title)
    expected = oracle(title, CASES[title].counts)
    assert lattice.length == pytest.approx(expected["length"], abs=LENGTH)
    counts = dict(lattice.source_counts)
    # MAD-X counts the drifts that it puts in as drifts.
    counts["drift"] = counts.get("drift", 0) + counts.pop(IMPLICIT_DRIFT, 0)
    assert counts == expected["element_counts"]
    assert lattice.left_out == ()


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


def sequence_of(lattice: Lattice) -> scb.KickedSequence:
    if lattice.reference is None:
        lattice = dataclasses.replace(lattice, reference=PROTON)
    return scb.KickedSequence(lattice, bend_model="expanded")


# Combined-function bends of kicks and thousands of elements: half a minute each.
SLOW = {"booster", "sps"}


@pytest.mark.parametrize(
    "title",
    [pytest.param(t, marks=[pytest.mark.slow] if t in SLOW else []) for t in CASES],
)
def test_our_elements_have_the_tunes_of_the_oracle(title):
    twiss = scb.periodic_twiss(sequence_of(lattice_of(title)))
    expected = oracle(title, CASES[title].tunes)
    assert twiss.qx == pytest.approx(expected["qx"], abs=TUNE)
    assert twiss.qy == pytest.approx(expected["qy"], abs=TUNE)


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


def tunes_of(sequence: scb.KickedSequence) -> list[torch.Tensor]:
    """Fractional tunes, up to sign and whole turns, from the traces of the one-turn matrix."""
    matrix = transfer_matrix(sequence.transport(coasting=True), sequence.reference)
    blocks = matrix[0:2, 0:2], matrix[2:4, 2:4]
    return [torch.acos(torch.trace(block) / 2) / (2 * math.pi) for block in blocks]


def test_the_gradient_of_the_tunes_of_the_psb_by_its_knob_is_a_finite_difference():
    sequence = sequence_of(lattice_of("psb3"))
    knob = sequence.knobs["kbrqf"].requires_grad_()
    expected = oracle("psb3", ("psb3", "madx_knob_derivatives_central_difference", "kbrqf"))

    def fractional(value: float) -> torch.Tensor:
        with torch.no_grad():
            sequence.knobs["kbrqf"] = value
            return torch.stack(tunes_of(sequence))

    value = knob.item()
    numeric = central_difference(fractional, value, 1e-4)
    sequence.knobs["kbrqf"] = value
    for tune, difference, key in zip(tunes_of(sequence), numeric, ("dqx", "dqy"), strict=True):
        (slope,) = torch.autograd.grad(tune, knob, retain_graph=True)
        assert slope.item() == pytest.approx(difference.item(), rel=DERIVATIVE)
        # MAD-X gives tunes of ten digits; the sign of the phase is lost in the trace.
        assert abs(slope.item()) == pytest.approx(abs(expected[key]), rel=1e-5)


def test_reading_is_quick():
    for title, limit in (("psb1", 2.0), ("sps", 10.0)):
        case = CASES[title]
        start = time.process_time()
        read_lattice([LATTICES / file for file in case.files], sequence=case.sequence)
        assert time.process_time() - start < limit
