"""From a PALS facility to a `Lattice`."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

from sc_bridge.errors import LatticeError
from sc_bridge.expressions import Expression
from sc_bridge.lattice import Lattice, ReferenceFields
from sc_bridge.readers.beamline import Placed, expand_line
from sc_bridge.readers.common_names import species_of
from sc_bridge.readers.directions import directed
from sc_bridge.readers.options import Losses, ReadOptions
from sc_bridge.readers.recording import Assembly, Context, LocalReference, Origin
from sc_bridge.readers.source import SourceFiles

from .document import Node
from .facility import Facility, kind_of
from .lines import Lines
from .mapping import known_kind, read_element
from .view import PalsView

FORMAT = "pals"
_BEGINNINGS = ("beginningele", "beginning")


def read_pals(paths: tuple[Path, ...], options: ReadOptions) -> Lattice:
    """Read PALS files, YAML or JSON, in order."""
    losses = Losses(options.allow)
    files = SourceFiles(paths, options.allow_paths)
    facility = Facility(files, losses)
    for source in files.open_given():
        facility.read(source)
    facility.apply_sets()
    facility.define_references(list(facility.definitions.trees.values()))
    lines = Lines(facility)
    name = lines.chosen(options)
    places = expand_line(name, directed(lines.entries, name), lambda line: f"{files.shown}: {line}")
    places = _without_further_beginnings(lines, places)
    context = Context(facility.definitions, losses)
    context.reference = _reference(facility, lines, places)
    start = context.reference and ReferenceFields(
        context.reference.mass0, context.reference.q0, context.reference.p0c
    )
    assembly = Assembly(context)
    for place in places:
        _add(assembly, facility, lines, place)
    return Lattice(
        source=files.shown, format=FORMAT, name=name, reference=start, **assembly.lattice_fields()
    )


def _add(assembly: Assembly, facility: Facility, lines: Lines, place: Placed) -> None:
    body = lines.elements.get(place.name)
    if body is None:
        raise LatticeError(
            f"{facility.files.shown}: {place.path[-1]}: {place.name!r} is not defined"
        )
    kind = kind_of(body)
    if not known_kind(kind):
        raise LatticeError(f"{body.place}: {place.name}: kind {kind!r} is not known")
    if place.reflected:
        facility.losses.warn(
            body.place,
            "direction = -1: elements are turned round, which exchanges their faces; strengths "
            "stay, as seen by a particle that follows the reference orbit",
        )
    origin = Origin(place.name, kind, body.place, body.line, str(body.source.path))

    def make() -> PalsView:
        return PalsView(facility, assembly.context, origin, body, place.reflected)

    assembly.add((place.name, place.reflected), make, read_element)


def _without_further_beginnings(lines: Lines, places: list[Placed]) -> list[Placed]:
    """Drop every BeginningEle behind the first place, as the standard has it."""
    beginnings = {
        name for name, body in lines.elements.items() if kind_of(body).lower() in _BEGINNINGS
    }
    return [place for i, place in enumerate(places) if i == 0 or place.name not in beginnings]


def _reference(facility: Facility, lines: Lines, places: list[Placed]) -> LocalReference | None:
    """Reference of the first element that states one: normally the BeginningEle."""
    for name in dict.fromkeys(place.name for place in places):
        body = lines.elements.get(name)
        group = body.get("ReferenceP") if body is not None else None
        if isinstance(group, Node) and group.get("species_ref"):
            return _read_reference(facility, group)
    return None


def _read_reference(facility: Facility, group: Node) -> LocalReference | None:
    species = species_of(str(group["species_ref"]))
    if species is None:
        raise LatticeError(f"{group.place}: species_ref = {group['species_ref']!r} is not known")
    number = partial(_number, facility, group)
    momentum, energy = number("pc_ref"), number("E_tot_ref")
    if not momentum and not energy:
        return None
    if not momentum:
        square = (energy - species.mass0) * (energy + species.mass0)
        momentum = math.sqrt(square) if square > 0.0 else math.nan
    if not (0.0 < momentum < math.inf):
        raise LatticeError(
            f"{group.place}: E_tot_ref = {energy!r} eV, pc_ref = {number('pc_ref')!r} eV: "
            f"the energy must exceed the mass {species.mass0!r} eV"
        )
    return LocalReference(species.mass0, species.q0, momentum)


def _number(facility: Facility, group: Node, key: str) -> float:
    value = group.get(key)
    tree: Expression = facility.tree(0.0 if value is None else value, f"{group.place}: {key}")
    facility.define_references([tree])
    return facility.definitions.value(tree, f"{group.place}: {key}")
