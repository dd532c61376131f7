"""What is built from each Xsuite class: keywords of a constructor are the fields of a file."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args, get_type_hints

import torch

from sc_bridge import elements
from sc_bridge.elements import Element, Marker
from sc_bridge.elements.errors import ElementError
from sc_bridge.elements.space_charge import SpaceChargeKick


@dataclass(frozen=True)
class Kind:
    """What is built from one Xsuite class: the element, its fields, and what may be dropped."""

    element: Callable[..., Element]
    fields: frozenset[str]
    # fields of Xsuite whose stated value changes nothing here
    accepted: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    # fields that follow from the others
    derived: frozenset[str] = frozenset()
    # its fields say what it records, not what it does
    only_records: bool = False


def keywords(element: type[Element]) -> frozenset[str]:
    """Names of all keywords of a class of elements, those of its `**` included."""
    names = []
    for name, parameter in inspect.signature(element).parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            hints = get_type_hints(element.__init__, include_extras=True)
            names += [key for entry in get_args(hints[name]) for key in get_type_hints(entry)]
        else:
            names.append(name)
    return frozenset(names)


_BODY_OF_BEND = {"k0_from_h": (True,)}
_ACCEPTED: dict[str, dict[str, tuple[Any, ...]]] = {
    "Bend": _BODY_OF_BEND,
    "RBend": _BODY_OF_BEND,
    "Magnet": _BODY_OF_BEND,
}
_DERIVED = {
    "RBend": frozenset({"length"}),
    "LimitPolygon": frozenset({"x_normal", "y_normal", "resc_fac", "svg"}),
    "Elens": frozenset({"polynomial_order"}),
}
# classes of ours that are parts of others, or their bases
_NO_RECORDS = {"Aperture", "DriftSlice", "Edge", "Element", "Inverse", "Misalignable", "Slice"} | {
    "ThinSlice"
}
# what Xsuite's file of a class repeats of its parts
_REPEATED = frozenset(
    {"number_of_particles", "bunchlength_rms", "sigma_x", "sigma_y", "x_co", "y_co"}
)
# the name of `sc_bridge.xsuite.SpaceCharge3D` in files; xfields has a SpaceCharge3D of its own
OWN_KICK = "ScBridgeSpaceCharge3D"
_FAR = 1e10  # Xsuite's end of a profile that has none, m
_MONITORS = (
    "BeamPositionMonitor",
    "BeamProfileMonitor",
    "BeamSizeMonitor",
    "BeamStatsMonitor",
    "LastTurnsMonitor",
    "MultiElementMonitor",
    "ParticlesMonitor",
)
# Xsuite's older names of values
OLD_VALUES = {("integrator", "yoshida4"): "yoshida-6"}


def _kinds() -> dict[str, Kind]:
    kinds = {name: Kind(Marker, frozenset(), only_records=True) for name in _MONITORS}
    for name, value in vars(elements).items():
        if name in _NO_RECORDS or not (isinstance(value, type) and issubclass(value, Element)):
            continue
        kinds[name] = Kind(
            value,
            keywords(value),
            _ACCEPTED.get(name, {}),
            _DERIVED.get(name, frozenset()),
        )
    return kinds


def frozen_kick(
    length: float,
    longitudinal_profile: Mapping[str, Any],
    fieldmap: Mapping[str, Any],
    update_on_track: bool = False,
) -> Element:
    """Build a SpaceChargeBiGaussian from the parts that Xsuite's file holds.

    Raises
    ------
    ElementError
        If the profile is no q-Gaussian, or a size is missing.
    """
    profile, field_of = longitudinal_profile, fieldmap
    kind = profile.get("__class__")
    if kind != "LongitudinalProfileQGaussian" or not {"sigma_x", "sigma_y"} <= field_of.keys():
        raise ElementError(
            f"SpaceChargeBiGaussian: longitudinal_profile of class {kind!r} and a fieldmap with "
            f"{', '.join(field_of)}: must be a LongitudinalProfileQGaussian and a Gaussian's sizes"
        )
    support = {"_support_min": -1e10, "_support_max": 1e10}
    if profile.get("_q_param", 0.0) >= 1.0 and any(
        profile.get(k, v) != v for k, v in support.items()
    ):
        raise ElementError("SpaceChargeBiGaussian: longitudinal_profile is cut: not supported")
    return elements.SpaceChargeBiGaussian(
        length,
        number_of_particles=profile.get("number_of_particles", 0.0),
        sigma_x=field_of["sigma_x"],
        sigma_y=field_of["sigma_y"],
        mean_x=field_of.get("mean_x", 0.0),
        mean_y=field_of.get("mean_y", 0.0),
        sigma_z=profile.get("_sigma_z", 0.0),
        z0=profile.get("_z0", 0.0),
        q_parameter=profile.get("_q_param", 0.0),
        update_on_track=update_on_track,
    )


def own_kick(**fields: Any) -> Element:
    """Build the kick that `sc_bridge.xsuite.SpaceCharge3D` wrote."""
    read: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in fields.items()}
    if "field_dtype" in read:
        read["field_dtype"] = getattr(torch, str(read["field_dtype"]), read["field_dtype"])
    kick = SpaceChargeKick(**read)
    kick.stands_for = OWN_KICK
    return kick


KINDS = _kinds()
KINDS[OWN_KICK] = Kind(own_kick, keywords(SpaceChargeKick))
KINDS["SpaceChargeBiGaussian"] = Kind(
    frozen_kick,
    frozenset({"length", "longitudinal_profile", "fieldmap", "update_on_track"}),
    derived=_REPEATED,
)
