"""SpaceCharge3D inside lines of xtrack, and its installation everywhere."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import xtrack as xt
from live_lines import transfer_line

import sc_bridge as scb
from sc_bridge.elements.space_charge import SpaceChargeKick
from sc_bridge.errors import LatticeError, ScBridgeError, SpaceChargeError
from sc_bridge.xsuite import (
    SpaceCharge3D,
    bunch_from,
    from_line,
    install_space_charge,
    particles_from,
    to_line,
)

PSB = Path(__file__).parents[2] / "examples" / "psb" / "psb.json"
GRID = (16, 16, 16)
# Coordinates of a sequence and of the same line in xtrack, relative to the largest; the two
# add up their drifts in another order.
PARITY = 1e-8
ROUNDOFF = 1e-14


@pytest.fixture
def particles() -> xt.Particles:
    rng = np.random.default_rng(5)
    return xt.Particles(
        _capacity=250,
        p0c=5.7e8,
        x=2e-3 * rng.normal(size=200),
        px=1e-3 * rng.normal(size=200),
        y=1e-3 * rng.normal(size=200),
        zeta=2.0 * rng.normal(size=200),
        delta=1e-3 * rng.normal(size=200),
        weight=rng.uniform(1e8, 2e8, size=200),
    )


def bunch_for(sequence: scb.KickedSequence, number: int = 300) -> scb.Bunch:
    generator = torch.Generator().manual_seed(6)
    scale = torch.tensor([5e-3, 1e-3, 4e-3, 1e-3, 5.0, 1e-3], dtype=torch.float64)
    normal = torch.randn(6, number, generator=generator, dtype=torch.float64)
    return scb.Bunch(normal * scale[:, None], sequence.reference, 1.6e12 / number)


def relative_difference(first: scb.Bunch, second: scb.Bunch) -> float:
    size = second.coordinates.abs().amax(-1, keepdim=True)
    return ((first.coordinates - second.coordinates) / size).abs().max().item()


# ---- the element ---------------------------------------------------------------------------


def test_the_element_kicks_as_the_torch_kick_does(particles):
    bunch = bunch_from(particles)
    SpaceCharge3D(length=2.0, grid=GRID).track(particles)
    with torch.no_grad():
        kicked = SpaceChargeKick(length=2.0, grid=GRID).track(bunch)
    after = bunch_from(particles)
    assert (after.coordinates - kicked.coordinates).abs().max() < ROUNDOFF
    assert (after.px - bunch.px).abs().max() > 1e-6
    for name in ("delta", "rvv"):
        ours, theirs = getattr(after, name).numpy(), getattr(particles, name)[:200]
        assert np.allclose(ours, theirs, rtol=0, atol=ROUNDOFF)
    assert np.allclose(particles.rpp[:200], 1 / (1 + particles.delta[:200]), rtol=ROUNDOFF)


def test_particles_that_are_laid_out_are_kicked_alike(particles):
    ours = particles_from(bunch_from(particles))
    for p in (ours, particles):
        SpaceCharge3D(length=2.0, grid=GRID).track(p)
    difference = bunch_from(ours).coordinates - bunch_from(particles).coordinates
    assert difference.abs().max() < ROUNDOFF


def test_lost_particles_are_neither_kicked_nor_counted(particles):
    particles.state[3:50:7] = 0
    particles.px[3:50:7] = 0.5
    before = particles.copy()
    SpaceCharge3D(length=2.0, grid=GRID).track(particles)
    lost = before.state[:200] == 0
    assert (particles.px[:200][lost] == 0.5).all()
    assert (particles.pzeta[:200][lost] == before.pzeta[:200][lost]).all()
    assert (particles.px[:200][~lost] != before.px[:200][~lost]).all()
    alone = before.filter(before.state > 0)
    SpaceCharge3D(length=2.0, grid=GRID).track(alone)
    assert np.allclose(alone.px, particles.px[particles.state > 0], rtol=0, atol=ROUNDOFF)


def test_a_container_without_living_particles_is_left_alone(particles):
    particles.state[:200] = 0
    line = xt.Line(elements=[SpaceCharge3D(length=1.0, grid=GRID)])
    line.track(particles)
    assert (particles.state[:200] == 0).all()


@pytest.mark.parametrize(
    "fields",
    [
        {"length": "1.5 m", "grid": (8, 16, 32)},
        {"cell_size": (1e-3, 1e-3, 0.5), "longitudinal": False, "shape": "tsc"},
        {"x_range": (-0.1, 0.1), "y_range": (-0.1, 0.1), "z_range": (-9, 9)},
        {"field_dtype": torch.float64, "implementation": "plain", "transform": "ballistic"},
    ],
)
def test_dictionaries_and_copies_are_the_same_element(fields):
    element = SpaceCharge3D(**fields)
    for other in (SpaceCharge3D.from_dict(element.to_dict()), element.copy()):
        assert other.settings == element.settings
        assert (other.length, other.cell_size) == (element.length, element.cell_size)
        assert repr(other) == repr(element)
        assert repr(element).startswith("SpaceCharge3D(length=")


def test_a_line_with_kicks_is_saved_loaded_and_copied(particles, tmp_path):
    line = transfer_line()
    names = install_space_charge(line, 1.0, grid=(8, 16, 16), shape="tsc")
    path = tmp_path / "line.json"
    line.to_json(path)
    start = bunch_from(particles)
    ends = []
    for each in (line, line.copy(), xt.load(path), xt.Line.from_dict(line.to_dict())):
        assert isinstance(each.env._element_dict[names[0]], SpaceCharge3D)
        moved = particles_from(start)
        each.track(moved)
        ends.append(bunch_from(moved).coordinates)
    assert all(torch.equal(end, ends[0]) for end in ends[1:])
    read = scb.read_lattice(path)
    assert {n: (r.kind, r.fields) for n, r in read.elements.items()} == {
        n: (r.kind, r.fields) for n, r in from_line(line).elements.items()
    }


def test_an_environment_with_kicks_is_saved_loaded_and_copied(tmp_path):
    line = transfer_line()
    names = install_space_charge(line, 1.0, grid=(8, 16, 16))
    path = tmp_path / "environment.json"
    line.env.to_json(path)
    for environment in (line.env.copy(), xt.load(path), xt.Environment.from_json(path)):
        again = environment["transfer"]
        assert list(again.element_names) == list(line.element_names)
        kick = environment._element_dict[names[0]]
        assert repr(kick) == repr(line.env._element_dict[names[0]])


@pytest.mark.parametrize("first", ["xtrack", "sc_bridge.xsuite"])
def test_xtrack_finds_our_kick_whichever_is_imported_first(tmp_path, first):
    line = transfer_line()
    install_space_charge(line, 1.0)
    path = tmp_path / "kicked.json"
    line.to_json(path)
    code = f"import {first}\nimport sc_bridge.xsuite, xtrack\nxtrack.load({str(path)!r})"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_tracker_of_a_line_is_not_compiled():
    assert xt.settings.allow_kernel_compilation is not True
    line = transfer_line()
    install_space_charge(line, 1.0, grid=GRID)
    line.build_tracker()  # xtrack refuses to compile unless told
    assert line.iscollective
    assert line.twiss(betx=1.0, bety=1.0).s[-1] == pytest.approx(line.get_length())


def test_particles_of_several_species_are_refused(particles):
    particles.charge_ratio[3] = 2.0
    with pytest.raises(SpaceChargeError, match=r"SpaceCharge3D: 1 of 200 particles are of another"):
        SpaceCharge3D(length=1.0).track(particles)


def test_particles_of_several_momenta_are_refused(particles):
    particles.p0c[3] = 1e9
    with pytest.raises(SpaceChargeError, match="SpaceCharge3D: reference momenta from"):
        SpaceCharge3D(length=1.0).track(particles)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"gird": (8, 8, 8)},
            "SpaceCharge3D: no setting 'gird': there are length, cell",
        ),
        ({"length": float("nan")}, "SpaceCharge3D: length = nan: must be finite"),
        ({"length": "2 s"}, "SpaceCharge3D: length"),
        ({"grid": (4, 4, 4)}, "must be three numbers of nodes"),
        ({"grid": 32}, "grid = 32: must be three numbers of nodes"),
        ({"cell_size": (1e-3, 1e-3)}, "cell"),
    ],
)
def test_impossible_settings_are_refused(fields, message):
    with pytest.raises(ScBridgeError, match=message):
        SpaceCharge3D(**fields)


def test_a_bunch_is_no_particles(particles):
    with pytest.raises(SpaceChargeError, match=r"track\(Bunch\): must be xtrack\.Particles; for a"):
        SpaceCharge3D(length=1.0).track(bunch_from(particles))


# ---- installation --------------------------------------------------------------------------


def tracked_both_ways(line, spacing, turns, number=300, **options):
    sequence = scb.KickedSequence.from_line(
        line, scb.MaxSpacing(spacing), space_charge=scb.SpaceCharge(grid=GRID), **options
    )
    bunch = bunch_for(sequence, number)
    names = install_space_charge(line, spacing, grid=GRID)
    assert len(names) == sequence.n_kicks
    lengths = [line.env._element_dict[name].length for name in names]
    assert np.allclose(lengths, sequence.kick_lengths.detach().numpy(), rtol=1e-12)
    particles = particles_from(bunch)
    line.track(particles, num_turns=turns)
    with torch.no_grad():
        ours = scb.track(sequence, bunch, turns=turns)
    return ours, bunch_from(particles), names


def test_curved_and_thick_elements_in_xtrack_equal_the_sequence():
    env = xt.Environment()
    env.particle_ref = xt.Particles("proton", kinetic_energy0=160e6)
    env.new("d", "Drift", length=0.7)
    env.new("rb", "RBend", length_straight=1.2, angle=0.2, rbend_model="straight-body", k1=0.1)
    env.new("m", "Multipole", length=0.5, knl=[0.01, 0.1], isthick=True)
    env.new("s", "UniformSolenoid", length=0.6, ks=0.2, shift_x=1e-3, rot_s_rad=0.1)
    env.new("c", "Cavity", length=0.9, voltage=1e4, frequency=1e6, phase=0.3)
    line = env.new_line(name="line", components=["rb", "d", "m", "s", "d", "c"])
    ours, theirs, names = tracked_both_ways(line, 0.25, turns=2)
    assert len(names) == 20
    assert relative_difference(theirs, ours) < PARITY


def test_a_transfer_line_in_xtrack_equals_the_sequence():
    ours, theirs, _ = tracked_both_ways(transfer_line(), 0.6, turns=1)
    assert relative_difference(theirs, ours) < PARITY
    assert torch.equal(ours.alive, theirs.alive)


def test_the_booster_in_xtrack_equals_the_sequence():
    line = xt.load(PSB)
    line["bend"].model, line["bend"].integrator = "bend-kick-bend", "uniform"  # one map each
    ours, theirs, names = tracked_both_ways(line, 3.0, turns=2, number=100)
    assert len(names) > 100
    assert relative_difference(theirs, ours) < PARITY


@pytest.mark.slow
def test_the_booster_in_xtrack_equals_the_sequence_over_ten_turns():
    ours, theirs, names = tracked_both_ways(xt.load(PSB), 1.0, turns=10, number=1000)
    assert len(names) == 224
    assert relative_difference(theirs, ours) < PARITY


def test_losses_are_those_of_the_sequence():
    line = transfer_line()
    line.env["ap"].a = 6e-3
    ours, theirs, _ = tracked_both_ways(line, 0.6, turns=1)
    assert 0 < int(ours.n_alive) < ours.n_particles
    assert torch.equal(ours.alive, theirs.alive)
    assert relative_difference(theirs, ours) < PARITY


def test_a_sliced_line_gets_kicks_within_its_slices():
    line = transfer_line()
    line.slice_thick_elements([xt.Strategy(xt.Teapot(2, mode="thick"))])
    ours, theirs, names = tracked_both_ways(line, 0.3, turns=1)
    assert len(names) > 10
    assert relative_difference(theirs, ours) < PARITY


def test_kicks_can_be_taken_out_and_put_in_again():
    line = transfer_line()
    names = install_space_charge(line, 0.6, grid=GRID)
    with pytest.raises(LatticeError, match=r"has the kick 'space_charge_0' of class ScBridge.*rem"):
        install_space_charge(line, 0.6)
    line.remove(names)
    again = install_space_charge(line, 0.6, grid=GRID)
    assert len(again) >= len(names)
    assert not set(again) & set(names)


def test_a_line_that_carries_kicks_becomes_a_sequence_of_the_same_kicks():
    line = transfer_line()
    plain = from_line(line)
    install_space_charge(line, 0.6, grid=GRID)
    sequence = scb.KickedSequence.from_line(line)
    direct = scb.KickedSequence(plain, scb.MaxSpacing(0.6), space_charge=scb.SpaceCharge(grid=GRID))
    assert sequence.n_kicks == sequence.audit().kicks == direct.n_kicks
    assert sequence.audit().kick_length == pytest.approx(direct.audit().kick_length)
    bunch = bunch_for(sequence)
    gradients = []
    for each in (sequence, direct):
        knob = each.knobs["kq"].requires_grad_()
        for adjoint in (scb.StoreStates(), scb.Reversible(), scb.Checkpoint(every=3)):
            knob.grad = None
            scb.track(each, bunch, adjoint=adjoint).sigma_x.backward()
            assert knob.grad is not None
            gradients.append(knob.grad.item())
    assert np.allclose(gradients, gradients[0], rtol=1e-9)
    assert torch.allclose(sequence.transfer_matrix(), direct.transfer_matrix(), atol=1e-12)


def test_kicks_with_settings_of_their_own_stay_elements():
    line = transfer_line()
    names = install_space_charge(line, 0.6, grid=GRID)
    other = line.env._element_dict[names[1]]
    other.settings = replace(other.settings, longitudinal=False)
    sequence = scb.KickedSequence.from_line(line)
    assert sequence.n_kicks == 0
    bunch = bunch_for(sequence)
    particles = particles_from(bunch)
    line.track(particles)
    assert relative_difference(bunch_from(particles), scb.track(sequence, bunch)) < PARITY


def test_a_line_that_carries_kicks_takes_no_others():
    line = transfer_line()
    install_space_charge(line, 0.6)
    with pytest.raises(LatticeError, match="carries the kick 'space_charge_0' already: leave slic"):
        scb.KickedSequence.from_line(line, scb.MaxSpacing(1.0), space_charge=scb.SpaceCharge())


def test_a_sequence_becomes_a_line_with_its_kicks():
    sequence = scb.KickedSequence.from_line(
        transfer_line(),
        scb.PerElement({"Quadrupole": 3}, otherwise="1 m"),
        space_charge=scb.SpaceCharge(grid=GRID, shape="tsc"),
    )
    bunch = bunch_for(sequence)
    line = to_line(sequence, kicks=True)
    particles = particles_from(bunch)
    line.track(particles)
    assert relative_difference(bunch_from(particles), scb.track(sequence, bunch)) < PARITY
    again = scb.KickedSequence.from_line(line)
    assert again.n_kicks == sequence.n_kicks
    assert list(to_line(again, kicks=True).element_names) == list(line.element_names)
