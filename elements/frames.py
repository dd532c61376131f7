"""Frames: where a plane of one frame lies in another, and the flight of particles between them.

A rotation or shift of the reference system is a change of plane: coordinates are turned, and
the particle flies freely to where the new plane is. Every sequence of them is one such change.

Cost: one square root and at most 25 products a particle; a rotation about s takes 8 products,
a shift none.

References
----------
Forest, Beam Dynamics (1998), chapter 10, on the Euclidean group of a magnet.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

import torch

from .base import Number, State
from .energy import Energy
from .moves import Moves, shift, turn
from .reference import Reference
from .scalars import cosine, sine
from .special import sinc

Vector: TypeAlias = tuple[Number, Number, Number]
Matrix: TypeAlias = tuple[Vector, Vector, Vector]

_AXES = range(3)


class Pose(NamedTuple):
    """A frame seen from another: x in the outer frame = rotation @ x in the inner + shift.

    Parameters
    ----------
    rotation : 3 x 3 floats or Tensors
        The columns are the axes x, y, s of the inner frame.
    shift : 3 floats or Tensors, m
        Where the origin of the inner frame lies.
    """

    rotation: Matrix = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    shift: Vector = (0.0, 0.0, 0.0)

    def then(self, inner: Pose) -> Pose:
        """Return the pose of a frame that lies at `inner` in this one."""
        rotated = [
            [_dot(row, [inner.rotation[k][column] for k in _AXES]) for column in _AXES]
            for row in self.rotation
        ]
        shift = [_plus(_dot(self.rotation[i], inner.shift), self.shift[i]) for i in _AXES]
        return Pose(_matrix(rotated), (shift[0], shift[1], shift[2]))

    def inverse(self) -> Pose:
        """Return the pose of the outer frame in the inner one."""
        columns = _matrix([[self.rotation[i][j] for i in _AXES] for j in _AXES])
        shift = [-1.0 * _dot(column, self.shift) for column in columns]
        return Pose(columns, (shift[0], shift[1], shift[2]))


def about_x(angle: Number) -> Pose:
    """Turn about x by an angle in rad, from s to y."""
    c, s = cosine(angle), sine(angle)
    return Pose(((1.0, 0.0, 0.0), (0.0, c, s), (0.0, -1.0 * s, c)))


def about_y(angle: Number) -> Pose:
    """Turn about y by an angle in rad, from s to x."""
    c, s = cosine(angle), sine(angle)
    return Pose(((c, 0.0, s), (0.0, 1.0, 0.0), (-1.0 * s, 0.0, c)))


def about_s(angle: Number) -> Pose:
    """Turn about s by an angle in rad, from x to y."""
    c, s = cosine(angle), sine(angle)
    return Pose(((c, -1.0 * s, 0.0), (s, c, 0.0), (0.0, 0.0, 1.0)))


def along_arc(length: Number, h: Number) -> Pose:
    """Go along the reference orbit: an arc of curvature `h`, 1/m, in the plane of x and s."""
    angle = length * h
    c, s = cosine(angle), sine(angle)
    if isinstance(h, float):
        flat = h == 0.0
        chord = length if flat else s / h
        sagitta = 0.0 if flat else -2.0 * sine(0.5 * angle) ** 2 / h
    else:  # smooth where the curvature is 0
        angle = torch.as_tensor(angle)
        chord, sagitta = length * sinc(angle), -0.5 * length * angle * sinc(0.5 * angle) ** 2
    return Pose(((c, 0.0, -1.0 * s), (0.0, 1.0, 0.0), (s, 0.0, c)), (sagitta, 0.0, chord))


def change_frame(state: State, reference: Reference, pose: Pose) -> State:
    """Return coordinates in the frame at `pose`, at its plane s = 0.

    `zeta` counts the flight between the planes alone: the new plane is at the same s of the
    reference orbit as the old one.

    Validity: exact in every coordinate for particles that go forward in both frames.
    """
    x, px, y, py, zeta, pzeta = state
    (sx, sy, ss), rotation = pose.shift, pose.rotation
    columns = _matrix([[rotation[i][j] for i in _AXES] for j in _AXES])
    position = (_plus(x, -1.0 * sx), _plus(y, -1.0 * sy), -1.0 * ss)
    if not _leaves_plane(pose):
        new_x, new_y = (_dot(columns[j][:2], position[:2]) for j in (0, 1))
        new_px, new_py = (_dot(columns[j][:2], (px, py)) for j in (0, 1))
        return _state(new_x, new_px, new_y, new_py, zeta, pzeta)
    energy = Energy.of(pzeta, reference)
    pz = torch.sqrt(energy.momentum * energy.momentum - px * px - py * py)
    new_x, new_y, new_s = (_dot(column, position) for column in columns)
    new_px, new_py, new_pz = (_dot(column, (px, py, pz)) for column in columns)
    flight = -1.0 * new_s / new_pz
    return _state(
        new_x + new_px * flight,
        new_px,
        new_y + new_py * flight,
        new_py,
        zeta - energy.total * flight,
        pzeta,
    )


def frame_moves(pose: Pose) -> Moves | None:
    """Return `change_frame` as moves; None where a particle has to fly to the new plane."""
    if _leaves_plane(pose):
        return None
    (dx, dy, _), rotation = pose.shift, pose.rotation
    moves: Moves = ()
    if _is_something(dx) or _is_something(dy):
        moves = (shift(-1.0 * dx, -1.0 * dy, 0.0),)
    if _is_something(rotation[1][0]):
        moves = (*moves, turn(rotation[0][0], rotation[1][0]))
    return moves


def _leaves_plane(pose: Pose) -> bool:
    out_of_plane = (pose.shift[2], pose.rotation[0][2], pose.rotation[1][2])
    return any(map(_is_something, out_of_plane))


def _state(*coordinates: Number) -> State:
    return State(*coordinates)  # pyright: ignore[reportArgumentType]


def _matrix(rows: list[list[Number]]) -> Matrix:
    first, second, third = ((row[0], row[1], row[2]) for row in rows)
    return first, second, third


def _is_something(number: Number) -> bool:
    return not (isinstance(number, float) and number == 0.0)


def _plus(first: Number, second: Number) -> Number:
    if not _is_something(second):
        return first
    return first + second if _is_something(first) else second


def _dot(first: Iterable[Number], second: Iterable[Number]) -> Number:
    """Sum of products, without those that a float 0 makes nothing of."""
    total: Number = 0.0
    for a, b in zip(first, second, strict=True):
        if _is_something(a) and _is_something(b):
            one = isinstance(a, float) and a == 1.0
            total = _plus(total, b if one else a * b)
    return total
