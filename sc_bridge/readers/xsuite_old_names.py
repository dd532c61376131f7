"""Names of older Xsuite files, in the words of today."""

from __future__ import annotations

import math
from typing import Any

from sc_bridge.errors import LatticeError

_UNDERSCORED = frozenset(
    f"_{name}" for name in ("shift_x", "shift_y", "shift_s", "rot_x_rad", "rot_y_rad", "rot_s_rad")
) | {"_rot_s_rad_no_frame"}
# thin magnets of one component: what they know of knl
_THIN_MAGNETS = {"SimpleThinBend": slice(0, 1), "SimpleThinQuadrupole": slice(1, 2)}
# sine and cosine of an angle, the field that it is today, and its unit in rad
_TRIGONOMETRY = (
    ("_sin_rot_s", "_cos_rot_s", "rot_s_rad", 1.0),
    ("sin_z", "cos_z", "angle", math.pi / 180.0),
    ("sin_angle", "cos_angle", "angle", math.pi / 180.0),
)
# Digits that files of ten years keep.
_TOLERANCE = 1e-9


def modernise(kind: str, fields: dict[str, Any], place: str) -> tuple[str, dict[str, Any]]:
    """Return the class and the fields of an element as Xsuite writes them today.

    Raises
    ------
    LatticeError
        If a sine and a cosine are of no angle, or something is stated twice, differently.
    """
    fields = dict(fields)
    for old in _UNDERSCORED & fields.keys():
        _rename(fields, old, old[1:], fields.pop(old), place)
    for sine, cosine, name, unit in _TRIGONOMETRY:
        if sine in fields or cosine in fields:
            angle = _angle(fields.pop(sine, 0.0), fields.pop(cosine, 1.0), sine, cosine, place)
            _rename(fields, f"{sine}, {cosine}", name, angle / unit, place)
            fields.pop("tan_angle", None)
    if kind in _THIN_MAGNETS:
        known = _THIN_MAGNETS[kind]
        strengths = fields.get("knl", [])
        if isinstance(strengths, list):
            kept = range(len(strengths))[known]
            fields["knl"] = [k if n in kept else 0.0 for n, k in enumerate(strengths)]
        kind = "Multipole"
    return kind, fields


def _rename(fields: dict[str, Any], old: str, new: str, value: Any, place: str) -> None:
    stated = fields.setdefault(new, value)
    if stated != value and not math.isclose(stated, value, rel_tol=0.0, abs_tol=_TOLERANCE):
        raise LatticeError(
            f"{place}: {new} = {stated!r}, but {old} say {value!r}: remove what is wrong"
        )


def _angle(sine: Any, cosine: Any, sine_name: str, cosine_name: str, place: str) -> float:
    values = (sine, cosine)
    numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values)
    if not numbers or abs(math.hypot(sine, cosine) - 1.0) > _TOLERANCE:
        raise LatticeError(
            f"{place}: {sine_name} = {sine!r} and {cosine_name} = {cosine!r}: "
            "must be sine and cosine of one angle"
        )
    return math.atan2(sine, cosine)
