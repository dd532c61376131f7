"""Bunches to write to files, and what has to come back."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import sdds
import torch
from scipy.constants import c as C_LIGHT

import sc_bridge as scb

with warnings.catch_warnings():
    # matplotlib warns of what the library's colour maps do
    warnings.filterwarnings("ignore", "The set_under function")
    from beamphysics import ParticleGroup

LOST = 3
# Through SI units and back: a few roundings of float64.
ROUNDING = 1e-14
# ASCII with 13 digits.
PRINTED = 1e-11


def make(species="proton", n_particles=20, dtype=torch.float64, **energy):
    generator = torch.Generator().manual_seed(5)
    scale = torch.tensor([2e-3, 1e-3, 1e-3, 2e-3, 0.3, 2e-3], dtype=torch.float64)
    coordinates = torch.randn(6, n_particles, generator=generator, dtype=torch.float64)
    alive = torch.arange(n_particles) != LOST
    weight = 1e6 * (1.0 + torch.rand(n_particles, generator=generator, dtype=torch.float64))
    reference = scb.reference(species, **(energy or {"kinetic_energy": "160 MeV"}))
    return scb.Bunch((coordinates * scale[:, None]).to(dtype), reference, weight, alive)


def living(bunch: scb.Bunch) -> scb.Bunch:
    return scb.Bunch(bunch.coordinates[:, bunch.alive], bunch.reference, bunch.weight[bunch.alive])


def group_of(bunch, folder) -> ParticleGroup:
    """The living particles as the library has them."""
    scb.write_bunch(folder / "group.h5", living(bunch))
    return ParticleGroup(str(folder / "group.h5"))


def assert_same(found, expected, tolerance):
    """Coordinates, on the scale of each, weights and reference agree."""
    scale = expected.coordinates.abs().amax(-1, keepdim=True)
    error = ((found.coordinates - expected.coordinates) / scale).abs().max().item()
    assert error < tolerance
    assert torch.allclose(found.weight, expected.weight, rtol=tolerance, atol=0.0)
    assert found.reference.p0c.item() == pytest.approx(expected.reference.p0c.item(), rel=tolerance)


def elegant_columns(bunch):
    bunch = living(bunch)
    p0c, mass = bunch.reference.p0c.item(), bunch.reference.mass0.item()
    delta, px, py = bunch.delta.numpy(), bunch.px.numpy(), bunch.py.numpy()
    pz = np.sqrt((1 + delta) ** 2 - px**2 - py**2)
    time = -bunch.zeta.numpy() / (bunch.reference.beta0.item() * C_LIGHT)
    return {
        "x": bunch.x.numpy(),
        "xp": px / pz,
        "y": bunch.y.numpy(),
        "yp": py / pz,
        "t": time,
        "p": (1 + delta) * p0c / mass,
        "particleID": np.arange(bunch.n_particles),
    }


def write_sdds(path, columns, mode, charge=1e-9, pages=1, **units):
    """Write a bunch by the SDDS library of elegant's author."""
    data = sdds.SDDS()
    data.mode = mode
    known = {"x": "m", "y": "m", "t": "s", "p": "m$be$nc"} | units
    if charge is not None:
        data.defineParameter("Charge", "", "C", "", "", data.SDDS_DOUBLE, "")
        data.setParameterValueList("Charge", [charge] * pages)
    data.defineParameter("PreviousElementName", "", "", "", "", data.SDDS_STRING, "")
    data.setParameterValueList("PreviousElementName", ["_BEG_"] * pages)
    for name, values in columns.items():
        kind = data.SDDS_LONG if name == "particleID" else data.SDDS_DOUBLE
        data.defineColumn(name, "", known.get(name, ""), "", "", kind, 0)
        data.setColumnValueLists(name, [values.tolist()] * pages)
    data.save(str(path))
