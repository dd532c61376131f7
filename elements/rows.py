"""Rows of elements as one map of a few particles, for optics.

Rows of many moves go through C kernels: a bend in steps is hundreds of moves, each some ten
operations on tensors, which take the same time for eight particles as for thousands.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

import torch

from . import kernels, program
from .base import Element
from .moves import Move, Moves
from .reference import Reference
from .state import State, Transport

# Moves from which kernels are worth loading, and perhaps compiling, for a few particles.
_MANY = 16

Member: TypeAlias = tuple[Element, Moves | None]


def row_transport(
    parts: Sequence[Element], reference: Reference, coasting: bool = False
) -> Transport:
    """Return the map of a row of elements that `reference` enters.

    The map ignores the reference it is given later: each element gets its own. With `coasting`
    energy kicks are left out and the reference stays.
    """

    def transport(state: State, _: Reference) -> State:
        rows = zip(parts, _rows(parts, state, reference), strict=True)
        stretches = (tuple(group) for _, group in itertools.groupby(rows, _is_made_of_moves))
        for behind in _states(stretches, state, reference, coasting):
            state = behind
        return state

    return transport


def states_behind(
    parts: Sequence[Element], state: State, reference: Reference, coasting: bool = False
) -> Iterator[State]:
    """Give the state behind each element of a row that `reference` enters."""
    rows = zip(parts, _rows(parts, state, reference), strict=True)
    return _states(((row,) for row in rows), state, reference, coasting)


def _rows(parts: Sequence[Element], state: State, reference: Reference) -> Sequence[Moves | None]:
    """Return the moves of each element; None where operations on tensors take their place.

    Moves leave the energy alone, so that they coast as they are.
    """
    by_operations = [None] * len(parts)
    if state.x.device.type != "cpu" or not program.serves(reference):
        return by_operations
    rows = [part.moves(state.x) for part in parts]
    is_long = sum(len(row) for row in rows if row) >= _MANY
    return rows if is_long and kernels.load() is not None else by_operations


def _is_made_of_moves(member: Member) -> bool:
    return member[1] is not None


def _states(
    stretches: Iterable[tuple[Member, ...]], state: State, reference: Reference, coasting: bool
) -> Iterator[State]:
    """Give the state behind each stretch, whose members have all moves, or all none."""
    for stretch in stretches:
        moved = _moved(stretch, state, reference)
        if moved is None:
            for part, _ in stretch:
                apply = part.coast if coasting else part.transport
                state = apply(state, reference.over_particles(state.x))
                reference = reference if coasting or part.is_map else part.outgoing(reference)
        yield (state := moved or state)


def _moved(stretch: tuple[Member, ...], state: State, reference: Reference) -> State | None:
    """State behind a stretch by one program; None if it has no moves, or numbers in a batch."""
    moves: list[Move] = []
    for _, row in stretch:
        if row is None:
            return None
        moves += row
    coordinates = torch.stack(torch.broadcast_tensors(*state), dim=-2)
    moved = program.run(moves, coordinates, reference)
    return None if moved is None else State(*moved.unbind(-2))
