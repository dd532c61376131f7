"""What of a lattice is drawn, as users draw it: kind, place and name of every magnet and cavity."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sc_bridge.elements import (
    Bend,
    Cavity,
    CrabCavity,
    Element,
    LinacCavity,
    Octupole,
    Quadrupole,
    RBend,
    RFMultipole,
    Sextupole,
    Solenoid,
    UniformSolenoid,
    VariableSolenoid,
)
from sc_bridge.elements.parts import whole_of
from sc_bridge.sequence import KickedSequence

# Kind -> (bottom, height): bends on the axis, quadrupoles up where they focus in x, else down.
SHAPES = {
    "bend": (-0.4, 0.8),
    "focusing quadrupole": (0.0, 1.0),
    "defocusing quadrupole": (-1.0, 1.0),
    "idle quadrupole": (-0.5, 1.0),
    "sextupole": (-0.7, 1.4),
    "octupole": (-0.7, 1.4),
    "solenoid": (-0.55, 1.1),
    "cavity": (-0.8, 1.6),
}
_CLASSES: dict[type[Element], str] = {
    Bend: "bend",
    RBend: "bend",
    Sextupole: "sextupole",
    Octupole: "octupole",
    Cavity: "cavity",
    LinacCavity: "cavity",
    CrabCavity: "cavity",
    RFMultipole: "cavity",
    Solenoid: "solenoid",
    UniformSolenoid: "solenoid",
    VariableSolenoid: "solenoid",
}


@dataclass(frozen=True)
class Magnet:
    """Something of the lattice that is drawn: kind (a key of `SHAPES`), name, place in m."""

    kind: str
    name: str
    s_start: float
    s_end: float


def magnets(sequence: KickedSequence) -> Iterator[Magnet]:
    """Yield the magnets and cavities along the line, each once, whatever its slices."""
    s = 0.0
    for name in sequence.lattice.element_names:
        element = sequence[name]
        length = element.length.detach().max().item() if element.isthick else 0.0
        kind = _kind(whole_of(element)[0])
        if kind:
            yield Magnet(kind, name, s, s + length)
        s += length


def kick_places(sequence: KickedSequence) -> list[float]:
    """Return where the space-charge kicks of one turn are, m."""
    return [step.s_start for step in sequence.steps if step.kind == "kick"]


def _kind(element: Element) -> str:
    for kind, name in _CLASSES.items():
        if isinstance(element, kind):
            return name
    if isinstance(element, Quadrupole):
        return _quadrupole(_value(element, "k1"))
    strengths = [_component(element, order) for order in range(4)]
    if _value(element, "angle") or _value(element, "hxl") or strengths[0]:
        return "bend"
    if strengths[1]:
        return _quadrupole(strengths[1])
    return "sextupole" if strengths[2] else "octupole" if strengths[3] else ""


def _quadrupole(k1: float) -> str:
    if k1 == 0.0:
        return "idle quadrupole"
    return "focusing quadrupole" if k1 > 0 else "defocusing quadrupole"


def _component(element: Element, order: int) -> float:
    """Normal strength of one order, by its field or its integral."""
    integrated = getattr(element, "knl", None)
    value = _value(element, f"k{order}")
    if integrated is not None and integrated.shape[-1] > order:
        value += integrated[..., order].detach().max().item()
    return value


def _value(element: Element, field: str) -> float:
    value = getattr(element, field, None)
    return 0.0 if value is None else float(value.detach().max())
