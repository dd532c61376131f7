"""A lattice as a MAD-X sequence: read back it is the same, and MAD-X finds the same optics."""

from __future__ import annotations

import os
import subprocess
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from cpymad.madx import Madx

from sc_bridge.errors import LatticeError
from sc_bridge.expressions import Binary, Call, Number, Variable
from sc_bridge.lattice import IMPLICIT_DRIFT, Lattice, Record, ReferenceFields
from sc_bridge.readers import read_lattice
from sc_bridge.writers import write_lattice
from sc_bridge.writers.madx import write_madx

ROOT = Path(__file__).parents[2]
LATTICES = Path(os.environ.get("SC_BRIDGE_LATTICES", ROOT / ".." / "shared" / "lattices"))
FILES = {
    "psb": (["psb/psb.seq", "psb/psb_fb_lhc.str"], "psb3"),
    "psr": (["los_alamos_psr/los-alamos-proton-storage-ring.madx"], "ring2"),
    "booster": (["fermilab_booster/sbbooster-cooked-rfon.madx"], None),
}
POSITION = 1e-9  # m, where gaps are differences of positions
PROTON = ReferenceFields(938272088.16, 1.0, 570830143.8632222)


def read(title: str) -> Lattice:
    files, sequence = FILES[title]
    lattice = read_lattice([LATTICES / file for file in files], sequence=sequence)
    return replace(lattice, reference=lattice.reference or PROTON)


def assert_same_reference(one: Lattice, other: Lattice) -> None:
    """To rounding: GeV in the file, eV here."""
    assert one.reference is not None and other.reference is not None
    for field, value in asdict(other.reference).items():
        assert getattr(one.reference, field) == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize("title", FILES)
def test_what_is_written_reads_back_the_same(title, tmp_path):
    first = read(title)
    write_lattice(first, tmp_path / "out.madx")
    again = read_lattice(tmp_path / "out.madx")
    assert again.length == pytest.approx(first.length, abs=POSITION)
    assert_same_reference(again, first)
    assert again.variables == first.variables

    def kinds(lattice: Lattice) -> list[str]:
        edges = {lattice.element_names[0], lattice.element_names[-1]}
        named = zip(lattice.element_names, lattice.records, strict=True)
        return [r.kind for n, r in named if r.source_type != IMPLICIT_DRIFT and n not in edges]

    assert kinds(again)[1:-1] == kinds(first)  # the edges of the first are markers now
    for name, record in first.elements.items():
        if record.source_type == IMPLICIT_DRIFT or "$" in name:
            continue
        there = again.elements[name]
        assert there.fields.keys() == record.fields.keys(), name
        for field, value in record.fields.items():
            assert there.fields[field] == pytest.approx(value, rel=1e-14), (name, field)
    driven = {key for key in first.field_expressions if "$" not in key[0]}
    assert set(again.field_expressions) == driven


def test_madx_finds_the_tunes_in_what_is_written(tmp_path):
    path = tmp_path / "psb.seq"
    write_lattice(read("psb"), path)
    madx = Madx(stdout=subprocess.DEVNULL)
    try:
        madx.call(str(path))
        madx.twiss()
        summary = madx.table.summ
        assert summary.q1[0] == pytest.approx(4.40, abs=1e-6)
        assert summary.q2[0] == pytest.approx(4.45, abs=1e-6)
        assert madx.globals["kbrqf"] == 0.7691427338
    finally:
        madx.quit()


ELEMENTS = """beam, particle=ion, mass=193.7, charge=54, energy=1000; k = 0.2;
j := k^2*(1 - k/3)/0.1;
q: quadrupole, l=1, k1:=-k, k1s=0.1, tilt=0.2, apertype=rectellipse, aperture={1,2,3,4};
b: sbend, l=1, angle=0.1, k1:=j, k0=0.09, e1=0.01, fint=0.4, fintx=0, hgap=0.02, knl={0, 0, k};
r: rbend, l=1, angle:=k, e2=0.1, kill_exi_fringe;
m: multipole, knl:={0.1, -j, 3}, ksl={0, 1}, lrad=0.3; a: multipole, knl={0.1}, angle=0.2;
h: hkicker, kick:=k; v: vkicker, kick=0.1, l=1; w: kicker, hkick=0.1, vkick:=k, tilt=0.1;
c: rfcavity, volt=5.4, freq=200, lag=0.25; n: rfcavity, volt:=k, harmon=7; x: crabcavity, volt=1;
s: solenoid, l=1, ks:=sin(k); e: dipedge, h=0.1, e1=0.2, fint=0.5, hgap=0.1, entrance=false;
o: octupole, l=1, k3=2; t: sextupole, l=1, k2=2; y: srotation, angle=0.1; z: xrotation, angle=0.1;
u: translation, dx=0.1, ds=0.2; g: matrix, l=0.1, rm56=2, rm16=0.3, rm33=0, kick5=0.1;
l: nllens, knll=1, cnll=2; d: drift, l=1; p: collimator, l=1, apertype=racetrack,
aperture={1,2,0.1,0.1}; f: marker, apertype=octagon, aperture={1,1,0.3,1.2}; i: hmonitor;
all: line = (q, b, r, m, a, h, v, w, c, n, x, s, e, o, t, y, z, u, g, l, d, p, f, i);"""


def test_every_element_reads_back_with_its_fields(tmp_path):
    first_path, second_path = tmp_path / "a.madx", tmp_path / "b.madx"
    first_path.write_text(ELEMENTS)
    first = read_lattice(first_path)
    write_lattice(first, second_path)
    again = read_lattice(second_path)
    assert_same_reference(again, first)
    for name, record in first.elements.items():
        if "$" in name:
            continue
        there = again.elements[f"{name}_aper" if name.endswith("_aper") else name]
        assert (there.kind, there.fields.keys()) == (record.kind, record.fields.keys()), name
        for field, value in record.fields.items():
            for left, right in zip(flat(there.fields[field]), flat(value), strict=True):
                same = left == right or left == pytest.approx(right, rel=1e-13)
                assert same, (name, field)
    # In a sequence, the drift after a bend whose chord is fixed follows its angle.
    drifts = {key for key in again.field_expressions if key[0].startswith("drift_")}
    assert again.field_expressions.keys() - drifts == first.field_expressions.keys()
    for key, tree in first.field_expressions.items():
        values = {"k": 0.7, "j": 1.3}
        other = again.field_expressions[key].evaluate(values)
        assert other == pytest.approx(tree.evaluate(values), rel=1e-13), key


def flat(value: object) -> list[object]:
    return [x for entry in value for x in flat(entry)] if isinstance(value, list) else [value]


def lattice_of(kind: str, fields: dict, **more: object) -> Lattice:
    return Lattice("ring.json", "xsuite-json", "ring", {"e": Record("e", kind, fields, 7)}, ("e",),
                   **more)  # fmt: skip  # pyright: ignore


LOSSES = {
    "a class": ("SpaceChargeBiGaussian", {}, "ring.json:7: e: MAD-X has nothing for a SpaceCha"),
    "a field": ("Quadrupole", {"length": 1.0, "shift_x": 1.0}, "Quadrupole.shift_x = 1.0 would"),
    "a full fringe": ("Bend", {"length": 1.0, "edge_entry_model": "full"}, "edge_entry_model ="),
    "a gap": ("Bend", {"length": 1.0, "edge_exit_hgap": 0.1}, "Bend.edge_exit_hgap = 0.1 would"),
    "a thick multipole": (
        "Multipole", {"length": 1.0, "isthick": True, "knl": [0.0, 1.0]}, "Multipole.isthick",
    ),
    "a dipole and more": ("Multipole", {"knl": [0.1, 1.0]}, r"Multipole.knl = \[0.1, 1.0\] would"),
    "a skew dipole": ("Multipole", {"ksl": [0.1, 1.0]}, "Multipole.ksl"),
    "two rotations": ("Rotation", {"rot_s_rad": 0.1, "rot_x_rad": 0.1}, "Rotation.rot_x_rad"),
    "no symmetry": ("LimitRect", {"min_x": -1.0, "max_x": 2.0}, "LimitRect.min_x = -1.0"),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "fields", "message"), LOSSES.values(), ids=LOSSES)
def test_what_madx_cannot_say_is_refused(kind, fields, message):
    with pytest.raises(LatticeError, match=message):
        write_madx(lattice_of(kind, fields))


def test_lengths_and_functions_that_madx_cannot_follow_are_refused():
    variables = {"a": 1.0}
    driven = {("e", "length", None): Variable("a")}
    with pytest.raises(LatticeError, match=r"ring\.json:7: e: its length follows a knob"):
        write_madx(
            lattice_of("Drift", {"length": 1.0}, variables=variables, field_expressions=driven)
        )
    trees = [Call("atan2", (Number(1.0), Variable("a"))), Binary("%", Variable("a"), Number(2.0))]
    for tree in trees:
        with pytest.raises(LatticeError, match="variable 'b': MAD-X has no expression like"):
            write_madx(
                lattice_of("Marker", {}, variables=variables | {"b": 1.0}, expressions={"b": tree})
            )


def test_names_become_those_of_madx_each_once(tmp_path):
    elements = {name: Record(name, "Marker", {}) for name in ("Q/1", "q_1", "1x", "line")}
    variables = {"pi": 1.0, "q_1": 2.0}
    lattice = Lattice("x", "y", "quadrupole", elements, tuple(elements), variables)
    write_lattice(lattice, tmp_path / "out.seq")
    again = read_lattice(tmp_path / "out.seq")
    assert again.variables == {"pi_": 1.0, "q_1": 2.0}
    assert again.element_names[1:-1] == ("q_1", "q_1_", "x1x", "line_")
