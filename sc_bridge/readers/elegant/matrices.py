"""Matrices of elegant (MATR from a file, EMATRIX) in Xsuite's coordinates.

elegant's are (x, x', y, y', s, delta), with s the length of the path; Xsuite's first-order map
takes (x, px, y, py, tau, ptau). A matrix with a length becomes a thin map between two drifts of
half the length, which together are the matrix: so space charge acts along it, and a slower
particle arrives later, which elegant does not count in s.
"""

from __future__ import annotations

import re

from sc_bridge.errors import LatticeError
from sc_bridge.expressions import Expression, Number, shorten
from sc_bridge.expressions.algebra import ZERO

from .view import View

_ROW = re.compile(
    r"^[ \t]*(?P<label>C|R[1-6]|T[1-6][1-6]|Q[1-6]{2,3})[ \t]*:(?P<values>.*)$", re.MULTILINE
)

_SAME_LENGTH = 1e-5  # m: files round to a micrometre

Matrix = list[list[float]]


def matrix_from_file(view: View) -> None:
    """Map MATR: a matrix in the format of print_matrix, in a file of its own."""
    name = view.text("FILENAME")
    if not name:
        raise LatticeError(f"{view.place}: {view.name}: MATR without FILENAME")
    file = view.context.files.called(name, view.definition.source, view.place)
    rows: dict[str, list[float]] = {}
    for match in _ROW.finditer(file.text):
        rows.setdefault(match["label"], _numbers(match["values"], file.place(match.start())))
    missing = [label for label in ("C", *(f"R{i}" for i in range(1, 7))) if label not in rows]
    if missing:
        raise LatticeError(f"{file.path}: not a matrix of elegant: no row {', '.join(missing)}")
    for label in ("C", *(f"R{i}" for i in range(1, 7))):
        if len(rows[label]) != 6:
            raise LatticeError(f"{file.path}: row {label} has {len(rows[label])} numbers, not 6")
    higher = any(any(values) for label, values in rows.items() if label[0] in "TQ")
    if higher and view.value("ORDER", 1.0) > 1:
        view.lose("second order", "the matrix beyond first order")
    if view.has("FRACTION") and view.value("FRACTION") != 1.0:
        view.lose("FRACTION", "a fraction of a matrix")
    # L is for the layout: elegant's particles fly over the length in the matrix
    flight = rows["C"][4]
    length = view.value("L", flight)
    if abs(length - flight) > _SAME_LENGTH:
        view.warn(f"L = {length:g} m, but its matrix is of {flight:g} m")
    constant = [*rows["C"][:4], 0.0, rows["C"][5]]
    _emit(view, length, constant, [rows[f"R{i}"] for i in range(1, 7)])


def _numbers(text: str, place: str) -> list[float]:
    try:
        return [float(word) for word in text.split()]
    except ValueError:
        raise LatticeError(f"{place}: not a row of numbers: {shorten(text)!r}") from None


def explicit_matrix(view: View) -> None:
    """Map EMATRIX: C1 to C6 and R11 to R66; every element of the diagonal must be given."""
    missing = [f"R{i}{i}" for i in range(1, 7) if not view.has(f"R{i}{i}")]
    if missing:
        raise LatticeError(f"{view.place}: {view.name}: {missing[0]} is not given")
    length = view.value("L")
    constant = [_number(view, f"C{i}") for i in range(1, 7)]
    constant[4] -= length if view.has("C5") else 0.0
    matrix = [[_number(view, f"R{i}{j}") for j in range(1, 7)] for i in range(1, 7)]
    _emit(view, length, constant, matrix)
    view.ignore("ANGLE")  # of the layout alone


def _number(view: View, key: str) -> float:
    tree: Expression = view(key)
    if tree != ZERO and tree.variables():
        view.warn(f"{key} = {tree} keeps its present value: a matrix follows no knob")
    return view.value(key)


def _emit(view: View, length: float, constant: list[float], matrix: Matrix) -> None:
    beta = 1.0
    place = view.context.place
    if place.p0c is None:
        view.warn("no momentum is known: the matrix is taken for particles as fast as light")
    else:
        beta = place.p0c / (place.energy or place.p0c)
        view.depends_on_energy = True
    # (tau, ptau) = (-s/beta, beta delta)
    scale = [1.0, 1.0, 1.0, 1.0, -1.0 / beta, beta]
    rows = [[scale[i] * matrix[i][j] / scale[j] for j in range(6)] for i in range(6)]
    kicks = [scale[i] * constant[i] for i in range(6)]
    half = Number(length / 2)
    if length:
        _take_drifts_out(rows, kicks, length / 2)
        view.emit("Drift", "_in", length=half)
    view.emit("FirstOrderTaylorMap")
    view.set("m0", kicks)
    view.set("m1", rows)
    if length:
        view.emit("Drift", "_out", length=half)


def _take_drifts_out(rows: Matrix, kicks: list[float], half: float) -> None:
    """Leave what the matrix does beside a drift of half the length on either side."""
    for position, momentum in ((0, 1), (2, 3)):
        for row in rows:
            row[momentum] -= half * row[position]
        rows[position] = [a - half * b for a, b in zip(rows[position], rows[momentum], strict=True)]
        kicks[position] -= half * kicks[momentum]
