"""Electron lens: a beam of electrons around or inside the beam."""

from __future__ import annotations

import math
from typing import Unpack

import torch
from scipy.constants import c as C_LIGHT
from torch import Tensor

from .base import Number, Numbers, State
from .energy import Energy
from .errors import ElementError
from .misalignment import Alignment, Misalignable
from .reference import Reference
from .scalars import components, is_active, plain, root

# As in Xsuite's kernels, for parity.
_ELECTRON_MASS = 510998.928  # eV
_EPSILON_0 = 8.854187817620e-12  # F/m


class Elens(Misalignable):
    """Thin kick by an electron beam that flies against the beam, hollow if it has an inner radius.

    Parameters
    ----------
    inner_radius, outer_radius : float or Tensor, m
    current : float or Tensor, A
    elens_length : float or Tensor, m
    voltage : float or Tensor, V
        That accelerates the electrons.
    residual_kick_x, residual_kick_y : float or Tensor, rad
        On particles inside the hole, its edge included.
    coefficients_polynomial : list of float or Tensor, (..., order + 1), mm^-n
        Enclosed fraction of the current against the radius in mm, highest power first; with
        one coefficient, whatever it is, the current is uniform, as in Xsuite.

    Raises
    ------
    ElementError
        If there is a current and the voltage is not positive, or the outer radius is not
        larger than the inner one.

    Validity: the kick follows each particle's speed and momentum and has no longitudinal
    counterpart, so that it is symplectic at constant energy only, as in Xsuite.
    """

    def __init__(
        self,
        inner_radius: Number = 1.0,
        outer_radius: Number = 1.0,
        current: Number = 0.0,
        elens_length: Number = 0.0,
        voltage: Number = 0.0,
        residual_kick_x: Number = 0.0,
        residual_kick_y: Number = 0.0,
        coefficients_polynomial: Numbers = (),
        **alignment: Unpack[Alignment],
    ) -> None:
        super().__init__(**alignment)
        self._register(
            inner_radius=inner_radius,
            outer_radius=outer_radius,
            current=current,
            elens_length=elens_length,
            voltage=voltage,
            residual_kick_x=residual_kick_x,
            residual_kick_y=residual_kick_y,
        )
        self._register_multipoles(coefficients_polynomial=coefficients_polynomial)
        if is_active(self.current) and not bool((self.voltage > 0).all()):
            raise ElementError(
                f"{self.label}: voltage = {self.voltage.tolist()} V: must be positive, "
                "for electrons to fly"
            )
        if is_active(self.current) and not bool((self.outer_radius > self.inner_radius).all()):
            raise ElementError(
                f"{self.label}: outer_radius = {self.outer_radius.tolist()} m: must be larger "
                f"than inner_radius = {self.inner_radius.tolist()} m"
            )

    def body(self, state: State, reference: Reference, weight: float) -> State:
        x, px, y, py = state[:4]
        inner, residual_x, residual_y = (
            plain(self._aligned(name, x))
            for name in ("inner_radius", "residual_kick_x", "residual_kick_y")
        )
        square = x * x + y * y
        in_hole = torch.sqrt(square) <= inner
        # keeps the unused branch finite, and the radius differentiable
        safe = torch.where(in_hole, 1.0, square)
        strength = self._strength(safe, state, reference) if is_active(self.current) else 0.0 * x
        dpx = torch.where(in_hole, residual_x, -strength * x)
        dpy = torch.where(in_hole, residual_y, -strength * y)
        return state._replace(px=px + weight * dpx, py=py + weight * dpy)

    def _strength(self, square: Tensor, state: State, reference: Reference) -> Tensor:
        """Kick over distance from the axis, rad/m, (..., n_particles)."""
        names = ("current", "elens_length", "voltage", "inner_radius", "outer_radius")
        current, length, voltage, inner, outer = (
            plain(self._aligned(name, state.x)) for name in names
        )
        momentum, total, _ = Energy.of(state.pzeta, reference)
        electron = root(voltage * (voltage + 2.0 * _ELECTRON_MASS)) / (voltage + _ELECTRON_MASS)
        beta = reference.beta0 * momentum / total
        rigidity = reference.p0c / (reference.q0 * C_LIGHT)
        field = 2.0 * length * current / (4.0 * math.pi * _EPSILON_0 * C_LIGHT**2)
        maximum = field * (1.0 + electron * beta) / (electron * beta * rigidity)
        radius = torch.sqrt(square)
        enclosed = torch.where(radius > outer, 1.0, self._enclosed(radius, inner, outer))
        return enclosed * maximum * momentum / square

    def _enclosed(self, radius: Tensor, inner: Number, outer: Number) -> Tensor:
        """Fraction of the current inside a radius within the electron beam."""
        coefficients = components(self._aligned("coefficients_polynomial", radius))
        if len(coefficients) == 1:
            return (radius * radius - inner * inner) / (outer * outer - inner * inner)
        fraction = torch.zeros_like(radius)
        for coefficient in coefficients:
            fraction = fraction * (1e3 * radius) + coefficient
        return fraction
