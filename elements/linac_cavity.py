"""Linac cavity: acceleration of the reference, with the focusing of the RF.

One step is drift, kick, drift in the variable t = integral ds/P along the accelerated
reference, in which the averaged motion is a harmonic oscillator (Rosenzweig and Serafini,
eq. 10-13). Each part comes from a Hamiltonian of the full coordinates, so that the whole is
symplectic for every particle; drifts carry each particle's own energy through the acceleration
in closed form; on the reference orbit the transverse map is theirs, with beta < 1 kept, and
without a voltage the map is that of a drift. Palindromic: steps of negative length undo it.

References
----------
Rosenzweig and Serafini, Phys. Rev. E 49, 1599 (1994).
"""

from __future__ import annotations

import math
from typing import NamedTuple, Unpack

import torch
from scipy.constants import c as C_LIGHT
from torch import Tensor

from .base import Number, State
from .drift import expanded_drift
from .errors import ElementError
from .misalignment import Alignment, Misalignable
from .reference import Reference
from .reference_change import ChangesReference, Fields, accelerated_p0c
from .scalars import is_active, plain, ratio_or_zero
from .special import arcsinh_ratio, cosine_and_sine

# eta/8 of the ponderomotive force, by structure: eta is 1 for a pure standing wave in pi mode,
# 0 for a forward travelling wave.
_PONDEROMOTIVE = {"standing": 0.125, "travelling": 0.0}
# Half of a step's phase advance, beyond which drift, lens, drift is no faithful split.
_MOST_ADVANCE = 1.2  # rad


class Point(NamedTuple):
    """Energy and momentum of the reference at a place, eV."""

    energy: Tensor
    momentum: Tensor


class _Motion(NamedTuple):
    """Coordinates that no reference divides: momenta in eV, c t and energy against it."""

    x: Tensor
    px: Tensor  # eV
    y: Tensor
    py: Tensor  # eV
    tau: Tensor  # m, positive = ahead
    energy: Tensor  # eV, above the reference


class LinacCavity(Misalignable, ChangesReference):
    """Accelerating structure of a linac, behind which the reference has the energy that it gained.

    A particle gains |q0| voltage cos(phase - 2 pi frequency tau/c), tau = zeta/beta0, the
    reference |q0| voltage cos(phase): both accelerate for a positive voltage, whatever the sign
    of the charge, and on the crest at phase 0. The phase grows with time, as Xsuite's.

    Parameters
    ----------
    length : float or Tensor, m
        0 accelerates without focusing.
    voltage : float or Tensor, V
    phase : float or Tensor, rad
        Off the crest: elegant's PHASE - 90 deg, the negative of Ocelot's and Cheetah's `phi`.
    frequency : float or Tensor, Hz
    structure : {"standing", "travelling"}
        "standing" has the focusing of the backward wave over the body (elegant's
        BODY_FOCUS_MODEL "SRS"), "travelling" none there (elegant's "none").
    entry_focusing, exit_focusing : bool
        Whether the fringe of the field focuses at the entry and defocuses at the exit
        (elegant's END1_FOCUS and END2_FOCUS), each at the phase of the particle.
    num_kicks : int
        Steps over the whole; 0 is one.

    Raises
    ------
    ElementError
        If the structure is unknown, or one step focuses too strongly to be one.
    BunchError
        If the reference would stop.

    Cost: per step two drifts with two square roots and an inverse hyperbolic sine each.
    Validity: particles keep step with the wave as the reference does; longitudinal motion to
    second order in a step; no wakes, no coupler kicks. Symplectic in momenta that are not
    divided by the reference's.

    References
    ----------
    Rosenzweig and Serafini, Phys. Rev. E 49, 1599 (1994).
    """

    isthick = True

    def __init__(
        self,
        length: Number = 0.0,
        voltage: Number = 0.0,
        phase: Number = 0.0,
        frequency: Number = 0.0,
        structure: str = "standing",
        entry_focusing: bool = True,
        exit_focusing: bool = True,
        num_kicks: int = 0,
        **alignment: Unpack[Alignment],
    ) -> None:
        super().__init__(**alignment)
        self._check_choice("structure", structure, *_PONDEROMOTIVE)
        self._check_count("num_kicks", num_kicks)
        self.structure = structure
        self.entry_focusing, self.exit_focusing = bool(entry_focusing), bool(exit_focusing)
        self.num_kicks = num_kicks
        self._register(length=length, voltage=voltage, phase=phase, frequency=frequency)

    # ---- the reference ---------------------------------------------------------------

    def _gain(self, reference: Reference, fields: Fields) -> Tensor:
        """Energy gain of the reference over the whole, eV."""
        return reference.q0.abs() * fields("voltage") * torch.cos(fields("phase"))

    def _p0c_behind(self, reference: Reference, fields: Fields, weight: float) -> Tensor:
        return accelerated_p0c(reference, self._gain(reference, fields) * weight)

    def _p0c_in_front(self, reference: Reference, fields: Fields, weight: float) -> Tensor:
        return self._p0c_behind(reference, fields, -weight)

    # ---- the map ---------------------------------------------------------------------

    def entry(self, state: State, reference: Reference, sign: int) -> State:
        return self._fringe(state, reference, sign) if self.entry_focusing else state

    def exit(self, state: State, reference: Reference, sign: int) -> State:
        return self._fringe(state, reference, -sign) if self.exit_focusing else state

    def body(self, state: State, reference: Reference, weight: float) -> State:
        steps = max(1, math.ceil(self.num_kicks * abs(weight)))
        fraction = weight / steps
        motion = _without_reference(state, reference)
        here = reference
        for _ in range(steps):
            following = self.behind(here, state.x, fraction)
            motion = self._step(motion, here, following, fraction)
            here = following
        return _with_reference(motion, here)

    def coasting_body(self, state: State, reference: Reference, weight: float) -> State:
        return expanded_drift(state, reference, self._aligned("length", state.x) * weight)

    def _amplitude(self, reference: Reference, like: Tensor) -> Tensor:
        """Energy gain on the crest per length, eV/m; 0 for a thin cavity."""
        voltage, length = self._aligned("voltage", like), self._aligned("length", like)
        return reference.q0.abs() * torch.as_tensor(ratio_or_zero(voltage, length))

    def _wave(self, like: Tensor) -> Number:
        """RF phase advance per c t, rad/m."""
        return plain(self._aligned("frequency", like)) * (2.0 * math.pi / C_LIGHT)

    def _fringe(self, state: State, reference: Reference, sign: int) -> State:
        """Kick by the potential A cos(phase - k tau)(x^2 + y^2)/4 of a rising field."""
        x, px, y, py, zeta, pzeta = state
        if not is_active(self.voltage):
            return state
        strength = self._amplitude(reference, x) / reference.p0c
        wave = self._wave(x)
        phase = plain(self._aligned("phase", x)) - wave * zeta / reference.beta0
        focus = (0.5 * sign) * strength * torch.cos(phase)
        energy = (0.25 * sign) * strength * wave * torch.sin(phase) * (x * x + y * y)
        return State(x, px - focus * x, y, py - focus * y, zeta, pzeta - energy / reference.beta0)

    def _step(
        self, motion: _Motion, before: Reference, after: Reference, fraction: float
    ) -> _Motion:
        like = motion.x
        length = self._aligned("length", like) * fraction
        first, last = _point(before), _point(after)
        middle = _middle(first, last)
        # the lens sits at half of the rapidity, so that both sides take the same t
        share = (first.momentum + middle.momentum) / (
            first.momentum + 2.0 * middle.momentum + last.momentum
        )
        square, turn = self._advance(before, _flight(length, first, last), like)
        cosine, sine = cosine_and_sine(0.25 * square)
        self._check_advance(square)
        stretch = sine / cosine  # tan(advance/2)/(advance/2)
        motion = _accelerated_drift(motion, first, middle, length * share, stretch)
        motion = self._kick(motion, before, turn, fraction)
        return _accelerated_drift(motion, middle, last, length * (1.0 - share), stretch)

    def _advance(self, reference: Reference, flight: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """Square of the phase advance of a step, and the lens that makes it, eV/m."""
        omega_squared = _PONDEROMOTIVE[self.structure] * self._amplitude(reference, like) ** 2
        square = omega_squared * flight**2
        return square, omega_squared * flight * cosine_and_sine(square)[1]

    def _kick(
        self, motion: _Motion, reference: Reference, turn: Tensor, fraction: float
    ) -> _Motion:
        x, px, y, py, tau, energy = motion
        voltage, phase = (plain(self._aligned(name, x)) for name in ("voltage", "phase"))
        half = 0.5 * self._wave(x) * tau
        # cos(phase - 2 half) - cos(phase), without its cancellation
        difference = 2.0 * torch.sin(phase - half) * torch.sin(half)
        gain = reference.q0.abs() * voltage * fraction * difference
        return _Motion(x, px - turn * x, y, py - turn * y, tau, energy + gain)

    def _check_advance(self, square: Tensor) -> None:
        largest = square.detach().amax().sqrt().item() if is_active(self.voltage) else 0.0
        if 0.5 * largest >= _MOST_ADVANCE:
            raise ElementError(
                f"{self.label}: focuses by {largest:.3g} rad in one step: "
                "use more num_kicks, or slices"
            )


def _point(reference: Reference) -> Point:
    return Point(reference.energy0, reference.p0c)


def _middle(first: Point, last: Point) -> Point:
    """Reference at half of the rapidity between two places."""
    mass_squared = (first.energy - first.momentum) * (first.energy + first.momentum)
    products = first.energy * last.energy + first.momentum * last.momentum
    energy = torch.sqrt(0.5 * (mass_squared + products))
    mixed = first.momentum * last.energy + first.energy * last.momentum
    return Point(energy, 0.5 * mixed / energy)


def _flight(length: Tensor, first: Point, last: Point) -> Tensor:
    """Integral of ds/P at a constant gradient, m/eV: rapidity over energy gain."""
    mixed = first.energy * last.momentum + last.energy * first.momentum
    slope = (first.energy + last.energy) / mixed
    return length * slope * arcsinh_ratio((last.energy - first.energy) * slope)


def _accelerated_drift(
    motion: _Motion, first: Point, last: Point, length: Tensor, stretch: Tensor
) -> _Motion:
    """Drift while the reference is accelerated; each particle keeps its distance in energy.

    From the Hamiltonian (px^2 + py^2)/2 stretch flight(energy), and the time of flight, which
    is length (E1 + E2)/(P1 + P2) at a constant gradient.
    """
    x, px, y, py, tau, energy = motion
    here, there = _shifted(first, energy), _shifted(last, energy)
    total, momentum = here.energy + there.energy, here.momentum + there.momentum
    flight = stretch * _flight(length, here, there)
    reference_total = first.energy + last.energy
    reference_momentum = first.momentum + last.momentum
    # momenta above those of the reference, without cancellation
    excess = sum(
        (2.0 * point.energy + energy) / (particle.momentum + point.momentum)
        for point, particle in ((first, here), (last, there))
    )
    delay = energy * (2.0 * reference_momentum - reference_total * excess)
    delay = delay / (momentum * reference_momentum)
    spread = 0.5 * stretch * (px * px + py * py) / (here.momentum * there.momentum)
    tau = tau - length * (delay + spread * total / momentum)
    return _Motion(x + flight * px, px, y + flight * py, py, tau, energy)


def _shifted(point: Point, energy: Tensor) -> Point:
    """Return energy and momentum of particles at a distance in energy from the reference."""
    square = point.momentum**2 + energy * (2.0 * point.energy + energy)
    return Point(point.energy + energy, torch.sqrt(square))


def _without_reference(state: State, reference: Reference) -> _Motion:
    p0c, beta0 = reference.p0c, reference.beta0
    x, px, y, py, zeta, pzeta = state
    return _Motion(x, px * p0c, y, py * p0c, zeta / beta0, pzeta * (beta0 * p0c))


def _with_reference(motion: _Motion, reference: Reference) -> State:
    p0c, beta0 = reference.p0c, reference.beta0
    x, px, y, py, tau, energy = motion
    return State(x, px / p0c, y, py / p0c, tau * beta0, energy / (beta0 * p0c))
