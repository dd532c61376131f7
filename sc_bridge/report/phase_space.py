"""Phase space at the start and at the end."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from sc_bridge.elements import Bunch

from ..pictures.figures import living
from .scales import Scale, suited_unit

_PLANES = (("x", "m", "px", "1"), ("y", "m", "py", "1"), ("zeta", "m", "delta", "1"))
_GREEK = {"zeta": "ζ", "delta": "δ"}
_SIZE, _BINS = 200.0, 100
_MOST_LARGER = 5.0
_FEW = 400  # particles that are drawn one by one
_BLUE = (0x3D, 0x7D, 0xCA)


@dataclass(frozen=True)
class PhaseSpace:
    """One picture, and what stands around it."""

    plane: str
    when: str
    across: str
    up: str
    across_ends: tuple[str, ...]
    up_ends: tuple[str, ...]
    text: str
    drawing: Markup


def phase_spaces(start: Bunch, end: Bunch) -> Iterator[PhaseSpace]:
    """Yield start and end of every plane; lost particles are left out.

    Both have the same axes, unless one would be a dot on those of the other.
    """
    for across, unit, up, unit_up in _PLANES:
        alike = _alike(across, start, end) and _alike(up, start, end)
        for when, bunch in (("start", start), ("end", end)):
            shown = (start, end) if alike else (bunch,)
            x_axis, y_axis = _Axis.of(across, unit, *shown), _Axis.of(up, unit_up, *shown)
            x, y = living(bunch, across) * x_axis.factor, living(bunch, up) * y_axis.factor
            yield PhaseSpace(
                plane=f"{x_axis.name} – {y_axis.name}",
                when=when,
                across=x_axis.label,
                up=y_axis.label,
                across_ends=x_axis.ends,
                up_ends=y_axis.ends,
                text=f"{across} and {up} of {len(x)} living particles at the {when}",
                drawing=_drawing(x, y, x_axis, y_axis),
            )


def _alike(coordinate: str, *bunches: Bunch) -> bool:
    values = [living(bunch, coordinate) for bunch in bunches]
    if not all(map(len, values)):  # all are lost
        return False
    ranges = [float(np.ptp(of_bunch)) for of_bunch in values]
    return max(ranges) <= _MOST_LARGER * min(ranges)


@dataclass(frozen=True)
class _Axis:
    """One coordinate: its name, unit and limits, the same of one or of both bunches."""

    name: str
    unit: str
    factor: float
    low: float
    high: float

    @classmethod
    def of(cls, coordinate: str, unit: str, *bunches: Bunch) -> _Axis:
        values = np.concatenate([living(bunch, coordinate) for bunch in bunches])
        low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 0.0)
        factor, shown = suited_unit([low, high], unit)
        space = 0.04 * (high - low) or max(abs(low), 1.0 / factor)
        name = _GREEK.get(coordinate, coordinate)
        return cls(name, shown, factor, (low - space) * factor, (high + space) * factor)

    @property
    def label(self) -> str:
        return self.name if self.unit == "1" else f"{self.name} [{self.unit}]"

    @property
    def ends(self) -> tuple[str, ...]:
        """Both limits, with as many digits as tell them apart."""
        size = max(abs(self.low), abs(self.high)) / (self.high - self.low)
        digits = min(12, 3 + max(0, math.ceil(math.log10(size))))
        return tuple(f"{end:.{digits}g}".replace("-", "−") for end in (self.low, self.high))


def _drawing(x: np.ndarray, y: np.ndarray, x_axis: _Axis, y_axis: _Axis) -> Markup:
    across = Scale(x_axis.low, x_axis.high, 0.0, _SIZE)
    up = Scale(y_axis.low, y_axis.high, _SIZE, 0.0)
    shown = _dots(x, y, across, up) if len(x) <= _FEW else _density(x, y, across, up)
    return Markup(
        f'<svg viewBox="0 0 {_SIZE:g} {_SIZE:g}" aria-hidden="true">{shown}'
        f"{_ellipse(x, y, across, up)}</svg>"
    )


def _dots(x: np.ndarray, y: np.ndarray, across: Scale, up: Scale) -> str:
    radius = 2 if len(x) > 50 else 4
    return "".join(
        f'<circle class="dot" cx="{across(a):.1f}" cy="{up(b):.1f}" r="{radius}"/>'
        for a, b in zip(x.tolist(), y.tolist(), strict=True)
    )


def _density(x: np.ndarray, y: np.ndarray, across: Scale, up: Scale) -> str:
    """Number of particles in small cells, as an image, more opaque for more."""
    ranges = [(across.low, across.high), (up.low, up.high)]
    counts, _, _ = np.histogram2d(x, y, bins=_BINS, range=ranges)
    shade = np.sqrt(counts / counts.max())
    image = np.zeros((_BINS, _BINS, 4), dtype=np.uint8)
    image[..., :3] = _BLUE
    image[..., 3] = np.where(counts > 0, 55 + 200 * shade, 0).T[::-1]
    return (
        f'<image width="{_SIZE:g}" height="{_SIZE:g}" preserveAspectRatio="none" '
        f'href="data:image/png;base64,{_png(image)}"/>'
    )


def _png(image: np.ndarray) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "png", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


def _ellipse(x: np.ndarray, y: np.ndarray, across: Scale, up: Scale) -> str:
    """Ellipse of the second moments, one standard deviation large."""
    if len(x) < 3:
        return ""
    (xx, xy), (_, yy) = np.cov(x, y, bias=True)
    if not (xx > 0.0 and yy > 0.0):
        return ""
    angle = np.linspace(0.0, 2.0 * np.pi, 73)
    along = xy / np.sqrt(xx)
    a = x.mean() + np.sqrt(xx) * np.cos(angle)
    b = y.mean() + along * np.cos(angle) + np.sqrt(max(yy - along**2, 0.0)) * np.sin(angle)
    points = "L".join(f"{across(p):.1f} {up(q):.1f}" for p, q in zip(a, b, strict=True))
    return f'<path class="ellipse" d="M{points}z"/>'
