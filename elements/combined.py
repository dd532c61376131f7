"""Combined-function magnet: the map of the Hamiltonian expanded to second order."""

from __future__ import annotations

from torch import Tensor

from .base import Number, State
from .energy import Energy
from .moves import Kind, Move
from .scalars import is_active, plus, times
from .stumpff import cosine_pair, stumpff


def combined_function(
    state: State, energy: Energy, length: Number, k0: Number, k1: Number, h: Number
) -> State:
    """Dipole and quadrupole in a frame of curvature h, in closed form.

    Parameters
    ----------
    length : float or Tensor, m
    k0, k1 : float or Tensor, 1/m, 1/m^2
    h : float or Tensor, 1/m

    Validity: exact for the Hamiltonian expanded to second order in x, px, y, py; exact in
    energy. Smooth where a strength crosses zero.

    References
    ----------
    MAD-X `ttcfd`; here without its divisions by the strengths.
    """
    x, px, y, py, zeta, pzeta = state
    momentum, total, slip = energy
    xp, yp = px / momentum, py / momentum
    # x'' = g - K x, with K = (k0 h + k1)/(1 + delta) and g = h - k0/(1 + delta)
    focusing = plus(times(k0, h), k1)
    if is_active(k0) or is_active(h):
        x, xp, excess = _bent(x, xp, length, focusing, h, h - k0 / momentum, momentum)
    else:
        x, xp, excess = _focused(x, xp, length, focusing, momentum)
    y, yp, y_excess = _focused(y, yp, length, -k1, momentum)
    excess = excess + y_excess
    zeta = zeta + length * slip - excess * total / momentum
    return State(x, xp * momentum, y, yp * momentum, zeta, pzeta)


def focus_move(length: Number, k1: Number) -> Move:
    """Return the quadrupole alone as a move."""
    return Move(Kind.FOCUS, (length, k1), _quadrupole)


def _quadrupole(state: State, energy: Energy, length: Number, k1: Number) -> State:
    return combined_function(state, energy, length, 0.0, k1, 0.0)


def _focused(
    u: Tensor, up: Tensor, length: Number, focusing: Number, momentum: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """One plane of u'' = -K u: position, slope, and the path length in excess of `length`."""
    if not is_active(focusing):
        return u + up * length, up, 0.5 * length * up * up
    strength = focusing / momentum
    area = length * length
    c0, c1 = cosine_pair(strength * area, focusing * area)
    s = c1 * length
    ku = strength * u
    # integral of u'^2/2 along the trajectory
    product = s * c0
    excess = 0.25 * (ku * u * (length - product) + up * up * (length + product))
    excess = excess - 0.5 * ku * up * s * s
    return u * c0 + up * s, up * c0 - ku * s, excess


def _bent(
    x: Tensor,
    xp: Tensor,
    length: Number,
    focusing: Number,
    h: Number,
    drive: Tensor,
    momentum: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """The plane of x'' = g - K x, g being the `drive`; the path grows by h x as well."""
    strength = focusing / momentum
    area = length * length
    c0, c1, c2, c3 = stumpff(strength * area, focusing * area)
    s, d, e = c1 * length, c2 * area, c3 * area * length
    bending = drive - strength * x
    along = 0.25 * bending * bending * (e + s * d) + 0.25 * xp * xp * (length + c0 * s)
    along = along + 0.5 * bending * xp * s * s
    across = h * (x * s + xp * d + drive * e)
    return x * c0 + xp * s + drive * d, xp * c0 + bending * s, along + across
