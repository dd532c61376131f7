"""The audit refuses every sequence whose counts or lengths do not agree with the file."""

from __future__ import annotations

import dataclasses

import pytest

import sc_bridge as scb


@pytest.fixture
def sequence(psb_lattice):
    return scb.KickedSequence(
        psb_lattice, slicing=scb.MaxSpacing("1 m"), space_charge=scb.SpaceCharge()
    )


def drop(sequence, predicate):
    steps = list(sequence.steps)
    del steps[next(index for index, step in enumerate(steps) if predicate(step))]
    sequence.steps = tuple(steps)


def test_a_missing_kick_is_refused(sequence):
    drop(sequence, lambda step: step.kind == "kick")
    with pytest.raises(scb.AuditError, match=r"kicks differs: planned 224, sliced 223"):
        sequence.audit()


def test_a_missing_slice_is_refused(sequence):
    drop(sequence, lambda step: step.kind == "map" and step.s_end > step.s_start)
    with pytest.raises(scb.AuditError, match="differs"):
        sequence.audit()


def test_a_missing_cavity_is_refused(sequence):
    drop(sequence, lambda step: type(sequence[step.name]).__name__ == "Cavity")
    with pytest.raises(scb.AuditError, match="number of Cavity differs: in file 1"):
        sequence.audit()


def test_an_element_lost_between_file_and_sequence_is_refused(sequence):
    names = sequence.lattice.element_names
    sequence.lattice = dataclasses.replace(
        sequence.lattice, element_names=names[1:], labels=names[1:]
    )
    with pytest.raises(scb.AuditError, match="differs"):
        sequence.audit()


def test_a_length_changed_behind_the_file_is_refused(sequence):
    name = next(step.name for step in sequence.steps if step.s_end > step.s_start)
    sequence[name].length = 3.0
    with pytest.raises(scb.AuditError, match=r"length of Drift \[m\] differs"):
        sequence.audit()


def test_the_audit_counts_kicks_by_type(sequence):
    rows = {row.type: row for row in sequence.audit().rows}
    assert rows["Bend"].kicks == 64
    assert rows["Quadrupole"].kicks == 48
    assert rows["Drift"].kicks == 112
    assert rows["Cavity"].kicks == 0
    assert sum(row.kick_length for row in rows.values()) == pytest.approx(157.08, abs=1e-9)
    assert sequence.audit().to_dict()["rows"][0]["type"] == "Bend"
