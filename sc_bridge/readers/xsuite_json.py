"""Xsuite JSON to a `Lattice`, without xtrack and without evaluating what the file holds.

Three shapes are in use: a Line, an Environment with any number of lines, and
`{"line": ..., "particle": ...}`.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sc_bridge.errors import LatticeError
from sc_bridge.expressions import shorten
from sc_bridge.lattice import Lattice, Record, ReferenceFields, is_slice

from .files import lines_of_keys, parse_json, read_text
from .options import ReadOptions, single_file
from .xsuite_old_names import modernise
from .xsuite_variables import Variables, read_variables

FORMAT = "xsuite-json"

# Keys of an element that are not its fields: bookkeeping of Xsuite.
_NOT_FIELDS = frozenset({"__class__", "prototype", "extra", "name_associated_aperture"})
# Switches of a line that change nothing in how its elements map particles.
_LIMIT = "XTRACK_GLOBAL_XY_LIMIT"
_HARMLESS_SWITCHES = frozenset(
    {
        "XFIELDS_BB3D_NO_BEAMSTR",
        "XFIELDS_BB3D_NO_BHABHA",
        _LIMIT,
        "XTRACK_MULTIPOLE_NO_SYNRAD",
    }
)
_PHYSICS_MODELS = (
    "_radiation_model",
    "_beamstrahlung_model",
    "_bhabha_model",
    "_spin_model",
    "enable_time_dependent_vars",
)


def read_xsuite_json(paths: tuple[Path, ...], options: ReadOptions) -> Lattice:
    """Read a file that Xsuite's `to_json` wrote."""
    path = single_file(paths, FORMAT)
    text = read_text(path)
    source = str(path)
    return lattice_from_dict(
        parse_json(text, source), source, options.sequence, lines_of_keys(text, "elements")
    )


def lattice_from_dict(
    data: Any, source: str, line: str | None = None, lines: Mapping[str, int] | None = None
) -> Lattice:
    """Return the lattice that the dictionary of an Xsuite Line or Environment describes.

    Parameters
    ----------
    data : dict
        As `to_dict` gives it, or as JSON holds it.
    source : str
        Path or description, for messages.
    line : str, optional
        Which line of an Environment.
    lines : mapping of str to int, optional
        Line in the source of each element.

    Raises
    ------
    LatticeError
        If it is not one definite line, or something in it has no meaning.
    """
    if not isinstance(data, dict):
        raise LatticeError(f"{source}: not an Xsuite lattice: the top level must be an object")
    wrapper: dict[str, Any] = data if isinstance(data.get("line"), dict) else {}
    data = wrapper.get("line", data)
    name, chosen = _choose_line(data, source, line)
    _check_switches(chosen, source)
    labels = _element_names(chosen, source)
    raw = _raw_elements(data, labels, source)
    roots = {label: _root(label, raw, source) for label in dict.fromkeys(labels)}
    elements = _records(roots.values(), raw, lines or {}, source)
    variables = _variables(data, raw, lines or {}, elements, _reference_name(data, chosen), source)
    return Lattice(
        source=source,
        format=FORMAT,
        name=name,
        elements=elements,
        element_names=tuple(roots[label] for label in labels),
        variables=variables.values,
        expressions=variables.expressions,
        field_expressions=variables.field_expressions,
        reference=_reference(data, chosen, wrapper, source),
        labels=tuple(labels),
        field_variables=variables.field_variables,
    )


# ---- which line --------------------------------------------------------------------------


def _choose_line(data: dict[str, Any], source: str, line: str | None) -> tuple[str, dict[str, Any]]:
    lines = data.get("lines")
    if lines is None:
        if "element_names" not in data or "elements" not in data:
            keys = ", ".join(map(repr, list(data)[:8])) or "none"
            raise LatticeError(
                f"{source}: not an Xsuite Line or Environment: it has neither 'lines' nor "
                f"'elements' and 'element_names' (keys: {shorten(keys)})"
            )
        name = data.get("name") or ""
        if line is not None and line != name:
            raise LatticeError(f"{source}: no line {line!r}: the file holds a single unnamed line")
        return str(name), data
    if not isinstance(lines, dict) or not all(isinstance(v, dict) for v in lines.values()):
        raise LatticeError(f"{source}: 'lines' must be an object of lines")
    shown = shorten(", ".join(lines), 400) or "none"
    if line is None and len(lines) != 1:
        raise LatticeError(
            f"{source}: the file holds {len(lines)} lines ({shown}): choose one with sequence="
        )
    chosen = str(next(iter(lines)) if line is None else line)
    if chosen not in lines:
        raise LatticeError(f"{source}: no line {line!r}: the file holds {shown}")
    return chosen, lines[chosen]


def _check_switches(line: Mapping[str, Any], source: str) -> None:
    """Refuse a line whose tracker is switched to physics that elements alone do not show."""
    config, extra = line.get("config") or {}, line.get("_extra_config") or {}
    if not isinstance(config, dict) or not isinstance(extra, dict):
        raise LatticeError(f"{source}: 'config' must be an object")
    limit = config.get(_LIMIT)
    if limit and not (isinstance(limit, float | int) and limit >= 1.0):
        raise LatticeError(
            f"{source}: the line loses particles beyond {_LIMIT} = {limit!r} m, which is not "
            f"supported: put apertures there and leave line.config.{_LIMIT} at 1.0 in Xsuite"
        )
    for name, value in config.items():
        if value and name not in _HARMLESS_SWITCHES:
            way_out = (
                "call line.configure_drift_model('exact') in its place"
                if name == "XTRACK_USE_EXACT_DRIFTS"
                else "switch it off"
            )
            raise LatticeError(
                f"{source}: the line is configured with {name} = {value!r}, "
                f"which is not supported: {way_out} in Xsuite and save again"
            )
    if config.get("XTRACK_MULTIPOLE_NO_SYNRAD", True) is not True:
        raise LatticeError(f"{source}: the line radiates, which is not supported: switch it off")
    for name in _PHYSICS_MODELS:
        if extra.get(name):
            raise LatticeError(
                f"{source}: the line has {name.strip('_')} = {extra[name]!r}, which is not "
                "supported: switch it off in Xsuite and save again"
            )


# ---- elements ----------------------------------------------------------------------------


def _element_names(line: Mapping[str, Any], source: str) -> list[str]:
    names = line.get("element_names")
    if names == "__COMPOSE__":
        raise LatticeError(
            f"{source}: the line was saved while it was being composed and has no element list: "
            "call line.end_compose() (or line.composer = None) in Xsuite and save again"
        )
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise LatticeError(f"{source}: 'element_names' must be a list of names")
    if not names:
        raise LatticeError(f"{source}: the line has no elements")
    return names


def _raw_elements(data: Mapping[str, Any], names: list[str], source: str) -> dict[str, Any]:
    raw = data.get("elements")
    if isinstance(raw, list):  # files of 2022 and before: one entry a place
        raw = _named(raw, names, source)
    if not isinstance(raw, dict):
        raise LatticeError(f"{source}: 'elements' must be an object of elements")
    return raw


def _named(raw: list[Any], names: list[str], source: str) -> dict[str, Any]:
    if len(raw) != len(names):
        raise LatticeError(
            f"{source}: {len(raw)} elements for {len(names)} element_names: the file is damaged"
        )
    named: dict[str, Any] = {}
    for name, entry in zip(names, raw, strict=True):
        if named.setdefault(name, entry) != entry:
            raise LatticeError(
                f"{source}: two different elements are called {name!r}: rename one of them"
            )
    return named


def _root(name: str, raw: Mapping[str, Any], source: str) -> str:
    """Follow replicas to the element that they stand for."""
    seen = [name]
    while True:
        entry = _entry(seen[-1], raw, source, seen[-2] if len(seen) > 1 else None)
        if entry["__class__"] != "Replica":
            return seen[-1]
        parent = entry.get("parent_name")
        if not isinstance(parent, str):
            raise LatticeError(f"{source}: {seen[-1]}: a Replica without a parent_name")
        if parent in seen:
            raise LatticeError(f"{source}: replicas of each other: {' -> '.join([*seen, parent])}")
        seen.append(parent)


def _entry(name: str, raw: Mapping[str, Any], source: str, child: str | None) -> dict[str, Any]:
    entry = raw.get(name)
    if entry is None:
        near = difflib.get_close_matches(name, raw, n=1) if len(raw) < 20_000 else []
        raise LatticeError(
            f"{source}: element {name!r} is "
            + (f"the parent of {child!r}" if child else "in the line")
            + " but is not defined"
            + (f": did you mean {near[0]!r}?" if near else "")
        )
    if not isinstance(entry, dict) or not isinstance(entry.get("__class__"), str):
        raise LatticeError(f"{source}: element {name!r} has no __class__: it is not of Xsuite")
    return entry


def _records(
    names: Any, raw: Mapping[str, Any], lines: Mapping[str, int], source: str
) -> dict[str, Record]:
    """Records of the named elements and, after them, of the parents of slices."""
    records: dict[str, Record] = {}
    waiting = list(dict.fromkeys(names))
    for name in waiting:
        if name in records:
            continue
        records[name] = record = _record(name, raw, lines.get(name), source)
        if is_slice(record):
            parent = record.fields["parent_name"] = _parent(record, raw, source)
            waiting.append(parent)
    return records


def _parent(record: Record, raw: Mapping[str, Any], source: str) -> str:
    parent = record.fields.get("parent_name")
    root = _root(parent, raw, source) if isinstance(parent, str) else None
    if root is None or "Slice" in raw[root]["__class__"]:
        raise LatticeError(
            f"{source}: {record.name}: a {record.kind} of {shorten(parent)}: "
            "its parent_name must be a whole element"
        )
    return root


def _record(name: str, raw: Mapping[str, Any], line: int | None, source: str) -> Record:
    entry = _entry(name, raw, source, None)
    fields = {key: value for key, value in entry.items() if key not in _NOT_FIELDS}
    place = f"{source}:{line}" if line else source
    for key, value in fields.items():
        if not _finite(value):
            raise LatticeError(f"{place}: {name}.{key} = {shorten(value)}: must be finite")
    kind, fields = modernise(entry["__class__"], fields, f"{place}: {name}")
    return Record(name, kind, fields, line)


def _finite(value: Any) -> bool:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, float) and not math.isfinite(item):
            return False
        if isinstance(item, (list, tuple)):
            waiting.extend(item)
        elif isinstance(item, dict):
            waiting.extend(item.values())
    return True


# ---- variables and reference -------------------------------------------------------------


def _variables(
    data: Mapping[str, Any],
    raw: Mapping[str, Any],
    lines: Mapping[str, int],
    elements: Mapping[str, Record],
    reference_name: str | None,
    source: str,
) -> Variables:
    every = dict(elements)
    root_of = {}
    for name in raw:
        root_of[name] = root = _root(name, raw, source)
        if root not in every:
            entry = _entry(root, raw, source, None)
            every[root] = Record(root, entry["__class__"], entry, lines.get(root))
    variables = Variables(source, every, root_of, frozenset(elements))
    read_variables(data, variables, reference_name)
    return variables


def _reference_name(data: Mapping[str, Any], line: Mapping[str, Any]) -> str | None:
    name = line.get("particle_ref", data.get("particle_ref"))
    return name if isinstance(name, str) else None


def _reference(
    data: Mapping[str, Any], line: Mapping[str, Any], wrapper: Mapping[str, Any], source: str
) -> ReferenceFields | None:
    particle = line.get("particle_ref") or data.get("particle_ref") or wrapper.get("particle")
    if particle is None:
        return None
    if isinstance(particle, str):
        holders = (line.get("env_particles"), data.get("env_particles"), data.get("particles"))
        found = [h[particle] for h in holders if isinstance(h, dict) and particle in h]
        if not found:
            raise LatticeError(f"{source}: the reference particle {particle!r} is not defined")
        particle = found[0]
    if not isinstance(particle, dict):
        raise LatticeError(f"{source}: particle_ref must be an object or a name")
    mass0, q0, p0c = (_number(particle, name, source) for name in ("mass0", "q0", "p0c"))
    if mass0 <= 0 or p0c <= 0:
        raise LatticeError(
            f"{source}: particle_ref: mass0 = {mass0} eV and p0c = {p0c} eV must be positive"
        )
    return ReferenceFields(mass0, q0, p0c)


def _number(particle: Mapping[str, Any], name: str, source: str) -> float:
    value = particle.get(name)
    if isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise LatticeError(f"{source}: particle_ref.{name} = {shorten(value)}: must be a number")
    return float(value)
