"""Limits of Bmad elements to Limit* records before or behind them."""

from __future__ import annotations

from sc_bridge.errors import LatticeError

from .view import BmadView

_BEHIND: dict[str, tuple[bool, ...]] = {
    "entrance_end": (False,),
    "exit_end": (True,),
    "both_ends": (False, True),
    "continuous": (False, True),
    "wall_transition": (),
    "no_aperture": (),
}
_SIDES = {"x1_limit": "min_x", "x2_limit": "max_x", "y1_limit": "min_y", "y2_limit": "max_y"}


def aperture_of(view: BmadView) -> None:
    """Emit the aperture of an element, if it has one that is not all zeros."""
    limits = _limits(view)
    if not limits:
        return
    if view.context.losses.allows("aperture"):
        view.lose("aperture", "the aperture")
        return
    elliptical = "elliptical" if view.origin.source_type == "ecollimator" else "rectangular"
    kind = str(view.attributes.get("aperture_type", elliptical))
    kind = elliptical if kind == "auto" else kind
    where = str(view.attributes.get("aperture_at", "exit_end"))
    if kind not in ("rectangular", "elliptical") or where not in _BEHIND:
        view.lose("aperture", f"the {kind} aperture at {where}")
        return
    fields = dict(limits)
    if kind == "elliptical":
        fields = _ellipse(view, limits)
    for behind in _BEHIND[where]:
        suffix = "_aper_exit" if behind else "_aper"
        view.beside(suffix, "LimitEllipse" if kind == "elliptical" else "LimitRect", fields, behind)


def _limits(view: BmadView) -> dict[str, float]:
    """Sides that are set and not 0, which means none."""
    found: dict[str, float] = {}
    whole = view.value("aperture")
    for key, side in _SIDES.items():
        own, both = view.value(key), view.value(f"{key[0]}_limit")
        size = own or both or whole
        if size:
            found[side] = -size if side.startswith("min") else size
    return found


def _ellipse(view: BmadView, limits: dict[str, float]) -> dict[str, float]:
    if len(limits) < 4:
        raise LatticeError(f"{view.place}: an elliptical aperture needs x_limit and y_limit")
    half = {axis: (limits[f"max_{axis}"] - limits[f"min_{axis}"]) / 2 for axis in "xy"}
    centre = {axis: (limits[f"max_{axis}"] + limits[f"min_{axis}"]) / 2 for axis in "xy"}
    shifts = {f"shift_{axis}": value for axis, value in centre.items() if value}
    return {"a": half["x"], "b": half["y"], **shifts}
