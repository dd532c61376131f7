"""IMPACT-Z decks: a header of eleven records, then one record an element."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from sc_bridge.errors import LatticeError
from sc_bridge.expressions import Expression, Number
from sc_bridge.expressions.algebra import ZERO
from sc_bridge.lattice import Lattice

from .impact_deck import Row, read_deck
from .options import ReadOptions
from .plain import DEGREE, Builder, PlainRecorder, add_place
from .recording import Assembly, Origin

FORMAT = "impactz"
_HEADER = 11
_STOP = -99
_COLUMNS = "length", "segments", "steps", "type"


def read_impactz(paths: tuple[Path, ...], options: ReadOptions) -> Lattice:
    """Read one deck; the reference is that of the header's last record.

    Raises
    ------
    LatticeError
        If it is no deck, or holds what has no counterpart and is not allowed.
    """
    deck = read_deck(paths, FORMAT, _HEADER)
    assembly = deck.assembly(options)
    for number, row in enumerate(deck.elements, 1):
        code = row[3]
        if code != int(code):
            raise LatticeError(f"{row.place}: type {code:g}: must be a whole number")
        if code == _STOP:
            break
        _add(assembly, row, int(code), f"{_NAMES.get(int(code), 'element')}_{number}")
    return deck.lattice(FORMAT, assembly)


def _add(assembly: Assembly, row: Row, code: int, name: str) -> None:
    if not row[0] >= 0.0:
        raise LatticeError(f"{row.place}: {name}: length {row[0]:g} m: must not be negative")
    keys = [*_COLUMNS, *(f"v{i}" for i in range(1, len(row.numbers) - 3))]
    attributes = dict(zip(keys, row.numbers, strict=False))
    for key in _COLUMNS[1:]:
        attributes.pop(key, None)
    origin = Origin(name, str(code), row.place, row.line)
    add_place(assembly, origin, attributes, BUILDERS.get(code, _left_out), (name,))


# ---- elements ----------------------------------------------------------------------------


def _alignment(view: PlainRecorder, first: int) -> dict[str, Expression]:
    """Shifts and rotations from a column on: x, y, about x, about y, about s."""
    for index, what in ((first + 2, "x"), (first + 3, "y")):
        if view(f"v{index}") != ZERO:
            view.lose("misalignment", f"the rotation about {what}")
    return {
        "shift_x": view(f"v{first}"),
        "shift_y": view(f"v{first + 1}"),
        "rot_s_rad": view(f"v{first + 4}"),
    }


def _length(view: PlainRecorder) -> Expression:
    return view("length")


def _drift(view: PlainRecorder) -> None:
    view.emit("Drift", {"length": _length(view)})
    view.ignore_all()  # the radius of a pipe that limits nothing


def _normalised(view: PlainRecorder, key: str) -> Number:
    """Strength over the rigidity of the reference there."""
    return Number(view.value(key) / view.reference("a field in tesla").rigidity)


def _no_field_file(view: PlainRecorder, key: str) -> None:
    if view.value(key) > 0.0:
        view.lose("field map", f"the field of file {view.value(key):g}")


def _quadrupole(view: PlainRecorder) -> None:
    """Map type 1: a gradient in T/m, or k1 where the file's number is negative."""
    _no_field_file(view, "v2")
    direct = view.value("v2") < 0.0
    strength = view("v1") if direct else _normalised(view, "v1")
    view.ignore("v3")  # radius
    view.emit("Quadrupole", {"length": _length(view), "k1": strength} | _alignment(view, 4))


def _constant_focusing(view: PlainRecorder) -> None:
    """Map type 2: squares of the wave numbers in x, y and z."""
    reference = view.reference("a constant focusing channel")
    scale = (reference.mass0 / reference.p0c) ** 2
    length = view.value("length")
    matrix = [[float(i == j) for j in range(6)] for i in range(6)]
    for plane, mass in enumerate((1.0, 1.0, scale)):
        square, i = view.value(f"v{plane + 1}"), 2 * plane
        wave = math.sqrt(abs(square))
        sine, cosine = (math.sin, math.cos) if square >= 0 else (math.sinh, math.cosh)
        if wave * length > 100.0:
            raise view.error(f"v{plane + 1}", square, "focuses too strongly")
        matrix[i][i] = matrix[i + 1][i + 1] = cosine(wave * length)
        matrix[i][i + 1] = mass * (sine(wave * length) / wave if wave else length)
        matrix[i + 1][i] = -math.copysign(wave, square) * sine(wave * length) / mass
    view.ignore("v4")
    view.emit("FirstOrderTaylorMap", {"length": _length(view)}, m1=matrix)
    _refuse_alignment(view, 5)


def _refuse_alignment(view: PlainRecorder, first: int) -> None:
    keys = [f"v{i}" for i in range(first, first + 5)]
    if any(view(key) != ZERO for key in keys):
        view.lose("misalignment", "its shifts and rotations")


def _solenoid(view: PlainRecorder) -> None:
    """Map type 3: field in T."""
    _no_field_file(view, "v2")
    view.ignore("v2", "v3")
    fields = {"length": _length(view), "ks": _normalised(view, "v1")}
    view.emit("UniformSolenoid", fields | _alignment(view, 4))


def _bend(view: PlainRecorder) -> None:
    """Map type 4: angle, k1, switch, half gap, faces, their curvatures, fringe integral."""
    for key in ("v7", "v8"):
        if view(key) != ZERO:
            view.lose(key, "the curvature of a face")
    if 0.0 < view.value("v3") < 100.0:
        view.lose("field map", f"the field of file {view.value('v3'):g}")
    if view.value("v3") > 200.0:
        view.lose("CSR", "coherent synchrotron radiation in the bend")
    gap = Number(2.0 * view.value("v4"))
    fint = view("v9")
    fields = {"length": _length(view), "angle": view("v1"), "k1": view("v2")}
    fields |= view.edges((view("v5"), view("v6")), (fint, fint), (gap, gap))
    view.emit("Bend", fields | _alignment(view, 10))


def _multipole(view: PlainRecorder) -> None:
    """Map type 5: order 2 is a sextupole, 3 an octupole, in T/m^order."""
    order = view.count("v1", 2, 5)
    _no_field_file(view, "v3")
    view.ignore("v4")
    strength = Number(_normalised(view, "v2").value * math.factorial(order))
    integrated = Number(strength.value * view.value("length"))
    body = {2: ("Sextupole", {"k2": strength}), 3: ("Octupole", {"k3": strength})}
    kicks: dict[str, Any] = {"knl": [ZERO] * order + [integrated]}
    kind, fields = body.get(order, ("Multipole", kicks))
    thick = {"isthick": True} if kind == "Multipole" else {}
    view.emit(kind, {"length": _length(view)} | fields | _alignment(view, 5), **thick)


def _cavity(view: PlainRecorder) -> None:
    """Map types 103, 104: scale V/m, Hz, deg, file; without a file a cavity of constant field."""
    if view.value("v4") > 0.0:
        view.lose("field map", f"the field of file {view.value('v4'):g}")
        view.emit("Drift", {"length": _length(view)})
        view.ignore_all()
        return
    reference = view.reference("a cavity")
    voltage = view.value("v1") * view.value("length")
    phase = DEGREE * view.value("v3")
    view.gain = abs(reference.q0) * voltage * math.cos(phase)
    fields = {"length": _length(view), "voltage": Number(voltage), "phase": Number(phase)}
    view.ignore("v5")  # radius
    fields = fields | {"frequency": view("v2")} | _alignment(view, 6)
    view.context.losses.warn(
        view.place,
        "cavity without a field file: the focusing is that of a standing wave with its ends where "
        "the file's number is below -1, else none",
    )
    ends = view.value("v4") < -1.0  # with the focusing of the ends, as of a standing wave
    view.emit(
        "LinacCavity", fields, structure="standing" if ends else "travelling",
        entry_focusing=ends, exit_focusing=ends,
    )  # fmt: skip


def _marker(view: PlainRecorder) -> None:
    view.emit("Marker", {})
    view.ignore_all()


def _lost_marker(word: str, what: str) -> Builder:
    def build(view: PlainRecorder) -> None:
        view.lose(word, what)
        _marker(view)

    return build


def _wake(view: PlainRecorder) -> None:
    """Map type -41: a negative last number switches the wake off."""
    if view.value("v3") >= 0.0:
        view.lose("wake", "the wake of the structures that follow")
    _marker(view)


def _rotation(view: PlainRecorder) -> None:
    view.emit("Rotation", {"rot_s_rad": view("v2")})
    view.ignore("v1")


_WORDS = {
    **dict.fromkeys((101, 102, 105, 106, 110), "field map"),
    **dict.fromkeys((-1, -21, -31), "misalignment"),
}
_KINDS = {6: "wiggler", 101: "DTL cell", 102: "CCDTL cell", 105: "solenoid with RF"} | {
    106: "travelling-wave structure", 110: "field map"
}  # fmt: skip


def _left_out(view: PlainRecorder) -> None:
    """Leave an element out; a drift keeps its length."""
    code = int(view.origin.source_type)
    word = _WORDS.get(code, view.origin.source_type)
    view.lose(word, f"the {_KINDS.get(code, f'element of type {code}')}")
    view.marker_or_drift("length")
    view.ignore_all()


BUILDERS: dict[int, Builder] = {
    0: _drift,
    1: _quadrupole,
    2: _constant_focusing,
    3: _solenoid,
    4: _bend,
    5: _multipole,
    103: _cavity,
    104: _cavity,
    **dict.fromkeys((-2, -3, -4, -7, -8, -9, -10), _marker),
    -18: _rotation,
    -41: _wake,
    -52: _lost_marker("laser heater", "the laser heater"),
}
_NAMES = {0: "drift", 1: "quad", 2: "focus", 3: "solenoid", 4: "bend", 5: "multipole"} | {
    103: "cavity", 104: "cavity", -2: "output", -8: "slices", -41: "wake", -52: "heater"
}  # fmt: skip
