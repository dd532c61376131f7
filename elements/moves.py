"""Moves: the few maps of a particle that most elements are rows of.

The formulas of a move stand twice: as operations on tensors, which the elements use anyway,
and in C with gradients by hand (`kernels/state.c` and what it is joined with).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple, TypeAlias

from .energy import Energy
from .state import Number, State


class Kind(IntEnum):
    """Kinds of moves, as in the enumeration of `kernels/state.c`."""

    EXPANDED = 0
    EXACT = 1
    FOCUS = 2
    KICK = 3
    SECTOR = 4
    SOLENOID = 5
    SHIFT = 6
    TURN = 7


class Move(NamedTuple):
    """One map, that leaves the energy alone.

    Parameters
    ----------
    kind : Kind
    numbers : tuple of float or Tensor
        Lengths, strengths and so on.
    on_tensors : callable
        Takes a state, the energy of its particles and the numbers, and returns the next state.
    """

    kind: Kind
    numbers: tuple[Number, ...]
    on_tensors: Callable[..., State]


Moves: TypeAlias = tuple[Move, ...]


# The moves of a fraction of a body.
Row: TypeAlias = Callable[[float], Moves]


def joined(*rows: Moves | None) -> Moves | None:
    """Put rows of moves one after the other; None if any of the maps is no such row."""
    total: list[Move] = []
    for row in rows:
        if row is None:
            return None
        total += row
    return tuple(total)


def appending(row: Row) -> Callable[[list[Move], float], list[Move]]:
    """Return what an integrator calls to append moves; the same fraction gives the same ones."""
    made = lru_cache(row)

    def append(moves: list[Move], fraction: float) -> list[Move]:
        moves += made(fraction)
        return moves

    return append


def shift(dx: Number, dy: Number, dzeta: Number) -> Move:
    """Add to x, y and zeta, m."""
    return Move(Kind.SHIFT, (dx, dy, dzeta), _shifted)


def turn(cosine: Number, sine: Number) -> Move:
    """Turn the frame about s from x to y, by an angle of this cosine and sine."""
    return Move(Kind.TURN, (cosine, sine), _turned)


def _shifted(state: State, energy: Energy, dx: Number, dy: Number, dzeta: Number) -> State:
    return state._replace(x=state.x + dx, y=state.y + dy, zeta=state.zeta + dzeta)


def _turned(state: State, energy: Energy, cosine: Number, sine: Number) -> State:
    x, px, y, py, zeta, pzeta = state
    return State(
        cosine * x + sine * y,
        cosine * px + sine * py,
        cosine * y - sine * x,
        cosine * py - sine * px,
        zeta,
        pzeta,
    )
