"""Xsuite JSON: what a file says is in the lattice, line by line."""

from __future__ import annotations

import gzip
import json
import math
import os
from collections import Counter
from pathlib import Path

import pytest
import torch
from xsuite_lines import environment, line, read_it

from sc_bridge.expressions import Variable
from sc_bridge.knobs import FieldDriver, Knobs
from sc_bridge.lattice import Lattice, Record, ReferenceFields
from sc_bridge.readers import read_lattice

ROOT = Path(__file__).parents[2]
LATTICES = Path(os.environ.get("SC_BRIDGE_LATTICES", ROOT / ".." / "shared" / "lattices"))
LENGTH = 1e-9  # m, sums of a thousand float64 lengths


@pytest.fixture
def read(tmp_path, monkeypatch):
    """Write to ring.json, in a folder of its own, and read it."""
    monkeypatch.chdir(tmp_path)
    return read_it


# ---- what is read --------------------------------------------------------------------------


def test_a_line_is_read_in_order_with_repeated_names(read):
    lattice = read(line())
    assert lattice.element_names == lattice.labels == ("d", "q", "d", "m", "q")
    assert [record.kind for record in lattice.records] == [
        "Drift", "Quadrupole", "Drift", "Multipole", "Quadrupole",
    ]  # fmt: skip
    assert lattice.records[1] is lattice.records[4]
    assert set(lattice.elements) == {"d", "q", "m"}
    assert lattice.elements["q"].fields == {"length": 0.5, "k1": 0.6, "order": 5}
    assert lattice.elements["d"].fields == {"length": 1.5}
    assert (lattice.source, lattice.format, lattice.name) == ("ring.json", "xsuite-json", "")
    assert lattice.reference == ReferenceFields(938272089.43, 1.0, 5.7e8)


def test_a_thin_multipole_takes_no_length(read):
    assert read(line()).length == 4.0


def test_places_name_file_line_and_element(read):
    lattice = read(line())
    text = Path("ring.json").read_text().splitlines()
    for name, record in lattice.elements.items():
        assert record.line is not None
        assert f'"{name}": {{' in text[record.line - 1]
    assert lattice.place("q") == f"ring.json:{lattice.elements['q'].line}: q"
    assert lattice.place("nowhere") == "ring.json: nowhere"


def test_a_file_of_one_line_has_no_line_numbers(read):
    lattice = read(json.dumps(line()))
    assert lattice.elements["q"].line is None
    assert lattice.place("q") == "ring.json: q"


def test_names_with_quotes_and_backslashes_have_their_line(read):
    name = 'q"\\1'
    content = line(element_names=[name], elements={name: {"__class__": "Drift", "length": 1.0}})
    record = read(content | {"_var_manager": []}).elements[name]
    assert json.dumps(name) in Path("ring.json").read_text().splitlines()[record.line - 1]


def test_variables_and_expressions_are_kept(read):
    lattice = read(line())
    assert lattice.variables == {"kq": 0.3, "k2": 0.6, "t_turn_s": 0.0}
    assert list(lattice.expressions) == ["k2"]
    assert str(lattice.expressions["k2"]) == "kq * 2"
    assert lattice.field_expressions[("q", "k1", None)] == Variable("k2")
    assert set(lattice.field_expressions) == {("q", "k1", None), ("m", "knl", 2)}


def test_a_compressed_file_reads_the_same(read):
    packed = gzip.compress(json.dumps(line(), indent=1).encode())
    assert read(packed, "ring.json.gz").elements == read(line()).elements


def test_the_wrapper_with_a_particle_is_a_line(read):
    bare = line()
    particle = bare.pop("particle_ref")
    lattice = read({"line": bare, "particle": particle})
    assert lattice.length == 4.0
    assert lattice.reference == ReferenceFields(938272089.43, 1.0, 5.7e8)


def test_the_only_line_of_an_environment_is_read(read):
    lattice = read(environment("ring"))
    assert lattice.name == "ring"
    assert lattice.length == 4.0
    assert lattice.reference is not None
    assert lattice.reference.p0c == 5.7e8


def test_one_of_several_lines_is_chosen_by_name(read):
    assert read(environment("ring", "transfer"), sequence="transfer").name == "transfer"


def test_replicas_are_the_element_that_they_stand_for(read):
    content = line(element_names=["q", "q..1", "q..2"])
    content["elements"] |= {
        "q..1": {"__class__": "Replica", "parent_name": "q"},
        "q..2": {"__class__": "Replica", "parent_name": "q..1"},
    }
    content["_var_manager"] = [["element_refs['q..2'].k1", "vars['k2']"]]
    lattice = read(content)
    assert lattice.element_names == ("q", "q", "q")
    assert lattice.labels == ("q", "q..1", "q..2")
    assert set(lattice.field_expressions) == {("q", "k1", None)}
    assert lattice.length == 1.5


def test_slices_keep_their_parent(read):
    content = line(element_names=["s", "d1", "s"])
    content["elements"] |= {
        "s": {"__class__": "ThickSliceQuadrupole", "parent_name": "q..1", "weight": 0.25},
        "d1": {"__class__": "DriftSliceQuadrupole", "parent_name": "q", "weight": 0.5},
        "q..1": {"__class__": "Replica", "parent_name": "q"},
    }
    lattice = read(content)
    assert lattice.elements["s"].fields["parent_name"] == "q"
    assert "q" in lattice.elements
    assert ("q", "k1", None) in lattice.field_expressions
    assert lattice.length == pytest.approx(0.5, abs=LENGTH)


def test_a_list_of_elements_is_read_as_old_files_have_it(read):
    content = line(element_names=["d", "q", "d"], _var_manager=[])
    elements = content["elements"]
    content["elements"] = [elements["d"], elements["q"], elements["d"]]
    assert read(content).length == 3.5


def test_a_field_on_the_right_hand_side_drives_itself_too(read):
    content = line()
    content["elements"]["q2"] = {"__class__": "Quadrupole", "length": 0.5, "k1": 1.0}
    content["element_names"].append("q2")
    content["_var_manager"] = [
        ["element_refs['q2'].k1", "(2 * element_refs['q'].length)"],
        ["element_refs['m'].knl[1]", "(0.01 * element_refs['q2'].k1)"],
        ["element_refs['unused'].k1", "element_refs['d'].length"],
    ]
    lattice = read(content)
    assert lattice.field_variables == {
        "q.length": ("q", "length", None),
        "q2.k1": ("q2", "k1", None),
    }
    knobs = Knobs(lattice)
    slope = knobs["q.length"].requires_grad_()
    driver = FieldDriver(knobs, {1: lattice.field_expressions[("m", "knl", 1)]})
    assert driver.knobs == ("q.length",)
    driver(torch.tensor(lattice.elements["m"].fields["knl"]))[1].backward()
    assert slope.grad is not None
    assert slope.grad.item() == 0.02
    assert lattice.field_expressions[("q", "length", None)] == Variable("q.length")


def test_a_field_that_the_file_leaves_out_refers_to_zero(read):
    content = line(_var_manager=[["element_refs['m'].knl[1]", "(0.01 + element_refs['q'].k1s)"]])
    assert read(content).variables["q.k1s"] == 0.0


def test_an_rbend_takes_the_length_of_its_arc():
    def of(**fields: float) -> float:
        record = Record("b", "RBend", fields)
        return Lattice("ring", "test", "", {"b": record}, ("b",)).length

    assert of(length_straight=2.0, angle=0.0) == 2.0
    # chord 2 R sin(angle/2)
    assert of(length_straight=2.0, angle=0.3) == pytest.approx(0.3 / math.sin(0.15), rel=1e-15)
    assert of(length=1.2) == 1.2


def test_a_lattice_shows_its_size(read):
    assert repr(read(line())) == "Lattice('ring.json', 5 places, 3 elements, 3 variables)"
    assert "line 'ring'" in repr(read(environment("ring")))


# ---- real machines -------------------------------------------------------------------------

MACHINES = {
    "psr line": ("los_alamos_psr/psr_line_generated.json", None, 90.224),
    "psr environment": ("los_alamos_psr/psr_environment_generated.json", "ring2", 90.224),
    "sps": ("sps/line_no_spacecharge_and_particle.json", None, 6911.5038),
    "sps with space charge": ("sps/line_with_spacecharge_and_particle.json", None, 6911.5038),
}


@pytest.mark.parametrize("machine", MACHINES)
def test_a_real_machine_has_its_length_and_reads_in_seconds(machine):
    path, name, length = MACHINES[machine]
    lattice = read_lattice(LATTICES / path, sequence=name)
    assert lattice.length == pytest.approx(length, abs=1e-6)
    assert lattice.reference is not None
    assert all(record.line for record in lattice.elements.values())


def test_the_sps_has_the_elements_of_its_oracle():
    oracle = json.loads((LATTICES / "sps" / "oracle.json").read_text())
    lattice = read_lattice(LATTICES / "sps" / "line_no_spacecharge_and_particle.json")
    assert Counter(r.kind for r in lattice.records) == oracle["no_spacecharge"]["element_counts"]
    assert lattice.reference is not None
    assert lattice.reference.p0c == oracle["particle"]["p0c"][0]
    assert lattice.length == pytest.approx(oracle["no_spacecharge"]["full_bend_model"]["length"])
    charged = read_lattice(LATTICES / "sps" / "line_with_spacecharge_and_particle.json")
    kicks = [r for r in charged.records if r.kind == "SpaceChargeBiGaussian"]
    assert len(kicks) == oracle["space_charge"]["n"]


def test_the_psb_has_the_magnets_of_the_machine():
    lattice = read_lattice(ROOT / "examples" / "psb" / "psb.json")
    kinds = Counter(record.kind for record in lattice.records)
    assert kinds == {"Drift": 80, "Quadrupole": 48, "Bend": 32, "Cavity": 1}
    assert lattice.length == pytest.approx(157.08, abs=LENGTH)
    driven = {expression: key for key, expression in lattice.field_expressions.items()}
    names = Counter(lattice.element_names)
    assert names[driven[Variable("kbrqf")][0]] == 32
    assert names[driven[Variable("kbrqd")][0]] == 16
    assert min(lattice.length_of(n) for n in lattice.elements if n.startswith("d")) > 0.3
