"""ImpactX: inputs in AMReX's ParmParse, and the list of dicts of `KnownElementsList.to_dicts()`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sc_bridge.errors import ExpressionError, LatticeError
from sc_bridge.expressions import Expression, Variable
from sc_bridge.expressions.infix import Dialect, InfixParser
from sc_bridge.lattice import Lattice, ReferenceFields
from sc_bridge.species import SPECIES

from .beamline import Item, expand_line
from .definitions import Definitions
from .files import parse_json, read_text
from .impactx_elements import BUILDERS, TYPES, left_out
from .options import Losses, ReadOptions, choose_sequence, single_file
from .plain import PlainRecorder, add_place
from .recording import Assembly, Context, LocalReference, Origin
from .source import Source

FORMAT = "impactx"
_DIALECT = Dialect("ImpactX", constants={"pi": 3.141592653589793}, ignore_case=False)
_PARTICLES = {
    "electron": "electron",
    "positron": "positron",
    "proton": "proton",
    "Hminus": "H-",
    "muon": "muon",
}
_ROOT = "lattice"
_CONSTANTS = "my_constants."


def read_impactx(paths: tuple[Path, ...], options: ReadOptions) -> Lattice:
    """Read one file of inputs, or one JSON file of elements.

    `lattice.periods` are turns, no part of the lattice; `nslice` and the algorithms are not
    either.
    """
    path = single_file(paths, FORMAT)
    text = read_text(path, "latin-1")
    if text.lstrip().startswith(("[", "{")):
        return _read_dump(path, text, options)
    return _Inputs(Source(path, text), options).lattice()


# ---- inputs ------------------------------------------------------------------------------


class _Entry:
    """Tokens of one key, the last time that it is set."""

    def __init__(self, tokens: list[str], offset: int) -> None:
        self.tokens = tokens
        self.offset = offset

    def __str__(self) -> str:
        return " ".join(self.tokens)

    __repr__ = __str__


_TOKEN = re.compile(r'#[^\n]*|"(?P<quoted>[^"]*)"|(?P<equals>\+?=)|(?P<word>[^\s="#]+)|\\\n')


def _entries(source: Source) -> dict[str, _Entry]:
    """Split `key = token token ...`; lines mean nothing, as in AMReX."""
    found: list[tuple[str, int, str]] = []
    for match in _TOKEN.finditer(source.text):
        kind = match.lastgroup
        if kind is not None and match[kind] != "\\":
            found.append((kind, match.start(), match[kind]))
    entries: dict[str, _Entry] = {}
    current: _Entry | None = None
    for (kind, offset, text), following in zip(found, [*found[1:], None], strict=False):
        if kind == "equals":
            if text == "+=":
                raise LatticeError(f"{source.place(offset)}: '+=' is not supported: use '='")
            continue  # a second one in a row means nothing
        if kind == "word" and following is not None and following[0] == "equals":
            current = _Entry([], offset)
            entries[text] = current
        elif current is None:
            raise LatticeError(f"{source.place(offset)}: {text[:40]!r}: must be key = value")
        else:
            current.tokens.append(text)
    return entries


class _View(PlainRecorder):
    """An element whose attributes are tokens."""

    parser: InfixParser

    def tree_of(self, value: Any, key: str) -> Expression:
        if isinstance(value, (_Entry, str)):
            return self.parser.parse(str(value), f"{self.place}.{key}")
        return super().tree_of(value, key)

    def list_of(self, key: str) -> list[Expression]:
        value = self.attributes.get(key)
        if not isinstance(value, _Entry):
            return super().list_of(key)
        self.ignore(key)
        return [self.tree_of(token, f"{key}[{i}]") for i, token in enumerate(value.tokens)]

    def flag(self, key: str, otherwise: bool) -> bool:
        value = self.attributes.get(key)
        if not isinstance(value, _Entry):
            return super().flag(key, otherwise)
        self.ignore(key)
        return _truth(str(value), f"{self.place}.{key}")


def _truth(text: str, place: str) -> bool:
    words = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}
    if text.lower() not in words:
        raise LatticeError(f"{place} = {text[:40]!r}: must be true or false")
    return words[text.lower()]


class _Inputs:
    """A file of inputs while it is read."""

    def __init__(self, source: Source, options: ReadOptions) -> None:
        self.source = source
        self.options = options
        self.entries = _entries(source)
        self.definitions = Definitions()
        self.parser = InfixParser(_DIALECT, self._variable)
        self.constants = {
            key.removeprefix(_CONSTANTS): entry
            for key, entry in self.entries.items()
            if key.startswith(_CONSTANTS)
        }
        for name, entry in self.constants.items():
            place = f"{self._place(entry)}: {_CONSTANTS}{name}"
            self.definitions.define(name, self.parser.parse(str(entry), place))

    def _variable(self, name: str) -> Expression:
        if name not in self.constants:
            raise ExpressionError(f"{name!r} is not defined: no {_CONSTANTS}{name}")
        return Variable(name)

    def _place(self, entry: _Entry) -> str:
        return self.source.place(entry.offset)

    def lattice(self) -> Lattice:
        """Read the elements of the line."""
        lines = self._lines()
        name = choose_sequence(
            [_ROOT] if _ROOT in lines else [], self.options.sequence, str(self.source.path), lines
        )
        reference = self._reference()
        local = None
        if reference is not None:
            local = LocalReference(reference.mass0, reference.q0, reference.p0c)
        assembly = Assembly(Context(self.definitions, Losses(self.options.allow), local))
        attributes = self._attributes()
        for placed in expand_line(name, lines, self._place_of):
            self._add(assembly, placed.name, placed.path[-1], attributes)
        return Lattice(
            source=str(self.source.path),
            format=FORMAT,
            name=name,
            reference=reference,
            **assembly.lattice_fields(),
        )

    def _attributes(self) -> dict[str, dict[str, _Entry]]:
        grouped: dict[str, dict[str, _Entry]] = {}
        for key, entry in self.entries.items():
            element, _, attribute = key.rpartition(".")
            grouped.setdefault(element, {})[attribute] = entry
        return grouped

    def _add(
        self, assembly: Assembly, name: str, line: str, attributes: dict[str, dict[str, _Entry]]
    ) -> None:
        found = attributes.get(name, {})
        if "type" not in found:
            raise LatticeError(f"{self._place_of(line)}: {line}: {name}.type is not given")
        word = str(found["type"])
        kind = TYPES.get(word)
        place = self._place(found["type"])
        if kind is None:
            raise LatticeError(f"{place}: {name}.type = {word[:40]!r}: no such type in ImpactX")
        origin = Origin(name, kind, place, self.source.line(found["type"].offset))
        rest = {key: entry for key, entry in found.items() if key != "type"}

        def make() -> _View:
            view = _View(assembly.context, origin, rest)
            view.parser = self.parser
            return view

        def build(view: _View) -> None:
            BUILDERS.get(kind, left_out)(view)
            view.check_left_over()

        assembly.add((name,), make, build)

    def _place_of(self, line: str) -> str:
        entry = self.entries.get(f"{line}.elements")
        return self._place(entry) if entry else str(self.source.path)

    def _lines(self) -> dict[str, list[Item]]:
        lines: dict[str, list[Item]] = {}
        for key, entry in self.entries.items():
            name, _, attribute = key.rpartition(".")
            is_line = str(self.entries.get(f"{name}.type", "")) == "line" or name == _ROOT
            if attribute == "elements" and is_line:
                lines[name] = self._items(name, entry)
        return lines

    def _items(self, name: str, entry: _Entry) -> list[Item]:
        """Items of a line: `reverse` turns their order, not that within lines among them."""
        items = [Item(token) for token in entry.tokens]
        reverse = self.entries.get(f"{name}.reverse")
        if reverse is not None and _truth(str(reverse), f"{self._place(reverse)}: {name}.reverse"):
            items.reverse()
        repeat = self.entries.get(f"{name}.repeat")
        if repeat is None or name == _ROOT:
            return items
        count = self._number(f"{name}.repeat")
        if count != int(count) or count < 1:
            raise LatticeError(
                f"{self._place(repeat)}: {name}.repeat = {count:g}: must be a whole number from 1"
            )
        return [Item(tuple(items), int(count))]

    def _number(self, key: str) -> float:
        entry = self.entries[key]
        place = f"{self._place(entry)}: {key}"
        return self.definitions.value(self.parser.parse(str(entry), place), place)

    def _reference(self) -> ReferenceFields | None:
        particle, energy = self.entries.get("beam.particle"), self.entries.get("beam.kin_energy")
        if particle is None or energy is None:
            return None
        species = SPECIES.get(_PARTICLES.get(str(particle), ""))
        if species is None:
            raise LatticeError(
                f"{self._place(particle)}: beam.particle = {str(particle)[:40]!r}: must be "
                f"{', '.join(_PARTICLES)}"
            )
        kinetic = self._number("beam.kin_energy") * 1e6
        if not kinetic > 0:
            raise LatticeError(
                f"{self._place(energy)}: beam.kin_energy = {kinetic / 1e6:g} MeV: must be positive"
            )
        p0c = (kinetic * (kinetic + 2.0 * species.mass0)) ** 0.5
        return ReferenceFields(species.mass0, species.q0, p0c)


# ---- dump --------------------------------------------------------------------------------


def _read_dump(path: Path, text: str, options: ReadOptions) -> Lattice:
    content = parse_json(text, str(path))
    if not isinstance(content, list):
        raise LatticeError(f"{path}: must be the list of KnownElementsList.to_dicts()")
    assembly = Assembly(Context(Definitions(), Losses(options.allow)))
    for number, entry in enumerate(content, 1):
        place = f"{path}: element {number}"
        if not isinstance(entry, Mapping) or not isinstance(entry.get("type"), str):
            raise LatticeError(f"{place}: must be an object with a type")
        kind = entry["type"]
        given = entry.get("name")
        name = given if isinstance(given, str) and given else f"{kind.lower()}_{number}"
        if kind not in BUILDERS and kind not in TYPES.values():
            raise LatticeError(f"{place}: {name}: type {kind[:40]!r}: no such type in ImpactX")
        # "unit" is what Python calls the "units" of inputs
        fields = {str(key): value for key, value in entry.items() if key not in ("type", "name")}
        rest = {_DUMPED.get(key, key): value for key, value in fields.items()}
        origin = Origin(name, kind, place)
        key = (name, kind, repr(sorted(rest.items())))
        add_place(assembly, origin, rest, BUILDERS.get(kind, left_out), key)
    return Lattice(source=str(path), format=FORMAT, name="", **assembly.lattice_fields())


_DUMPED = {"unit": "units", "K_normal": "k_normal", "K_skew": "k_skew"}
