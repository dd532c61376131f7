"""Types and attributes of MAD-X elements, and attribute values as trees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from sc_bridge.errors import ExpressionError
from sc_bridge.expressions import Expression
from sc_bridge.expressions.algebra import ZERO

from .variables import NoValue

Attribute: TypeAlias = Expression | list[Expression] | str | NoValue

# Attributes whose value is a word even without quotes.
WORDS = frozenset(
    {
        "apertype", "file", "filename", "from", "particle", "period", "refer", "refpos",
        "sequence", "type", "element", "class", "range", "by", "name", "start", "to",
    }
)  # fmt: skip

# No particle notices these: layout, survey data, choices of methods, field limits.
LAYOUT = frozenset(
    {
        "type", "slot_id", "assembly_id", "mech_sep", "v_pos", "magnet", "model", "method", "nst",
        "exact", "slice", "thick", "comments", "kmax", "kmin", "calib", "polarity", "aper_tol",
        "lagf", "add_pass", "next_sequ", "at", "from", "refer", "bore", "aperturetype",
        "drift_l", "ref_delay", "permfringe", "fringe", "no_cavity_totalpath", "n_bessel",
    }
)  # fmt: skip
APERTURE = frozenset({"apertype", "aperture", "aper_offset", "aper_tilt", "aper_vx", "aper_vy"})

_FIELD = frozenset({"l", "tilt", "knl", "ksl", "lrad"})
_BEND = _FIELD | {
    "angle", "k0", "k0s", "k1", "k1s", "k2", "k2s", "k3", "e1", "e2", "h1", "h2", "fint", "fintx",
    "hgap", "ktap", "kill_ent_fringe", "kill_exi_fringe", "kill_body",
}  # fmt: skip
_KICK = _FIELD | {"kick", "hkick", "vkick", "sinkick", "sinpeak", "sintune", "sinphase"}
_RF = _FIELD | {
    "volt", "lag", "freq", "harmon", "betrf", "pg", "shunt", "tfill", "rv1", "rv2", "rv3", "rv4",
    "rph1", "rph2",
}  # fmt: skip
_DRIFT = frozenset({"l", "tilt", "lrad"})


@dataclass(frozen=True)
class MadType:
    """A type of element: the attributes that it may have, and whether it ever has a length."""

    attributes: frozenset[str]
    takes_no_length: bool = False


def _thin(*attributes: str) -> MadType:
    return MadType(frozenset({"l", "tilt", "lrad", *attributes}), takes_no_length=True)


TYPES: dict[str, MadType] = {
    "drift": MadType(_DRIFT),
    "instrument": MadType(_DRIFT),
    "placeholder": MadType(_DRIFT),
    "monitor": MadType(_DRIFT),
    "hmonitor": MadType(_DRIFT),
    "vmonitor": MadType(_DRIFT),
    "imonitor": MadType(_DRIFT),
    "blmonitor": MadType(_DRIFT),
    "slmonitor": MadType(_DRIFT),
    "collimator": MadType(_DRIFT | {"xsize", "ysize"}),
    "rcollimator": MadType(_DRIFT | {"xsize", "ysize"}),
    "ecollimator": MadType(_DRIFT | {"xsize", "ysize"}),
    "elseparator": MadType(_DRIFT | {"ex", "ey", "ex_l", "ey_l"}),
    "marker": _thin(),
    "sbend": MadType(_BEND),
    "rbend": MadType(_BEND),
    "quadrupole": MadType(_FIELD | {"k1", "k1s", "ktap"}),
    "sextupole": MadType(_FIELD | {"k2", "k2s", "ktap"}),
    "octupole": MadType(_FIELD | {"k3", "k3s"}),
    "multipole": _thin("knl", "ksl", "angle", "ktap"),
    "solenoid": MadType(_FIELD | {"ks", "ksi"}),
    "hkicker": MadType(_KICK),
    "vkicker": MadType(_KICK),
    "kicker": MadType(_KICK),
    "tkicker": MadType(_KICK),
    "rfcavity": MadType(_RF),
    "twcavity": MadType(_RF | {"psi", "delta_lag"}),
    "crabcavity": MadType(_RF),
    "rfmultipole": _thin("volt", "lag", "freq", "harmon", "knl", "ksl", "pnl", "psl"),
    "dipedge": _thin("h", "e1", "fint", "hgap", "he", "entrance"),
    "srotation": _thin("angle"),
    "xrotation": _thin("angle"),
    "yrotation": _thin("angle"),
    "translation": _thin("dx", "dy", "ds"),
    "changeref": _thin("patch_ang", "patch_trans"),
    "changerefp0": _thin("ref_p0c", "pc"),
    "matrix": MadType(
        frozenset({"l", "tilt", *(f"kick{i}" for i in range(1, 7))})
        | {f"rm{i}{j}" for i in range(1, 7) for j in range(1, 7)}
        | {f"tm{i}{j}{k}" for i in range(1, 7) for j in range(1, 7) for k in range(1, 7)}
    ),
    "nllens": _thin("knll", "cnll"),
    "wire": _thin("current", "l_phy", "l_int", "xma", "yma", "closed_orbit"),
    "beambeam": _thin("sigx", "sigy", "xma", "yma", "charge", "bbshape", "width", "bbdir"),
    "hacdipole": _thin("volt", "freq", "lag", "ramp1", "ramp2", "ramp3", "ramp4"),
    "vacdipole": _thin("volt", "freq", "lag", "ramp1", "ramp2", "ramp3", "ramp4"),
}


def attribute_tree(attributes: Mapping[str, Attribute], key: str, place: str) -> Expression:
    """Return the tree of an attribute, 0 where it is not set.

    Raises
    ------
    ExpressionError
        If it is a list or text, or has no value.
    """
    value = attributes.get(key, ZERO)
    if isinstance(value, NoValue):
        raise ExpressionError(value.reason)
    if not isinstance(value, Expression):
        raise ExpressionError(f"{place}: {key} = {value!r}: must be a number")
    return value
