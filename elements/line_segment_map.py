"""Line segment map: a piece of a ring as tunes, optics, chromaticity, detuning and RF.

The order is that of Xsuite: orbit and dispersion are taken off, the planes turn by their
phase advance, the longitudinal motion and changes of energy follow, dispersion and orbit are
put back. Every part is undone exactly, in reverse order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Unpack

import torch
from scipy.constants import c as C_LIGHT
from torch import Tensor

from .base import Number, State
from .bunch import delta_of, rvv_minus_one
from .errors import ElementError
from .gpu import beside
from .misalignment import Alignment
from .reference import Reference
from .reference_change import ChangesReference, Fields, accelerated_p0c, rename_coordinates
from .rf import add_energy, phase_of
from .scalars import components, is_active
from .segment_fields import (
    CHROMATICITIES,
    LONGITUDINAL_MODES,
    NUMBERS,
    PAIRS,
    SegmentFields,
    chromatic_coefficients,
    damping_factors,
    longitudinal_mode,
    refuse_noise,
    rf_lists,
)
from .taylor_maps import UncutMap, inverted


class LineSegmentMap(UncutMap, ChangesReference):
    """Piece of a ring as one map; its keywords are Xsuite's.

    Parameters
    ----------
    length : float or Tensor, m
    qx, qy : float or Tensor
        Phase advance over 2 pi; `dqx`, `ddqx`, `dnqx` and so on are chromaticities,
        `coeffs_dqx` their Taylor coefficients, `det_xx`, `det_xy`, `det_yx`, `det_yy` the
        derivatives by the actions, 1/m.
    betx, bety, alfx, alfy, dx, dpx, dy, dpy, x_ref, px_ref, y_ref, py_ref : float or pair
        Optics and orbit at entry and exit.
    longitudinal_mode : {"frozen", "linear_fixed_qs", "nonlinear", "linear_fixed_rf"}, optional
        By default what the fields `qs` or `voltage_rf` ask for, as in Xsuite; with `bets` [m],
        `bucket_length` [s], `momentum_compaction_factor`, `slippage_length` [m] and the lists
        `voltage_rf` [V], `frequency_rf` [Hz], `phase_rf` [rad], `lag_rf` [deg].
    energy_increment, energy_ref_increment : float or Tensor, eV
        Of the particles, and of the reference (with x and px shrinking alike).
    damping_rate_x, ..., damping_matrix, damping_factors
        Loss of each coordinate per passage, or the matrix of it less, or with, the identity.

    Raises
    ------
    ElementError
        If a choice is unknown or a list does not fit, for random noise, if damping has no
        inverse, or if it is sliced.

    Validity: symplectic without chromaticity, damping and `energy_increment`s of the
    reference, and where `det_xy` is `det_yx`. Its inverse is exact for particles that stay in
    their bucket.

    References
    ----------
    Cai, Nucl. Instrum. Methods A 797, 172 (2015): dispersion.
    """

    def __init__(
        self,
        length: Number = 0.0,
        longitudinal_mode: str | None = None,
        **fields: Unpack[SegmentFields],
    ) -> None:
        given: dict[str, Any] = dict(fields)
        alignment: Alignment = {}
        for name in Alignment.__annotations__:
            if name in given:
                alignment[name] = given.pop(name)
        super().__init__(**alignment)
        self._register_length(length)
        self._take(given, longitudinal_mode)
        self._check_choice("longitudinal_mode", self.longitudinal_mode, *LONGITUDINAL_MODES)
        if given:
            raise ElementError(f"{self.label}: has no field {', '.join(map(repr, given))}")

    def _take(self, given: dict[str, Any], mode: str | None) -> None:
        refuse_noise(self.label, given)
        self.longitudinal_mode = longitudinal_mode(self.label, given, mode)
        tunes = {plane: given.pop(f"q{plane}", 0.0) for plane in "xy"}
        for plane, tune in tunes.items():
            options = {name: given.pop(name + plane, None) for name in CHROMATICITIES}
            coefficients = chromatic_coefficients(self.label, plane, tune, options)
            self._register_multipoles(**{f"coeffs_dq{plane}": coefficients})
            derivatives = options["dnq"]
            self._register(**{f"q{plane}": tune if derivatives is None else _first(derivatives)})
        for name, value in NUMBERS.items():
            self._register(**{name: given.pop(name, value)})
        slippage = given.pop("slippage_length", None)
        self._register(slippage_length=self.length.detach() if slippage is None else slippage)
        for name, value in PAIRS.items():
            pair = given.pop(name, value)
            self._register_multipoles(**{name: _pair(self.label, name, pair)})
        self._register_multipoles(**rf_lists(self.label, given))
        self._register_array("damping_factors", damping_factors(self.label, given), rank=2)

    # ---- the reference ---------------------------------------------------------------

    @property
    def is_map(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return not is_active(self.energy_ref_increment)

    def _p0c_behind(self, reference: Reference, fields: Fields, weight: float) -> Tensor:
        return accelerated_p0c(reference, fields("energy_ref_increment") * weight)

    def _p0c_in_front(self, reference: Reference, fields: Fields, weight: float) -> Tensor:
        return self._p0c_behind(reference, fields, -weight)

    # ---- the map ---------------------------------------------------------------------

    def body(self, state: State, reference: Reference, weight: float) -> State:
        other = reference if self.is_map else self.behind(reference, state.x, weight)
        if weight > 0:
            state = self._to_orbit(state, reference, 0, -1)
            state = self._turn(state, reference, 0, 1)
            state = self._longitudinal(state, reference, +1)
            state = self._accelerate(state, reference, other, +1)
            state = self._damp(state, +1)
            return self._to_orbit(state, other, 1, +1)
        state = self._to_orbit(state, reference, 1, -1)
        state = self._damp(state, -1)
        state = self._accelerate(state, reference, other, -1)
        state = self._longitudinal(state, other, -1)
        state = self._turn(state, other, 1, 0)
        return self._to_orbit(state, other, 0, +1)

    def coasting_body(self, state: State, reference: Reference, weight: float) -> State:
        state = self._to_orbit(state, reference, 0, -1)
        state = self._turn(state, reference, 0, 1)
        return self._to_orbit(state, reference, 1, +1)

    def _at(self, name: str, like: Tensor, place: int) -> Tensor:
        return self._aligned(name, like)[..., place]

    def _to_orbit(self, state: State, reference: Reference, place: int, sign: int) -> State:
        """Take off (`sign` -1) or put back dispersion and orbit at entry (0) or exit (1)."""
        orbit = [self._at(f"{name}_ref", state.x, place) for name in ("x", "px", "y", "py")]
        dx, dpx, dy, dpy = (self._at(f"d{name}", state.x, place) for name in ("x", "px", "y", "py"))
        if sign < 0:
            state = _moved(state, orbit, -1.0)
        x, px, y, py, zeta, pzeta = state
        delta = delta_of(pzeta, reference)
        rvv = 1.0 + rvv_minus_one(pzeta, delta, reference)
        zeta = zeta - sign * (dpx * x - dx * px + dpy * y - dy * py) / rvv
        state = _moved(State(x, px, y, py, zeta, pzeta), (dx, dpx, dy, dpy), sign * delta)
        return _moved(state, orbit, 1.0) if sign > 0 else state

    def _turn(self, state: State, reference: Reference, start: int, end: int) -> State:
        x, px, y, py = state[:4]
        delta = delta_of(state.pzeta, reference)
        actions = (
            _action(x, px, self._at("betx", x, start), self._at("alfx", x, start)),
            _action(y, py, self._at("bety", x, start), self._at("alfy", x, start)),
        )
        direction = end - start
        x, px = self._turn_plane("x", x, px, actions, delta, start, direction)
        y, py = self._turn_plane("y", y, py, actions, delta, start, direction)
        return state._replace(x=x, px=px, y=y, py=py)

    def _turn_plane(
        self,
        plane: str,
        position: Tensor,
        momentum: Tensor,
        actions: tuple[Tensor, Tensor],
        delta: Tensor,
        start: int,
        direction: int,
    ) -> tuple[Tensor, Tensor]:
        tune = self._aligned(f"q{plane}", position)
        for name, action in zip("xy", actions, strict=True):
            detuning = self._aligned(f"det_{plane}{name}", position)
            tune = tune + detuning * action if is_active(detuning) else tune
        power: Number = 1.0
        for coefficient in components(self._aligned(f"coeffs_dq{plane}", position))[1:]:
            power = power * delta
            tune = tune + coefficient * power
        angle = 2.0 * math.pi * direction * tune
        cosine, sine = torch.cos(angle), torch.sin(angle)
        beta0, beta1 = (self._at(f"bet{plane}", position, n) for n in (start, 1 - start))
        alpha0, alpha1 = (self._at(f"alf{plane}", position, n) for n in (start, 1 - start))
        product, ratio = torch.sqrt(beta0 * beta1), torch.sqrt(beta1 / beta0)
        slope = ((alpha0 - alpha1) * cosine - (1.0 + alpha0 * alpha1) * sine) / product
        return (
            ratio * (cosine + alpha0 * sine) * position + product * sine * momentum,
            slope * position + (cosine - alpha1 * sine) / ratio * momentum,
        )

    def _longitudinal(self, state: State, reference: Reference, sign: int) -> State:
        if self.longitudinal_mode == "frozen":
            return state
        if self.longitudinal_mode == "nonlinear":
            return self._nonlinear(state, reference, sign)
        if self.longitudinal_mode == "linear_fixed_qs":
            qs, bets = (self._aligned(name, state.x) for name in ("qs", "bets"))
            bucket = self._aligned("bucket_length", state.x) * (reference.beta0 * C_LIGHT)
        else:
            qs, bets, bucket = self._linear_rf(state, reference)
        shift = torch.where(
            bucket > 0, bucket * torch.floor(state.zeta.detach() / bucket + 0.5), 0.0
        )
        zeta, pzeta = state.zeta - shift, state.pzeta
        angle = 2.0 * math.pi * qs * sign
        cosine, sine = torch.cos(angle), torch.sin(angle)
        return state._replace(
            zeta=cosine * zeta - bets * sine * pzeta + shift,
            pzeta=sine / bets * zeta + cosine * pzeta,
        )

    def _slip(self, reference: Reference, like: Tensor) -> Tensor:
        """Slippage factor times length, m."""
        alpha = self._aligned("momentum_compaction_factor", like)
        eta = alpha - reference.inverse_gamma0_squared
        return eta * self._aligned("slippage_length", like)

    def _linear_rf(self, state: State, reference: Reference) -> tuple[Tensor, Tensor, Tensor]:
        """Synchrotron tune, beta and bucket length [m] of the one RF system."""
        voltage, frequency = (self._at(n, state.x, 0) for n in ("voltage_rf", "frequency_rf"))
        slip = self._slip(reference, state.x)
        focus = reference.q0.abs() * slip.abs() * frequency * voltage
        stiffness = 2.0 * math.pi * reference.beta0**3 * reference.energy0 * C_LIGHT
        qs = torch.sqrt(focus / stiffness)
        return qs, slip / (2.0 * math.pi * qs), reference.beta0 * C_LIGHT / frequency

    def _nonlinear(self, state: State, reference: Reference, sign: int) -> State:
        half = -0.5 * sign * self._slip(reference, state.x)
        state = state._replace(zeta=state.zeta + half * delta_of(state.pzeta, reference))
        names = ("voltage_rf", "frequency_rf", "phase_rf", "lag_rf")
        lists = (self._aligned(name, state.x).unbind(-1) for name in names)
        tau = state.zeta / reference.beta0
        for voltage, frequency, phase, lag in zip(*lists, strict=True):
            angle = phase_of(phase, lag) - 2.0 * math.pi / C_LIGHT * frequency * tau
            # a system without a frequency is none, as in Xsuite
            voltage = torch.where(frequency == 0, 0.0, voltage)
            energy = sign * reference.q0.abs() * voltage * torch.sin(angle)
            state = add_energy(state, reference, energy)
        return state._replace(zeta=state.zeta + half * delta_of(state.pzeta, reference))

    def _accelerate(self, state: State, reference: Reference, other: Reference, sign: int) -> State:
        """Add energy to particles, then to the reference; the last first when undone."""
        increment = sign * self._aligned("energy_increment", state.x)
        if sign > 0:
            state = add_energy(state, reference, increment)
        if other is not reference:
            x, px, y, py = state[:4]
            shrink = torch.sqrt(reference.p0c / other.p0c)
            state = rename_coordinates(state, reference, other)
            state = state._replace(x=x * shrink, px=px * shrink, y=y * shrink, py=py * shrink)
        return add_energy(state, other, increment) if sign < 0 else state

    def _damp(self, state: State, sign: int) -> State:
        factors = self._aligned("damping_factors", state.x).to(state.x.dtype)
        if not factors.requires_grad and torch.equal(factors, torch.eye(6).to(factors)):
            return state
        if sign < 0:
            factors = inverted(self.label, "damping_factors", factors)
        factors = beside(factors, state.x)
        vectors = torch.stack(torch.broadcast_tensors(*state), dim=-1)
        return State(*(factors * vectors[..., None, :]).sum(-1).unbind(-1))


def _moved(state: State, by: Sequence[Tensor], factor: Number) -> State:
    x, px, y, py = (a + factor * b for a, b in zip(state[:4], by, strict=True))
    return state._replace(x=x, px=px, y=y, py=py)


def _action(position: Tensor, momentum: Tensor, beta: Tensor, alpha: Tensor) -> Tensor:
    gamma = (1.0 + alpha * alpha) / beta
    square = gamma * position**2 + 2.0 * alpha * position * momentum + beta * momentum**2
    return 0.5 * square


def _first(values: Any) -> Number:
    return values[..., 0] if isinstance(values, Tensor) else values[0]


def _pair(label: str, name: str, value: Any) -> Any:
    """Return values at entry and exit; one value counts for both."""
    if isinstance(value, Tensor):
        return value if value.dim() and value.shape[-1] == 2 else torch.stack((value, value), -1)
    if not isinstance(value, Sequence):
        return [value, value]
    if len(value) != 2:
        raise ElementError(f"{label}: {name} = {value}: must be one value, or two for both ends")
    return value
