"""How bunches pass through elements: rows of them in one go, lost particles left where they are."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from . import blocks, program
from .bunch import Bunch
from .moves import Moves
from .reference import Reference
from .state import State, Transport

if TYPE_CHECKING:
    from .base import Element


def move_through(
    parts: Sequence[Element], coordinates: Tensor, reference: Reference, backwards: bool = False
) -> Tensor:
    """Apply a row of elements to coordinates, (..., 6, n), or undo it from its end.

    Where there are many particles, neighbours that are rows of moves go through in one pass.
    """
    order = tuple(reversed(parts)) if backwards else tuple(parts)
    if not program.takes(coordinates, reference):
        return _by_rows(_one_after_another(order, backwards), coordinates, reference)
    like = coordinates[..., 0, :]
    rows = [part.undo_moves(like) if backwards else part.moves(like) for part in order]
    for made_of_moves, group in itertools.groupby(zip(order, rows, strict=True), _is_row):
        members, found = zip(*group, strict=True)
        moved = None
        if made_of_moves:
            moved = program.run(tuple(itertools.chain(*found)), coordinates, reference)
        if moved is None:
            moved = _by_rows(_one_after_another(members, backwards), coordinates, reference)
        coordinates = moved
    return coordinates


def _one_after_another(parts: Sequence[Element], backwards: bool) -> Transport:
    def transport(state: State, reference: Reference) -> State:
        for part in parts:
            state = (part.undo if backwards else part.transport)(state, reference)
        return state

    return transport


def _is_row(member: tuple[Element, Moves | None]) -> bool:
    return member[1] is not None


def track_map(move: Callable[[Tensor, Reference], Tensor], bunch: Bunch) -> Bunch:
    """Apply a map of coordinates to a bunch, leaving lost particles where they are."""
    reference = bunch.reference.over_particles(bunch.coordinates)
    if bunch.is_whole:
        return bunch.replace(coordinates=move(bunch.coordinates, reference))
    alive = bunch.alive.unsqueeze(-2)
    # lost particles may hold anything, even NaN, and must not reach a gradient
    moved = move(torch.where(alive, bunch.coordinates, 0.0), reference)
    return bunch.replace(coordinates=torch.where(alive, moved, bunch.coordinates))


def track_transport(transport: Transport, bunch: Bunch) -> Bunch:
    """Do as `track_map` with a map of a state."""
    return track_map(partial(_by_rows, transport), bunch)


def _by_rows(transport: Transport, coordinates: Tensor, reference: Reference) -> Tensor:
    return blocks.move(lambda block: transport(State(*block.unbind(-2)), reference), coordinates)


def transfer_matrix(
    transport: Transport, reference: Reference, orbit: Tensor | None = None
) -> Tensor:
    """Jacobian of a map of coordinates around one particle, (..., 6, 6), by one backward pass.

    Six copies of the particle are tracked, which do not see each other, so that the gradient of
    the i-th coordinate of the i-th copy is the i-th row. Gradients flow to fields and reference,
    unless they are switched off.
    """
    particle = torch.zeros(6, dtype=torch.float64) if orbit is None else orbit.to(torch.float64)
    copies = particle.unsqueeze(-1).expand(*particle.shape, 6)
    aligned = reference.over_particles(copies)

    def apply(coordinates: Tensor) -> Tensor:
        state = transport(State(*coordinates.unbind(-2)), aligned)
        return torch.stack(torch.broadcast_tensors(*state), dim=-2)

    probe = apply(copies)  # has the shape of a batch, and a graph where fields want gradients
    with torch.enable_grad():
        start = copies.detach().expand(probe.shape).clone().requires_grad_()
        diagonal = apply(start).diagonal(dim1=-2, dim2=-1)
        (rows,) = torch.autograd.grad(diagonal.sum(), start, create_graph=probe.requires_grad)
    return rows.transpose(-1, -2)
