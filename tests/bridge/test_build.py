"""Building: records become elements, or the message names what would be lost."""

from __future__ import annotations

import pytest

import sc_bridge as scb
from sc_bridge.expressions import Variable
from sc_bridge.lattice import Lattice, Record, ReferenceFields
from sc_bridge.sequence import KickedSequence

PROTON = ReferenceFields(mass0=938272089.43, q0=1.0, p0c=571e6)


def lattice_of(kind="Drift", reference=PROTON, **fields) -> Lattice:
    record = Record("a", kind, fields, line=7)
    return Lattice("ring.json", "xsuite-json", "", {"a": record}, ("a",), reference=reference)


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        ("Wakefield", {}, r"ring.json:7: a: element class 'Wakefield' is not supported"),
        ("Drift", {"shift_x": 1e-3}, r"Drift.shift_x = 0.001 has no counterpart"),
        ("Quadrupole", {"k1": 1.0, "integrator": "yoshida-8"}, "integrator = 'yoshida-8'"),
        ("Quadrupole", {"length": 1.0, "knl_rel": [0.0, 1e-4]}, "knl_rel"),
        ("Bend", {"length": 1.0, "model": "mat-kick-mat"}, "model 'mat-kick-mat'"),
        ("Bend", {"length": 0.0}, "length = 0.0 m: must be positive"),
        ("Bend", {"angle": 0.1}, "length"),
        ("Quadrupole", {"length": "long"}, "ring.json:7: a"),
        ("Multipole", {"isthick": True, "length": 1.0, "knl": [1.0]}, "isthick = True"),
    ],
)
def test_what_cannot_be_built_is_named(kind, fields, message):
    with pytest.raises(scb.LatticeError, match=message):
        KickedSequence(lattice_of(kind, **fields))


def test_fields_that_change_nothing_are_accepted():
    sequence = KickedSequence(
        lattice_of(
            "Quadrupole", length=1.0, k1=0.3, shift_x=0.0, knl=[0.0], order=5, integrator="uniform"
        )
    )
    assert sequence["a"].k1.item() == 0.3
    assert sequence["a"].name == "a"


def test_a_cavity_learns_the_circumference():
    records = {
        "d": Record("d", "Drift", {"length": 3.0}),
        "c": Record("c", "Cavity", {"voltage": 1e3, "harmonic": 2.0}),
    }
    lattice = Lattice("l.json", "xsuite-json", "", records, ("d", "c", "d"), reference=PROTON)
    assert KickedSequence(lattice)["c"].line_length.item() == 6.0


def test_a_file_without_reference_is_refused_until_one_is_given():
    lattice = lattice_of(length=1.0, reference=None)
    with pytest.raises(scb.LatticeError, match="states no reference particle"):
        KickedSequence(lattice)
    given = scb.reference("proton", kinetic_energy="160 MeV")
    assert KickedSequence(lattice, reference=given).reference is given


def test_lengths_beyond_numbers_are_refused():
    records = {"d": Record("d", "Drift", {"length": 1e308})}
    lattice = Lattice("l.json", "xsuite-json", "", records, ("d",) * 4, reference=PROTON)
    with pytest.raises(scb.LatticeError, match="add up to no finite number"):
        KickedSequence(lattice)


def test_an_expression_for_what_is_no_number_is_refused():
    lattice = lattice_of(length=1.0)
    bad = Lattice(
        **{
            **lattice.__dict__,
            "variables": {"a": 1.0},
            "field_expressions": {("a", "model", None): Variable("a")},
        }
    )
    with pytest.raises(scb.LatticeError, match=r"a.model: driven by an expression"):
        KickedSequence(bad)


def test_an_expression_for_a_whole_list_is_refused():
    lattice = lattice_of("Multipole", knl=[0.1])
    bad = Lattice(
        **{
            **lattice.__dict__,
            "variables": {"a": 1.0},
            "field_expressions": {("a", "knl", None): Variable("a")},
        }
    )
    with pytest.raises(scb.LatticeError, match=r"a.knl: is a list: .* drive knl\[n\] only"):
        KickedSequence(bad)
