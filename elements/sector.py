"""Maps between two faces at an angle: uniform field, free flight, and both in steps.

Seen in the frame of the exit face the motion is a circle that starts on the tilted entry
face: one algebra serves bend, polar drift, wedge and rotation, and no denominator vanishes
between them.

References
----------
Forest, Beam Dynamics (1998), section 12.2: the same circle; here in difference form.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .base import Number, State
from .energy import Energy
from .integrators import compose
from .moves import Kind, Move
from .scalars import cosine, known, sine
from .special import arcsine_ratio, sinc

# Below this curvature [1/m] Xsuite takes the frame to be straight.
STRAIGHT = 1e-8


class Frame(NamedTuple):
    """The entry face of a piece of sector, seen from its exit face."""

    cosine: Number
    sine: Number
    sagitta: Number  # (1 - cos)/h
    width: Number  # sin/h
    h: Number

    @classmethod
    def of(cls, length: Number, h: Number) -> Frame:
        angle = h * length
        half = sine(0.5 * angle)
        curvature = known(h)
        if curvature is not None and abs(curvature) > STRAIGHT:
            return cls(cosine(angle), sine(angle), 2.0 * half * half / h, sine(angle) / h, h)
        as_tensor = torch.as_tensor(angle, dtype=torch.float64)
        sagitta = 0.5 * h * length * length * sinc(0.5 * as_tensor) ** 2
        return cls(cosine(angle), sine(angle), sagitta, length * sinc(as_tensor), h)

    @classmethod
    def of_wedge(cls, angle: Number) -> Frame:
        """Two faces that meet at x = 0."""
        return cls(cosine(angle), sine(angle), 0.0, 0.0, 0.0)


class Motion(NamedTuple):
    """A particle at the entry face, in the exit face's frame, with what the field leaves alone."""

    x: Tensor
    px: Tensor
    pz: Tensor
    distance: Tensor  # to go to the exit face, along its normal

    @classmethod
    def of(cls, state: State, momentum: Tensor, frame: Frame) -> Motion:
        pz = torch.sqrt(momentum * momentum - state.px * state.px - state.py * state.py)
        return cls(
            state.x * frame.cosine - frame.sagitta,
            state.px * frame.cosine + pz * frame.sine,
            pz * frame.cosine - state.px * frame.sine,
            state.x * frame.sine + frame.width,
        )


def uniform_field(state: State, energy: Energy, frame: Frame, length: Number, k0: Number) -> State:
    """Uniform field k0 between the two faces of a frame, in closed form.

    Parameters
    ----------
    length : float or Tensor, m
        Of the reference orbit between the faces.

    Validity: exact as long as the particle goes forward at both faces, and turns by less
    than half a circle.
    """
    momentum, total, slip = energy
    motion = Motion.of(state, momentum, frame)
    px = motion.px - k0 * motion.distance
    in_plane_squared = momentum * momentum - state.py * state.py
    slope = (motion.px + px) / (motion.pz + torch.sqrt(in_plane_squared - px * px))
    in_plane = torch.sqrt(in_plane_squared)
    # the sign of a negative body survives in the distance
    chord = motion.distance * torch.sqrt(1.0 + slope * slope)
    flight = chord * arcsine_ratio(0.5 * k0 * chord / in_plane) / in_plane
    return State(
        motion.x + motion.distance * slope,
        px,
        state.y + state.py * flight,
        state.py,
        state.zeta + length * slip - total * (flight - length / momentum),
        state.pzeta,
    )


def free_flight(state: State, energy: Energy, frame: Frame, length: Number) -> State:
    """Straight flight between the two faces of a frame; exact."""
    momentum, total, slip = energy
    motion = Motion.of(state, momentum, frame)
    flight = motion.distance / motion.pz
    return State(
        motion.x + motion.px * flight,
        motion.px,
        state.y + state.py * flight,
        state.py,
        state.zeta + length * slip - total * (flight - length / momentum),
        state.pzeta,
    )


def sector_move(length: Number, h: Number) -> Move:
    """Return the free flight through a piece of sector as a move."""
    frame = Frame.of(length, h)
    return Move(Kind.SECTOR, (*frame[:4], length), _fly_across)


def _fly_across(state: State, energy: Energy, *numbers: Number) -> State:
    *frame, length = numbers
    return free_flight(state, energy, Frame(*frame, h=0.0), length)


class PolarDrift:
    """Field-free flight through pieces of a sector at constant energy.

    What depends on the piece alone is computed once.
    """

    def __init__(self, energy: Energy, length: Number, h: Number) -> None:
        self.energy = energy
        self.length, self.h = length, h
        self.frames: dict[float, Frame] = {}

    def __call__(self, state: State, fraction: float) -> State:
        length = self.length * fraction
        if fraction not in self.frames:
            self.frames[fraction] = Frame.of(length, self.h)
        return free_flight(state, self.energy, self.frames[fraction], length)


class _Planar(NamedTuple):
    """Motion in the bending plane, and the flight so far: path over momentum."""

    x: Tensor
    px: Tensor
    flight: Tensor


class SteppedDipole:
    """A dipole in steps of free flight and kick, in the plane alone.

    py is a constant of this motion, so that y and zeta follow from the total flight. The maps
    of the plane are given to an integrator as `bend` and `curvature`.
    """

    def __init__(
        self,
        state: State,
        energy: Energy,
        length: Number,
        h: Number,
        k0: Number,
        scheme: tuple[float, ...],
    ) -> None:
        self.scheme = scheme
        self.state, self.energy = state, energy
        self.length, self.h, self.k0l = length, h, k0 * length
        self.in_plane_squared = energy.momentum * energy.momentum - state.py * state.py
        self.frames: dict[float, Frame] = {}
        self.start = _Planar(state.x, state.px, torch.zeros_like(state.x))

    def rotate(self, planar: _Planar, fraction: float) -> _Planar:
        """Fly freely through a fraction of the body."""
        if fraction not in self.frames:
            self.frames[fraction] = Frame.of(self.length * fraction, self.h)
        frame = self.frames[fraction]
        pz = torch.sqrt(self.in_plane_squared - planar.px * planar.px)
        px = planar.px * frame.cosine + pz * frame.sine
        distance = planar.x * frame.sine + frame.width
        flight = distance / (pz * frame.cosine - planar.px * frame.sine)
        x = planar.x * frame.cosine - frame.sagitta + px * flight
        return _Planar(x, px, planar.flight + flight)

    def bend_kick(self, planar: _Planar, fraction: float) -> _Planar:
        return planar._replace(px=planar.px - self.k0l * fraction)

    def bend(self, planar: _Planar, fraction: float) -> _Planar:
        """Fly through a fraction of the body, with the kicks of one step of the scheme."""
        return compose(planar, self.rotate, self.bend_kick, fraction, self.scheme, 1)

    def curvature(self, planar: _Planar, fraction: float) -> _Planar:
        """Kick by the coupling of field and curvature."""
        return planar._replace(px=planar.px - self.h * self.k0l * fraction * planar.x)

    def end(self, planar: _Planar, weight: float) -> State:
        """Return all six coordinates behind a fraction `weight` of the body."""
        momentum, total, slip = self.energy
        state, length = self.state, self.length * weight
        return State(
            planar.x,
            planar.px,
            state.y + state.py * planar.flight,
            state.py,
            state.zeta + length * slip - total * (planar.flight - length / momentum),
            state.pzeta,
        )
