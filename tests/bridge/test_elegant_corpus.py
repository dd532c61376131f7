"""Elegant files of real machines: what FACET-II allows, its energies, the stores of the PSR."""

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

import sc_bridge as scb
from sc_bridge.errors import LatticeError
from sc_bridge.lattice import Lattice, ReferenceFields
from sc_bridge.readers import read_lattice

ROOT = Path(__file__).parents[2]
LATTICES = ROOT / os.environ.get("SC_BRIDGE_LATTICES", "../shared/lattices")
FACET = LATTICES / "facet2" / "FACET2e.ele"
PSR = LATTICES / "los_alamos_psr"
ALLOWED = ("CSR", "wake", "space charge", "radiation")

LENGTH = 1e-6  # m
# The oracle sums voltages in float64 and takes p c for the energy at the start.
GAIN = 1.0  # eV
DESIGN = 1e-5  # relative: the oracle's energies are momenta, mc^2/125 MeV squared
PROTON = ReferenceFields(938272088.16, 1.0, 1459790800.0)


@cache
def facet() -> Lattice:
    return read_lattice(FACET, allow=ALLOWED)


@cache
def oracle(folder: str) -> dict[str, Any]:
    return json.loads((LATTICES / folder / "oracle.json").read_text())


def test_facet_has_the_length_and_the_elements_of_its_oracle():
    lattice, expected = facet(), oracle("facet2")
    assert lattice.name == "MYLINE"
    assert sum(lattice.source_counts.values()) == expected["n_expanded"]
    assert lattice.length == pytest.approx(expected["length"], abs=LENGTH)
    assert lattice.source_counts == expected["counts"]
    assert {entry.word for entry in lattice.left_out} == set(ALLOWED)
    assert [warning.split(": ", 1)[1] for warning in lattice.warnings] == [
        "C: CHARGE acts on the beam as a whole: here it is a marker",
        "CNT1B: CENTER acts on the beam as a whole: here it is a marker",
        "CNT2B: CENTER acts on the beam as a whole: here it is a marker",
    ]


@pytest.mark.parametrize("word", ALLOWED)
def test_facet_is_refused_where_one_of_its_effects_is_not_allowed(word):
    message = rf"FACET2e\.lte:\d+: \w+: .* would be lost: allow = \['{word}'\]"
    with pytest.raises(LatticeError, match=message):
        read_lattice(FACET, allow=set(ALLOWED) - {word})


def test_facet_is_read_within_two_seconds():
    start = time.process_time()
    read_lattice(FACET, allow=ALLOWED)
    assert time.process_time() - start < 2.0


def test_the_energy_of_facet_along_the_line_is_that_of_its_oracle():
    lattice, expected = facet(), oracle("facet2")
    sequence = scb.KickedSequence(lattice)
    energies, positions, s = {}, {}, 0.0
    reference = sequence.reference
    for name in lattice.element_names:
        energies[name], positions[name] = reference.energy0.item(), s
        s += lattice.length_of(name)
        reference = sequence[name].outgoing(reference)
    start = energies["BEGDL10"]
    for name, point in expected["energy_along_line"].items():
        assert positions[name] == pytest.approx(point["s"], abs=LENGTH)
        assert energies[name] - start == pytest.approx(point["E_eV"] - 125e6, abs=GAIN)
    for name, energy in (("ENDL1F", 0.335), ("BEGBC14_1", 4.5), ("MIP", 10.0)):
        assert energies[name] == pytest.approx(energy * 1e9, rel=DESIGN)


# ---- Los Alamos PSR ------------------------------------------------------------------------


def psr(line: str) -> Lattice:
    lattice = read_lattice(PSR / "psr_extracted.lte", sequence=line)
    return dataclasses.replace(lattice, reference=PROTON)


def test_the_psr_has_two_roots_and_its_stores_are_knobs():
    with pytest.raises(LatticeError, match=r"holds 2 sequences \(RING1, RING2\): choose one"):
        read_lattice(PSR / "psr_extracted.lte")
    lattice = psr("RING1")
    assert lattice.source_counts == {"DRIF": 41, "QUAD": 20, "CSBEND": 10}
    assert lattice.variables["twopi"] == 2 * math.pi
    gamma = lattice.expressions["sr_gamma_x"]
    assert gamma.variables() == {"sr_alpha_x", "sr_beta_x"}
    assert lattice.variables["sr_gamma_x"] == pytest.approx((1 + 0.83333504**2) / 6.069332)
