"""RBend: a bend with parallel faces, with a body that is curved or straight."""

from __future__ import annotations

from typing import Literal, NamedTuple, Unpack

import torch
from torch import Tensor

from .base import Number, Numbers, State
from .curved import CurvedMagnet, FaceFields
from .drift import drift_move, exact_drift
from .edges import Face
from .energy import Energy
from .moves import Moves, joined, shift
from .reference import Reference
from .scalars import cosine, is_active, known, ratio_or_zero, root, sine, tangent
from .special import sinc
from .wedge import wedge

# Below this angle [rad] Xsuite takes the reference orbit to be straight.
_NO_ANGLE = 1e-10


class _Crossing(NamedTuple):
    """How the reference orbit crosses the faces of a straight body."""

    angle_in: Number
    angle_out: Number
    x_in: Number
    x_out: Number


class RBend(CurvedMagnet):
    """Rectangular bend.

    Parameters
    ----------
    length_straight : float or Tensor, m
        Along the axis of the magnet; `length` is that of the reference orbit, computed.
    angle : float or Tensor, rad
    k0 : float or Tensor, 1/m, optional
        Curvature of the field; that of the reference orbit by default ("from_h"), and then
        follows it.
    k1, k2 : float or Tensor, 1/m^2, 1/m^3
    rbend_model : {"adaptive", "curved-body", "straight-body"}
        "adaptive" is "curved-body": a sector bend with its faces turned by half the angle. A
        straight body has straight multipoles, and the orbit crosses it at an angle.
    rbend_angle_diff : float or Tensor, rad
        Angle of the orbit to the axis at the exit, less that at the entry.
    rbend_shift : float or Tensor, m
        Of the orbit to the axis at the centre of a straight body.
    rbend_compensate_sagitta : bool
        Shift a straight body by half the sagitta of the orbit.
    knl_rel, ksl_rel : list of float or Tensor, (..., order + 1), m^-n
        Integrated multipole errors over k0 length.
    **fields
        knl, ksl, models, integrator, edges: as in `Bend`.

    Cost: as `Bend`; a straight body makes one kick or one step of its integrator.
    Validity: as `Bend`. An inactive face of a straight body leaves out the turn onto it, as in
    Xsuite.

    Raises
    ------
    ElementError
        If a choice is unknown or the length of a bend with an angle is 0.
    """

    _normal = ("k0", "k1", "k2")
    _curvature_fields = ("angle", "length_straight")

    def __init__(
        self,
        length_straight: Number = 0.0,
        angle: Number = 0.0,
        k0: Number | Literal["from_h"] | None = None,
        k1: Number = 0.0,
        k2: Number = 0.0,
        rbend_model: Literal["adaptive", "curved-body", "straight-body"] = "adaptive",
        rbend_angle_diff: Number = 0.0,
        rbend_shift: Number = 0.0,
        rbend_compensate_sagitta: bool = True,
        knl_rel: Numbers = (),
        ksl_rel: Numbers = (),
        **fields: Unpack[FaceFields],
    ) -> None:
        super().__init__()
        self._check_choice("rbend_model", rbend_model, "adaptive", "curved-body", "straight-body")
        self.rbend_model = rbend_model
        self.rbend_compensate_sagitta = bool(rbend_compensate_sagitta)
        self._register(length_straight=length_straight, angle=angle)
        self._register(rbend_angle_diff=rbend_angle_diff, rbend_shift=rbend_shift)
        self._register_k0(k0)
        self._register(k1=k1, k2=k2)
        self._register_faces(**fields)
        self._register_multipoles(knl_rel=knl_rel, ksl_rel=ksl_rel)
        self._check_length("length_straight")

    @property
    def length(self) -> Tensor:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Arc length of the reference orbit, m."""
        tilt = _tilt(self.angle, self.rbend_angle_diff)
        return torch.as_tensor(_arc(self.length_straight, self.angle, tilt))

    @property
    def h(self) -> Tensor:
        tilt = _tilt(self.angle, self.rbend_angle_diff)
        return torch.as_tensor(_curvature(self.length_straight, self.angle, tilt))

    @property
    def is_straight(self) -> bool:
        """Whether the body is straight."""
        return self.rbend_model == "straight-body"

    def _geometry(self, like: Tensor) -> tuple[Number, Number]:
        straight, angle, tilt = self._numbers(like)
        if self.is_straight:
            return straight, 0.0
        return _arc(straight, angle, tilt), _curvature(straight, angle, tilt)

    def _numbers(self, like: Tensor) -> tuple[Number, Number, Number]:
        """Return straight length, angle, and difference of the angles at the faces."""
        angle = self._number("angle", like)
        tilt = _tilt(angle, self._number("rbend_angle_diff", like))
        return self._number("length_straight", like), angle, tilt

    def _main_strength(self, like: Tensor) -> Number:
        return self._number("k0", like) * _arc(*self._numbers(like))

    def body(self, state: State, reference: Reference, weight: float) -> State:
        state = super().body(state, reference, weight)
        if not self.is_straight:
            return state
        return state._replace(zeta=state.zeta + self._detour(state.x) * weight)

    def body_moves(self, like: Tensor, weight: float) -> Moves | None:
        moves = super().body_moves(like, weight)
        return joined(moves, self._late(like, weight)) if self.is_straight else moves

    def fly_straight(self, state: State, reference: Reference, weight: float) -> State:
        """Fly along a fraction of a straight body as if there were no field."""
        state = exact_drift(state, reference, self._numbers(state.x)[0] * weight)
        return state._replace(zeta=state.zeta + self._detour(state.x) * weight)

    def straight_moves(self, like: Tensor, weight: float) -> Moves:
        """Return the moves of `fly_straight`."""
        flight = drift_move(self._numbers(like)[0] * weight, exact=True)
        return (flight, *self._late(like, weight))

    def _late(self, like: Tensor, weight: float) -> Moves:
        return (shift(0.0, 0.0, self._detour(like) * weight),)

    def _detour(self, like: Tensor) -> Number:
        """Length of the reference orbit beyond that of a straight body, m."""
        straight, angle, tilt = self._numbers(like)
        return _arc(straight, angle, tilt) - straight

    def _face(self, side: str, like: Tensor) -> Face:
        face = super()._face(side, like)
        _, angle, tilt = self._numbers(like)
        turn = 0.5 * (angle + tilt) if face.is_exit else 0.5 * (angle - tilt)
        if self.is_straight:
            return face._replace(angle_fdown=face.angle_fdown + turn)
        return face._replace(angle=face.angle + turn)

    def _apply_face(self, state: State, reference: Reference, side: str, sign: int) -> State:
        if not (self.is_straight and getattr(self, f"edge_{side}_active")):
            return super()._apply_face(state, reference, side, sign)
        outside_first = (side == "entry") == (sign > 0)
        if outside_first:
            state = self._cross(state, reference, side, sign)
        state = super()._apply_face(state, reference, side, sign)
        return state if outside_first else self._cross(state, reference, side, sign)

    def _face_moves(self, like: Tensor, side: str, sign: int) -> Moves | None:
        crosses = self.is_straight and getattr(self, f"edge_{side}_active")
        return None if crosses else super()._face_moves(like, side, sign)

    def _cross(self, state: State, reference: Reference, side: str, sign: int) -> State:
        """Turn from the reference orbit onto the axis of the body at entry, and back at exit."""
        energy = Energy.of(state.pzeta, reference)
        crossing = self._crossing(state.x)
        angle, shift = (
            (crossing.angle_in, crossing.x_in)
            if side == "entry"
            else (crossing.angle_out, -crossing.x_out)
        )
        if (side == "entry") == (sign > 0):
            state = wedge(state, energy, sign * angle)
            return state._replace(x=state.x + sign * shift)
        state = state._replace(x=state.x + sign * shift)
        return wedge(state, energy, sign * angle)

    def _crossing(self, like: Tensor) -> _Crossing:
        straight, angle, tilt = self._numbers(like)
        h = _curvature(straight, angle, tilt)
        angle_in, angle_out = 0.5 * (angle - tilt), 0.5 * (angle + tilt)
        middle = -self._number("rbend_shift", like)
        if self.rbend_compensate_sagitta:
            # sin^2(angle/4)/h, without its division by the angle
            middle = middle + 0.25 * straight * tangent(0.25 * angle) / cosine(0.5 * tilt)
        slope_in, slope_out = sine(angle_in), sine(angle_out)
        slope = slope_in - 0.5 * h * straight
        forward = root(1.0 - slope * slope)
        x_in = middle - 0.5 * straight * (slope_in + slope) / (forward + cosine(angle_in))
        # (slope_out - slope)/h
        reach = 0.5 * straight
        if is_active(tilt):
            ratio = ratio_or_zero(tangent(0.5 * tilt), tangent(0.5 * angle))
            reach = reach + straight * ratio
        x_out = middle - reach * (slope + slope_out) / (cosine(angle_out) + forward)
        return _Crossing(angle_in, angle_out, x_in, x_out)


def _tilt(angle: Number, difference: Number) -> Number:
    """Return the difference of the angles at the faces: without a bend Xsuite knows none."""
    value = known(angle)
    if value is not None:
        return difference if abs(value) > _NO_ANGLE else 0.0
    return torch.where(torch.as_tensor(angle).abs() > _NO_ANGLE, difference, 0.0)


def _curvature(straight: Number, angle: Number, tilt: Number) -> Number:
    """(sin angle_in + sin angle_out)/length_straight."""
    if known(straight) == 0.0:
        return 0.0 * angle
    return 2.0 * sine(0.5 * angle) * cosine(0.5 * tilt) / straight


def _arc(straight: Number, angle: Number, tilt: Number) -> Number:
    """angle/h, without its division by the angle."""
    if not isinstance(angle, Tensor):
        half = 0.5 * angle
        ratio: Number = sine(half) / half if half else 1.0
    else:
        ratio = sinc(0.5 * angle)
    return straight / (ratio * cosine(0.5 * tilt))
