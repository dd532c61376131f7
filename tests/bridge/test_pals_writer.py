"""A lattice as a PALS document: read back it has the same maps, and other readers agree."""

from __future__ import annotations

import dataclasses
import re
from functools import cache
from typing import Any

import lattix
import pals
import pytest
import torch
import xtrack as xt
import yaml
from reader_cases import LATTICES, PROTON, deviation, map_of

from sc_bridge.elements import Reference
from sc_bridge.errors import LatticeError
from sc_bridge.expressions import Binary, Call, Number, Variable
from sc_bridge.lattice import Lattice, Record, ReferenceFields
from sc_bridge.readers import read_lattice
from sc_bridge.writers import write_lattice
from sc_bridge.writers.pals import write_pals

SAME = 1e-12  # of the largest entry of a map: the same numbers, some by way of a product
TUNE = 1e-9
FILES: dict[str, tuple[list[str], str | None]] = {
    "psb": (["psb/psb.seq", "psb/psb_fb_lhc.str"], "psb3"),
    "psr": (["los_alamos_psr/los-alamos-proton-storage-ring.madx"], "ring2"),
    "sis18": (["sis18/sis18.lat"], None),
    "spear3": (["spear3/spear3_jutrack.jl"], None),
    "ares": (["ares/ARESlatticeStage3v1_9.json"], None),
}
SUFFIXES = (".pals.yaml", ".yml", ".pals.json")


SLOW = {"spear3"}
TITLES = [pytest.param(t, marks=[pytest.mark.slow] if t in SLOW else []) for t in FILES]


@cache
def lattice_of(title: str) -> Lattice:
    files, sequence = FILES[title]
    lattice = read_lattice([LATTICES / file for file in files], sequence=sequence)
    return dataclasses.replace(lattice, reference=lattice.reference or PROTON)


def reference_of(lattice: Lattice) -> Reference:
    assert lattice.reference is not None
    return Reference(*dataclasses.astuple(lattice.reference))


@pytest.mark.parametrize("title", TITLES)
def test_what_is_written_has_the_same_maps_and_knobs(title, tmp_path):
    first = lattice_of(title)
    model = None if title == "spear3" else "exact"
    expected = map_of(first, None, model)
    for suffix in SUFFIXES if title == "psr" else SUFFIXES[:1]:
        path = tmp_path / f"out{suffix}"
        assert write_lattice(first, path) == ()
        again = read_lattice(path)
        assert again.format == "pals"
        assert again.length == pytest.approx(first.length, abs=1e-12)
        assert set(again.variables.values()) == set(first.variables.values())
        assert len(again.element_names) == len(first.element_names) + 1  # the beginning
        assert again.reference is not None and first.reference is not None
        assert again.reference.p0c == first.reference.p0c
        assert again.reference.mass0 == pytest.approx(first.reference.mass0, rel=1e-8)
        assert deviation(map_of(again, reference_of(first), model), expected) < SAME


def test_a_knob_of_the_psb_drives_the_same_quadrupoles(tmp_path):
    first = lattice_of("psb")
    write_lattice(first, tmp_path / "psb.pals.yaml")
    again = read_lattice(tmp_path / "psb.pals.yaml")
    assert again.variables["kbrqf"] == 0.7691427338
    driven = [
        {key for key, tree in lattice.field_expressions.items() if "kbrqf" in tree.variables()}
        for lattice in (first, again)
    ]
    assert driven[0] == driven[1]
    assert len(driven[0]) == 32


def one(kind: str, fields: dict[str, Any], **more: Any) -> Lattice:
    elements = {"e": Record("e", kind, fields, 7), "d": Record("d", "Drift", {"length": 0.5})}
    return Lattice("ring.json", "xsuite-json", "ring", elements, ("d", "e", "d"), **more)


WRITTEN: list[tuple[str, dict[str, Any]]] = [
    ("Drift", {"length": 0.7}),
    ("Device", {"length": 0.7}),
    ("Quadrupole", {"length": 0.3, "k1": 4.0, "k1s": 0.3, "shift_x": 1e-3, "rot_s_rad": 0.2}),
    ("Quadrupole", {"length": 0.3, "knl": [1e-3, 0.0, 0.4], "ksl": [0.0, 0.0, 0.1], "order": 2}),
    ("Sextupole", {"length": 0.3, "k2": 4.0, "k2s": 1.0, "shift_y": 2e-3}),
    ("Octupole", {"length": 0.3, "k3": 4.0, "knl": [0.0, 0.2]}),
    ("Bend", {"length": 0.5, "angle": 0.3, "k1": 0.5, "k2": 0.1, "edge_entry_angle": 0.1,
              "edge_exit_angle": -0.05, "edge_entry_fint": 0.5, "edge_entry_hgap": 0.03,
              "edge_exit_fint": 0.4, "edge_exit_hgap": 0.02, "rot_s_rad": 0.1}),
    ("Bend", {"length": 0.5, "angle": 0.3, "k0": 0.61, "k0_from_h": False, "ksl": [1e-3]}),
    ("Bend", {"length": 0.5, "angle": 0.3, "edge_entry_angle": 0.1, "edge_entry_active": False,
              "edge_exit_model": "suppressed", "edge_exit_angle": 0.2}),
    ("Bend", {"length": 0.5, "k0": 0.1}),
    ("RBend", {"length_straight": 0.5, "angle": 0.3, "edge_entry_angle": 0.02}),
    ("Multipole", {"knl": [1e-3, 0.2, 0.3], "ksl": [2e-3], "rot_s_rad": 0.1}),
    ("Multipole", {"length": 0.2, "isthick": True, "knl": [1e-3, 0.2]}),
    ("UniformSolenoid", {"length": 0.4, "ks": 0.7, "knl": [0.0, 0.1]}),
    ("Cavity", {"length": 0.4, "voltage": 1e5, "frequency": 1e7, "phase": 0.4, "lag": 20.0}),
    ("Cavity", {"voltage": 1e5, "frequency": 1e7, "phase": 3.0}),
    ("LinacCavity", {"length": 1.0, "voltage": 2e7, "frequency": 3e9, "phase": 0.3}),
    ("LinacCavity", {"length": 1.0, "voltage": 2e7, "frequency": 3e9, "structure": "travelling",
                     "shift_x": 1e-3}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "fields"), WRITTEN, ids=lambda value: str(value)[:40])
def test_every_class_reads_back_with_its_map(kind, fields, tmp_path):
    first = one(kind, fields, reference=PROTON)
    write_lattice(first, tmp_path / "out.pals.yaml")
    again = read_lattice(tmp_path / "out.pals.yaml")
    record = again.elements["e"]
    assert record.kind == ("Bend" if kind == "RBend" else kind)
    assert deviation(map_of(again, reference_of(first)), map_of(first)) < SAME
    alignment = {key for key in fields if key.startswith(("shift", "rot"))}
    assert {key: record.fields[key] for key in alignment} == {key: fields[key] for key in alignment}


LIMITS: list[tuple[str, dict[str, Any]]] = [
    ("LimitRect", {"min_x": -0.1, "max_x": 0.2}),
    ("LimitRect", {"max_x": 0.2, "min_y": -0.1, "max_y": 0.1}),
    ("LimitEllipse", {"a": 0.25, "b": 0.125, "shift_x": 0.5}),
    ("LimitPolygon", {"x_vertices": [0.1, 0.0, -0.1], "y_vertices": [0.0, 0.1, 0.0]}),
]


@pytest.mark.parametrize(("kind", "fields"), LIMITS)
def test_apertures_read_back_in_front_of_a_marker(kind, fields, tmp_path):
    write_lattice(one(kind, fields), tmp_path / "out.pals.yaml")
    record = read_lattice(tmp_path / "out.pals.yaml").elements["e_aper"]
    assert (record.kind, record.fields) == (kind, fields)


def test_expressions_keep_their_value_for_other_values_of_the_knobs(tmp_path):
    a, b = Variable("a.b"), Variable("pi")
    driven = {
        ("e", "k1", None): Binary("/0", Binary("**", a, Number(2.0)), b),
        ("e", "length", None): Call("ceil", (Binary("-", b, Number(-1e-5)),)),
    }
    first = one(
        "Quadrupole", {"k1": 0.125, "length": 3.0}, variables={"c": 1.0, "a.b": 0.5, "pi": 2.0},
        expressions={"a.b": Binary("*", Variable("c"), Number(0.5))}, field_expressions=driven,
    )  # fmt: skip
    write_lattice(first, tmp_path / "out.pals.yaml")
    again = read_lattice(tmp_path / "out.pals.yaml")
    assert again.variables == {"c": 1.0, "pi_": 2.0, "a_b": 0.5}
    assert str(again.expressions["a_b"]) == "c * 0.5"
    fields = {"k1": "MagneticMultipoleP.Kn1"}
    assert set(fields) < {key[1] for key in again.field_expressions}
    tree = again.field_expressions["e", "k1", None]
    assert tree.evaluate({"a_b": 3.0, "pi_": 1.5}) == pytest.approx(6.0)
    assert again.elements["e"].fields["length"] == 3.0


def test_names_that_mean_something_in_yaml_or_pals_stay_names(tmp_path):
    names = ("use", "NO", "1e5", "a b", "a/b", "on", "line")
    elements = {name: Record(name, "Marker", {}) for name in names}
    lattice = Lattice("x", "y", "yes", elements, names)
    write_lattice(lattice, tmp_path / "out.yaml")
    again = read_lattice(tmp_path / "out.yaml")
    assert again.name == "yes"
    assert again.element_names == ("use_", "NO", "x1e5", "a_b", "a_b_", "on", "line_")


# ---- other readers -----------------------------------------------------------------------


def test_a_yaml_1_1_parser_finds_numbers_where_numbers_are(tmp_path):
    write_lattice(one("Multipole", {"knl": [1e-5, 1e22]}), tmp_path / "out.yaml")
    facility = yaml.safe_load((tmp_path / "out.yaml").read_text())["PALS"]["facility"]
    strengths = facility[0]["e"]["MagneticMultipoleP"]
    assert strengths == {"Kn0L": 1e-5, "Kn1L": 1e22}


def test_the_schema_of_the_standard_finds_the_same_elements(tmp_path):
    lattice = dataclasses.replace(lattice_of("psr"), variables={})
    write_lattice(lattice, tmp_path / "psr.pals.yaml")
    items = {item.name: item for item in pals.load(str(tmp_path / "psr.pals.yaml")).facility
             if hasattr(item, "name")}  # fmt: skip
    assert items["begin"].ReferenceP.pc_ref == lattice.reference.p0c  # pyright: ignore
    for name, record in lattice.elements.items():
        item = items[name.replace("$", "_")]
        kinds = {"Bend": "SBend"}
        assert item.kind == kinds.get(record.kind, record.kind)
        assert item.length == record.fields.get("length", 0.0)
        if record.kind == "Quadrupole":
            assert item.MagneticMultipoleP.Kn1 == record.fields["k1"]


def test_lattix_and_xtrack_find_the_same_tunes_in_it(tmp_path):
    # SIS18 has pole faces with field integrals; lattix 0.2.0 reads no variables.
    first = lattice_of("sis18")
    first = dataclasses.replace(first, variables={}, expressions={}, field_expressions={})
    write_lattice(first, tmp_path / "sis18.pals.yaml")
    lattix.translate(tmp_path / "sis18.pals.yaml", tmp_path / "sis18.json")
    line = xt.load(tmp_path / "sis18.json")
    line.configure_bend_model(core="expanded", edge="linear")
    write_lattice(first, tmp_path / "ours.json")
    ours = xt.load(tmp_path / "ours.json")
    ours.configure_bend_model(core="expanded", edge="linear")
    found, expected = line.twiss4d(), ours.twiss4d()
    assert (found.qx, found.qy) == pytest.approx((expected.qx, expected.qy), abs=TUNE)


# ---- refusals ----------------------------------------------------------------------------

LOSSES: dict[str, tuple[str, dict[str, Any], str]] = {
    "a class": ("DipoleEdge", {}, "ring.json:7: e: PALS has nothing for a DipoleEdge"),
    "a full fringe": ("Bend", {"length": 1.0, "edge_entry_model": "full"}, "edge_entry_model = 'f"),
    "a fringe of a quadrupole": ("Quadrupole", {"edge_entry_active": True}, "edge_entry_active ="),
    "a shifted bend": ("Bend", {"length": 1.0, "shift_x": 1.0}, "Bend.shift_x = 1.0 would be lost"),
    "a kick in a bend": ("Bend", {"length": 1.0, "knl": [0.1]}, r"Bend.knl = \[0.1\] would be"),
    "a kick of its own order": ("Quadrupole", {"length": 1.0, "knl": [0, 0.1]}, "Quadrupole.knl"),
    "a length": ("Multipole", {"length": 1.0, "knl": [0.1]}, "allow = .'length'. accepts that"),
    "a curvature": ("Multipole", {"hxl": 0.1, "knl": [0.1]}, "Multipole.hxl = 0.1 would be lost"),
    "a structure": ("LinacCavity", {"entry_focusing": False}, "entry_focusing = False would be"),
    "another turn": ("Quadrupole", {"length": 1.0, "rot_x_rad": 0.1}, "rot_x_rad = 0.1"),
    "a straight bend": ("RBend", {"rbend_model": "straight-body"}, "rbend_model = 'straight"),
    "a tilted aperture": ("LimitRect", {"max_x": 1.0, "rot_s_rad": 0.1}, "LimitRect.rot_s_rad"),
}


@pytest.mark.parametrize(("kind", "fields", "message"), LOSSES.values(), ids=LOSSES)
def test_what_pals_cannot_say_is_refused(kind, fields, message):
    with pytest.raises(LatticeError, match=message):
        write_pals(one(kind, fields))


def test_a_loss_that_is_allowed_is_listed(tmp_path):
    lattice = one("Multipole", {"length": 1.0, "knl": [0.1]})
    for word in ("length", "Multipole.length"):
        (lost,) = write_lattice(lattice, tmp_path / "out.yaml", allow=[word])
        assert str(lost) == "ring.json:7: e: Multipole.length = 1.0 (length)"
    assert read_lattice(tmp_path / "out.yaml").elements["e"].fields == {"knl": [0.1]}


def test_particles_and_expressions_without_a_name_in_pals_are_refused():
    ion = ReferenceFields(12 * 931494103.7, 6.0, 1e9)
    with pytest.raises(LatticeError, match=r"ring\.json: reference: a particle of mass 11177.*pro"):
        write_pals(one("Marker", {}, reference=ion))
    variables = {"a": 0.0}
    for tree in (
        Binary("%", Variable("a"), Number(2.0)),
        Call("erf", (Variable("a"),)),
        Binary("/0", Number(1.0), Variable("a")),
    ):
        message = "variable 'b': PALS has no expression like " + re.escape(repr(str(tree)))
        with pytest.raises(LatticeError, match=message):
            write_pals(one("Marker", {}, variables=variables | {"b": 0.0}, expressions={"b": tree}))


def test_the_gradient_through_a_written_knob_is_that_of_the_first(tmp_path):
    import sc_bridge as scb

    first = lattice_of("psb")
    write_lattice(first, tmp_path / "psb.pals.yaml")
    slopes = []
    for lattice in (first, read_lattice(tmp_path / "psb.pals.yaml")):
        part = dataclasses.replace(lattice, reference=first.reference)
        names = part.element_names[:60]
        part = dataclasses.replace(part, element_names=names, labels=names)
        sequence = scb.KickedSequence(part)
        knob = sequence.knobs["kbrqf"].requires_grad_()
        trace = torch.trace(sequence.transfer_matrix()[:4, :4])
        slopes.append(torch.autograd.grad(trace, knob)[0].item())
    assert slopes[0] == pytest.approx(slopes[1], rel=1e-12)
    assert slopes[0] != 0.0
