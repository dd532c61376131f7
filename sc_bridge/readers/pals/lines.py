"""Lines of a PALS facility: their items, and which line is read."""

from __future__ import annotations

from typing import Any

from sc_bridge.errors import LatticeError
from sc_bridge.expressions import shorten
from sc_bridge.readers.directions import Entry
from sc_bridge.readers.options import ReadOptions, choose_sequence

from .document import Node
from .facility import LINES, Facility, kind_of, merged, named

# What an item of a line says of the place, not of the element
PLACEMENT = frozenset({"repeat", "direction", "placement", "inherit", "name", "kind", "type"})


class Lines:
    """Entries of every line, with the elements that are written within lines.

    Parameters
    ----------
    facility : Facility
    """

    def __init__(self, facility: Facility) -> None:
        self.facility = facility
        self.entries: dict[str, list[Entry]] = {}
        self.elements: dict[str, Node] = dict(facility.elements)
        waiting = list(facility.lines.items())
        for name, body in waiting:  # which lines within lines make longer
            self.entries[name] = self._read(name, body, waiting)

    def _read(self, line: str, body: Node, waiting: list[tuple[str, Node]]) -> list[Entry]:
        items = body.get("line")
        if body.get("multipass"):
            self.facility.losses.leave_out(
                "multipass", place=body.place, name=line, what="the multipass line"
            )
        if not isinstance(items, list):
            raise LatticeError(f"{body.place}: {line}: line must be a list of items")
        return [self._entry(line, item, body, waiting) for item in items]

    def _entry(self, line: str, item: Any, body: Node, waiting: list[tuple[str, Node]]) -> Entry:
        if isinstance(item, str):
            return Entry(item)
        if not isinstance(item, Node):
            raise LatticeError(f"{body.place}: {line}: {shorten(item)!r} is no item of a line")
        name, inner = named(item)
        if inner is None:
            return Entry(name)
        own = [key for key in inner if key not in PLACEMENT and inner[key] is not None]
        if "line" in inner or kind_of(inner).lower() in LINES:
            key = self._free(name, self.facility.lines)
            waiting.append((key, inner))
            self.facility.lines[key] = inner
        elif kind_of(inner) or inner.get("inherit") is not None or own:
            key = self._define(name, inner)
        else:
            key = name
        if inner.get("placement") is not None:
            self.facility.losses.leave_out(
                "placement", place=inner.place, name=name, what="the placement"
            )
        count = _integer(inner, "repeat", name)
        direction = _integer(inner, "direction", name)
        if direction not in (1, -1):
            raise LatticeError(f"{inner.place}: {name}: direction = {direction}: must be 1 or -1")
        return Entry(key, abs(count), count < 0, direction < 0)

    def _define(self, name: str, body: Node) -> str:
        """Define an element that a line holds; the name alone may stand for another one."""
        body = self.facility.inherited(name, body)
        if not kind_of(body):
            if name not in self.elements:
                raise LatticeError(f"{body.place}: {name}: is not defined, and has no kind")
            body = merged(self.elements[name], body)
        if name in self.elements and _essence(self.elements[name]) == _essence(body):
            return name
        key = self._free(name, self.elements)
        self.elements[key] = body
        return key

    def _free(self, name: str, taken: dict[str, Any]) -> str:
        key, count = name, 1
        while key in taken:
            count += 1
            key = f"{name}#{count}"
        return key

    # ---- the line to read ----------------------------------------------------------------

    def chosen(self, options: ReadOptions) -> str:
        """Return the name of the line to read: wanted, used, or the only root."""
        branches = self._branches(options)
        source = self.facility.files.shown
        wanted = options.sequence
        if wanted is None and len(branches) > 1:
            choose_sequence(branches, None, source)
        if wanted is None and branches:
            return next(iter(branches.values()))
        known = [*branches, *self.entries]
        if wanted in self.facility.lattices and branches:
            return choose_sequence(branches.values(), None, source)
        used = {entry.name for entries in self.entries.values() for entry in entries}
        roots = [name for name in self.entries if name not in used]
        name = choose_sequence(roots, wanted, source, known)
        return branches.get(name, name)

    def _branches(self, options: ReadOptions) -> dict[str, str]:
        """Branches of the lattice in use, by name, with their lines."""
        lattices = self.facility.lattices
        name = self.facility.used
        if options.sequence in lattices:
            name = options.sequence
        if name is not None and name in self.entries:
            return {name: name}
        if name is not None and name not in lattices:
            raise LatticeError(
                f"{self.facility.files.shown}: use: {name!r} is no lattice and no line"
            )
        if name is None and lattices:
            name = list(lattices)[-1]
        if name is None:
            return {}
        body = lattices[name]
        found: dict[str, str] = {}
        for item in body.get("branches") or []:
            branch, line = self._branch(item, body)
            if line not in self.entries:
                raise LatticeError(f"{body.place}: {name}: branch {line!r} is no line")
            found[branch] = line
        return found

    def _branch(self, item: Any, body: Node) -> tuple[str, str]:
        if isinstance(item, str):
            return item, item
        if not isinstance(item, Node):
            raise LatticeError(f"{body.place}: {shorten(item)!r} is no branch")
        if set(item) == {"Branch"} and isinstance(item["Branch"], str):
            return item["Branch"], item["Branch"]
        name, inner = named(item)
        if inner is None:
            return name, name
        if "line" in inner:
            waiting = [(self._free(name, self.entries), inner)]
            key = waiting[0][0]
            for line, contents in waiting:
                self.entries[line] = self._read(line, contents, waiting)
            return name, key
        return name, str(inner.get("inherit") or inner.get("BeamLine") or name)


def _integer(body: Node, key: str, name: str) -> int:
    value = body.get(key)
    value = 1.0 if value is None else value
    if isinstance(value, bool) or not isinstance(value, float) or not value.is_integer():
        raise LatticeError(f"{body.place}: {name}: {key} = {shorten(value)!r}: must be an integer")
    return int(value)


def _essence(body: Node) -> dict[str, Any]:
    """The element itself, without what is said of its place."""
    dropped = PLACEMENT - {"kind", "type"}
    return {key: value for key, value in body.items() if key not in dropped}
