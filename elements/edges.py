"""Faces of dipoles."""

from __future__ import annotations

import torch
from torch import Tensor

from .base import State


def linear_dipole_edge(
    state: State,
    k0: Tensor,
    angle: Tensor,
    angle_fdown: Tensor,
    fint: Tensor,
    hgap: Tensor,
    sign: int,
) -> State:
    """Kick by a dipole face to first order; `sign` -1 undoes it.

    Parameters
    ----------
    k0 : Tensor, 1/m
        Curvature of the field behind the face.
    angle, angle_fdown : Tensor, rad
        Angle of the face, and what it changes by towards the exit of the fringe (vertical only).
    fint, hgap : Tensor, 1 and m
        Fringe integral and half gap.

    References
    ----------
    Brown, SLAC-75 (1982), eq. for the fringe of a bending magnet, with the vertical
    correction 2 k0 hgap fint (1 + sin^2 e)/cos e.
    """
    x, px, y, py, zeta, pzeta = state
    vertical = angle + angle_fdown
    correction = 2.0 * k0 * hgap * fint * (1.0 + torch.sin(vertical) ** 2) / torch.cos(vertical)
    px = px + sign * k0 * torch.tan(angle) * x
    return State(x, px, y, py - sign * k0 * torch.tan(vertical - correction) * y, zeta, pzeta)
