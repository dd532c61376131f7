"""Live lines that carry space charge of xfields already."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import xfields as xf
import xtrack as xt

import sc_bridge as scb
from sc_bridge.errors import LatticeError
from sc_bridge.xsuite import bunch_from, from_line, particles_from, to_line

# Relative to the largest coordinate.
PARITY = 1e-12


def line_with(update_on_track: Any = False) -> xt.Line:
    env = xt.Environment()
    env.particle_ref = xt.Particles("proton", kinetic_energy0=160e6)
    env.new("q", "Quadrupole", length=0.5, k1=0.3)
    env.new("d", "Drift", length=1.0)
    env.elements["kick"] = xf.SpaceChargeBiGaussian(
        length=50.0,
        longitudinal_profile=xf.LongitudinalProfileQGaussian(
            number_of_particles=1e12, sigma_z=5.0, q_parameter=0.9
        ),
        sigma_x=3e-3,
        sigma_y=2e-3,
        mean_x=1e-4,
        update_on_track=update_on_track,
    )
    return env.new_line(name="line", components=["q", "kick", "d", "kick", "q"])


def make_bunch() -> scb.Bunch:
    generator = torch.Generator().manual_seed(3)
    normal = torch.randn(6, 500, generator=generator, dtype=torch.float64)
    scale = torch.tensor([4e-3, 1e-3, 3e-3, 1e-3, 4.0, 1e-3], dtype=torch.float64)
    reference = scb.reference("proton", kinetic_energy="160 MeV")
    return scb.Bunch(normal * scale[:, None], reference, 2e9)


@pytest.mark.parametrize("update_on_track", [False, True], ids=["frozen", "quasi-frozen"])
def test_a_live_line_is_tracked_as_xtrack_does(update_on_track):
    line = line_with(update_on_track)
    sequence = scb.KickedSequence.from_line(line)
    assert sequence["kick"].update_on_track is update_on_track
    bunch = make_bunch().replace(reference=sequence.reference)
    ours = scb.track(sequence, bunch, turns=3)
    for each in (line, to_line(sequence)):
        particles = particles_from(bunch)
        each.track(particles, num_turns=3)
        theirs = bunch_from(particles).coordinates
        size = theirs.abs().amax(-1, keepdim=True)
        assert ((ours.coordinates - theirs) / size).abs().max() < PARITY


@pytest.mark.parametrize("update_on_track", [False, True], ids=["frozen", "quasi-frozen"])
def test_reading_writing_and_reading_again_is_the_identity(update_on_track):
    lattice = from_line(line_with(update_on_track))
    again = from_line(to_line(lattice))
    assert {n: (r.kind, r.fields) for n, r in again.elements.items()} == {
        n: (r.kind, r.fields) for n, r in lattice.elements.items()
    }


def test_kicks_that_follow_the_bunch_in_part_are_refused():
    with pytest.raises(LatticeError, match="kick: only sigma_x, sigma_y follow the bunch: update_"):
        from_line(line_with(["sigma_x", "sigma_y"]))


def test_particle_in_cell_kicks_of_xfields_are_refused_with_the_way_out():
    line = line_with()
    for name in ("pic", "pic2"):
        line.env.elements[name] = xf.SpaceCharge3D(
            length=1.0,
            x_range=(-0.1, 0.1),
            y_range=(-0.1, 0.1),
            z_range=(-2, 2),
            nx=16,
            ny=16,
            nz=16,
            solver="FFTSolver3D",
            gamma0=float(np.ravel(line.particle_ref.gamma0)[0]),
        )
    odd = line.env.new_line(components=["q", "pic"])
    with pytest.raises(LatticeError, match=r"element 'pic': SpaceCharge3D of xfields, whose grid"):
        from_line(odd)
    odd = line.env.new_line(components=["q", "pic", "pic2"])
    with pytest.raises(LatticeError, match=r"2 elements, 'pic' to 'pic2': SpaceCharge3D of xf"):
        from_line(odd)
