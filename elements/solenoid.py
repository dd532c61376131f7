"""Solenoids: a uniform field along s, hard at its ends, with multipole kicks in it."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Unpack

import torch
from torch import Tensor

from .base import Number, Numbers, State
from .drift import exact_flight
from .energy import Energy
from .errors import ElementError
from .frames import Pose, about_x, about_y, change_frame
from .integrators import INTEGRATORS, integrate
from .kicks import Strengths, multipole_kick
from .misalignment import Alignment, Misalignable
from .moves import Kind, Move, Moves, appending, shift
from .reference import Reference
from .scalars import components, is_active, known, plain
from .special import cosine_and_sine

# Turns [rad] from which on sin(turn)/ks is not a series: with a derivative by ks, and without.
_SMALL_TURN = 0.1
_NO_TURN = 1e-12


def solenoid_flight(state: State, energy: Energy, length: Number, ks: Number) -> State:
    """Move through a uniform field along s, from its entry fringe to its exit fringe.

    Parameters
    ----------
    length : float or Tensor, m
    ks : float or Tensor, 1/m
        Field over the rigidity of the reference.

    Validity: exact in every coordinate; smooth where `ks` is 0, where it is an exact drift.

    References
    ----------
    Forest, Beam Dynamics (1998), section 12.1.2; Wolski, Beam Dynamics (2014), section 3.7.
    """
    if not is_active(ks):
        return exact_flight(state, energy, length)
    x, px, y, py, zeta, pzeta = state
    momentum, total, slip = energy
    half = 0.5 * ks
    # kinetic momenta: the canonical ones less the vector potential
    kinetic_x, kinetic_y = px + half * y, py - half * x
    transverse = kinetic_x * kinetic_x + kinetic_y * kinetic_y
    pz = torch.sqrt(momentum * momentum - transverse)
    flight = length / pz
    cosine, sine, reach = _rotation(flight, half, length)
    # turned about s by `turn`, and focused by the same angle
    x1, px1 = cosine * x + sine * y, cosine * px + sine * py
    y1, py1 = cosine * y - sine * x, cosine * py - sine * px
    path = slip - transverse * total / (pz * momentum * (pz + momentum))
    return State(
        cosine * x1 + reach * px1,
        cosine * px1 - half * sine * x1,
        cosine * y1 + reach * py1,
        cosine * py1 - half * sine * y1,
        zeta + path * length,
        pzeta,
    )


def solenoid_move(length: Number, ks: Number) -> Move:
    """Return the same as a move."""
    return Move(Kind.SOLENOID, (length, 0.5 * ks), _turned_and_focused)


def _turned_and_focused(state: State, energy: Energy, length: Number, half: Number) -> State:
    return solenoid_flight(state, energy, length, 2.0 * half)


def _rotation(flight: Tensor, half: Number, length: Number) -> tuple[Tensor, Tensor, Tensor]:
    """Return cosine and sine of `half` times `flight`, and the sine over `half`."""
    turn = half * flight
    nominal = known(half * length)
    # a derivative by the strength would lose the digits of sin(turn) - turn cos(turn)
    least = _SMALL_TURN if isinstance(half, Tensor) else _NO_TURN
    if nominal is not None and abs(nominal) > least:
        sine = torch.sin(turn)
        return torch.cos(turn), sine, sine / half
    cosine, sine_ratio = cosine_and_sine(turn * turn)
    return cosine, turn * sine_ratio, flight * sine_ratio


class _SolenoidBase(Misalignable):
    """Base of solenoids with Xsuite's integrators."""

    isthick = True

    def _register_body(
        self,
        length: Number,
        x0: Number,
        y0: Number,
        knl: Numbers,
        ksl: Numbers,
        num_multipole_kicks: int,
        integrator: str,
    ) -> None:
        self._check_choice("integrator", integrator, "adaptive", *INTEGRATORS)
        self._check_count("num_multipole_kicks", num_multipole_kicks)
        self.num_multipole_kicks, self.integrator = num_multipole_kicks, integrator
        self._register(length=length, x0=x0, y0=y0)
        self._register_multipoles(knl=knl, ksl=ksl)

    @abstractmethod
    def body(self, state: State, reference: Reference, weight: float) -> State: ...

    def _track_body(self, state: State, reference: Reference, weight: float, ks: Number) -> State:
        length, x0, y0 = (plain(self._aligned(n, state.x)) for n in ("length", "x0", "y0"))
        knl, ksl = (components(self._aligned(name, state.x)) for name in ("knl", "ksl"))
        energy = Energy.of(state.pzeta, reference)

        def drift(state: State, fraction: float) -> State:
            state = state._replace(x=state.x - x0, y=state.y - y0)
            state = solenoid_flight(state, energy, length * fraction, ks)
            return state._replace(x=state.x + x0, y=state.y + y0)

        def kick(state: State, fraction: float) -> State:
            return multipole_kick(state, [k * fraction for k in knl], [k * fraction for k in ksl])

        if not any(map(is_active, (*knl, *ksl))):
            return drift(state, weight)
        return integrate(state, drift, kick, weight, *self._integration(weight), is_flow=True)

    def _moves(self, like: Tensor, weight: float, ks: Number) -> Moves | None:
        """Return the moves of `_track_body`."""
        length, x0, y0 = (plain(self._aligned(n, like)) for n in ("length", "x0", "y0"))
        knl, ksl = (components(self._aligned(name, like)) for name in ("knl", "ksl"))
        kick = Strengths(knl, ksl)

        def drift(fraction: float) -> Moves:
            there = (solenoid_move(length * fraction, ks),)
            if not (is_active(x0) or is_active(y0)):
                return there
            return (shift(-1.0 * x0, -1.0 * y0, 0.0), *there, shift(x0, y0, 0.0))

        if kick.is_empty:
            return drift(weight)
        fly, kicked = appending(drift), appending(lambda share: kick.moves(share) or ())
        return tuple(integrate([], fly, kicked, weight, *self._integration(weight), is_flow=True))

    def _integration(self, weight: float) -> tuple[str, int]:
        """Return the integrator and the number of kicks in a fraction of the body."""
        integrator = "uniform" if self.integrator == "adaptive" else self.integrator
        return integrator, max(1, math.ceil(self.num_multipole_kicks * abs(weight)))


class UniformSolenoid(_SolenoidBase):
    """Solenoid of uniform field with hard edges.

    Parameters
    ----------
    length : float or Tensor, m
    ks : float or Tensor, 1/m
        Field over the rigidity of the reference.
    x0, y0 : float or Tensor, m
        Where its axis lies; the multipoles stay on the reference orbit.
    knl, ksl : list of float or Tensor, (..., order + 1), m^-n
    num_multipole_kicks : int
        0 is one kick where there is anything to kick.
    integrator : {"adaptive", "uniform", "teapot", "yoshida-4", "yoshida-6", "yoshida-8"}
    edge_entry_active, edge_exit_active : bool
        Kept for Xsuite, where they tell apart canonical and kinetic momenta; no map.
    **alignment
        As in `Misalignable`.

    Cost: one square root, one sine and one cosine a particle for each piece.
    Validity: exact without multipoles.

    Raises
    ------
    ElementError
        If the integrator is unknown or the number of kicks is negative.
    """

    def __init__(
        self,
        length: Number = 0.0,
        ks: Number = 0.0,
        x0: Number = 0.0,
        y0: Number = 0.0,
        knl: Numbers = (),
        ksl: Numbers = (),
        num_multipole_kicks: int = 0,
        integrator: str = "adaptive",
        edge_entry_active: bool = True,
        edge_exit_active: bool = True,
        **alignment: Unpack[Alignment],
    ) -> None:
        super().__init__(**alignment)
        self.edge_entry_active = bool(edge_entry_active)
        self.edge_exit_active = bool(edge_exit_active)
        self._register(ks=ks)
        self._register_body(length, x0, y0, knl, ksl, num_multipole_kicks, integrator)

    def body(self, state: State, reference: Reference, weight: float) -> State:
        ks = plain(self._aligned("ks", state.x))
        return self._track_body(state, reference, weight, ks)

    def body_moves(self, like: Tensor, weight: float) -> Moves | None:
        return self._moves(like, weight, plain(self._aligned("ks", like)))


class VariableSolenoid(_SolenoidBase):
    """Solenoid whose field changes linearly from entry to exit, taken at its mean.

    Parameters
    ----------
    length : float or Tensor, m
    ks_profile : list of 2 floats or Tensor, (..., 2), 1/m
        Field over rigidity at entry and at exit.
    x0, y0, knl, ksl, num_multipole_kicks, integrator, **alignment
        As in `UniformSolenoid`.

    Cost: that of `UniformSolenoid`.
    Validity: second order in the length; the map is that of the mean field, as in Xsuite, so
    that a slice of it has the mean field too.

    Raises
    ------
    ElementError
        If there are not two values in the profile, or as `UniformSolenoid`.
    """

    def __init__(
        self,
        length: Number = 0.0,
        ks_profile: Numbers = (0.0, 0.0),
        x0: Number = 0.0,
        y0: Number = 0.0,
        knl: Numbers = (),
        ksl: Numbers = (),
        num_multipole_kicks: int = 0,
        integrator: str = "adaptive",
        **alignment: Unpack[Alignment],
    ) -> None:
        super().__init__(**alignment)
        self._register_multipoles(ks_profile=ks_profile)
        if self.ks_profile.shape[-1] != 2:
            raise ElementError(
                f"{self.label}: ks_profile = {self.ks_profile.tolist()}: must be two numbers, "
                "at entry and at exit"
            )
        self._register_body(length, x0, y0, knl, ksl, num_multipole_kicks, integrator)

    def body(self, state: State, reference: Reference, weight: float) -> State:
        first, last = components(self._aligned("ks_profile", state.x))
        return self._track_body(state, reference, weight, 0.5 * (first + last))

    def body_moves(self, like: Tensor, weight: float) -> Moves | None:
        first, last = components(self._aligned("ks_profile", like))
        return self._moves(like, weight, 0.5 * (first + last))


class Solenoid(Misalignable):
    """Solenoid of Xsuite's older files, with multipoles that may have a frame of their own.

    Parameters
    ----------
    length : float or Tensor, m
    ks : float or Tensor, 1/m
    knl, ksl : list of float or Tensor, (..., order + 1), m^-n
    num_multipole_kicks : int
        In every piece of it, too; with 0 the multipoles do nothing.
    mult_rot_x_rad, mult_rot_y_rad : float or Tensor, rad
        About x from y to s, and about y from x to s.
    mult_shift_x, mult_shift_y : float or Tensor, m
    mult_shift_s : float or Tensor, m
        Changes no coordinate, as in Xsuite.
    **alignment
        As in `Misalignable`.

    Cost: that of `UniformSolenoid`, times the number of kicks and one.
    Validity: second order in the distance of the kicks.

    Raises
    ------
    ElementError
        If the number of kicks is negative.
    """

    isthick = True

    def __init__(
        self,
        length: Number = 0.0,
        ks: Number = 0.0,
        knl: Numbers = (),
        ksl: Numbers = (),
        num_multipole_kicks: int = 0,
        mult_rot_x_rad: Number = 0.0,
        mult_rot_y_rad: Number = 0.0,
        mult_shift_x: Number = 0.0,
        mult_shift_y: Number = 0.0,
        mult_shift_s: Number = 0.0,
        **alignment: Unpack[Alignment],
    ) -> None:
        super().__init__(**alignment)
        self._check_count("num_multipole_kicks", num_multipole_kicks)
        self.num_multipole_kicks = num_multipole_kicks
        self._register(length=length, ks=ks)
        self._register(mult_rot_x_rad=mult_rot_x_rad, mult_rot_y_rad=mult_rot_y_rad)
        self._register(
            mult_shift_x=mult_shift_x, mult_shift_y=mult_shift_y, mult_shift_s=mult_shift_s
        )
        self._register_multipoles(knl=knl, ksl=ksl)

    def body(self, state: State, reference: Reference, weight: float) -> State:
        length, ks = (plain(self._aligned(name, state.x)) for name in ("length", "ks"))
        knl, ksl = (components(self._aligned(name, state.x)) for name in ("knl", "ksl"))
        energy = Energy.of(state.pzeta, reference)
        kicks = self.num_multipole_kicks
        piece = length * (weight / (kicks + 1))
        pose = self._pose_of_multipoles(state.x)
        for _ in range(kicks):
            state = solenoid_flight(state, energy, piece, ks)
            state = change_frame(state, reference, pose)
            share = weight / kicks
            state = multipole_kick(state, [k * share for k in knl], [k * share for k in ksl])
            state = change_frame(state, reference, pose.inverse())
        return solenoid_flight(state, energy, piece, ks)

    def _pose_of_multipoles(self, like: Tensor) -> Pose:
        pitch, yaw, dx, dy = (
            plain(self._aligned(f"mult_{name}", like))
            for name in ("rot_x_rad", "rot_y_rad", "shift_x", "shift_y")
        )
        pose = Pose(shift=(dx, dy, 0.0))
        if is_active(pitch) or is_active(yaw):
            pose = pose.then(about_x(-1.0 * pitch)).then(about_y(-1.0 * yaw))
        return pose
