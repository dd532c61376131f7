"""Reversible checks its own reconstruction, and anchors bound its error."""

from __future__ import annotations

import pytest
import torch

import sc_bridge as scb
from sc_bridge.adjoint.reversible import kept_stages
from sc_bridge.lattice import Lattice, Record, ReferenceFields
from sc_bridge.memory.footprint import SavedBytes

PROTON = ReferenceFields(mass0=938272089.43, q0=1.0, p0c=571e6)
# Recomputed states differ from stored ones by rounding that grows with the kicks.
AGREEMENT = 1e-8


def channel(cells: int, intensity: float):
    """A FODO channel with a kick in every element, and a round beam."""
    records = {
        "qf": Record("qf", "Quadrupole", {"length": 0.2, "k1": 4.0}),
        "qd": Record("qd", "Quadrupole", {"length": 0.2, "k1": -4.0}),
        "d": Record("d", "Drift", {"length": 0.3}),
    }
    names = ("qf", "d", "qd", "d") * cells
    lattice = Lattice("channel", "xsuite-json", "", records, names, reference=PROTON)
    sequence = scb.KickedSequence(
        lattice, slicing=scb.KicksPerElement(1), space_charge=scb.SpaceCharge(grid=(16, 16, 16))
    )
    twiss = scb.Twiss(betx=2.5, alfx=-1.3, bety=1.0, alfy=0.6)
    bunch = scb.gaussian(
        sequence,
        500,
        intensity,
        nemitt_x="1 um",
        nemitt_y="1 um",
        sigma_z="1 m",
        sigma_delta=1e-4,
        twiss=twiss,
        seed=2,
    )
    return sequence, bunch


def gradient(sequence, bunch, adjoint):
    strength = sequence["qf"].k1.requires_grad_()
    start = bunch.coordinates.clone().requires_grad_()
    out = scb.track(sequence, bunch.replace(coordinates=start), adjoint=adjoint)
    found = torch.autograd.grad(out.sigma_x, [strength, start])
    strength.requires_grad_(False)
    return found


def test_regular_motion_is_rebuilt_over_many_kicks():
    sequence, bunch = channel(30, 5e9)
    assert sequence.n_kicks == 120
    expected = gradient(sequence, bunch, scb.Checkpoint(every=16))
    found = gradient(sequence, bunch, scb.Reversible())
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours - theirs).abs().max() < AGREEMENT * theirs.abs().max()


def test_a_reconstruction_out_of_tolerance_is_refused_with_place_and_number():
    sequence, bunch = channel(10, 5e9)
    with pytest.raises(
        scb.ReconstructionError,
        match=r"rebuilt at s = 0 m is off by .* of its rms, tolerance 1e-18",
    ):
        gradient(sequence, bunch, scb.Reversible(tolerance=1e-18))


def test_chaotic_motion_is_refused_and_anchors_mend_it():
    sequence, bunch = channel(40, 2e14)  # far beyond what the channel can hold
    tolerance = 1e-11
    with pytest.raises(scb.ReconstructionError, match="the motion is chaotic"):
        gradient(sequence, bunch, scb.Reversible(tolerance=tolerance))
    found = gradient(sequence, bunch, scb.Reversible(anchors=40, tolerance=tolerance))
    expected = gradient(sequence, bunch, scb.Checkpoint(every=16))
    assert (found[0] - expected[0]).abs() < 1e-5 * expected[0].abs()


def test_what_is_kept_does_not_grow_with_the_kicks():
    kept = []
    for cells in (2, 20):
        sequence, bunch = channel(cells, 5e9)
        sequence["qf"].k1.requires_grad_()
        with SavedBytes() as saved:
            scb.track(sequence, bunch, adjoint=scb.Reversible())
        kept.append(saved.count)
    assert kept[0] == kept[1]


def test_lost_particles_may_hold_anything():
    sequence, bunch = channel(3, 5e9)
    alive = torch.ones(500, dtype=torch.bool)
    alive[3] = False
    coordinates = bunch.coordinates.clone()
    coordinates[0, 3] = torch.nan
    bunch = bunch.replace(coordinates=coordinates, alive=alive)
    expected = gradient(sequence, bunch, scb.StoreStates())
    found = gradient(sequence, bunch, scb.Reversible(anchors=2))
    assert found[0].item() == pytest.approx(expected[0].item(), rel=AGREEMENT)


@pytest.mark.parametrize("flat", [(2, 3), (4, 5), (0, 1, 2, 3, 4, 5)])
def test_bunches_without_spread_are_rebuilt(flat):
    sequence, bunch = channel(2, 5e9)
    coordinates = bunch.coordinates.clone()
    coordinates[list(flat)] = 0.0
    bunch = bunch.replace(coordinates=coordinates)
    expected = gradient(sequence, bunch, scb.StoreStates())
    found = gradient(sequence, bunch, scb.Reversible(anchors=3))
    assert found[0].item() == pytest.approx(expected[0].item(), rel=1e-6)


def test_a_bunch_that_leaves_its_cells_while_it_is_rebuilt_is_refused_as_such():
    sequence, bunch = channel(40, 2e14)
    bunch = bunch.to(torch.float32)
    with pytest.raises(scb.ReconstructionError):
        gradient(sequence, bunch, scb.Reversible())


def test_there_are_no_more_anchors_than_kicks():
    assert kept_stages(13, 0) == {0}
    assert kept_stages(13, 12) == kept_stages(13, 10**12) == set(range(13))
