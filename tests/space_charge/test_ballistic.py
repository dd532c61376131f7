from __future__ import annotations

import pytest
import torch

from sc_bridge.elements import Bunch, Reference
from sc_bridge.elements.errors import SpaceChargeError
from sc_bridge.elements.space_charge import (
    SpaceCharge,
    SpaceChargeKick,
    cell_sizes,
    space_charge_field,
    space_charge_kick,
)
from sc_bridge.elements.space_charge.ballistic import at_one_time
from space_charge.bunches import ELECTRON_MASS, change_of_momenta, gaussian_bunch, proton

BALLISTIC = SpaceCharge(grid=(16, 16, 16), transform="ballistic")
PLAIN = SpaceCharge(grid=(16, 16, 16))


def short_bunch(dtype: torch.dtype = torch.float64, weight: float = 1e5) -> Bunch:
    """5 MeV electrons, 1 mm wide, 0.2 mm long, with a divergence of 10 mrad."""
    reference = Reference.from_kinetic_energy(ELECTRON_MASS, -1.0, 5e6)
    bunch = gaussian_bunch(1000, (1e-3, 1e-3, 2e-4), reference, weight)
    coordinates = bunch.coordinates.clone()
    coordinates[1::2] *= 10.0
    return Bunch(coordinates.to(dtype), reference, weight)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_zero_charge_changes_nothing(dtype):
    bunch = short_bunch(dtype, weight=0.0)
    kicked = space_charge_kick(bunch, 1.0, BALLISTIC)
    assert torch.equal(kicked.coordinates, bunch.coordinates)


def test_kick_of_negative_length_undoes_it():
    kick, bunch = SpaceChargeKick(0.1, grid=(16, 16, 16), transform="ballistic"), short_bunch()
    there = kick(bunch)
    assert change_of_momenta(there, bunch).abs().max() > 1e-4
    assert (kick.inverse()(there).coordinates - bunch.coordinates).abs().max() < 1e-11


def test_parallel_beam_gets_the_same_kick_as_without_the_transform():
    bunch = short_bunch(weight=1e2)
    parallel = bunch.coordinates.clone()
    parallel[1::2] = 0.0
    bunch = bunch.replace(coordinates=parallel)
    size = cell_sizes(bunch, PLAIN)
    plain = change_of_momenta(space_charge_kick(bunch, 0.1, PLAIN, size), bunch)
    ballistic = change_of_momenta(space_charge_kick(bunch, 0.1, BALLISTIC, size), bunch)
    # equal to first order in the kick
    assert ((ballistic - plain).norm(dim=-1) / plain.norm(dim=-1)).max() < 1e-4


def test_energy_follows_from_the_kicked_momentum():
    bunch = short_bunch()
    kicked = space_charge_kick(bunch, 0.1, BALLISTIC)
    pz, pz_new = (torch.sqrt((1 + b.delta) ** 2 - b.px**2 - b.py**2) for b in (bunch, kicked))
    snapshot = at_one_time(bunch).bunch
    expected = space_charge_kick(snapshot, 0.1, PLAIN).pzeta
    assert expected.abs().max() > 1e-5
    assert (pz_new - pz - expected).abs().max() < 1e-14


def test_longitudinal_false_leaves_pz_alone():
    bunch = short_bunch()
    settings = SpaceCharge((16, 16, 16), longitudinal=False, transform="ballistic")
    kicked = space_charge_kick(bunch, 0.1, settings)
    pz, pz_new = (torch.sqrt((1 + b.delta) ** 2 - b.px**2 - b.py**2) for b in (bunch, kicked))
    assert (pz_new - pz).abs().max() < 1e-14


def test_field_solved_before_gives_the_same_kick():
    bunch = short_bunch()
    field = space_charge_field(bunch, BALLISTIC)
    again = space_charge_kick(bunch, 0.1, BALLISTIC, field=field)
    assert torch.equal(again.coordinates, space_charge_kick(bunch, 0.1, BALLISTIC).coordinates)


def test_lost_particles_stay_as_they_are():
    bunch = short_bunch()
    alive = torch.arange(1000) % 3 > 0
    kicked = space_charge_kick(bunch.replace(alive=alive), 0.1, BALLISTIC)
    assert torch.equal(kicked.coordinates[:, ~alive], bunch.coordinates[:, ~alive])


def test_gradients_are_exact():
    def kick(unit, weight, momentum):
        reference = Reference(ELECTRON_MASS, -1.0, momentum * 1e7)
        bunch = Bunch(unit * 1e-3, reference, weight * 1e7)
        settings = SpaceCharge(grid=(8, 9, 10), transform="ballistic")
        return space_charge_kick(bunch, 0.1, settings).coordinates * 1e3

    generator = torch.Generator().manual_seed(2)
    inputs = (
        torch.randn(6, 5, generator=generator, dtype=torch.float64),
        torch.rand(5, generator=generator, dtype=torch.float64),
        torch.tensor(0.6, dtype=torch.float64),
    )
    torch.autograd.gradcheck(kick, tuple(value.requires_grad_() for value in inputs))


def test_transform_is_refused_where_it_is_wrong():
    ring = gaussian_bunch(sigma=(5e-3, 5e-3, 15.0), reference=proton(160e6))
    for refused in (
        lambda: space_charge_kick(ring, 1.0, BALLISTIC),
        lambda: cell_sizes(ring, BALLISTIC),
    ):
        with pytest.raises(SpaceChargeError, match=r'moves x by .* use transform="none"'):
            refused()
