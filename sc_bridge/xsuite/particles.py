"""Bunches from and to `xt.Particles`."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from sc_bridge.elements import Bunch, Reference
from sc_bridge.elements.bunch import COORDINATES
from sc_bridge.errors import BunchError

from .xtrack import import_xtrack


def bunch_from(particles: Any) -> Bunch:
    """Return the bunch of an `xt.Particles`, a copy in float64 on the CPU.

    Particles are in the order of their `particle_id`, since xtrack moves lost ones to the end;
    `alive` is `state > 0`, and unallocated places are left out.

    Parameters
    ----------
    particles : xtrack.Particles
        One species and one reference momentum.

    Raises
    ------
    BunchError
        If it is not that, or holds no particle.
    """
    xt = import_xtrack()
    if not isinstance(particles, xt.Particles):
        raise BunchError(f"bunch_from: {type(particles).__name__}: must be xtrack.Particles")
    unallocated = xt.particles.LAST_INVALID_STATE
    state = _array(particles, "state")
    places = np.flatnonzero(state > unallocated)
    if places.size == 0:
        raise BunchError("bunch_from: no particles: every place is unallocated")
    order = places[np.argsort(_array(particles, "particle_id")[places], kind="stable")]
    for name in ("chi", "charge_ratio"):
        _check_species(_array(particles, name)[order], name)
    coordinates = np.stack([_array(particles, name)[order] for name in COORDINATES])
    return Bunch(
        torch.from_numpy(coordinates),
        Reference(
            float(particles.mass0), float(particles.q0), _momentum(_array(particles, "p0c")[order])
        ),
        weight=torch.from_numpy(_array(particles, "weight")[order]),
        alive=torch.from_numpy(state[order] > 0),
    )


def particles_from(bunch: Bunch) -> Any:
    """Return a bunch as `xt.Particles` on the CPU: `particle_id` is the place in the bunch.

    Without lost particles the order is that of the bunch; lost ones come last, with state 0,
    as xtrack keeps them. Values are exact; gradients end here.

    Raises
    ------
    BunchError
        If it is a batch of bunches.
    """
    xt = import_xtrack()
    reference = bunch.reference.detach()
    if bunch.coordinates.dim() != 2 or reference.p0c.numel() != 1:
        raise BunchError(
            f"particles_from: a batch of shape {tuple(bunch.coordinates.shape[:-2])}: "
            "xtrack.Particles holds one bunch: pass one of them"
        )
    values = bunch.coordinates.detach().to("cpu", torch.float64).numpy()
    alive = bunch.alive.cpu().numpy()
    particles = xt.Particles(
        mass0=reference.mass0.item(),
        q0=reference.q0.item(),
        p0c=reference.p0c.item(),
        weight=bunch.weight.detach().to("cpu", torch.float64).numpy(),
        **dict(zip(COORDINATES, values, strict=True)),
    )
    if not alive.all():
        particles.state = alive.astype(np.int64)
        particles.reorganize()
    return particles


def _array(particles: Any, name: str) -> np.ndarray:
    """Return a copy on the CPU of one array, lost and unallocated particles included."""
    return np.array(particles._context.nparray_from_context_array(getattr(particles, name)))


def _check_species(ratio: np.ndarray, name: str) -> None:
    others = np.flatnonzero(ratio != 1.0)
    if others.size:
        raise BunchError(
            f"bunch_from: {others.size} of {ratio.size} particles are of another species "
            f"({name} = {ratio[others[0]]!r}, not 1): pass one species at a time"
        )


def _momentum(p0c: np.ndarray) -> float:
    if (p0c != p0c[0]).any():
        raise BunchError(
            f"bunch_from: reference momenta from {p0c.min()!r} to {p0c.max()!r} eV: "
            "a bunch has one p0c"
        )
    return float(p0c[0])
