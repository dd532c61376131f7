"""Bunches from and to `xt.Particles`."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from sc_bridge.adjoint import TrackResult
from sc_bridge.elements import Bunch, Reference
from sc_bridge.elements.bunch import COORDINATES
from sc_bridge.errors import BunchError

from .arrays import (
    array_module,
    check_species,
    living,
    reference_momentum,
    shared_coordinates,
    tensor_of,
)
from .layout import lay_out
from .xtrack import import_xtrack

_LOST_ON_APERTURE = 0  # xtrack's state


def bunch_from(particles: Any, copy: bool = True) -> Bunch:
    """Return the bunch of an `xt.Particles`, in float64 on the device of the particles.

    `alive` is `state > 0`, and unallocated places are left out.

    Parameters
    ----------
    particles : xtrack.Particles
        One species and one reference momentum; those lost before an acceleration may have another,
        to which their coordinates refer.
    copy : bool
        True copies; particles are in the order of their `particle_id`, since xtrack moves lost
        ones to the end. False gives coordinates and weights over the memory of the particles, in
        their order: what xtrack tracks next moves the bunch (`alive` aside: call it again).
        Possible for particles that `particles_from` made.

    Raises
    ------
    BunchError
        If it is not that, holds no particle, or cannot be shared.
    ScBridgeError
        If the particles are on a GPU and CuPy is not installed.
    """
    _check_particles("bunch_from", particles)
    order = _by_identity(particles) if copy else _allocated(particles)
    try:
        check_species(particles, order)
        alive = living(particles)
        p0c = reference_momentum(particles, alive if bool(alive.any()) else order)
    except BunchError as error:
        raise BunchError(f"bunch_from: {error}") from None
    if copy:
        coordinates = torch.stack([tensor_of(particles, name)[order] for name in COORDINATES])
    else:
        coordinates = _shared(particles)[:, order]
    return Bunch(
        coordinates,
        Reference(float(particles.mass0), float(particles.q0), p0c),
        weight=tensor_of(particles, "weight")[order],
        alive=tensor_of(particles, "state")[order] > 0,
    )


def particles_from(bunch: Bunch | TrackResult, out: Any = None, context: Any = None) -> Any:
    """Return a bunch as `xt.Particles`; values are exact, delta, rvv and rpp follow pzeta.

    Parameters
    ----------
    bunch : Bunch or TrackResult
        One bunch, not a batch; gradients end here. What `track(..., monitors={})` returns also
        says where particles were lost: at_element, s and at_turn are set as xtrack's tracking sets
        them, with at_element counted along the line that the sequence was read from.
    out : xtrack.Particles, optional
        Write into these, as many as the bunch has and in the order of their `particle_id` (as
        `bunch_from` gave them): ids, s, at_element, at_turn and the state of those lost before
        stay. By default new ones, whose `particle_id` is the place in the bunch.
    context : xobjects context, optional
        Where new particles live; a serial CPU context by default.

    Returns
    -------
    xtrack.Particles
        Without lost particles in the order of the bunch. Those lost in the bunch have state 0
        and come last, as xtrack keeps them. New ones lie in memory as a bunch does:
        `bunch_from(particles, copy=False)` needs no copy.

    Raises
    ------
    BunchError
        If it is a batch of bunches, or does not fit `out`.
    ScBridgeError
        If the context is on a GPU and CuPy is not installed.
    """
    result, bunch = (bunch, bunch.bunch) if isinstance(bunch, TrackResult) else (None, bunch)
    if not isinstance(bunch, Bunch):
        raise BunchError(f"particles_from: {type(bunch).__name__}: must be a Bunch")
    if bunch.coordinates.dim() != 2 or bunch.reference.p0c.numel() != 1:
        raise BunchError(
            f"particles_from: a batch of shape {tuple(bunch.coordinates.shape[:-2])}: "
            "xtrack.Particles holds one bunch: pass one of them"
        )
    bunch = bunch.detach()
    bunch = bunch.replace(coordinates=bunch.coordinates.double(), weight=bunch.weight.double())
    particles = _new(bunch, context) if out is None else out
    _check_particles("particles_from", particles)
    order = _by_identity(particles)
    _check_fit(bunch, particles, order)
    if result is not None:
        _write_places(result, particles, order)
    _write(bunch, particles, order)
    if array_module(particles._context) is np:
        particles.reorganize()
    return particles


def _new(bunch: Bunch, context: Any) -> Any:
    xt = import_xtrack()
    if context is not None:
        array_module(context)  # refuses what is no context of a CPU or of CuPy
    reference = bunch.reference
    particles = xt.Particles(
        _context=context,
        mass0=reference.mass0.item(),
        q0=reference.q0.item(),
        p0c=reference.p0c.item(),
        x=np.zeros(bunch.n_particles),
    )
    return lay_out(particles)


def _write(bunch: Bunch, particles: Any, order: Tensor) -> None:
    """Write all that a bunch says into the places `order` of particles."""
    p0c = bunch.reference.p0c.item()
    alive = living(particles)
    if bool((tensor_of(particles, "p0c")[alive] != p0c).any()):
        module = array_module(particles._context)
        (places,) = torch.where(alive)
        places = places.numpy() if module is np else module.from_dlpack(places)
        particles.p0c[places] = p0c  # beta0 and gamma0 with it
    values = dict(zip(COORDINATES, bunch.coordinates, strict=True)) | {"weight": bunch.weight}
    for name, value in values.items():
        array = tensor_of(particles, name)
        array[order] = value.to(array.device)
    same = tensor_of(particles, "p0c")[order] == p0c  # others were lost before an acceleration
    delta = bunch.delta
    for name, value in {"delta": delta, "rvv": bunch.rvv, "rpp": 1.0 / (1.0 + delta)}.items():
        array = tensor_of(particles, name)
        array[order[same]] = value.to(array.device)[same]
    state = tensor_of(particles, "state")
    newly_lost = order[(state[order] > 0) & ~bunch.alive.to(state.device)]
    state[newly_lost] = _LOST_ON_APERTURE


def _write_places(result: TrackResult, particles: Any, order: Tensor) -> None:
    """Set at_element, s and at_turn of the particles that were alive at the start."""
    state = tensor_of(particles, "state")
    alive, lost_at = state[order] > 0, result.lost_at
    lost = lost_at.turn.to(state.device) >= 0
    turn = tensor_of(particles, "at_turn")
    for name, at_loss, at_end in (
        ("at_element", lost_at.element, 0),
        ("s", lost_at.s, 0.0),
        ("at_turn", turn[order] + lost_at.turn.to(turn.device), turn[order] + result.turns),
    ):
        array = tensor_of(particles, name)
        value = torch.where(lost, at_loss.to(array.device), at_end)
        array[order[alive]] = value[alive].to(array.dtype)


def _check_fit(bunch: Bunch, particles: Any, order: Tensor) -> None:
    if order.numel() != bunch.n_particles:
        raise BunchError(
            f"particles_from: out holds {order.numel()} particles and the bunch "
            f"{bunch.n_particles}: must be as many"
        )
    for name in ("mass0", "q0"):
        theirs, ours = float(getattr(particles, name)), getattr(bunch.reference, name).item()
        if theirs != ours:
            raise BunchError(
                f"particles_from: out has {name} = {theirs!r} and the bunch {ours!r}: "
                "must be one species"
            )
    check_species(particles, order)
    risen = (tensor_of(particles, "state")[order] <= 0) & bunch.alive.to(order.device)
    if bool(risen.any()):
        identity = tensor_of(particles, "particle_id")[order][risen][0].item()
        raise BunchError(
            f"particles_from: particle {identity} is lost in out and alive in the bunch: "
            "pass the particles that the bunch came from"
        )


def _check_particles(what: str, particles: Any) -> None:
    xt = import_xtrack()
    if not isinstance(particles, xt.Particles):
        raise BunchError(f"{what}: {type(particles).__name__}: must be xtrack.Particles")


def _by_identity(particles: Any) -> Tensor:
    """Places of all particles that there are, lost ones included, in the order of their ids."""
    state = tensor_of(particles, "state")
    (places,) = torch.where(state > _unallocated())
    if places.numel() == 0:
        raise BunchError("bunch_from: no particles: every place is unallocated")
    identity = tensor_of(particles, "particle_id")[places]
    return places[torch.argsort(identity, stable=True)]


def _allocated(particles: Any) -> slice:
    """Places from the first to the last particle that there is."""
    count = _by_identity(particles).numel()
    state = tensor_of(particles, "state")
    if bool((state[:count] <= _unallocated()).any()):
        raise BunchError(
            "bunch_from: copy=False: particles with unallocated places between them: call "
            "particles.reorganize() first"
        )
    return slice(0, count)


def _shared(particles: Any) -> Tensor:
    coordinates = shared_coordinates(particles)
    if coordinates is None:
        raise BunchError(
            "bunch_from: copy=False: xtrack keeps x, px, y, py, zeta and pzeta in another order: "
            "copy=True copies them; particles_from(bunch_from(particles)) makes such as can be "
            "shared"
        )
    return coordinates


def _unallocated() -> int:
    return import_xtrack().particles.LAST_INVALID_STATE
