"""Agreement with xfields.SpaceCharge3D, which solves the same equations on a fixed grid."""

from __future__ import annotations

import pytest
import torch
import xfields as xf
import xtrack as xt

from sc_bridge.elements import Bunch, Reference
from sc_bridge.elements.space_charge import SpaceCharge, cell_sizes, space_charge_kick
from space_charge.bunches import ELECTRON_MASS, PROTON_MASS, change_of_momenta, gaussian_bunch

# xfields' elementary charge is 8.7e-9 larger than CODATA's.
ELEMENTARY_CHARGE = 1e-7
NODES = (24, 28, 32)
SPECIES = {
    "proton": (PROTON_MASS, 1.0, 160e6),
    "electron": (ELECTRON_MASS, -1.0, 10e6),
    "lead ion": (193687690162.6, 54.0, 2e11),
}


def xfields_kick(bunch: Bunch, cell_size: tuple[float, float, float]) -> torch.Tensor:
    """Change of px, py and pzeta, (3, n), on the grid that our kick uses."""
    gamma0 = bunch.reference.gamma0.item()
    ranges = {}
    for axis, (row, name) in enumerate(((0, "x"), (2, "y"), (4, "z"))):
        size = cell_size[axis] / (gamma0 if name == "z" else 1.0)
        half = 0.5 * (NODES[axis] - 1) * size
        middle = bunch.coordinates[row].mean().item()
        ranges[f"{name}_range"] = (middle - half, middle + half)
    element = xf.SpaceCharge3D(
        length=1.5,
        update_on_track=True,
        apply_z_kick=True,
        nx=NODES[0],
        ny=NODES[1],
        nz=NODES[2],
        solver="FFTSolver3D",
        gamma0=gamma0,
        **ranges,
    )
    names = ("x", "px", "y", "py", "zeta", "pzeta")
    rows = {name: bunch.coordinates[i].numpy() for i, name in enumerate(names)}
    reference = bunch.reference
    particles = xt.Particles(
        mass0=reference.mass0.item(),
        q0=reference.q0.item(),
        p0c=reference.p0c.item(),
        weight=bunch.weight[0].item(),
        **rows,
    )
    before = particles.copy()
    element.track(particles)
    beta0 = reference.beta0.item()
    changes = (
        particles.px - before.px,
        particles.py - before.py,
        (particles.ptau - before.ptau) / beta0,
    )
    return torch.stack([torch.as_tensor(change) for change in changes])


@pytest.mark.parametrize("species", SPECIES)
def test_kick_equals_that_of_xfields(species):
    mass, charge, kinetic = SPECIES[species]
    reference = Reference.from_kinetic_energy(mass, charge, kinetic)
    bunch = gaussian_bunch(5000, (4e-3, 3e-3, 2e-2), reference, weight=1e5)
    size = cell_sizes(bunch, SpaceCharge(grid=NODES))
    assert isinstance(size, tuple)
    ours = change_of_momenta(space_charge_kick(bunch, 1.5, SpaceCharge(grid=NODES), size), bunch)
    theirs = xfields_kick(bunch, size)
    peak = theirs.abs().amax(-1, keepdim=True)
    difference = (ours - theirs).abs() / peak
    assert difference[:2].max() < ELEMENTARY_CHARGE
    # they kick delta where we kick its canonical partner: equal to first order in delta
    assert difference[2].max() < 5e-3
