"""Apertures: particles outside are lost; they stay where they are and have no gradient.

The comparisons are those of Xsuite, in its order of operations and in float64, so that the
same particles are lost to the last digit.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Unpack

import torch
from torch import Tensor

from .base import Number, Numbers, State
from .bunch import Bunch
from .errors import ElementError
from .misalignment import Alignment, Misalignable
from .reference import Reference

# Xsuite's stand-in for "no limit", m
UNLIMITED = 1e10
# A file's product of squared half-axes is that of its half-axes to rounding.
_SAME = 1e-9


def keep_inside(bunch: Bunch, inside: Tensor) -> Bunch:
    """Return the bunch with every particle lost that is not `inside`, (..., n_particles).

    From here on the coordinates of a lost particle are a constant.
    """
    alive = bunch.alive & inside
    coordinates = torch.where(alive.unsqueeze(-2), bunch.coordinates, bunch.coordinates.detach())
    return bunch.replace(coordinates=coordinates, alive=alive)


class Aperture(Misalignable):
    """Base of all apertures: thin, and the identity for the particles that pass.

    Validity: where an edge of the aperture lies is not differentiable; gradients are those of
    the particles that pass.
    """

    is_map = False

    @abstractmethod
    def inside(self, state: State) -> Tensor:
        """Tell which particles pass, (..., n_particles); a NaN does not."""

    def track(self, bunch: Bunch) -> Bunch:
        """Return the bunch with those lost that are outside; no coordinate changes."""
        found: list[Tensor] = []

        def look(state: State, reference: Reference) -> State:
            found.append(self.inside(state))
            return state

        with torch.no_grad():
            reference = bunch.reference.over_particles(bunch.coordinates)
            self.framed(look, State(*bunch.coordinates.unbind(-2)), reference, 0.0, 1.0)
        return keep_inside(bunch, found[0])

    # whoever passes is brought back to where it was, without the rounding of a change of frame
    def transport(self, state: State, reference: Reference) -> State:
        return state

    def undo(self, state: State, reference: Reference) -> State:
        return state

    def coast(self, state: State, reference: Reference) -> State:
        return state

    def body(self, state: State, reference: Reference, weight: float) -> State:
        return state

    def _limits(self, state: State, *names: str) -> list[Tensor]:
        """Return fields ready to broadcast against a coordinate in float64."""
        return [self._aligned(name, state.x.double()).detach() for name in names]

    def _check_not_negative(self, *names: str) -> None:
        for name in names:
            value = getattr(self, name).detach()
            if not bool((value >= 0).all()):
                raise ElementError(f"{self.label}: {name} = {value.tolist()}: must not be negative")

    def _check_positive(self, *names: str) -> None:
        for name in names:
            value = getattr(self, name).detach()
            if not bool((value > 0).all()):
                raise ElementError(f"{self.label}: {name} = {value.tolist()}: must be positive")

    def _check_order(self, lower: str, upper: str) -> None:
        low, high = getattr(self, lower).detach(), getattr(self, upper).detach()
        if not bool((low <= high).all()):
            raise ElementError(
                f"{self.label}: {lower} = {low.tolist()} m is above {upper} = {high.tolist()} m: "
                "nothing would pass"
            )


def half_axis(label: str, name: str, value: Number | None, square: Number | None) -> Number:
    """Return a half-axis that is given as itself, as its square, or not at all.

    Raises
    ------
    ElementError
        If the square is not positive.
    """
    if value is not None:
        return value
    if square is None:
        return UNLIMITED
    tensor = torch.as_tensor(square, dtype=torch.float64)
    if not bool((tensor > 0).all()):
        raise ElementError(f"{label}: {name}_squ = {tensor.tolist()} m^2: must be positive")
    return tensor.sqrt() if isinstance(square, Tensor) else math.sqrt(square)


class LimitEllipse(Aperture):
    """Elliptic aperture: (x/a)^2 + (y/b)^2 <= 1.

    Parameters
    ----------
    a, b : float or Tensor, (...), m
        Half-axes; far beyond any machine by default, as in Xsuite.
    a_squ, b_squ, a_b_squ : float or Tensor, (...), m^2 and m^4
        What Xsuite's files hold: squares of the half-axes, used where these are not given, and
        the product of both, which must agree.

    Raises
    ------
    ElementError
        If a half-axis is not positive, or `a_b_squ` is another product.

    Validity: first derivatives of the particles that pass; none with respect to `a` and `b`.
    """

    def __init__(
        self,
        a: Number | None = None,
        b: Number | None = None,
        a_squ: Number | None = None,
        b_squ: Number | None = None,
        a_b_squ: Number | None = None,
        **alignment: Unpack[Alignment],
    ) -> None:
        super().__init__(**alignment)
        self._register(
            a=half_axis(self.label, "a", a, a_squ), b=half_axis(self.label, "b", b, b_squ)
        )
        self._check_positive("a", "b")
        self._check_product(a_b_squ)

    def inside(self, state: State) -> Tensor:
        a, b = self._limits(state, "a", "b")
        return inside_ellipse(state.x.double(), state.y.double(), a, b)

    def _check_product(self, a_b_squ: Number | None) -> None:
        if a_b_squ is None:
            return
        expected = (self.a * self.b).detach() ** 2
        given = torch.as_tensor(a_b_squ, dtype=torch.float64)
        if not torch.allclose(given, expected, rtol=_SAME, atol=0.0):
            raise ElementError(
                f"{self.label}: a_b_squ = {given.tolist()} m^4 is not a^2 b^2 = "
                f"{expected.tolist()} m^4: leave it out"
            )


def inside_ellipse(x: Tensor, y: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Tell which points lie in an ellipse around the axis, its edge included."""
    a_squ, b_squ = a * a, b * b
    return x * x * b_squ + y * y * a_squ <= a_squ * b_squ


class LimitRect(Aperture):
    """Rectangular aperture: min_x <= x <= max_x and min_y <= y <= max_y.

    Parameters
    ----------
    min_x, max_x, min_y, max_y : float or Tensor, (...), m

    Raises
    ------
    ElementError
        If a lower limit is above its upper one.

    Validity: no derivatives with respect to the limits.
    """

    def __init__(
        self,
        min_x: Number = -UNLIMITED,
        max_x: Number = UNLIMITED,
        min_y: Number = -UNLIMITED,
        max_y: Number = UNLIMITED,
        **alignment: Unpack[Alignment],
    ) -> None:
        super().__init__(**alignment)
        self._register(min_x=min_x, max_x=max_x, min_y=min_y, max_y=max_y)
        self._check_order("min_x", "max_x")
        self._check_order("min_y", "max_y")

    def inside(self, state: State) -> Tensor:
        min_x, max_x, min_y, max_y = self._limits(state, "min_x", "max_x", "min_y", "max_y")
        x, y = state.x.double(), state.y.double()
        return (x >= min_x) & (x <= max_x) & (y >= min_y) & (y <= max_y)


class LimitRectEllipse(LimitEllipse):
    """Aperture that is a centred rectangle and an ellipse at once, as an LHC beam screen.

    Parameters
    ----------
    max_x, max_y : float or Tensor, (...), m
        Half-widths of the rectangle.
    a, b : float or Tensor, (...), m
        Half-axes of the ellipse.
    a_squ, b_squ, a_b_squ : float or Tensor, (...), m^2 and m^4
        As of `LimitEllipse`.

    Raises
    ------
    ElementError
        If a half-width is negative or a half-axis not positive.

    Validity: no derivatives with respect to the limits.
    """

    def __init__(
        self,
        max_x: Number = UNLIMITED,
        max_y: Number = UNLIMITED,
        a: Number | None = None,
        b: Number | None = None,
        a_squ: Number | None = None,
        b_squ: Number | None = None,
        a_b_squ: Number | None = None,
        **alignment: Unpack[Alignment],
    ) -> None:
        super().__init__(a, b, a_squ, b_squ, a_b_squ, **alignment)
        self._register(max_x=max_x, max_y=max_y)
        self._check_not_negative("max_x", "max_y")

    def inside(self, state: State) -> Tensor:
        max_x, max_y = self._limits(state, "max_x", "max_y")
        within = (state.x.double().abs() <= max_x) & (state.y.double().abs() <= max_y)
        return within & super().inside(state)


class LimitRacetrack(LimitRect):
    """Rectangular aperture with elliptically rounded corners.

    Parameters
    ----------
    min_x, max_x, min_y, max_y : float or Tensor, (...), m
    a, b : float or Tensor, (...), m
        Half-axes of the ellipse in each corner.

    Raises
    ------
    ElementError
        If a half-axis is negative or larger than half the rectangle.

    Validity: no derivatives with respect to the limits.
    """

    def __init__(
        self,
        min_x: Number = -UNLIMITED,
        max_x: Number = UNLIMITED,
        min_y: Number = -UNLIMITED,
        max_y: Number = UNLIMITED,
        a: Number = 0.0,
        b: Number = 0.0,
        **alignment: Unpack[Alignment],
    ) -> None:
        super().__init__(min_x, max_x, min_y, max_y, **alignment)
        self._register(a=a, b=b)
        self._check_not_negative("a", "b")
        for name, lower, upper in (("a", "min_x", "max_x"), ("b", "min_y", "max_y")):
            radius, room = getattr(self, name), 0.5 * (getattr(self, upper) - getattr(self, lower))
            if not bool((radius <= room).all()):
                raise ElementError(
                    f"{self.label}: {name} = {radius.tolist()} m is larger than half the "
                    f"rectangle, {room.tolist()} m"
                )

    def inside(self, state: State) -> Tensor:
        min_x, max_x, min_y, max_y = self._limits(state, "min_x", "max_x", "min_y", "max_y")
        a, b = self._limits(state, "a", "b")
        dx = _beyond(state.x.double(), min_x + a, max_x - a)
        dy = _beyond(state.y.double(), min_y + b, max_y - b)
        round_corner = dx * dx * b * b + dy * dy * a * a <= a * a * b * b
        in_corner = (dx != 0.0) & (dy != 0.0)
        return super().inside(state) & (~in_corner | round_corner)


def _beyond(value: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    """By how much a coordinate is above the upper or below the lower limit; 0 in between."""
    return torch.where(value > upper, value - upper, torch.where(value < lower, value - lower, 0.0))


class LimitPolygon(Aperture):
    """Polygonal aperture, closed from the last vertex to the first.

    Parameters
    ----------
    x_vertices, y_vertices : list of float or Tensor, (..., n_vertices), m

    Raises
    ------
    ElementError
        If there are fewer than three vertices, or one list is longer.

    Validity: a point on the edge may count as either side, as in Xsuite; no derivatives with
    respect to the vertices. Where the polygon leaves out the axis, Xsuite 0.67 keeps particles
    nearer to the axis than any edge; here they are lost, as all others outside.

    References
    ----------
    Shimrat, Algorithm 112, Comm. ACM 5, 434 (1962): the number of crossings.
    """

    def __init__(
        self, x_vertices: Numbers, y_vertices: Numbers, **alignment: Unpack[Alignment]
    ) -> None:
        super().__init__(**alignment)
        self._register_multipoles(x_vertices=x_vertices, y_vertices=y_vertices)
        columns, rows = self.x_vertices.shape[-1], self.y_vertices.shape[-1]
        if columns != rows or columns < 3:
            raise ElementError(
                f"{self.label}: {columns} x_vertices and {rows} y_vertices: "
                "must be as many, and at least three"
            )

    def inside(self, state: State) -> Tensor:
        x, y = state.x.double(), state.y.double()
        columns, rows = (v.unbind(-1) for v in self._limits(state, "x_vertices", "y_vertices"))
        result = torch.zeros_like(x, dtype=torch.bool)
        for index in range(len(columns)):
            result = result ^ _crosses(x, y, columns, rows, index)
        return result


def _crosses(
    x: Tensor, y: Tensor, columns: Sequence[Tensor], rows: Sequence[Tensor], index: int
) -> Tensor:
    """Tell for which points a ray to the right crosses the edge that ends in a vertex."""
    x_end, y_end = columns[index], rows[index]
    x_start, y_start = columns[index - 1], rows[index - 1]
    height = torch.where(y_start == y_end, 1.0, y_start - y_end)
    crossing = (x_start - x_end) * (y - y_end) / height + x_end
    return ((y_end > y) != (y_start > y)) & (x < crossing)


class LongitudinalLimitRect(Aperture):
    """Limits of zeta and pzeta.

    Parameters
    ----------
    min_zeta, max_zeta : float or Tensor, (...), m
    min_pzeta, max_pzeta : float or Tensor, (...)

    Raises
    ------
    ElementError
        If a lower limit is above its upper one.

    Validity: no derivatives with respect to the limits.
    """

    def __init__(
        self,
        min_zeta: Number = -UNLIMITED,
        max_zeta: Number = UNLIMITED,
        min_pzeta: Number = -UNLIMITED,
        max_pzeta: Number = UNLIMITED,
        **alignment: Unpack[Alignment],
    ) -> None:
        super().__init__(**alignment)
        self._register(
            min_zeta=min_zeta, max_zeta=max_zeta, min_pzeta=min_pzeta, max_pzeta=max_pzeta
        )
        self._check_order("min_zeta", "max_zeta")
        self._check_order("min_pzeta", "max_pzeta")

    def inside(self, state: State) -> Tensor:
        zeta, pzeta = state.zeta.double(), state.pzeta.double()
        min_zeta, max_zeta = self._limits(state, "min_zeta", "max_zeta")
        min_pzeta, max_pzeta = self._limits(state, "min_pzeta", "max_pzeta")
        return (zeta >= min_zeta) & (zeta <= max_zeta) & (pzeta >= min_pzeta) & (pzeta <= max_pzeta)
