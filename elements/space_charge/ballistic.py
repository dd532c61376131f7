"""The ballistic transform: from particles at one place to particles at one time, and back.

A bunch is kept as its particles cross a plane; its field is that of the particles at one
time. Each particle flies to the time of the reference, is kicked there, and flies back. For
short bunches of large divergence, as in photo-injectors (ImpactX and IMPACT do the same). In
a ring it is wrong: x' times the length of a long bunch exceeds the beam.

The kick moves no particle at that time, so that the kick of negative length undoes it.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .. import sums
from ..bunch import Bunch
from ..errors import SpaceChargeError
from .mapping import all_alive, mapped

# Largest share of a beam's rms size by which the flight may move its particles.
LARGEST_SHIFT = 0.1


class Snapshot(NamedTuple):
    """A bunch at the time of its reference.

    `bunch` has the positions (x, y, z) [m] of that time and no momenta; `pz` is the
    longitudinal momentum over the reference's, `energy` that over the reference's.
    """

    bunch: Bunch
    pz: Tensor
    energy: Tensor


def at_one_time(bunch: Bunch) -> Snapshot:
    """Let every particle fly to the time of the reference.

    Raises
    ------
    SpaceChargeError
        If the flight moves particles by more than a tenth of the beam's rms size.
    """
    reference = bunch.reference.over_particles(bunch.coordinates)
    x, px, y, py, zeta, pzeta = bunch.coordinates.unbind(-2)
    pz = torch.sqrt((1.0 + bunch.delta) ** 2 - px**2 - py**2)
    energy = 1.0 + reference.beta0**2 * pzeta
    z = zeta * pz / energy
    shifts = (px / pz * z, py / pz * z)
    for name, position, shift in (("x", x, shifts[0]), ("y", y, shifts[1])):
        _refuse_long_flights(position.detach(), shift.detach(), bunch.alive, name)
    still = torch.zeros_like(z)
    rows = torch.broadcast_tensors(x + shifts[0], still, y + shifts[1], still, z, still)
    return Snapshot(bunch.replace(coordinates=torch.stack(rows, dim=-2)), pz, energy)


def at_one_place(bunch: Bunch, snapshot: Snapshot, kicked: Bunch) -> Bunch:
    """Add the kick of `kicked` at one time to `bunch`, and fly back; no kick changes nothing."""
    reference = bunch.reference.over_particles(bunch.coordinates)
    x, px, y, py, zeta, pzeta = bunch.coordinates.unbind(-2)
    pz, z = snapshot.pz, snapshot.bunch.zeta
    kick_x, kick_y, kick_z = kicked.px, kicked.py, kicked.pzeta
    px_new, py_new, pz_new = px + kick_x, py + kick_y, pz + kick_z
    # of the square of the momentum, as a difference that keeps its digits
    change = kick_x * (px + px_new) + kick_y * (py + py_new) + kick_z * (pz + pz_new)
    beta_squared = reference.beta0**2
    square = pzeta * (2.0 + beta_squared * pzeta) + change
    pzeta_new = square / (1.0 + torch.sqrt(1.0 + beta_squared * square))
    pzeta_new = pzeta + change / (2.0 + beta_squared * (pzeta + pzeta_new))
    energy_new = 1.0 + beta_squared * pzeta_new
    rows = (
        x + z * (px / pz - px_new / pz_new),
        px_new,
        y + z * (py / pz - py_new / pz_new),
        py_new,
        zeta * (pz / pz_new) * (energy_new / snapshot.energy),
        pzeta_new,
    )
    coordinates = torch.stack(torch.broadcast_tensors(*rows), dim=-2)
    if not all_alive(bunch.alive):
        alive = bunch.alive.unsqueeze(-2)
        coordinates = torch.where(alive, coordinates, bunch.coordinates)
    return bunch.replace(coordinates=coordinates)


@mapped("space_charge_refuse_long_flights")
def _refuse_long_flights(position: Tensor, shift: Tensor, alive: Tensor, name: str) -> Tensor:
    offset = position - sums.plain_mean(position, alive).unsqueeze(-1)
    size = sums.plain_mean(offset**2, alive).sqrt()
    moved = sums.plain_mean(shift**2, alive).sqrt()
    if bool((moved > LARGEST_SHIFT * size).any()):
        raise SpaceChargeError(
            f"space charge: the ballistic transform moves {name} by {float(moved.max()):.3g} m "
            f"rms in a beam of {float(size.max()):.3g} m rms: it holds for short bunches only, "
            'use transform="none"'
        )
    return moved
