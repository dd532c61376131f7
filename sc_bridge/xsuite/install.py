"""Kicks everywhere along a live line, each in the centre of its slice."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import count, islice
from typing import Any, NamedTuple

from sc_bridge.errors import LatticeError
from sc_bridge.slicing import MaxSpacing, number_of_kicks

from .element import ScBridgeSpaceCharge3D
from .xtrack import import_xtrack

# Classes of kicks that a line may carry already.
KICKS = frozenset(
    {"SpaceCharge3D", "SpaceChargeBiGaussian", "PICCollection", ScBridgeSpaceCharge3D.__name__}
)
# xtrack does not cut closer to an end than this, m.
_TOLERANCE = 1e-10


class Place(NamedTuple):
    """Centre of a kick and the length that it carries, m."""

    s: float
    length: float


def install_space_charge(
    line: Any,
    max_spacing: Any,
    grid: tuple[int, int, int] = (32, 32, 32),
    skip: Collection[str] = (),
    prefix: str = "space_charge",
    **settings: Any,
) -> list[str]:
    """Insert a `SpaceCharge3D` into every slice of every thick element of a line.

    Each element is cut into the fewest equal slices of at most `max_spacing`, with a kick in the
    centre of each, as `KickedSequence` with `MaxSpacing` does: xtrack tracks the line then as
    that sequence does. No optics is needed: rings and transfer lines alike.

    Parameters
    ----------
    line : xtrack.Line
        Changed in place: thick elements are cut under the kicks by `line.insert`.
    max_spacing : float, str or quantity, m
    grid : tuple of int, (nx, ny, nz)
    skip : collection of str
        Names of elements that get no kick, such as those that xtrack cannot cut.
    prefix : str
        Kicks are called `prefix_0`, `prefix_1` and so on, passing over names that are taken.
    **settings
        Other arguments of `SpaceCharge3D`.

    Returns
    -------
    list of str
        Names of the kicks in their order; `line.remove(names)` takes them out again.

    Raises
    ------
    LatticeError
        If it is no line, is being composed, has kicks already, has nothing of any length, or an
        element in it cannot be cut.
    """
    xt = import_xtrack()
    if not isinstance(line, xt.Line):
        raise LatticeError(
            f"install_space_charge: {type(line).__name__}: must be an xtrack.Line, such as "
            "environment['ring']"
        )
    source = f"install_space_charge: line {line.name or ''!r}"
    spacing = MaxSpacing(max_spacing).spacing
    skip = (skip,) if isinstance(skip, str) else skip
    kick = ScBridgeSpaceCharge3D(0.0, grid, **settings)
    if isinstance(line.element_names, str) or line.mode == "compose":
        raise LatticeError(f"{source} is being composed: call line.end_compose() first")
    places = list(_places(line, spacing, frozenset(skip), source))
    if not places:
        raise LatticeError(f"{source}: no element has a length that a kick could carry")
    return insert_kicks(line, places, kick, prefix)


def insert_kicks(
    line: Any, places: Sequence[Place], kick: ScBridgeSpaceCharge3D, prefix: str = "space_charge"
) -> list[str]:
    """Insert copies of a kick at given places of a line; return their names."""
    elements = line.env.elements
    taken = frozenset(elements.keys())
    free = (name for number in count() if (name := f"{prefix}_{number}") not in taken)
    names = list(islice(free, len(places)))
    for name, place in zip(names, places, strict=True):
        elements[name] = kick.with_length(place.length)
    at = [line.env.place(name, at=place.s) for name, place in zip(names, places, strict=True)]
    line.insert(at, s_tol=_TOLERANCE, with_progress=False)
    return names


def _places(line: Any, spacing: float, skip: frozenset[str], source: str) -> Iterator[Place]:
    table = line.get_table()
    unknown = skip - set(table.env_name)
    if unknown:
        raise LatticeError(f"{source}: skip = {sorted(unknown)[0]!r}: no element of that name")
    columns = (table.env_name, table.element_type, table.isthick, table.s_start, table.s_end)
    for name, kind in zip(*columns[:2], strict=True):
        if kind in KICKS:
            raise LatticeError(
                f"{source} has the kick {name!r} of class {kind} already: take it out with "
                f"line.remove({name!r}) first"
            )
    for name, kind, thick, start, end in zip(*columns, strict=True):
        length = float(end - start)
        if not thick or length == 0.0 or name in skip:
            continue
        _check_cuttable(line, name, kind, length, source)
        number = number_of_kicks(length, spacing, f"{source}: {kind} {name!r}")
        for index in range(number):
            yield Place(float(start) + (index + 0.5) * length / number, length / number)


def _check_cuttable(line: Any, name: str, kind: str, length: float, source: str) -> None:
    if length < 0:
        raise LatticeError(
            f"{source}: {kind} {name!r} has length {length:.6g} m: xtrack cannot cut beside it: "
            "join it with a neighbour"
        )
    element = line.env.elements[name]
    element = element.resolve(line) if hasattr(element, "resolve") else element
    if not (hasattr(element, "_thick_slice_class") or hasattr(element, "parent_name")):
        raise LatticeError(
            f"{source}: {kind} {name!r} cannot be cut by xtrack: skip={[name]!r} leaves its "
            f"{length:.6g} m without a kick"
        )
    if not kind.endswith("Multipole"):  # other classes derive hxl from what is shared out
        return
    whole = line.env.elements[element.parent_name] if hasattr(element, "parent_name") else element
    if whole.hxl != 0.0:
        raise LatticeError(
            f"{source}: {kind} {name!r} has hxl = {float(whole.hxl)!r}, and xtrack gives every "
            f"slice the whole of it: skip={[name]!r} leaves it in one piece without a kick; a Bend "
            "can be cut"
        )
