"""From the definitions of a deck to a `Lattice`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sc_bridge.errors import LatticeError
from sc_bridge.expressions import Expression, shorten
from sc_bridge.lattice import Lattice, Record
from sc_bridge.readers.beamline import Placed, expand_line, roots_of
from sc_bridge.readers.options import Losses, ReadOptions, choose_sequence
from sc_bridge.readers.source import SourceFiles

from .commands import RUN_FILE, Run, read_run
from .deck import Deck
from .mapping import read_element
from .parsing import read_lte
from .view import Context, FieldKey, Place, View

FORMAT = "elegant"
# Energies that differ by less give the same matrix, relative.
_SAME_ENERGY = 1e-6


def read_elegant(paths: tuple[Path, ...], options: ReadOptions) -> Lattice:
    """Read .lte files in order, and a run file that names momentum, particle and line.

    A run file alone names its lattice file, which must lie in the same folder tree.
    """
    losses = Losses(options.allow)
    files = SourceFiles(paths, options.allow_paths)
    deck, run = _read_files(files, losses)
    wanted = options.sequence or run.line or deck.used
    name = choose_sequence(roots_of(deck.lines), wanted, files.shown, known=deck.lines)
    places = expand_line(name, deck.lines, lambda line: deck.line_places.get(line, files.shown))
    values, expressions = deck.stores.finish()
    place = Place(run.mass0, 1.0 if run.q0 > 0 else -1.0, run.p0c)
    assembly = _Assembly(deck, Context(deck.stores, losses, files, place))
    for placed in places:
        assembly.add(placed)
    return Lattice(
        source=files.shown,
        format=FORMAT,
        name=name,
        elements=assembly.records,
        element_names=tuple(assembly.names),
        variables=values,
        expressions=expressions,
        field_expressions=assembly.driven,
        reference=run.reference,
        left_out=tuple(losses.left_out),
        warnings=tuple(losses.warnings),
    )


def _read_files(files: SourceFiles, losses: Losses) -> tuple[Deck, Run]:
    deck, run = Deck(), Run()
    sources = files.open_given()
    runs = [s for s in sources if s.path.suffix.lower() == ".ele" or RUN_FILE.search(s.text)]
    if len(runs) > 1:
        raise LatticeError(f"{files.shown}: {len(runs)} run files: give one")
    lattices = [source for source in sources if source not in runs]
    if runs:
        run = read_run(runs[0], deck.stores, losses)
    if runs and not lattices:
        if not run.lattice:
            raise LatticeError(f"{files.shown}: no lattice in &run_setup: give the .lte file too")
        lattices = [files.called(run.lattice, runs[0], run.place)]
    for source in lattices:
        read_lte(source, files, deck)
    return deck, run


class _Built:
    """The records of one element as they stand in a line, forwards or reflected."""

    def __init__(self, view: View, limits: bool, p0c: float | None) -> None:
        self.view = view
        self.names = tuple(record.name for record in view.records)
        self.limits = limits
        self.p0c = p0c


class _Assembly:
    """Records, names along the line and live fields, element by element."""

    def __init__(self, deck: Deck, context: Context) -> None:
        self.deck = deck
        self.context = context
        self.records: dict[str, Record] = {}
        self.names: list[str] = []
        self.driven: dict[FieldKey, Expression] = {}
        self._built: dict[tuple[str, bool], _Built] = {}
        self._limit: Record | None = None

    def add(self, placed: Placed) -> None:
        """Add one place of the line.

        Raises
        ------
        LatticeError
            If no such element is defined.
        """
        key = (placed.name, placed.reflected)
        if key not in self._built:
            self._build(placed)
        built = self._built[key]
        view, place = built.view, self.context.place
        self._check_energy(built)
        self.names.extend(built.names)
        if view.sets_limit:
            self._limit = view.limit
        elif self._limit is not None and built.limits:
            self.names.append(self._limit.name)  # elegant looks behind every element
        if view.momentum is not None and place.p0c is not None:
            place.p0c = view.momentum
        gain = self.context.stores.evaluate(view.gain, view.place)
        place.accelerate(gain, f"{view.place}: {view.name}")

    def _build(self, placed: Placed) -> None:
        view = self._read(placed, reflected=False)
        if placed.reflected:
            turned = self._read(placed, reflected=True)
            view = turned if _content(turned) != _content(view) else view
        known = {record.name for record in view.records} & self.records.keys()
        for name in known:
            if self.records[name] not in view.records:
                raise LatticeError(f"{view.place}: another element is called {name!r}: rename one")
        self.records |= {record.name: record for record in view.records}
        self.driven |= view.driven
        has_length = any(record.fields.get("length") for record in view.records)
        self._built[placed.name, placed.reflected] = _Built(
            view, has_length, self.context.place.p0c
        )

    def _read(self, placed: Placed, reflected: bool) -> View:
        definition = self.deck.elements.get(placed.name)
        if definition is None:
            line = placed.path[-1] if placed.path else placed.name
            place = self.deck.line_places.get(line, self.context.files.shown)
            raise LatticeError(
                f"{place}: {shorten(line)}: element {shorten(placed.name)!r} is not defined"
            )
        context = self.context
        if reflected:  # its losses are in the ledger already
            losses = Losses(context.losses.allow)
            context = Context(context.stores, losses, context.files, context.place)
        view = View(context, definition, reflected)
        read_element(view)
        return view

    def _check_energy(self, built: _Built) -> None:
        first, now = built.p0c, self.context.place.p0c
        if not built.view.depends_on_energy or first is None or now is None:
            return
        if abs(now - first) > _SAME_ENERGY * first:
            built.view.warn(
                f"stands at {first:.6g} and at {now:.6g} eV/c: its matrix is that of the first"
            )


def _content(view: View) -> list[Any]:
    """What a view's records say, apart from their names."""
    return [
        (
            record.kind,
            record.fields,
            {key[1:]: tree for key, tree in view.driven.items() if key[0] == record.name},
        )
        for record in view.records
    ]
