"""Apertures of MAD-X elements, as a Limit* record before the element."""

from __future__ import annotations

import math
from collections.abc import Callable

from sc_bridge.errors import LatticeError

from .view import View

Shape = dict[str, float | list[float]]


def _octagon(width: float, height: float, low: float, high: float) -> Shape:
    """Half width and height, and the angles of the two corners of the first quadrant."""
    y, x = width * math.tan(low), height / math.tan(high)
    return {
        "x_vertices": [width, x, -x, -width, -width, -x, x, width],
        "y_vertices": [y, height, height, y, -y, -height, -height, -y],
    }


def _cut(x: float, y: float, a: float, b: float | None = None) -> Shape:
    """A rectangle and an ellipse, or a circle."""
    return {"max_x": x, "max_y": y, "a": a, "b": a if b is None else b}


def _rectangle(x: float, y: float) -> Shape:
    return {"min_x": -x, "max_x": x, "min_y": -y, "max_y": y}


# Number of values, class of Xsuite, and its fields from the values.
_SHAPES: dict[str, tuple[int, str, Callable[..., Shape]]] = {
    "circle": (1, "LimitEllipse", lambda r: {"a": r, "b": r}),
    "ellipse": (2, "LimitEllipse", lambda a, b: {"a": a, "b": b}),
    "rectangle": (2, "LimitRect", _rectangle),
    "rectcircle": (3, "LimitRectEllipse", _cut),
    "lhcscreen": (3, "LimitRectEllipse", _cut),
    "rectellipse": (4, "LimitRectEllipse", _cut),
    "racetrack": (4, "LimitRacetrack", lambda x, y, a, b: _rectangle(x, y) | {"a": a, "b": b}),
    "octagon": (4, "LimitPolygon", _octagon),
}


def aperture_of(view: View) -> None:
    """Emit the aperture of an element, if it has one that is not all zeros."""
    x, y = _values(view, "aper_vx"), _values(view, "aper_vy")
    shape = _old_collimator(view)
    if len(x) > 2:
        shape = ("LimitPolygon", {"x_vertices": x, "y_vertices": y})
    elif any(_values(view, "aperture")):
        shape = _named(view)
    if shape is None:
        return
    kind, fields = shape
    if view.deck.losses.allows("aperture"):
        view.lose("aperture", "the aperture")
        return
    shifts = [*_values(view, "aper_offset"), 0.0, 0.0]
    frame = {"shift_x": shifts[0], "shift_y": shifts[1], "rot_s_rad": view.value("aper_tilt")}
    view.emit_beside("_aper", kind, fields | {key: v for key, v in frame.items() if v})


def _values(view: View, key: str) -> list[float]:
    return [view.value_of(tree, key) for tree in view.all_items(key)]


def _named(view: View) -> tuple[str, Shape] | None:
    name = view.text("apertype") or "circle"
    values = _values(view, "aperture")
    if name not in _SHAPES:
        view.lose("aperture", f"the aperture of type {name!r}")
        return None
    count, kind, fields = _SHAPES[name]
    values = (values + [0.0] * count)[:count]
    try:
        return kind, fields(*values)
    except ZeroDivisionError:
        raise LatticeError(f"{view.place}: {view.name}: aperture = {values} is no {name}") from None


def _old_collimator(view: View) -> tuple[str, Shape] | None:
    """Return the aperture of MAD8's collimators, xsize and ysize."""
    if view.element.type not in ("rcollimator", "ecollimator"):
        return None
    x, y = view.value("xsize"), view.value("ysize")
    if not (x and y):
        return None
    if view.element.type == "rcollimator":
        return "LimitRect", _rectangle(x, y)
    return "LimitEllipse", {"a": x, "b": y}
