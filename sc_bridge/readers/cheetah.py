"""Cheetah's LatticeJSON: elements as [type, parameters], lines as lists of names."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from sc_bridge.errors import LatticeError
from sc_bridge.expressions import Expression
from sc_bridge.expressions.algebra import ZERO, add, multiply, negate
from sc_bridge.lattice import Lattice

from .beamline import Item, expand_line, roots_of
from .definitions import Definitions
from .files import lines_of_keys, parse_json, read_text
from .options import Losses, ReadOptions, choose_sequence, single_file
from .plain import DEGREE, Builder, PlainRecorder, add_place
from .recording import Assembly, Context, Origin

FORMAT = "cheetah"
# How Cheetah tracks, not what stands there.
_METHOD = ("tracking_method", "num_steps", "metadata", "name", "fringe_type")


def read_cheetah(paths: tuple[Path, ...], options: ReadOptions) -> Lattice:
    """Read one file; the line is that of `root` by default. It has no reference particle."""
    path = single_file(paths, FORMAT)
    text, source = read_text(path), str(path)
    content = parse_json(text, source)
    elements, lattices = (_table(content, key, source) for key in ("elements", "lattices"))
    numbers = lines_of_keys(text, "elements") | lines_of_keys(text, "lattices")

    def place(name: str) -> str:
        return f"{source}:{numbers[name]}" if name in numbers else source

    lines = {name: _items(names, f"{place(name)}: {name}") for name, names in lattices.items()}
    root = content.get("root")
    wanted = options.sequence or (root if isinstance(root, str) and root in lines else None)
    name = choose_sequence(roots_of(lines), wanted, source, known=lines)
    assembly = Assembly(Context(Definitions(), Losses(options.allow)))
    for placed in expand_line(name, lines, place):
        if placed.name not in elements:
            raise LatticeError(
                f"{place(placed.path[-1])}: {placed.path[-1]}: element {placed.name!r} is not "
                "defined"
            )
        kind, attributes = _element(elements[placed.name], f"{place(placed.name)}: {placed.name}")
        attributes = {key: value for key, value in attributes.items() if key not in _METHOD}
        origin = Origin(placed.name, kind, place(placed.name), numbers.get(placed.name))
        add_place(assembly, origin, attributes, BUILDERS.get(kind, _left_out), (placed.name,))
    return Lattice(source=source, format=FORMAT, name=name, **assembly.lattice_fields())


def _table(content: Any, key: str, source: str) -> dict[str, Any]:
    table = content.get(key) if isinstance(content, dict) else None
    if not isinstance(table, dict):
        raise LatticeError(f"{source}: no object {key!r}: not a lattice in LatticeJSON")
    return table


def _items(names: Any, place: str) -> list[Item]:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise LatticeError(f"{place}: must be a list of names")
    return [Item(name) for name in names]


def _element(entry: Any, place: str) -> tuple[str, dict[str, Any]]:
    match entry:
        case [str(kind), dict(attributes)]:
            return kind, attributes
    raise LatticeError(f"{place}: must be [type, {{parameters}}]")


# ---- elements ----------------------------------------------------------------------------


def _alignment(view: PlainRecorder) -> dict[str, Expression]:
    shifts = view.list_of("misalignment")
    if len(shifts) not in (0, 2):
        raise view.error("misalignment", view.attributes["misalignment"], "must be two numbers")
    fields = dict(zip(("shift_x", "shift_y"), shifts, strict=False))
    return fields | {"rot_s_rad": view("tilt")}


def _drift(view: PlainRecorder) -> None:
    view.emit("Drift", {"length": view("length")})


def _marker(view: PlainRecorder) -> None:
    """Map markers, monitors and screens: what they record is no part of the lattice."""
    view.marker_or_drift("length")
    view.ignore("resolution", "pixel_size", "binning", "misalignment", "method", "kde_bandwidth")
    view.ignore("is_active")
    if view.flag("is_blocking", False):
        view.lose("is_blocking", "the end of the beam on the screen")


def _magnet(kind: str, strength: str) -> Builder:
    def build(view: PlainRecorder) -> None:
        fields = {"length": view("length"), strength: view(strength)}
        view.emit(kind, fields | _alignment(view))

    return build


def _solenoid(view: PlainRecorder) -> None:
    """Map Solenoid: k is half of Xsuite's ks."""
    fields = {"length": view("length"), "ks": multiply(view("k"), 2.0)}
    view.emit("UniformSolenoid", fields | _alignment(view))


def _corrector(horizontal: str, vertical: str) -> Builder:
    def build(view: PlainRecorder) -> None:
        knl = [negate(view(horizontal))] if horizontal else []
        ksl = [view(vertical)] if vertical else []
        view.kick(view("length"), knl, ksl)

    return build


def _bend(own_edge: bool) -> Builder:
    prefix = "rbend" if own_edge else "dipole"

    def build(view: PlainRecorder) -> None:
        """Map Dipole and RBend: the length is along the arc, the gap a whole one."""
        angle = view("angle")
        own = multiply(angle, 0.5) if own_edge else ZERO
        gap, fint = view("gap"), view("fringe_integral")
        angles = (add(view(f"{prefix}_e1"), own), add(view(f"{prefix}_e2"), own))
        fints = (fint, view("fringe_integral_exit", fint))
        gaps = (gap, view("gap_exit", gap))
        active = view.choice("fringe_at", ("both", "entrance", "exit", "neither"), "both")
        off = {
            f"edge_{side}_active": False
            for side, word in (("entry", "entrance"), ("exit", "exit"))
            if active not in ("both", word)
        }
        fields = {"length": view("length"), "angle": angle, "k1": view("k1")}
        fields |= {"rot_s_rad": view("tilt")}
        view.emit("Bend", fields | view.edges(angles, fints, gaps), **off)

    return build


_STRUCTURES = {"standing_wave": "standing", "traveling_wave": "travelling"}


def _cavity(view: PlainRecorder) -> None:
    """Map Cavity: it accelerates the reference, on the crest at phase 0 (deg)."""
    structure = _STRUCTURES[view.choice("cavity_type", _STRUCTURES, "standing_wave")]
    fields = {
        "length": view("length"),
        "voltage": view("voltage"),
        "phase": multiply(view("phase"), -DEGREE),
        "frequency": view("frequency"),
    }
    view.emit("LinacCavity", fields, structure=structure)


def _deflector(view: PlainRecorder) -> None:
    """Map TransverseDeflectingCavity, whose phase is in turns, as Bmad's crab cavity."""
    fields = {
        "length": view("length"),
        "crab_voltage": negate(view("voltage")),
        "phase": multiply(view("phase"), -2.0 * math.pi),
        "frequency": view("frequency"),
    }
    view.emit("CrabCavity", fields | _alignment(view))


def _aperture(view: PlainRecorder) -> None:
    """Map Aperture: an infinite half-axis, or one that is not set, is no limit."""
    shape = view.choice("shape", ("rectangular", "elliptical"), "rectangular")
    active = view.flag("is_active", True)
    axes = {key: view(key) for key in ("x_max", "y_max") if _finite(view, key)}
    if not active or not axes:
        view.emit("Marker", {})
    elif view.context.losses.allows("aperture"):
        view.lose("aperture", "the aperture")
        view.emit("Marker", {})
    elif shape == "elliptical" and len(axes) == 2:
        view.emit("LimitEllipse", {"a": axes["x_max"], "b": axes["y_max"]})
    else:
        limits = {f"min_{key[0]}": negate(tree) for key, tree in axes.items()}
        view.emit("LimitRect", limits | {f"max_{key[0]}": tree for key, tree in axes.items()})


def _finite(view: PlainRecorder, key: str) -> bool:
    view.ignore(key)
    value = view.attributes.get(key)
    return value is not None and value != math.inf


# Cheetah's fifth coordinate is minus tau: its matrices in ours.
_SIGNS = (1.0, 1.0, 1.0, 1.0, -1.0, 1.0)


def _matrix(view: PlainRecorder) -> None:
    """Map CustomTransferMap: 7x7, the last column an offset."""
    view.ignore("predefined_transfer_map")
    rows = view.attributes.get("predefined_transfer_map")
    if (
        not isinstance(rows, list)
        or len(rows) != 7
        or any(not isinstance(row, list) or len(row) != 7 for row in rows)
    ):
        raise view.error("predefined_transfer_map", rows, "must be 7 x 7 numbers")
    values = [[view.number(view.tree_of(x, "R"), "R") for x in row] for row in rows]
    if values[6] != [0.0] * 6 + [1.0]:
        raise view.error("predefined_transfer_map[6]", rows[6], "must be 0, 0, 0, 0, 0, 0, 1")
    matrix = [[_SIGNS[i] * _SIGNS[j] * values[i][j] for j in range(6)] for i in range(6)]
    offset = [_SIGNS[i] * values[i][6] for i in range(6)]
    view.emit("FirstOrderTaylorMap", {"length": view("length")}, m0=offset, m1=matrix)


_WORDS = {"SpaceChargeKick": "space charge"}


def _left_out(view: PlainRecorder) -> None:
    """Leave an element out; a drift keeps its length."""
    kind = view.origin.source_type
    view.lose(_WORDS.get(kind, kind), f"the {kind}")
    view.marker_or_drift("length" if kind != "SpaceChargeKick" else "")
    view.ignore_all()


BUILDERS: dict[str, Builder] = {
    "Drift": _drift,
    **dict.fromkeys(("Marker", "BPM", "Screen"), _marker),
    "Quadrupole": _magnet("Quadrupole", "k1"),
    "Sextupole": _magnet("Sextupole", "k2"),
    "Solenoid": _solenoid,
    "HorizontalCorrector": _corrector("angle", ""),
    "VerticalCorrector": _corrector("", "angle"),
    "CombinedCorrector": _corrector("horizontal_angle", "vertical_angle"),
    "Dipole": _bend(own_edge=False),
    "RBend": _bend(own_edge=True),
    "Cavity": _cavity,
    "TransverseDeflectingCavity": _deflector,
    "Aperture": _aperture,
    "CustomTransferMap": _matrix,
}
