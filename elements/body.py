"""Bodies of magnets: Xsuite's models, each a split of the field into a drift and a kick.

A model says which map carries the particle and which strengths that map knows; the rest is
kicked, by an integrator. One function serves every class of magnet.

References
----------
Forest and Ruth, Physica D 43, 105 (1990) on drift-kick and matrix-kick splits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from .base import Number, State
from .combined import combined_function, focus_move
from .drift import drift_move, exact_flight, expanded_flight
from .energy import Energy
from .errors import ElementError
from .integrators import YOSHIDA_4, YOSHIDA_6, compose, integrate
from .kicks import Kick, Strengths
from .moves import Moves, Row, appending
from .reference import Reference
from .scalars import is_active, known, plus, ratio_or_zero, times
from .sector import STRAIGHT, Frame, PolarDrift, SteppedDipole, sector_move, uniform_field

# Xsuite aims at a kick every half thousandth of a turn, with its own rounded pi.
_ANGLE_PER_KICK = 0.5e-3
_XSUITE_PI = 3.14159
_MOST_KICKS = 20_000  # ten turns in one bend
# The closed form of a bend holds up to half a circle; pieces of a radian are far from that.
_LARGEST_PIECE = 1.0

Map = Callable[[State, float], State]


class Field(NamedTuple):
    """What a body consists of.

    Parameters
    ----------
    length : float or Tensor, m
    h : float or Tensor, 1/m
        Curvature of the frame along the length.
    hxl : float or Tensor, rad
        Angle that the frame turns by in the kicks.
    normal, skew : list of float or Tensor, m^-(n+1)
        Strengths per length by order n, of which a drift may carry k0 and k1.
    knl, ksl : list of float or Tensor, m^-n
        Integrated strengths by order n, always kicked.
    """

    length: Number
    h: Number = 0.0
    hxl: Number = 0.0
    normal: tuple[Number, ...] = ()
    skew: tuple[Number, ...] = ()
    knl: tuple[Number, ...] = ()
    ksl: tuple[Number, ...] = ()

    @property
    def k0(self) -> Number:
        return self.normal[0] if self.normal else 0.0

    @property
    def k1(self) -> Number:
        return self.normal[1] if len(self.normal) > 1 else 0.0

    @property
    def is_straight(self) -> bool:
        h = known(self.h)
        if h is not None:
            return abs(h) < STRAIGHT
        return isinstance(self.h, Tensor) and bool((self.h.detach().abs() < STRAIGHT).all())


def _no_row(field: Field) -> Row | None:
    return None


class Split(NamedTuple):
    """How a model divides the field between drift and kick."""

    drift: Callable[[Field, Energy], Map]
    row: Callable[[Field], Row | None] = _no_row
    carries_k0: bool = False
    carries_k1: bool = False
    follows_frame: bool = False
    # h k0 x^2/2 of the Hamiltonian is kicked
    couples_k0: bool = True
    # kicks of k0 between free flights make up the drift
    inner: tuple[float, ...] = ()
    makes_path_exact: bool = False


def track_body(
    state: State,
    reference: Reference,
    field: Field,
    weight: float,
    model: str,
    integrator: str,
    kicks: int,
) -> State:
    """Apply a fraction `weight` of a body.

    Parameters
    ----------
    model : str
        One of `MODELS`.
    integrator : str
        One of `integrators.INTEGRATORS`.
    kicks : int
        Number over the whole body; 0 takes Xsuite's automatic number.
    """
    energy = Energy.of(state.pzeta, reference)
    split, strengths, is_flow = _split(field, model)
    number = _kick_count(field, weight, kicks)
    if strengths.is_empty and is_flow and not split.makes_path_exact:
        return split.drift(field, energy)(state, weight)
    if not is_flow and strengths.is_planar:
        return _stepped_dipole(state, energy, field, weight, split.inner, integrator, number)
    drift = split.drift(field, energy)
    return integrate(state, drift, Kick(strengths, energy), weight, integrator, number, is_flow)


def body_moves(
    field: Field, weight: float, model: str, integrator: str, kicks: int
) -> Moves | None:
    """Return the moves of `track_body`; None if it is no row of moves."""
    split, strengths, is_flow = _split(field, model)
    drift = split.row(field)
    if drift is None or is_active(strengths.correction):
        return None
    number = _kick_count(field, weight, kicks)
    if strengths.is_empty and is_flow:
        return drift(weight)
    fly, kicked = appending(drift), appending(lambda share: strengths.moves(share) or ())
    return tuple(integrate([], fly, kicked, weight, integrator, number, is_flow))


def thin_kick(state: State, reference: Reference, field: Field, weight: float) -> State:
    """Apply a fraction `weight` of all strengths at one place."""
    energy = Energy.of(state.pzeta, reference)
    return Kick(_strengths(field, MODELS["drift-kick-drift-expanded"]), energy)(state, weight)


def thin_moves(field: Field, weight: float) -> Moves | None:
    """Return the moves of `thin_kick`."""
    return _strengths(field, MODELS["drift-kick-drift-expanded"]).moves(weight)


def _split(field: Field, model: str) -> tuple[Split, Strengths, bool]:
    """Return how a model splits the field, what it kicks by, and whether its drift is a flow."""
    split = MODELS[_STRAIGHT_TWINS.get(model, model) if field.is_straight else model]
    is_flow = not split.inner or not is_active(field.k0)
    return split, _strengths(field, split), is_flow


def _strengths(field: Field, split: Split) -> Strengths:
    length = field.length
    carried = (split.carries_k0, split.carries_k1)
    kicked = [
        0.0 if any(carried[n : n + 1]) else times(k, length) for n, k in enumerate(field.normal)
    ]
    k0l = times(field.k0, length) if split.couples_k0 else 0.0
    return Strengths(
        _sum(kicked, field.knl),
        _sum([times(k, length) for k in field.skew], field.ksl),
        turn=0.0 if split.follows_frame else plus(times(field.h, length), field.hxl),
        h=plus(field.h, ratio_or_zero(field.hxl, length)),
        k0l=_sum([k0l], field.knl[:1])[0],
        k1l=_sum([times(field.k1, length)], field.knl[1:2])[0],
        correction=length if split.makes_path_exact else 0.0,
    )


def _sum(first: list[Number], second: tuple[Number, ...]) -> list[Number]:
    size = max(len(first), len(second))
    padded = [(*values, *[0.0] * (size - len(values))) for values in (first, second)]
    return [plus(a, b) for a, b in zip(*padded, strict=True)]


def _kick_count(field: Field, weight: float, kicks: int) -> int:
    """Return the number of kicks in a fraction of the body, by Xsuite's rule."""
    if kicks:
        return max(1, math.ceil(kicks * abs(weight)))
    if field.is_straight:
        return 1
    length, curvature = _largest(field.length) * abs(weight), _largest(field.h)
    turns = length * curvature / (2.0 * _XSUITE_PI)
    if not turns <= _MOST_KICKS * _ANGLE_PER_KICK:
        raise ElementError(
            f"a bend by {turns:.3g} turns: more than {_MOST_KICKS * _ANGLE_PER_KICK:.3g} take too "
            "many kicks: correct its angle, or give num_multipole_kicks"
        )
    circumference = 2.0 * _XSUITE_PI / curvature
    return max(1, int(length / circumference / _ANGLE_PER_KICK))


def _largest(number: Number) -> float:
    return abs(number) if not isinstance(number, Tensor) else number.detach().abs().max().item()


def _free(flight: Callable[[State, Energy, Number], State]) -> Callable[[Field, Energy], Map]:
    def make(field: Field, energy: Energy) -> Map:
        def drift(state: State, fraction: float) -> State:
            return flight(state, energy, field.length * fraction)

        return drift

    return make


def _free_row(exact: bool) -> Callable[[Field], Row]:
    def make(field: Field) -> Row:
        return lambda fraction: (drift_move(field.length * fraction, exact),)

    return make


def _polar(field: Field, energy: Energy) -> Map:
    return PolarDrift(energy, field.length, field.h)


def _polar_row(field: Field) -> Row:
    return lambda fraction: (sector_move(field.length * fraction, field.h),)


def _matrix(field: Field, energy: Energy) -> Map:
    def drift(state: State, fraction: float) -> State:
        length = field.length * fraction
        return combined_function(state, energy, length, field.k0, field.k1, field.h)

    return drift


def _matrix_row(field: Field) -> Row | None:
    if is_active(field.k0) or is_active(field.h):
        return None
    return lambda fraction: (focus_move(field.length * fraction, field.k1),)


def _bend(field: Field, energy: Energy) -> Map:
    pieces = max(1, math.ceil(_largest(field.h * field.length) / _LARGEST_PIECE))

    def drift(state: State, fraction: float) -> State:
        length = field.length * (fraction / pieces)
        frame = Frame.of(length, field.h)
        for _ in range(pieces):
            state = uniform_field(state, energy, frame, length, field.k0)
        return state

    return drift


def _stepped(scheme: tuple[float, ...]) -> Callable[[Field, Energy], Map]:
    """Free flight along the curved frame, with kicks of k0 in it."""

    def make(field: Field, energy: Energy) -> Map:
        rotate, k0l = PolarDrift(energy, field.length, field.h), field.k0 * field.length
        if not is_active(field.k0):
            return rotate

        def bend_kick(state: State, fraction: float) -> State:
            return state._replace(px=state.px - k0l * fraction)

        def drift(state: State, fraction: float) -> State:
            return compose(state, rotate, bend_kick, fraction, scheme, 1)

        return drift

    return make


def _stepped_row(scheme: tuple[float, ...]) -> Callable[[Field], Row]:
    def make(field: Field) -> Row:
        rotate = _polar_row(field)
        if not is_active(field.k0):
            return rotate
        bend = Strengths((field.k0 * field.length,), ())
        fly, kicked = appending(rotate), appending(lambda share: bend.moves(share) or ())
        return lambda fraction: tuple(compose([], fly, kicked, fraction, scheme, 1))

    return make


def _stepped_dipole(
    state: State,
    energy: Energy,
    field: Field,
    weight: float,
    scheme: tuple[float, ...],
    integrator: str,
    kicks: int,
) -> State:
    """Do the same as `_stepped` for a pure dipole, in the plane alone."""
    dipole = SteppedDipole(state, energy, field.length, field.h, field.k0, scheme)
    end = integrate(
        dipole.start, dipole.bend, dipole.curvature, weight, integrator, kicks, is_flow=False
    )
    return dipole.end(end, weight)


MODELS: dict[str, Split] = {
    "bend-kick-bend": Split(_bend, carries_k0=True, follows_frame=True, couples_k0=False),
    "rot-kick-rot": Split(
        _stepped(YOSHIDA_4),
        _stepped_row(YOSHIDA_4),
        carries_k0=True,
        follows_frame=True,
        inner=YOSHIDA_4,
    ),
    "rot-kick-rot-high-order": Split(
        _stepped(YOSHIDA_6),
        _stepped_row(YOSHIDA_6),
        carries_k0=True,
        follows_frame=True,
        inner=YOSHIDA_6,
    ),
    "rot-kick-rot-low-order": Split(_polar, _polar_row, follows_frame=True),
    "mat-kick-mat": Split(
        _matrix, _matrix_row, carries_k0=True, carries_k1=True, follows_frame=True, couples_k0=False
    ),
    "mat-kick-mat-exact": Split(
        _matrix,
        carries_k0=True,
        carries_k1=True,
        follows_frame=True,
        couples_k0=False,
        makes_path_exact=True,
    ),
    "drift-kick-drift-exact": Split(_free(exact_flight), _free_row(exact=True)),
    "drift-kick-drift-expanded": Split(_free(expanded_flight), _free_row(exact=False)),
}
# What Xsuite makes of a model where the frame does not turn.
_STRAIGHT_TWINS = {
    "rot-kick-rot": "drift-kick-drift-exact",
    "rot-kick-rot-high-order": "drift-kick-drift-exact",
    "rot-kick-rot-low-order": "drift-kick-drift-exact",
}
# Other names of models.
ALIASES = {"full": "rot-kick-rot", "expanded": "mat-kick-mat", "exact": "bend-kick-bend"}
