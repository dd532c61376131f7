"""From a Bmad deck to a `Lattice`."""

from __future__ import annotations

import math
from pathlib import Path

from sc_bridge.errors import LatticeError
from sc_bridge.expressions import Expression
from sc_bridge.lattice import Lattice, ReferenceFields
from sc_bridge.readers.beamline import MAX_PLACES, expand_line
from sc_bridge.readers.common_names import species_of
from sc_bridge.readers.directions import directed
from sc_bridge.readers.options import Losses, ReadOptions
from sc_bridge.readers.recording import Assembly, Context, LocalReference
from sc_bridge.readers.source import SourceFiles

from .controls import apply_controls
from .deck import Deck
from .interpreter import Interpreter
from .lines import Lines, chosen
from .mapping import read_element
from .superimpose import Spot, Superposition, take_piece
from .view import BmadView

FORMAT = "bmad"


def read_bmad(paths: tuple[Path, ...], options: ReadOptions) -> Lattice:
    """Read Bmad files in order."""
    losses = Losses(options.allow)
    files = SourceFiles(paths, options.allow_paths)
    deck = Interpreter(files, losses).run()
    name = chosen(deck, options, files.shown)
    apply_controls(deck)
    spots = Superposition(deck, _spots(deck, name)).run()
    context = Context(deck.definitions, losses, _reference(deck, files.shown))
    start = context.reference and ReferenceFields(
        context.reference.mass0, context.reference.q0, context.reference.p0c
    )
    assembly = Assembly(context)
    for spot in spots:
        _add(assembly, deck, spot)
    return Lattice(
        source=files.shown, format=FORMAT, name=name, reference=start, **assembly.lattice_fields()
    )


def _spots(deck: Deck, name: str) -> list[Spot]:
    """Places of the expanded line; those of a replacement list take its entries in turn."""
    lines = Lines(deck)
    lines.read(name)
    places = expand_line(
        name, directed(lines.entries, name), lambda line: lines.places.get(line, line)
    )
    spots: list[Spot] = []
    turns = {
        key: iter([entry.name for entry in entries for _ in range(entry.count)])
        for key, entries in lines.lists.items()
    }
    for place in places:
        taken = place.name if place.name not in turns else next(turns[place.name], None)
        if taken is None:
            raise LatticeError(
                f"{deck.lines[place.name].place}: list {place.name!r} has too few entries"
            )
        if taken not in deck.elements:
            where = lines.places.get(place.path[-1].removeprefix("-"), name)
            raise LatticeError(f"{where}: {taken!r} is neither an element nor a line")
        if place.reflected:
            deck.losses.warn(
                lines.places[name],
                "--: elements are turned round, which exchanges their faces; strengths stay, as "
                "seen by a particle that follows the reference orbit",
            )
        spots.append(Spot(taken, place.reflected))
    return spots[:MAX_PLACES]


def _add(assembly: Assembly, deck: Deck, spot: Spot) -> None:
    whole = (spot.begin, spot.end) == (0.0, 1.0)

    def make() -> BmadView:
        return BmadView(assembly.context, deck.elements[spot.name], spot.turned)

    def build(view: BmadView) -> None:
        read_element(view)
        if not whole:
            take_piece(view, spot)

    assembly.add((spot.name, spot.turned, spot.begin, spot.end), make, build)


def _reference(deck: Deck, source: str) -> LocalReference | None:
    """Reference particle of `beginning` or `parameter`: a positron unless stated otherwise."""
    name = str(deck.stated("particle") or "positron")
    found = {key: deck.stated(key) for key in ("p0c", "e_tot")}
    values = {
        key: deck.definitions.value(tree, f"{source}: parameter[{key}]")
        for key, tree in found.items()
        if isinstance(tree, Expression)
    }
    beam = deck.elements["beam"].attributes
    if not values and isinstance(beam.get("energy"), Expression):  # MAD's command, GeV
        name = str(beam.get("particle", name))
        energy = deck.definitions.value(beam["energy"], f"{source}: beam")  # pyright: ignore
        values = {"e_tot": energy * 1e9}
    if not values:
        return None
    species = species_of(name)
    if species is None:
        raise LatticeError(f"{source}: parameter[particle] = {name!r} is not known")
    momentum = values.get("p0c") or 0.0
    if not momentum:
        energy = values["e_tot"]
        square = (energy - species.mass0) * (energy + species.mass0)
        momentum = math.sqrt(square) if square > 0.0 and energy > 0.0 else math.nan
    if not 0.0 < momentum < math.inf:
        shown = ", ".join(f"{key} = {value!r} eV" for key, value in values.items())
        raise LatticeError(f"{source}: parameter: {shown}: must exceed {species.mass0!r} eV")
    return LocalReference(species.mass0, species.q0, momentum)
