"""Building: records become elements, or the message names what would be lost."""

from __future__ import annotations

import pytest
import xtrack as xt

import sc_bridge as scb
from cases import CASE_IDS, CASES, random_bunch
from oracles import xtrack_element
from sc_bridge.elements import Bend, Marker
from sc_bridge.expressions import Variable
from sc_bridge.lattice import Lattice, Record, ReferenceFields
from sc_bridge.sequence import KickedSequence

ROUNDING = 1e-12
PROTON = ReferenceFields(mass0=938272089.43, q0=1.0, p0c=571e6)


def lattice_of(kind="Drift", reference=PROTON, **fields) -> Lattice:
    record = Record("a", kind, fields, line=7)
    return Lattice("ring.json", "xsuite-json", "", {"a": record}, ("a",), reference=reference)


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        ("Wakefield", {}, r"ring.json:7: a: element class 'Wakefield' is not supported"),
        ("Drift", {"shift_x": 1e-3}, r"Drift.shift_x = 0.001 has no counterpart"),
        ("Quadrupole", {"k1": 1.0, "integrator": "euler"}, "integrator 'euler'"),
        ("Quadrupole", {"length": 1.0, "radiation_flag": 1}, "radiation_flag = 1"),
        ("Bend", {"length": 1.0, "angle": 0.1, "delta_taper": 1e-3}, "delta_taper = 0.001"),
        ("Cavity", {"voltage": 1.0, "absolute_time": 1}, "absolute_time = 1"),
        ("LimitRect", {"min_x": 1.0, "max_x": 0.0}, "ring.json:7: a: LimitRect: min_x = 1.0"),
        ("Bend", {"angle": 0.1}, "length"),
        ("Quadrupole", {"length": "long"}, "ring.json:7: a"),
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


def test_old_names_of_integrators_mean_the_new_ones():
    sequence = KickedSequence(lattice_of("Quadrupole", length=1.0, integrator="yoshida4"))
    assert sequence["a"].integrator == "yoshida-6"


def test_monitors_are_markers_whatever_they_record():
    monitor = lattice_of("ParticlesMonitor", n_records=7, data={"x": [1.0]}, stop_at_turn=3)
    sequence = KickedSequence(monitor)
    assert isinstance(sequence["a"], Marker)
    assert [row.type for row in sequence.audit().rows] == ["ParticlesMonitor"]


@pytest.mark.parametrize(("kind", "name", "kwargs"), CASES, ids=CASE_IDS)
def test_every_element_is_built_from_what_xtrack_writes(kind, name, kwargs):
    if not hasattr(xt, kind.__name__):
        pytest.skip("a class that Xsuite does not have")
    if kwargs.get("model") == "exact" and kind is Bend:
        pytest.skip("a closed form that is no model of Xsuite")
    written = xtrack_element(kind.__name__, kwargs).to_dict()
    written.pop("__class__")
    plain = {k: v.tolist() if hasattr(v, "tolist") else v for k, v in written.items()}
    if "line_length" in kwargs:
        plain["line_length"] = kwargs["line_length"]
    built = KickedSequence(lattice_of(kind.__name__, **plain))["a"]
    bunch = random_bunch()
    expected = kind(**kwargs).track(bunch)
    assert (built.track(bunch).coordinates - expected.coordinates).abs().max() < ROUNDING


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
