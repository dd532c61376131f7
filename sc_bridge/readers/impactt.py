"""IMPACT-T decks: fields at absolute places along z, read as far as they make a line.

The code tracks in time through fields that may overlap. Here are the quadrupoles as hard
edges, markers, and the drifts between them; everything else is refused by name.
"""

from __future__ import annotations

from pathlib import Path

from sc_bridge.expressions import Number
from sc_bridge.expressions.algebra import ZERO
from sc_bridge.lattice import IMPLICIT_DRIFT, Lattice

from .impact_deck import Row, read_deck
from .options import Losses, ReadOptions
from .plain import Builder, PlainRecorder, add_place
from .recording import Assembly, Origin

FORMAT = "impactt"
_HEADER = 9
_STOP = -99
_TOUCH = 1e-9  # m, by which neighbours may overlap


def read_impactt(paths: tuple[Path, ...], options: ReadOptions) -> Lattice:
    """Read one deck; the reference is that of the header, before any acceleration.

    Raises
    ------
    LatticeError
        If it is no deck, or holds what has no counterpart and is not allowed.
    """
    deck = read_deck(paths, FORMAT, _HEADER)
    assembly = deck.assembly(options)
    rows = [row for row in deck.elements if row[3] in _PLACES]
    for row in deck.elements:
        if row[3] not in _PLACES and row[3] not in _SWITCHES:
            _leave_out(row, assembly.context.losses)
    if any(entry.word == "field map" for entry in assembly.context.losses.left_out):
        assembly.context.losses.warn(
            str(deck.path), "without its field maps nothing is accelerated: quadrupoles have the "
            "gradient over the momentum of the header",
        )  # fmt: skip
    end = min((_z(row) for row in rows if row[3] == _STOP), default=None)
    position = 0.0
    for number, row in enumerate(sorted(rows, key=_z), 1):
        if row[3] == _STOP or (end is not None and _z(row) > end):
            break
        if row[0] < 0.0 or _z(row) - position < -_TOUCH:
            assembly.context.losses.leave_out(
                "overlap", place=row.place, name=row.name or f"type {row[3]:g}",
                what=f"what begins at {_z(row):g} m, in what ends at {position:g} m,",
            )  # fmt: skip
            continue
        position = _gap(assembly, row, _z(row), position, number)
        name = row.name or f"element_{number}"
        origin = Origin(name, f"{row[3]:g}", row.place, row.line)
        keys = ("length", "segments", "steps", "type", *(f"v{i}" for i in range(1, 61)))
        attributes = dict(zip(keys, row.numbers, strict=False))
        for key in keys[1:4]:
            attributes.pop(key, None)
        add_place(assembly, origin, attributes, _PLACES[row[3]], (number,))
        position += row[0] if row[3] == 1 else 0.0
    if end is not None:
        _gap(assembly, Row([0.0], str(deck.path), 0), end, position, len(rows) + 1)
    return deck.lattice(FORMAT, assembly)


def _z(row: Row) -> float:
    """Where an element begins, m: a switch has it in another column."""
    return row[6] if row[3] < 0 else row[4]


def _leave_out(row: Row, losses: Losses) -> None:
    word, what = _LOST.get(row[3], (f"{row[3]:g}", f"the element of type {row[3]:g}"))
    name = row.name or f"type {row[3]:g}"
    losses.leave_out(word, place=row.place, name=name, what=what, also=(f"{row[3]:g}",))


def _gap(assembly: Assembly, row: Row, z: float, position: float, number: int) -> float:
    """Add the drift up to a place, and return the place."""
    if z - position > _TOUCH:
        origin = Origin(f"gap_{number}", IMPLICIT_DRIFT, row.place, row.line)
        add_place(assembly, origin, {"length": z - position}, _drift, (f"gap_{number}",))
    return z


def _drift(view: PlainRecorder) -> None:
    view.emit("Drift", {"length": view("length")})


def _marker(view: PlainRecorder) -> None:
    view.emit("Marker", {})
    view.ignore_all()


def _quadrupole(view: PlainRecorder) -> None:
    """Map type 1: gradient in T/m; a positive third value is the length of a soft edge."""
    if view.value("v3") > 0.0:
        view.lose("field map", "the soft edge of the quadrupole")
    for key, plane in (("v7", "x"), ("v8", "y")):
        if view(key) != ZERO:
            view.lose("misalignment", f"the rotation about {plane}")
    rigidity = view.reference("a field in tesla").rigidity
    view.ignore("v1", "v4")
    fields = {"length": view("length"), "k1": Number(view.value("v2") / rigidity)}
    shifts = {"shift_x": view("v5"), "shift_y": view("v6"), "rot_s_rad": view("v9")}
    view.emit("Quadrupole", fields | shifts)


_PLACES: dict[float, Builder] = {1.0: _quadrupole, -2.0: _marker, -99.0: _marker}
# Of the run: time steps, the kind of space charge, merging of bins, output; free space.
_SWITCHES = frozenset({0.0, -1.0, -3.0, -4.0, -5.0, -7.0, -8.0, -9.0})
_LOST = {
    105.0: ("field map", "the field map of a cavity or solenoid, and its energy gain"),
    110.0: ("field map", "the field map"),
    -6.0: ("wake", "the wake"),
}
