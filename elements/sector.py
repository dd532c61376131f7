"""Maps of a sector: uniform field and free flight between two faces at an angle."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .base import State
from .bunch import delta_of, rvv_minus_one
from .integrators import YOSHIDA_4, YOSHIDA_6, compose
from .reference import Reference
from .special import arcsine_ratio, sinc

# Below this curvature [1/m] Xsuite takes the frame to be straight.
STRAIGHT = 1e-8


class Frame(NamedTuple):
    """The entry face of a piece of sector, seen from its exit face."""

    cosine: Tensor
    sine: Tensor
    sagitta: Tensor  # (1 - cos)/h
    width: Tensor  # sin/h
    h: Tensor

    @classmethod
    def of(cls, length: Tensor, h: Tensor) -> Frame:
        angle = h * length
        cosine, sine = torch.cos(angle), torch.sin(angle)
        half = torch.sin(0.5 * angle)
        if bool((h.detach().abs() > STRAIGHT).all()):
            return cls(cosine, sine, 2.0 * half**2 / h, sine / h, h)
        sagitta = 0.5 * h * length**2 * sinc(0.5 * angle) ** 2
        return cls(cosine, sine, sagitta, length * sinc(angle), h)


class Motion(NamedTuple):
    """A particle at the entry face, in the exit face's frame, with what the field leaves alone."""

    x: Tensor
    px: Tensor
    pz: Tensor
    distance: Tensor  # to go to the exit face, along its normal

    @classmethod
    def of(cls, state: State, momentum: Tensor, frame: Frame) -> Motion:
        pz = torch.sqrt(momentum**2 - state.px**2 - state.py**2)
        return cls(
            state.x * frame.cosine - frame.sagitta,
            state.px * frame.cosine + pz * frame.sine,
            pz * frame.cosine - state.px * frame.sine,
            (1.0 + frame.h * state.x) * frame.width,
        )


def exact_sector(
    state: State, reference: Reference, length: Tensor, h: Tensor, k0: Tensor
) -> State:
    """Uniform field k0 in a frame of curvature h, in closed form.

    Seen in the frame of the exit face the motion is a circle that starts on the tilted entry
    face: the same algebra serves polar drift (k0 = 0), straight bend (h = 0) and drift, and
    no denominator vanishes between them.

    Validity: exact as long as the particle goes forward at both faces.

    References
    ----------
    Forest, Beam Dynamics (1998), section 12.2: the same circle; here in difference form.
    """
    delta = delta_of(state.pzeta, reference)
    motion = Motion.of(state, 1.0 + delta, Frame.of(length, h))
    px = motion.px - k0 * motion.distance
    in_plane_squared = (1.0 + delta) ** 2 - state.py**2
    sideways = (
        motion.distance * (motion.px + px) / (motion.pz + torch.sqrt(in_plane_squared - px**2))
    )
    in_plane = torch.sqrt(in_plane_squared)
    # the sign of a negative body survives in the distance, not in the chord
    chord = torch.sqrt(motion.distance**2 + sideways**2) * torch.sign(motion.distance)
    arc = chord * arcsine_ratio(0.5 * k0 * chord / in_plane)
    slowness = rvv_minus_one(state.pzeta, delta, reference)
    excess = (1.0 + delta) * arc / in_plane - length
    return State(
        motion.x + sideways,
        px,
        state.y + state.py / in_plane * arc,
        state.py,
        state.zeta + (length * slowness - excess) / (1.0 + slowness),
        state.pzeta,
    )


class PolarDrift:
    """Field-free flight through pieces of a sector at constant energy.

    What depends on the energy or on the piece alone is computed once.
    """

    def __init__(self, pzeta: Tensor, reference: Reference, length: Tensor, h: Tensor) -> None:
        delta = delta_of(pzeta, reference)
        self.momentum = 1.0 + delta
        self.slowness = rvv_minus_one(pzeta, delta, reference)
        self.length, self.h = length, h
        self.frames: dict[float, Frame] = {}

    def __call__(self, state: State, fraction: float) -> State:
        length = self.length * fraction
        if fraction not in self.frames:
            self.frames[fraction] = Frame.of(length, self.h)
        motion = Motion.of(state, self.momentum, self.frames[fraction])
        flight = motion.distance / motion.pz
        excess = self.momentum * flight - length
        return State(
            motion.x + motion.px * flight,
            motion.px,
            state.y + state.py * flight,
            state.py,
            state.zeta + (length * self.slowness - excess) / (1.0 + self.slowness),
            state.pzeta,
        )


class _Planar(NamedTuple):
    """Motion in the bending plane, and the flight so far: path over momentum."""

    x: Tensor
    px: Tensor
    flight: Tensor


def integrated_dipole(
    state: State, reference: Reference, length: Tensor, h: Tensor, k0: Tensor, steps: int
) -> State:
    """Xsuite's `rot-kick-rot` for a pure dipole: the steps of `PolarDrift`, in the plane alone.

    py is a constant of this motion, so that y and zeta follow from the total flight.

    Parameters
    ----------
    length : Tensor, m
        Of the piece to integrate; negative to undo it.
    steps : int
        Of Yoshida-6, each with Yoshida-4 between its kicks.
    """
    delta = delta_of(state.pzeta, reference)
    in_plane_squared = (1.0 + delta) ** 2 - state.py**2
    frames: dict[float, Frame] = {}

    def rotate(planar: _Planar, fraction: float) -> _Planar:
        if fraction not in frames:
            frames[fraction] = Frame.of(length * fraction, h)
        frame = frames[fraction]
        pz = torch.sqrt(in_plane_squared - planar.px**2)
        px = planar.px * frame.cosine + pz * frame.sine
        distance = (1.0 + h * planar.x) * frame.width
        flight = distance / (pz * frame.cosine - planar.px * frame.sine)
        x = planar.x * frame.cosine - frame.sagitta + px * flight
        return _Planar(x, px, planar.flight + flight)

    def bend_kick(planar: _Planar, fraction: float) -> _Planar:
        return planar._replace(px=planar.px - k0 * length * fraction)

    def bend(planar: _Planar, fraction: float) -> _Planar:
        return compose(planar, rotate, bend_kick, fraction, YOSHIDA_4, 1)

    def curvature(planar: _Planar, fraction: float) -> _Planar:
        return planar._replace(px=planar.px - h * k0 * length * fraction * planar.x)

    start = _Planar(state.x, state.px, torch.zeros_like(state.x))
    x, px, flight = compose(start, bend, curvature, 1.0, YOSHIDA_6, steps)
    slowness = rvv_minus_one(state.pzeta, delta, reference)
    excess = (1.0 + delta) * flight - length
    return State(
        x,
        px,
        state.y + state.py * flight,
        state.py,
        state.zeta + (length * slowness - excess) / (1.0 + slowness),
        state.pzeta,
    )
