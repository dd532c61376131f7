"""Changes of the reference: what stays the same, and what is refused."""

from __future__ import annotations

import pytest
import torch

from cases import make_reference, random_bunch
from sc_bridge.elements import Bunch, LineSegmentMap, ReferenceEnergyChange, ReferenceEnergyIncrease
from sc_bridge.elements.errors import BunchError, ElementError

ROUNDING = 1e-12


def test_particles_keep_energy_momentum_and_delay():
    bunch = random_bunch()
    out = ReferenceEnergyIncrease(Delta_p0c=4e7).track(bunch)
    for before, after in (
        (bunch.px * bunch.reference.p0c, out.px * out.reference.p0c),
        (
            bunch.reference.energy0 + bunch.ptau * bunch.reference.p0c,
            out.reference.energy0 + out.ptau * out.reference.p0c,
        ),
        (bunch.tau, out.tau),
    ):
        assert torch.allclose(before, after, rtol=1e-14, atol=0.0)


def test_the_reference_goes_out_changed_and_comes_back():
    bunch = random_bunch()
    increase = ReferenceEnergyIncrease(Delta_p0c=4e7)
    out = increase.track(bunch)
    assert out.reference.p0c.item() == pytest.approx(bunch.reference.p0c.item() + 4e7, rel=1e-15)
    back = increase.inverse().track(out)
    assert back.reference.p0c.item() == pytest.approx(bunch.reference.p0c.item(), rel=1e-15)
    assert (back.coordinates - bunch.coordinates).abs().max() < ROUNDING
    assert not increase.is_map


def test_a_change_equals_the_increase_to_the_same_momentum():
    bunch = random_bunch()
    change = ReferenceEnergyChange(p0c=6e8).track(bunch)
    increase = ReferenceEnergyIncrease(Delta_p0c=6e8 - bunch.reference.p0c).track(bunch)
    assert (change.coordinates - increase.coordinates).abs().max() < ROUNDING


def test_batches_of_references_and_of_increases_meet():
    single = make_reference()
    momenta = single.p0c * torch.tensor([1.0, 1.1], dtype=torch.float64)
    coordinates = random_bunch().coordinates
    batch = Bunch(coordinates, single.replace(p0c=momenta))
    steps = torch.tensor([1e7, 2e7], dtype=torch.float64)
    there = ReferenceEnergyIncrease(Delta_p0c=steps).track(batch)
    back = ReferenceEnergyIncrease(Delta_p0c=steps).inverse().track(there)
    assert (back.coordinates - coordinates).abs().max() < ROUNDING
    for index in range(2):
        alone = Bunch(coordinates, single.replace(p0c=momenta[index]))
        expected = ReferenceEnergyIncrease(Delta_p0c=steps[index].item()).track(alone)
        assert (there.coordinates[index] - expected.coordinates).abs().max() < ROUNDING


def test_momenta_that_are_not_positive_are_refused():
    with pytest.raises(BunchError, match="must be positive"):
        ReferenceEnergyIncrease(Delta_p0c=-1e10).track(random_bunch())
    with pytest.raises(ElementError, match=r"p0c = 0\.0 eV: must be positive"):
        ReferenceEnergyChange(p0c=0.0)
    with pytest.raises(BunchError, match="must be positive"):
        LineSegmentMap(energy_ref_increment=-1e10).track(random_bunch())


def test_a_change_to_a_momentum_has_no_inverse():
    change = ReferenceEnergyChange(p0c=6e8)
    with pytest.raises(ElementError, match="use ReferenceEnergyIncrease"):
        change.undo_track(random_bunch())
    with pytest.raises(ElementError, match="use ReferenceEnergyIncrease"):
        change.incoming(make_reference())
