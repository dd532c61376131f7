"""Monitors, losses and turns: every strategy agrees with plain automatic differentiation."""

from __future__ import annotations

import pytest
import torch

import sc_bridge as scb
from cases import ADJOINT_CASES
from sc_bridge.lattice import Lattice, Record, ReferenceFields

# Recomputed and rebuilt states differ from recorded ones by rounding only.
AGREEMENT = 1e-10

PROTON = ReferenceFields(mass0=938272089.43, q0=1.0, p0c=571e6)
RECORDS = {
    "qf": Record("qf", "Quadrupole", {"length": 0.2, "k1": 4.0}),
    "qd": Record("qd", "Quadrupole", {"length": 0.2, "k1": -4.0}),
    "d": Record("d", "Drift", {"length": 0.3}),
    "m": Record("m", "Marker", {}),
    "hole": Record("hole", "LimitEllipse", {"a": 4e-3, "b": 3e-3}),
    "rf": Record("rf", "Cavity", {"voltage": 2e5, "frequency": 1e7, "length": 0.3}),
    "gain": Record("gain", "ReferenceEnergyIncrease", {"Delta_p0c": 2e7}),
}
CELL = ("qf", "d", "hole", "d", "qd", "m", "d", "rf")
MACHINES = {
    "ring, two turns": (CELL * 2, 2),
    "linac": (("qf", "d", "hole", "gain", "qd", "d", "m", "gain", "hole"), 1),
}
MONITORS = {
    "marker": scb.MomentsMonitor(at="m"),
    "inside": scb.MomentsMonitor(at=("0.35 m", 0.1)),
    "kicks": scb.MomentsMonitor(every_kick=True),
    "bunch": scb.BunchMonitor(at=["qd", 0.7]),
}
WHERE = scb.BunchMonitor(at="hole")
SIGMAS = torch.tensor([2e-3, 1e-3, 2e-3, 1e-3, 0.5, 1e-3], dtype=torch.float64)


def line(names, slicing=True, grid=(16, 16, 16)):
    records = {name: RECORDS[name] for name in dict.fromkeys(names)}
    lattice = Lattice("channel", "xsuite-json", "", records, tuple(names), reference=PROTON)
    if not slicing:
        return scb.KickedSequence(lattice)
    return scb.KickedSequence(
        lattice, slicing=scb.MaxSpacing(0.2), space_charge=scb.SpaceCharge(grid=grid)
    )


def bunch_of(sequence, n_particles=200, intensity=1e10, seed=2):
    generator = torch.Generator().manual_seed(seed)
    normal = torch.randn(6, n_particles, generator=generator, dtype=torch.float64)
    return scb.Bunch(normal * SIGMAS[:, None], sequence.reference, intensity / n_particles)


@pytest.fixture(scope="module", params=MACHINES)
def machine(request):
    names, turns = MACHINES[request.param]
    return line(names), turns


def derivatives(machine, adjoint):
    """Of moments on the way and at the end, with respect to everything that they depend on."""
    sequence, turns = machine
    fields = [sequence["qf"].k1, sequence["d"].length, sequence["hole"].a]
    fields += [sequence[n].voltage for n in ("rf",) if n in sequence.lattice.elements]
    fields += [sequence[n].Delta_p0c for n in ("gain",) if n in sequence.lattice.elements]
    for field in fields:
        field.requires_grad_()
    intensity = torch.tensor(1e10, dtype=torch.float64, requires_grad=True)
    energy = torch.tensor(160e6, dtype=torch.float64, requires_grad=True)
    bunch = bunch_of(sequence)
    start = bunch.coordinates.clone().requires_grad_()
    bunch = scb.Bunch(start, scb.reference("proton", kinetic_energy=energy), intensity / 200)
    result = scb.track(sequence, bunch, adjoint=adjoint, turns=turns, monitors=MONITORS)
    loss = (
        result.bunch.sigma_x / 1e-3
        + result.bunch.mean("px") / 1e-3
        + result.bunch.reference.energy0 / 1e9
        + result["marker"].nemitt_x.sum() / 1e-6
        + result["inside"].sigma_y.sum() / 1e-3
        + (result["kicks"].mean_pzeta.sum() + result["kicks"].intensity.sum() / 1e10)
        + sum(seen.sigma_x for seen in result["bunch"]) / 1e-3
        + result["bunch"][0].nemitt_y / 1e-6
    )
    inputs = [*fields, start, intensity, energy]
    found = torch.autograd.grad(loss, inputs, allow_unused=True)
    for field in fields:
        field.requires_grad_(False)
    return result, loss.detach(), found


@pytest.mark.parametrize("adjoint", ADJOINT_CASES.values(), ids=ADJOINT_CASES)
def test_strategies_agree_through_monitors_losses_and_turns(machine, adjoint):
    expected, loss, wanted = derivatives(machine, scb.RecordAll())
    ours, value, found = derivatives(machine, adjoint)
    assert value.item() == pytest.approx(loss.item(), rel=AGREEMENT)
    assert ours.losses == expected.losses
    assert sum(lost.n_particles for lost in ours.losses) > 5
    assert torch.equal(ours.bunch.alive, expected.bunch.alive)
    for gradient, plain in zip(found, wanted, strict=True):
        assert (gradient is None) == (plain is None)
        if plain is not None:
            assert (gradient - plain).abs().max() <= AGREEMENT * plain.abs().max()


def test_derivatives_through_monitors_equal_finite_differences(machine):
    sequence, turns = machine
    if "rf" in sequence.lattice.elements:
        field, step = sequence["qf"].k1, 1e-5
    else:
        field, step = sequence["gain"].Delta_p0c, 1e1
    wide = bunch_of(sequence)
    wide = wide.replace(coordinates=wide.coordinates * 0.1)  # nobody is lost
    sequence.freeze_grids(wide, turns)

    def outcome():
        result = scb.track(sequence, wide, turns=turns, monitors=MONITORS)
        return result["kicks"].nemitt_x.mean() / 1e-9 + result["bunch"][1].sigma_y / 1e-3

    field.requires_grad_()
    (slope,) = torch.autograd.grad(outcome(), field)
    field.requires_grad_(False)
    values = []
    at = field.item()
    with torch.no_grad():
        for sign in (-1, 1):
            field.fill_(at + sign * step)
            values.append(outcome().item())
        field.fill_(at)
    sequence.release_grids()
    assert slope.item() == pytest.approx((values[1] - values[0]) / (2 * step), rel=1e-5)


def test_a_lost_particle_stays_and_has_no_gradient(machine):
    names, turns = machine[0].lattice.element_names, machine[1]
    sequence = line(names, slicing=False)  # it would move others while it lives
    bunch = bunch_of(sequence)
    start = bunch.coordinates.clone().requires_grad_()
    result = scb.track(
        sequence, bunch.replace(coordinates=start), turns=turns, monitors={"all": WHERE}
    )
    lost = ~result.bunch.alive
    (gradient,) = torch.autograd.grad(result.bunch.coordinates.sum(), start)
    assert gradient[:, lost].abs().max() == 0
    assert gradient[:, ~lost].abs().min() > 0
    before = result["all"][0]
    gone = lost & ~before.alive
    assert torch.equal(result.bunch.coordinates[:, gone], before.coordinates[:, gone])


@pytest.mark.parametrize("adjoint", ADJOINT_CASES.values(), ids=ADJOINT_CASES)
def test_nothing_is_kept_where_no_gradient_is_asked(monkeypatch, adjoint):
    def record(*arguments):
        raise AssertionError("a tape was written")

    monkeypatch.setattr(type(adjoint), "record", record)
    sequence = line(CELL)
    bunch = bunch_of(sequence)
    free = scb.track(sequence, bunch, adjoint=adjoint)
    with torch.no_grad():
        asked = bunch.replace(coordinates=bunch.coordinates.clone().requires_grad_())
        assert torch.equal(scb.track(sequence, asked, adjoint).coordinates, free.coordinates)


def test_losses_name_aperture_place_turn_and_number():
    sequence = line(CELL, slicing=False)
    bunch = bunch_of(sequence)
    result = scb.track(sequence, bunch, turns=2, monitors={})
    n_lost = int((~result.bunch.alive).sum())
    assert [lost.name for lost in result.losses] == ["hole"] * len(result.losses)
    assert result.losses[0].s == pytest.approx(0.5)
    assert [lost.turn for lost in result.losses] == sorted({lost.turn for lost in result.losses})
    assert sum(lost.n_particles for lost in result.losses) == n_lost
    assert list(result) == []


def test_turns_are_the_same_as_tracking_again():
    sequence = line(CELL)
    bunch = bunch_of(sequence)
    again = bunch
    for _ in range(3):
        again = scb.track(sequence, again)
    together = scb.track(sequence, bunch, turns=3)
    assert torch.equal(together.coordinates, again.coordinates)
    assert torch.equal(together.alive, again.alive)


def test_frozen_grids_hold_for_the_turns_that_were_frozen():
    sequence = line(CELL)
    bunch = bunch_of(sequence)
    free = scb.track(sequence, bunch, turns=2)
    sequence.freeze_grids(bunch, turns=2)
    assert torch.equal(scb.track(sequence, bunch, turns=2).coordinates, free.coordinates)
    sequence.freeze_grids(bunch)
    with pytest.raises(scb.SpaceChargeError, match="turn 2: grids were frozen for 1 only"):
        scb.track(sequence, bunch, turns=2)


def test_monitors_stand_where_they_were_put():
    sequence = line(CELL, slicing=False)
    bunch = bunch_of(sequence, intensity=0.0)
    monitors = {
        "start": scb.BunchMonitor(at=0.0),
        "cut": scb.BunchMonitor(at=(0.1, "0.35 m")),
        "end of d": scb.BunchMonitor(at="d"),
        "end": scb.BunchMonitor(at=sequence.length),
    }
    result = scb.track(sequence, bunch, monitors=monitors)
    assert torch.equal(result["start"][0].coordinates, bunch.coordinates)
    assert torch.equal(result["end"][0].coordinates, result.bunch.coordinates)
    assert result["cut"].s.tolist() == [0.1, 0.35]
    assert result["end of d"].s.tolist() == pytest.approx([0.5, 0.8, 1.3])
    assert len(result["end of d"]) == 3
    half = sequence["qf"].slices([0.5, 0.5])[1].track(bunch)
    assert (result["cut"][0].coordinates - half.coordinates).abs().max() < 1e-15
    drifted = sequence["d"].slices([0.5, 0.5])[1].track(sequence["qf"].track(bunch))
    assert (result["cut"][1].coordinates - drifted.coordinates).abs().max() < 1e-15


def test_moments_are_those_of_the_bunch_at_that_place():
    sequence = line(CELL)
    monitors = {"moments": scb.MomentsMonitor(at="m"), "bunch": scb.BunchMonitor(at="m")}
    result = scb.track(sequence, bunch_of(sequence), turns=2, monitors=monitors)
    moments = result["moments"]
    assert moments.turn.tolist() == [0, 1]
    for index, seen in enumerate(result["bunch"]):
        assert moments.n_alive[index] == seen.n_alive
        for name in ("sigma_x", "sigma_pzeta", "gemitt_zeta", "nemitt_y", "nemitt_x_betatron"):
            expected = getattr(seen, name).item()
            assert getattr(moments, name)[index].item() == pytest.approx(expected, rel=1e-12)
        assert moments.mean_px[index].item() == pytest.approx(seen.mean("px").item(), rel=1e-10)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"turns": 0}, "turns = 0: must be a whole number from 1"),
        ({"turns": 1.5}, "turns = 1.5"),
        ({"monitors": {"a": 3}}, "monitor 'a' is 3: must be a monitor"),
        ({"monitors": [WHERE]}, "must be a mapping of names to monitors"),
        ({"monitors": {"a": scb.BunchMonitor(at="9 m")}}, "'a' at s = 9 m: the line is"),
        ({"monitors": {"a": scb.BunchMonitor(at="qx")}}, "at = 'qx': no such element"),
    ],
)
def test_what_cannot_be_done_is_refused(arguments, message):
    sequence = line(CELL, slicing=False)
    with pytest.raises(scb.ScBridgeError, match=message):
        scb.track(sequence, bunch_of(sequence), **arguments)


def test_a_monitor_needs_a_place():
    with pytest.raises(scb.LatticeError, match="MomentsMonitor: no place to look"):
        scb.MomentsMonitor()
    sequence = line(CELL, slicing=False)
    bunch, monitors = bunch_of(sequence), {"a": scb.BunchMonitor(at="9 kg")}
    with pytest.raises(scb.UnitError, match=r"BunchMonitor.at"):
        scb.track(sequence, bunch, monitors=monitors)


def test_an_unknown_record_is_refused_by_name():
    sequence = line(CELL, slicing=False)
    result = scb.track(sequence, bunch_of(sequence), monitors={"a": WHERE})
    with pytest.raises(scb.ScBridgeError, match="no monitor 'b': there are 'a'"):
        result["b"]
    with pytest.raises(AttributeError, match="no 'sigma_q'"):
        _ = scb.track(sequence, bunch_of(sequence), monitors={"m": scb.MomentsMonitor(at=0.0)})[
            "m"
        ].sigma_q


def test_places_follow_lengths_that_have_changed():
    sequence = line(("d", "m", "qf"), slicing=False)
    with torch.no_grad():
        sequence["d"].length.fill_(2.0)
    bunch = bunch_of(sequence, intensity=0.0)
    monitors = {"place": scb.BunchMonitor(at=(1.5, "m"))}
    record = scb.track(sequence, bunch, monitors=monitors)["place"]
    assert record.s.tolist() == [1.5, 2.0]
    drifted = sequence["d"].slices([0.75, 0.25])[1].track(bunch)
    assert (record[0].coordinates - drifted.coordinates).abs().max() < 1e-15
    assert sequence.length == pytest.approx(2.2)


def test_grids_are_frozen_for_a_number_of_turns():
    sequence = line(CELL)
    with pytest.raises(scb.LatticeError, match="freeze_grids: turns = 0"):
        sequence.freeze_grids(bunch_of(sequence), turns=0)
