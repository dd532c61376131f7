"""Faces of magnets: to first order, or with their fringe field and their angle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from .base import Number, State
from .energy import Energy
from .fringes import dipole_fringe, multipole_fringe
from .kicks import Strengths
from .moves import Moves
from .scalars import cosine, is_active, sine, tangent
from .wedge import quadrupole_wedge, wedge


class Face(NamedTuple):
    """One face of a magnet.

    `k0` and `k1` are what the body has for itself, `normal` and `skew` all its multipoles per
    length, [m^-(n+1)] by order n; `field` is the whole dipole component behind the face.
    """

    is_exit: bool
    field: Number = 0.0
    k0: Number = 0.0
    k1: Number = 0.0
    angle: Number = 0.0
    angle_fdown: Number = 0.0
    fint: Number = 0.0
    hgap: Number = 0.0
    normal: Sequence[Number] = ()
    skew: Sequence[Number] = ()


FaceMap = Callable[[State, Energy, Face, int], State]


def linear_dipole_edge(
    state: State,
    k0: Number,
    angle: Number,
    angle_fdown: Number,
    fint: Number,
    hgap: Number,
    sign: int,
) -> State:
    """Kick by a dipole face to first order; `sign` -1 undoes it.

    Parameters
    ----------
    k0 : float or Tensor, 1/m
        Curvature of the field behind the face.
    angle, angle_fdown : float or Tensor, rad
        Angle of the face, and what it changes by towards the exit of the fringe (vertical only).
    fint, hgap : float or Tensor, 1 and m
        Fringe integral and half gap.

    References
    ----------
    Brown, SLAC-75 (1982), eq. for the fringe of a bending magnet, with the vertical
    correction 2 k0 hgap fint (1 + sin^2 e)/cos e.
    """
    x, px, y, py, zeta, pzeta = state
    in_x, in_y = _slopes(k0, angle, angle_fdown, fint, hgap)
    return State(x, px + sign * in_x * x, y, py - sign * in_y * y, zeta, pzeta)


def _slopes(
    k0: Number, angle: Number, angle_fdown: Number, fint: Number, hgap: Number
) -> tuple[Number, Number]:
    """Return by how much a face kicks outwards over x, and inwards over y, 1/m."""
    vertical = angle + angle_fdown
    correction = 2.0 * k0 * hgap * fint * (1.0 + sine(vertical) ** 2) / cosine(vertical)
    return k0 * tangent(angle), k0 * tangent(vertical - correction)


def linear_face(state: State, energy: Energy, face: Face, sign: int) -> State:
    """Apply a face to first order."""
    return linear_dipole_edge(
        state, face.field, face.angle, face.angle_fdown, face.fint, face.hgap, sign
    )


def linear_moves(face: Face, sign: int) -> Moves:
    """Return `linear_face` as moves: a gradient, and what of it x sees alone."""
    in_x, in_y = _slopes(face.field, face.angle, face.angle_fdown, face.fint, face.hgap)
    kick = Strengths((0.0, -1.0 * in_y), (), h=1.0, k0l=in_y - in_x)
    return kick.moves(float(sign)) or ()


def full_face(state: State, energy: Energy, face: Face, sign: int) -> State:
    """Apply a face with the fringe fields of all multipoles, at its angle.

    At the entry the frame turns onto the face, the fringe fields act, and the wedge leads
    back through the field of the body; the exit is the mirror image.
    """
    return _in_order(state, face, sign, _parts(energy, face, all_multipoles=True))


def dipole_face(state: State, energy: Energy, face: Face, sign: int) -> State:
    """Apply a face with the fringe field of its dipole component alone, at its angle."""
    return _in_order(state, face, sign, _parts(energy, face, all_multipoles=False))


def suppressed_face(state: State, energy: Energy, face: Face, sign: int) -> State:
    """Leave the coordinates alone."""
    return state


FACE_MAPS: dict[str, FaceMap] = {
    "linear": linear_face,
    "full": full_face,
    "dipole-only": dipole_face,
    "suppressed": suppressed_face,
}

# The same as moves, where they are any.
FACE_MOVES: dict[str, Callable[[Face, int], Moves | None]] = {
    "linear": linear_moves,
    "full": lambda face, sign: None,
    "dipole-only": lambda face, sign: None,
    "suppressed": lambda face, sign: (),
}

_Part = Callable[[State, int], State]


def _in_order(state: State, face: Face, sign: int, parts: list[_Part]) -> State:
    outward = face.is_exit == (sign > 0)
    for part in reversed(parts) if outward else parts:
        state = part(state, sign)
    return state


def _parts(energy: Energy, face: Face, all_multipoles: bool) -> list[_Part]:
    """List the maps of an entry face; each takes the sign that undoes it."""
    angle = face.angle

    def turn(state: State, sign: int) -> State:
        return wedge(state, energy, sign * angle)

    def fringe(state: State, sign: int) -> State:
        field = -face.field if face.is_exit else face.field
        return dipole_fringe(state, energy, field, face.fint, face.hgap, sign)

    def multipoles(state: State, sign: int) -> State:
        # the skew dipole has no part in it, as in Xsuite
        skew = (0.0, *face.skew[1:])
        return multipole_fringe(state, energy, face.normal, skew, face.is_exit, sign)

    def back_through_quadrupole(state: State, sign: int) -> State:
        return quadrupole_wedge(state, -sign * angle, face.k1)

    def back(state: State, sign: int) -> State:
        return wedge(state, energy, -sign * angle, face.k0)

    tilted, gradient = is_active(angle), all_multipoles and is_active(face.k1)
    chosen = (
        (turn, tilted),
        (fringe, is_active(face.field)),
        (multipoles, all_multipoles),
        (back_through_quadrupole, tilted and gradient),
        (back, tilted),
    )
    return [part for part, wanted in chosen if wanted]
