"""ApertureP to Limit* records before or behind an element."""

from __future__ import annotations

from typing import Any

from sc_bridge.errors import LatticeError

from .document import Node
from .view import PalsView

_BEHIND: dict[str, tuple[bool, ...]] = {
    "ENTRANCE_END": (False,),
    "EXIT_END": (True,),
    "BOTH_ENDS": (False, True),
    "EVERYWHERE": (False, True),
    "NOWHERE": (),
}


def aperture_of(view: PalsView) -> None:
    """Emit the aperture of an element, if it has one."""
    keys = [key for key in view.attributes if key.startswith("ApertureP.")]
    if not keys:
        return
    if view.context.losses.allows("aperture"):
        view.lose("aperture", "the aperture")
        view.ignore(*keys)
        return
    location = view.word("ApertureP.location", "ENTRANCE_END")
    shape = view.word("ApertureP.shape", "RECTANGULAR")
    active = view.attributes.get("ApertureP.aperture_active")
    view.ignore("ApertureP.aperture_active", "ApertureP.material", "ApertureP.thickness")
    view.ignore("ApertureP.aperture_shifts_with_body", "ApertureP.vertices")
    limits = _limits(view)
    if active is False or location == "NOWHERE":
        return
    if location not in _BEHIND or shape not in _SHAPES:
        view.lose("aperture", f"the {shape.lower()} aperture at {location}")
        return
    found = _SHAPES[shape](view, limits)
    if found is None:
        return
    kind, fields = found
    for behind in _BEHIND[location]:
        view.beside("_aper_exit" if behind else "_aper", kind, fields, behind)


def _limits(view: PalsView) -> dict[str, float]:
    """Limits that are set: min_x, max_x, min_y, max_y."""
    result: dict[str, float] = {}
    for axis in "xy":
        view.ignore(f"ApertureP.{axis}_limits")
        pair = view.attributes.get(f"ApertureP.{axis}_limits")
        pair = pair if isinstance(pair, list) and len(pair) == 2 else [None, None]
        for side, value in zip(("min", "max"), pair, strict=True):
            key = f"ApertureP.{axis}_{side}"
            if value is None and view.has(key):
                value = view.attributes[key]
            view.ignore(key)
            if value is not None and str(value).lower() not in ("inf", "-inf"):
                result[f"{side}_{axis}"] = view.number(view.tree_of(value, key), key)
    return result


_Found = tuple[str, dict[str, Any]] | None


def _rectangle(view: PalsView, limits: dict[str, float]) -> _Found:
    return ("LimitRect", dict(limits)) if limits else None


def _ellipse(view: PalsView, limits: dict[str, float]) -> _Found:
    """Active only if all four are set."""
    if len(limits) < 4:
        return None
    half = {axis: (limits[f"max_{axis}"] - limits[f"min_{axis}"]) / 2 for axis in "xy"}
    centre = {axis: (limits[f"max_{axis}"] + limits[f"min_{axis}"]) / 2 for axis in "xy"}
    if not (half["x"] > 0.0 and half["y"] > 0.0):
        raise LatticeError(f"{view.place}: ApertureP: limits must grow")
    shifts = {f"shift_{axis}": value for axis, value in centre.items() if value}
    return "LimitEllipse", {"a": half["x"], "b": half["y"], **shifts}


def _polygon(view: PalsView, limits: dict[str, float]) -> _Found:
    vertices = view.attributes.get("ApertureP.vertices")
    entries = vertices.get("list") if isinstance(vertices, Node) else None
    points = [e["point"] for e in entries or [] if isinstance(e, Node) and set(e) == {"point"}]
    curved = len(points) < len(entries or [])
    if curved or not isinstance(vertices, Node) or vertices.get("center") is not None:
        view.lose("aperture", "the aperture with curved sides or a centre")
        return None
    if len(points) < 3 or any(not isinstance(p, list) or len(p) != 2 for p in points):
        raise LatticeError(f"{view.place}: ApertureP.vertices: must be three points or more")
    key = "ApertureP.vertices"
    columns = [[view.number(view.tree_of(p[i], key), key) for p in points] for i in (0, 1)]
    return "LimitPolygon", {"x_vertices": columns[0], "y_vertices": columns[1]}


_SHAPES = {"RECTANGULAR": _rectangle, "ELLIPTICAL": _ellipse, "VERTICES": _polygon}
