"""Splittings: weights that add up, and the order of their error."""

from __future__ import annotations

import math

import pytest
import torch

import sc_bridge as scb
from sc_bridge.lattice import Lattice, Record, ReferenceFields
from sc_bridge.splitting import kick_weights, map_weights

PROTON = ReferenceFields(mass0=938272089.43, q0=1.0, p0c=571e6)
ORDERS = {"Strang": (scb.Strang(), 2), "Yoshida": (scb.Yoshida(), 4)}
# Of the slope over four halvings; a quadratic cloud has kinks in its third derivative.
SLOPE = 0.15


@pytest.mark.parametrize("splitting", [scb.Strang(), scb.Yoshida()])
@pytest.mark.parametrize("slices", [1, 2, 7])
def test_weights_of_maps_and_kicks_add_up(splitting, slices):
    kicks = kick_weights(splitting, slices)
    maps = map_weights(kicks)
    assert len(maps) == len(kicks) + 1 == slices * len(splitting.scheme) + 1
    assert math.fsum(kicks) == pytest.approx(1.0, abs=1e-14)
    assert math.fsum(maps) == pytest.approx(1.0, abs=1e-14)


def test_strang_is_half_whole_half():
    assert map_weights(kick_weights(scb.Strang(), 2)) == [0.25, 0.5, 0.25]


def quadrupole_run(splitting, slices):
    """A bunch through one quadrupole, on a fixed grid with smooth clouds."""
    records = {"q": Record("q", "Quadrupole", {"length": 1.0, "k1": 1.0})}
    lattice = Lattice("one", "xsuite-json", "", records, ("q",), reference=PROTON)
    edge = 4e-2
    sequence = scb.KickedSequence(
        lattice,
        slicing=scb.KicksPerElement(slices),
        space_charge=scb.SpaceCharge(
            grid=(8, 8, 8),
            shape="tsc",
            x_range=(-edge, edge),
            y_range=(-edge, edge),
            z_range=(-4.0, 4.0),
        ),
        splitting=splitting,
    )
    generator = torch.Generator().manual_seed(4)
    start = torch.randn(6, 200, generator=generator, dtype=torch.float64)
    scale = torch.tensor([4e-3, 1e-4, 4e-3, 1e-4, 0.4, 1e-5], dtype=torch.float64)
    bunch = scb.Bunch(start.clamp(-2, 2) * scale[:, None], sequence.reference, 2e13 / 200)
    sequence.audit()
    return scb.track(sequence, bunch, adjoint=scb.RecordAll()).coordinates


@pytest.mark.parametrize("name", ORDERS)
def test_error_falls_with_the_order_of_the_splitting(name):
    splitting, order = ORDERS[name]
    exact = quadrupole_run(scb.Yoshida(), 64)
    coarse, fine = (
        (quadrupole_run(splitting, slices) - exact)[:4].square().mean().sqrt().item()
        for slices in (1, 16)
    )
    assert math.log2(coarse / fine) / 4 == pytest.approx(order, abs=SLOPE)


def test_kicks_of_both_signs_still_carry_the_whole_length(psb_lattice):
    sequence = scb.KickedSequence(
        psb_lattice,
        slicing=scb.MaxSpacing("1 m"),
        space_charge=scb.SpaceCharge(),
        bend_model="exact",
        splitting=scb.Yoshida(),
    )
    audit = sequence.audit()
    assert audit.kicks == 3 * 224
    assert audit.kick_length == pytest.approx(157.08, abs=1e-9)
    assert sequence.kick_lengths.min().item() < 0
