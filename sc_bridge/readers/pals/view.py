"""Attributes of one PALS element, by group: `length`, `BendP.e1`, `MagneticMultipoleP.Kn1`."""

from __future__ import annotations

from typing import Any

from sc_bridge.expressions import Expression
from sc_bridge.readers.recording import Context, Origin, Recorder

from .document import Node
from .facility import Facility
from .lines import PLACEMENT

# Groups and parameters that no particle notices, or that follow from others.
_NO_PHYSICS = frozenset(
    {"MetaP", "FloorP", "ReferenceP", "TwissP", "ParticleP", "InitialTwissP", "InitialParticleP"}
    | {"TrackingP", "ForkP", "ForkFromP", "GirderP", "s_position", "field_master", "multipass"}
    | {"zero_point", "periodic", "FloorShiftP", "CoordinateSetP"}
)


class PalsView(Recorder):
    """A PALS element while it becomes records."""

    def __init__(
        self, facility: Facility, context: Context, origin: Origin, body: Node, turned: bool
    ) -> None:
        super().__init__(context, origin, self._flat(facility, origin, body), turned)
        self.facility = facility

    @staticmethod
    def _flat(facility: Facility, origin: Origin, body: Node) -> dict[str, Any]:
        flat: dict[str, Any] = {}
        for key, value in body.items():
            if key in PLACEMENT or key in _NO_PHYSICS:
                continue
            if not isinstance(value, Node):
                flat[key] = value
            elif key.endswith("P"):
                flat |= {f"{key}.{inner}": entry for inner, entry in value.items()}
            else:
                facility.losses.warn(
                    origin.place, f"{key}: a block of another program is passed over"
                )
        return flat

    def tree_of(self, value: Any, key: str) -> Expression:
        tree = self.facility.tree(value, f"{self.place}.{key}")
        self.facility.define_references([tree])
        return tree

    def check_left_over(self) -> None:
        """Refuse what no field stands for, unless it is nothing, or allowed."""
        for key in self.left_over():
            value = self.attributes[key]
            if value in (None, 0.0, False, "") or value == []:
                continue
            group = key.partition(".")[0]
            word = _WORDS.get(group, group)
            self.lose(word, f"{key} = {value}", key, group)


_WORDS = {"ApertureP": "aperture", "BodyShiftP": "misalignment", "ReferenceChangeP": "energy"}
