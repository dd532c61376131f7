"""The sequence as a whole: knobs, slices, kicks, and the ring's optics against xtrack."""

from __future__ import annotations

import copy
import dataclasses
import math

import pytest
import torch
import xtrack as xt

import sc_bridge as scb
from oracles import central_difference, track_xtrack
from sc_bridge.elements import Bunch

# One turn is a product of 240 maps of the same formulas.
ONE_TURN = 1e-9
# Closed form instead of 160 polar drifts a bend.
EXACT_BEND = 2e-9


@pytest.fixture(scope="module")
def xtrack_ring(psb_file):
    line = xt.load(psb_file)
    return next(iter(line.lines.values())) if isinstance(line, xt.Environment) else line


def tracked_matrix(line: xt.Line, sequence: scb.KickedSequence) -> torch.Tensor:
    """Jacobian of xtrack's own tracking in (x, px, y, py, zeta, pzeta), fourth order."""
    step = 1e-4
    eye = torch.eye(6, dtype=torch.float64)
    shifts = torch.cat([sign * n * step * eye for n in (1, 2) for sign in (1, -1)], dim=1)
    out = torch.as_tensor(track_xtrack(line, Bunch(shifts, sequence.reference)))
    near, back, far, far_back = out.split(6, dim=1)
    return (8 * (near - back) - (far - far_back)) / (12 * step)


@pytest.mark.parametrize(("bend_model", "tolerance"), [(None, ONE_TURN), ("exact", EXACT_BEND)])
def test_one_turn_without_kicks_equals_xtrack(psb_lattice, xtrack_ring, bend_model, tolerance):
    sequence = scb.KickedSequence(psb_lattice, bend_model=bend_model)
    expected = tracked_matrix(xtrack_ring, sequence)
    ours = sequence.transfer_matrix()
    assert (ours - expected).abs().max() < tolerance * expected.abs().max()


@pytest.mark.parametrize(("bend_model", "tolerance"), [(None, ONE_TURN), ("exact", EXACT_BEND)])
def test_optics_equal_xtrack(psb_lattice, xtrack_ring, bend_model, tolerance):
    ours = scb.periodic_twiss(scb.KickedSequence(psb_lattice, bend_model=bend_model))
    theirs = xtrack_ring.twiss4d()
    assert abs(ours.qx - theirs.qx) < tolerance
    assert abs(ours.qy - theirs.qy) < tolerance
    assert abs(ours.betx / theirs.betx[0] - 1) < 1e-7  # xtrack's own finite differences
    assert abs(ours.bety / theirs.bety[0] - 1) < 1e-7
    assert abs(ours.dx - theirs.dx[0]) < 1e-6
    assert abs(ours.slip_factor - theirs.slip_factor) < 1e-6
    assert ours.qx == pytest.approx(4.39999999893, abs=EXACT_BEND)
    assert ours.qy == pytest.approx(4.44999999989, abs=EXACT_BEND)


def test_bunch_tracks_like_xtrack_through_the_ring(psb_lattice, psb_sequence, xtrack_ring):
    sequence = scb.KickedSequence(psb_lattice)
    bunch = scb.gaussian(
        psb_sequence, 50, 1e12, nemitt_x="2 um", nemitt_y="2 um", sigma_z="15 m", seed=3
    )
    expected = torch.as_tensor(track_xtrack(xtrack_ring, bunch))
    ours = scb.track(sequence, bunch).coordinates
    # zeta is of 10 m: the last digits of a double
    assert (ours - expected)[[0, 1, 2, 3, 5]].abs().max() < 1e-11
    assert (ours - expected)[4].abs().max() < 1e-9


def test_counts_of_the_ring_are_those_of_the_issue(psb_sequence):
    audit = psb_sequence.audit()
    counts = {row.type: row.built for row in audit.rows}
    assert audit.kicks == psb_sequence.n_kicks == 224
    assert counts["Bend"] == 32
    assert counts["Quadrupole"] == 48
    assert counts["Cavity"] == 1
    assert audit.kick_length == pytest.approx(157.08, abs=1e-9)
    assert audit.length == pytest.approx(157.08, abs=1e-9)
    assert audit.angle == pytest.approx(2 * math.pi, abs=1e-12)
    assert "224" in str(audit)


def test_kicks_are_centred_in_what_they_carry(psb_sequence):
    done = 0.0
    for step, length in zip(
        (step for step in psb_sequence.steps if step.kind == "kick"),
        psb_sequence.kick_lengths.tolist(),
        strict=True,
    ):
        assert step.s_start == pytest.approx(done + 0.5 * length, abs=1e-9)
        done += length


def test_a_knob_reaches_every_magnet_that_it_drives(psb_lattice):
    sequence = scb.KickedSequence(psb_lattice, bend_model="exact")
    knob = sequence.knobs["kbrqf"].requires_grad_()
    trace = sequence.transfer_matrix()[:2, :2].diagonal().sum()
    trace.backward()

    def trace_at(value: float) -> torch.Tensor:
        other = scb.KickedSequence(psb_lattice, bend_model="exact")
        other.knobs["kbrqf"] = value
        return other.transfer_matrix()[:2, :2].diagonal().sum()

    slope = central_difference(trace_at, knob.item(), 1e-4).item()
    assert knob.grad is not None
    assert knob.grad.item() == pytest.approx(slope, rel=1e-8)


def test_a_driven_field_is_read_only_until_freed(psb_lattice):
    sequence = scb.KickedSequence(psb_lattice)
    name = next(
        n for n in psb_lattice.element_names if sequence[n].__class__.__name__ == "Quadrupole"
    )
    with pytest.raises(scb.ElementError, match="driven by kbrq"):
        sequence[name].k1 = 1.0
    sequence.free(f"{name}.k1")
    sequence[name].k1 = 1.0
    assert sequence[name].k1.item() == 1.0
    with pytest.raises(scb.ElementError, match="not driven"):
        sequence.free(f"{name}.k1")


def test_unknown_element_names_what_there_is(psb_sequence):
    with pytest.raises(scb.LatticeError, match="no element 'nosuch'"):
        psb_sequence["nosuch"]


def test_a_copy_has_knobs_of_its_own(psb_lattice):
    sequence = scb.KickedSequence(psb_lattice, bend_model="exact")
    copied = copy.deepcopy(sequence)
    before = sequence.transfer_matrix()
    copied.knobs["kbrqf"] = 0.7
    assert torch.equal(sequence.transfer_matrix(), before)
    assert not torch.equal(copied.transfer_matrix(), before)


def test_state_dict_keys_are_by_index_and_round_trip(psb_lattice):
    first = scb.KickedSequence(psb_lattice, bend_model="exact")
    second = scb.KickedSequence(psb_lattice, bend_model="exact")
    first.knobs["kbrqf"] = 0.7
    keys = list(first.state_dict())
    assert all(key.split(".")[1].isdigit() for key in keys)
    second.load_state_dict(first.state_dict())
    assert torch.equal(first.transfer_matrix(), second.transfer_matrix())


def test_kicks_need_slicing_and_space_charge_together(psb_lattice):
    with pytest.raises(scb.LatticeError, match="space_charge is missing"):
        scb.KickedSequence(psb_lattice, slicing=scb.MaxSpacing("1 m"))
    with pytest.raises(scb.LatticeError, match="slicing is missing"):
        scb.KickedSequence(psb_lattice, space_charge=scb.SpaceCharge())


def test_a_path_is_no_lattice(psb_file):
    with pytest.raises(scb.LatticeError, match="read one with read_lattice"):
        scb.KickedSequence(psb_file)


def test_a_name_is_no_reference(psb_lattice):
    with pytest.raises(scb.StudyError, match="reference = 'proton': must be a Reference; make one"):
        scb.KickedSequence(psb_lattice, reference="proton")


def test_a_name_is_no_strategy(psb_sequence):
    bunch = scb.gaussian(psb_sequence, 10, 0.0, nemitt_x="2 um", nemitt_y="2 um", sigma_z="15 m")
    with pytest.raises(scb.ScBridgeError, match="must be a strategy"):
        scb.track(psb_sequence, bunch, adjoint="RecordAll")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"slicing": "1 m"}, "slicing = '1 m': must be a rule"),
        ({"space_charge": (8, 8, 8)}, r"space_charge = \(8, 8, 8\): must be settings"),
    ],
)
def test_settings_of_another_type_are_refused(psb_lattice, arguments, message):
    given = {"slicing": scb.MaxSpacing(1.0), "space_charge": scb.SpaceCharge()} | arguments
    with pytest.raises(scb.LatticeError, match=message):
        scb.KickedSequence(psb_lattice, **given)


def test_fields_stay_in_float64_whatever_torch_is_asked(psb_lattice):
    sequence = scb.KickedSequence(psb_lattice, bend_model="exact").half()
    assert sequence.knobs["kbrqf"].dtype == torch.float64
    assert sequence.knobs["kbrqf"].item() == psb_lattice.variables["kbrqf"]


def test_a_kick_that_is_refused_names_its_place(psb_sequence):
    bunch = scb.gaussian(psb_sequence, 10, 1e10, nemitt_x="2 um", nemitt_y="2 um", sigma_z="15 m")
    coordinates = bunch.coordinates.clone()
    coordinates[0, 0] = math.nan
    with pytest.raises(scb.SpaceChargeError, match=r"kick 1 in 'd1' at s = 0.442.* m: "):
        scb.track(psb_sequence, bunch.replace(coordinates=coordinates))


def test_tracking_something_else_is_refused(psb_lattice, psb_sequence):
    with pytest.raises(scb.ScBridgeError, match="needs a KickedSequence and a Bunch, got Lattice"):
        scb.track(psb_lattice, None)
    bunch = scb.gaussian(psb_sequence, 10, 0.0, nemitt_x="2 um", nemitt_y="2 um", sigma_z="15 m")
    with pytest.raises(scb.ScBridgeError, match="must be a strategy"):
        scb.track(psb_sequence, bunch, adjoint=scb.StoreStates)


def test_a_drift_of_negative_length_gets_kicks_of_negative_length(psb_lattice):
    records = dict(psb_lattice.elements)
    records["d5"] = dataclasses.replace(records["d5"], fields={"length": -0.5})
    lattice = dataclasses.replace(psb_lattice, elements=records)
    sequence = scb.KickedSequence(
        lattice, slicing=scb.MaxSpacing("1 m"), space_charge=scb.SpaceCharge()
    )
    audit = sequence.audit()
    assert audit.kick_length == pytest.approx(audit.length, abs=1e-9)
    assert audit.length == pytest.approx(lattice.length, abs=1e-9)
    assert sequence.kick_lengths.min().item() == -0.5


def test_repr_tells_what_it_is(psb_sequence):
    assert "224 kicks" in repr(psb_sequence)
    assert "157.08 m" in repr(psb_sequence)
