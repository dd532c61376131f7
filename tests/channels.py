"""FODO channels with a kick in every element, for tests of many kicks."""

from __future__ import annotations

import torch

import sc_bridge as scb
from sc_bridge.lattice import Lattice, Record, ReferenceFields

PROTON = ReferenceFields(mass0=938272089.43, q0=1.0, p0c=571e6)
# Matched at the start of the cell, m and 1.
OPTICS = scb.Twiss(betx=2.5, alfx=-1.3, bety=1.0, alfy=0.6)


def fodo_channel(
    cells: int,
    intensity: float = 5e9,
    n_particles: int = 500,
    nodes: int = 16,
    dtype: torch.dtype = torch.float64,
    **settings,
):
    """Sequence of `cells` FODO cells with four kicks each, and a matched round beam."""
    records = {
        "qf": Record("qf", "Quadrupole", {"length": 0.2, "k1": 4.0}),
        "qd": Record("qd", "Quadrupole", {"length": 0.2, "k1": -4.0}),
        "d": Record("d", "Drift", {"length": 0.3}),
    }
    names = ("qf", "d", "qd", "d") * cells
    lattice = Lattice("channel", "xsuite-json", "", records, names, reference=PROTON)
    sequence = scb.KickedSequence(
        lattice,
        slicing=scb.KicksPerElement(1),
        space_charge=scb.SpaceCharge(grid=(nodes,) * 3, **settings),
    )
    bunch = scb.gaussian(
        sequence,
        n_particles,
        intensity,
        nemitt_x="1 um",
        nemitt_y="1 um",
        sigma_z="1 m",
        sigma_delta=1e-4,
        twiss=OPTICS,
        seed=2,
    )
    return sequence, bunch.to(dtype)
