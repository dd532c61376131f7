"""What a PALS document defines: elements, lines, lattices, variables, sets and controllers.

Items are read in every form that the standard has had: `name: {kind: ...}`, `Kind: {name: ...}`,
`{name: ..., kind: ...}` and `{name: , kind: ...}`; under `PALS: {facility: [...]}`, in a bare
list, or as a document that is one item.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from sc_bridge.errors import ExpressionError, LatticeError
from sc_bridge.expressions import Expression, InfixParser, Number, Variable, shorten
from sc_bridge.readers.common_names import CONSTANTS
from sc_bridge.readers.definitions import Definitions
from sc_bridge.readers.options import Losses
from sc_bridge.readers.source import Source, SourceFiles

from .dialect import DIALECT
from .document import Node, copy_of, parse_document

LINES = frozenset({"beamline", "line"})
# Entries of a line or facility that are not elements
_MODIFIERS = frozenset({"repeat", "direction", "placement", "inherit", "name", "kind", "type"})
_MAX_PATTERN = 200  # characters of a pattern of names
_MAX_STARS = 3  # a match takes time to this power


@dataclass
class Facility:
    """Everything that the files define.

    Parameters
    ----------
    files : SourceFiles
    losses : Losses
    """

    files: SourceFiles
    losses: Losses
    elements: dict[str, Node] = field(default_factory=dict)
    lines: dict[str, Node] = field(default_factory=dict)
    lattices: dict[str, Node] = field(default_factory=dict)
    definitions: Definitions = field(default_factory=Definitions)
    used: str | None = None
    _sets: list[tuple[str, Any, str]] = field(default_factory=list)
    _local: dict[str, str] = field(default_factory=dict)
    _changed: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._parser = InfixParser(DIALECT, self._name, Variable)

    # ---- documents -----------------------------------------------------------------------

    def read(self, source: Source) -> None:
        """Read one file and what it includes."""
        root = parse_document(source)
        whole = f"{source.path}"
        if isinstance(root, Node) and "PALS" in root:
            root = root["PALS"]
            if not isinstance(root, Node):
                raise LatticeError(f"{whole}: PALS holds {shorten(root)!r}: must be a mapping")
            for name in _as_list(root.get("load")):
                if str(name) != "SELF":
                    self.read(self.files.called(str(name), source, root.place))
            items = [root.get(key) for key in ("facility", "elements", "lattices")]
            for entry in items:
                self.add_all(entry, source, whole)
            if root.get("include") is not None:
                self._include(root["include"], source, root.place)
        elif isinstance(root, Node) and not _is_item(root):
            self.add_all([_single(key, root) for key in root], source, whole)
        elif isinstance(root, Node | list):
            self.add_all(root if isinstance(root, list) else [root], source, whole)
        else:
            raise LatticeError(f"{whole}: not a PALS lattice: the document is {shorten(root)!r}")

    def add_all(self, items: Any, source: Source, place: str) -> None:
        """Take the items of a facility in order."""
        for item in _as_list(items):
            if isinstance(item, Node):
                self._add(item, source)
            elif item not in ("expand_lattice", None):
                raise LatticeError(f"{place}: {shorten(item)!r}: an item must be a mapping")

    def _add(self, item: Node, source: Source) -> None:
        if len(item) == 1:
            key, value = next(iter(item.items()))
            special = getattr(self, f"_read_{key}", None) if key in _SPECIAL else None
            if special is not None:
                special(value, source, item.place)
                return
        name, body = named(item)
        if body is None:
            raise LatticeError(f"{item.place}: {name}: has no contents")
        self.define(name, body)

    def _read_include(self, value: Any, source: Source, place: str) -> None:
        self._include(value, source, place)

    def _include(self, names: Any, source: Source, place: str) -> None:
        for name in _as_list(names):
            called = self.files.called(str(name), source, place)
            root = parse_document(called)
            if isinstance(root, Node) and "PALS" not in root and not _is_item(root):
                root = [_single(key, root) for key in root]
            if isinstance(root, Node) and "PALS" in root:
                raise LatticeError(f"{place}: {name}: a whole PALS document: name it in load")
            self.add_all(root, called, str(called.path))

    def _read_use(self, value: Any, source: Source, place: str) -> None:
        self.used = str(value)

    def _read_expand_lattice(self, value: Any, source: Source, place: str) -> None:
        pass

    def _read_extension_labels(self, value: Any, source: Source, place: str) -> None:
        pass

    def _read_constants(self, value: Any, source: Source, place: str) -> None:
        self._define_all(value, place)

    def _read_variables(self, value: Any, source: Source, place: str) -> None:
        self._define_all(value, place)

    def _define_all(self, value: Any, place: str) -> None:
        """Variables as a mapping, or as a list of mappings."""
        for entry in _as_list(value):
            if not isinstance(entry, Node):
                raise LatticeError(f"{place}: {shorten(entry)!r}: must be name: value")
            if "name" in entry and "value" in entry:
                self._variable(str(entry["name"]), entry["value"], entry.place)
                continue
            for name, tree in entry.items():
                nested = isinstance(tree, Node) and "value" in tree
                self._variable(name, tree["value"] if nested else tree, entry.place)

    def _variable(self, name: str, value: Any, place: str) -> None:
        if name in self.definitions or name in CONSTANTS:
            raise LatticeError(f"{place}: variable {name!r} is defined twice: keep one")
        self.definitions.define(name, self.tree(value, f"{place}: {name}"))

    def _read_sets(self, value: Any, source: Source, place: str) -> None:
        for entry in _as_list(value):
            if not isinstance(entry, Node):
                raise LatticeError(f"{place}: {shorten(entry)!r}: must be parameter: value")
            self._read_set(entry, source, entry.place)

    def _read_set(self, value: Any, source: Source, place: str) -> None:
        if not isinstance(value, Node):
            raise LatticeError(f"{place}: {shorten(value)!r}: must be parameter: value")
        if "parameter" in value:
            pairs = [(value["parameter"], value.get("value", value.get("expression")))]
        else:
            pairs = list(value.items())
        self._sets.extend((str(pattern), tree, value.place) for pattern, tree in pairs)

    def _read_superimpose(self, value: Any, source: Source, place: str) -> None:
        name = str(value.get("place", "")) if isinstance(value, Node) else ""
        self.losses.leave_out("superimpose", place=place, name=name, what="the superposition")

    # ---- elements ------------------------------------------------------------------------

    def define(self, name: str, body: Node) -> None:
        """Define an element, line, lattice or controller; a later one replaces it."""
        kind = kind_of(body).lower()
        if kind == "controller":
            self._controller(name, body)
        elif kind in LINES or (not kind and "line" in body):
            self.lines[name] = body
            self.elements.pop(name, None)
        elif kind == "lattice" or (not kind and "branches" in body):
            self.lattices[name] = body
        elif not kind and "inherit" not in body:
            self.losses.warn(body.place, f"{name}: neither an element nor a line: passed over")
        else:
            self.elements[name] = copy_of(self.inherited(name, body))
            self.lines.pop(name, None)

    def inherited(self, name: str, body: Node) -> Node:
        """Return an element with what it inherits, group by group."""
        parent = body.get("inherit")
        if parent is None:
            return body
        parent = str(parent)
        if parent in self.lines:
            return copy_of(self.lines[parent], body)
        if parent not in self.elements:
            raise LatticeError(
                f"{body.place}: {name}: inherits from {parent!r}, which is not defined before it"
            )
        return merged(self.elements[parent], body)

    def _controller(self, name: str, body: Node) -> None:
        """Variables of a controller become `name>variable`; what it controls follows them."""
        variables = body.get("variables")
        self._local = {}
        for entry in _as_list(variables):
            for key, value in entry.items() if isinstance(entry, Node) else ():
                full = f"{name}>{key}"
                self._variable(full, value, body.place)
                self._local[key] = full
        relative = str(body.get("control_type", "ABSOLUTE")).upper() != "ABSOLUTE"
        for control in _as_list(body.get("controls")):
            if not isinstance(control, Node) or "parameter" not in control:
                raise LatticeError(f"{body.place}: {name}: controls need parameter, expression")
            if relative:
                self.losses.leave_out(
                    "controller", place=control.place, name=name, what="relative control"
                )
                continue
            tree = self.tree(control.get("expression", 0.0), f"{control.place}: {name}")
            self._sets.append((str(control["parameter"]), tree, control.place))
        self._local = {}

    def apply_sets(self) -> None:
        """Apply sets and controllers to elements, those defined within lines too."""
        for pattern, value, place in self._sets:
            owner, _, parameter = pattern.rpartition(">")
            if not owner or ">>" in pattern or "::" in pattern:
                raise LatticeError(f"{place}: {pattern!r}: must be element>parameter")
            targets = [body for name, body in self._every() if _matches(owner, name, place)]
            if not targets:
                self.losses.warn(place, f"{pattern!r} matches no element")
            for body in targets:
                _assign(body, parameter, value, place)

    def _every(self) -> list[tuple[str, Node]]:
        """Every element body: of the facility, and those written within lines."""
        found = list(self.elements.items())
        waiting = [*self.lines.values(), *self.lattices.values()]
        seen: set[int] = set()
        while waiting:
            body = waiting.pop()
            if id(body) in seen:
                continue
            seen.add(id(body))
            for item in _as_list(body.get("line")) + _as_list(body.get("branches")):
                if not isinstance(item, Node):
                    continue
                name, inner = named(item)
                if inner is not None and ("line" in inner or "branches" in inner):
                    waiting.append(inner)
                elif inner is not None:
                    found.append((name, inner))
        return found

    # ---- numbers -------------------------------------------------------------------------

    def tree(self, value: Any, place: str) -> Expression:
        """Return the tree of a number, an expression, or what is one already.

        Raises
        ------
        LatticeError, ExpressionError
            If it is neither.
        """
        if isinstance(value, Expression):
            return value
        if isinstance(value, bool):
            return Number(float(value))
        if isinstance(value, float):
            return Number(value)
        if isinstance(value, str):
            return self._parser.parse(value, place)
        raise LatticeError(f"{place} = {shorten(value)!r}: must be a number")

    def _name(self, name: str) -> Expression:
        if name in self._local:
            return Variable(self._local[name])
        if name in self.definitions:
            return Variable(name)
        if name in CONSTANTS:
            return Number(CONSTANTS[name])
        raise ExpressionError(f"variable {name!r} is not defined")

    def define_references(self, trees: list[Expression]) -> None:
        """Define the parameters of elements that expressions refer to, as variables."""
        waiting = [name for tree in trees for name in tree.variables() if ">" in name]
        while waiting:
            name = waiting.pop()
            if name in self.definitions:
                continue
            owner, _, parameter = name.partition(">")
            body = self.elements.get(owner)
            if body is None:
                raise ExpressionError(f"{name}: no element {owner!r} is defined")
            value: Any = body
            for part in parameter.split("."):
                value = value.get(part) if isinstance(value, Node) else None
            tree = self.tree(0.0 if value is None else value, f"{body.place}: {name}")
            self.definitions.define(name, tree)
            waiting.extend(used for used in tree.variables() if ">" in used)


_SPECIAL = frozenset(
    {
        "include", "use", "expand_lattice", "extension_labels", "constants", "variables", "sets",
        "set", "superimpose",
    }
)  # fmt: skip


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _single(key: str, root: Node) -> Node:
    return _node_at({key: root[key]}, root)


def _node_at(content: dict[str, Any], where: Node) -> Node:
    node = Node(content)
    node.source, node.line = where.source, where.line
    return node


def kind_of(body: Node) -> str:
    """Return the kind of an element, line or lattice as written, "" if it has none."""
    return str(body.get("kind") or body.get("type") or "")


def _is_item(node: Node) -> bool:
    """Whether a mapping is one item, rather than a mapping of items by name."""
    return "kind" in node or "line" in node or "branches" in node


def named(item: Node) -> tuple[str, Node | None]:
    """Return the name of an item and its contents, in all forms that the standard has had."""
    if len(item) == 1:
        key, body = next(iter(item.items()))
        if isinstance(body, Node) and "name" in body and "kind" not in body:
            return str(body["name"]), _node_at({**body, "kind": key}, body)
        if isinstance(body, Node) or body is None:
            return key, body
        if key == "line" and isinstance(body, list):
            return key, item
        raise LatticeError(f"{item.place}: {key}: {shorten(body)!r}: must be a mapping")
    if "name" in item:
        return str(item["name"]), item
    empty = [key for key, value in item.items() if value is None and key not in _MODIFIERS]
    if len(empty) == 1:
        return empty[0], _node_at({k: v for k, v in item.items() if k != empty[0]}, item)
    if "line" in item:
        return "line", item
    raise LatticeError(f"{item.place}: an item of {', '.join(item)}: it has no name")


def merged(parent: Node, body: Node) -> Node:
    """Return a body on top of its parent, group by group."""
    result = copy_of(parent, body)
    for key, value in body.items():
        above = parent.get(key)
        if isinstance(value, Node) and isinstance(above, Node):
            result[key] = copy_of(above, value)
    return result


def _assign(body: Node, parameter: str, value: Any, place: str) -> None:
    parts = parameter.split(".")
    target = body
    for part in parts[:-1]:
        inner = target.get(part)
        if inner is None:
            inner = target[part] = _node_at({}, body)
        elif not isinstance(inner, Node):
            raise LatticeError(f"{place}: {parameter!r}: {part} is no group")
        else:
            inner = target[part] = copy_of(inner)  # parents keep theirs
        target = inner
    target[parts[-1]] = value


def _matches(pattern: str, name: str, place: str) -> bool:
    """Whether a name matches a pattern: names, `.`, `.*` and sets of characters; no groups."""
    if (
        len(pattern) > _MAX_PATTERN
        or pattern.count("*") > _MAX_STARS
        or re.search(r"[(){}+?\\|^$]", pattern)
    ):
        raise LatticeError(
            f"{place}: pattern {shorten(pattern)!r}: only names, . and .* are understood"
        )
    try:
        return re.fullmatch(pattern, name) is not None
    except re.error as error:
        raise LatticeError(f"{place}: pattern {pattern!r}: {error}") from None
