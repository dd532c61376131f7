"""YAML and JSON text to mappings and lists with line numbers, within bounds.

Built on the events of the YAML parser: no object is constructed, whatever tags say. Scalars are
read by YAML 1.2's core rules, as in JSON, so that an element may be called NO or on. An alias
shares what it names; the bound is on the nodes that the document would have without aliases.

Cost: linear in the length of the text, some microseconds an event.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from sc_bridge.errors import LatticeError
from sc_bridge.expressions import shorten
from sc_bridge.readers.source import Source

MAX_NODES = 2_000_000  # with aliases written out
_MAX_NESTING = 100
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_NUMBER = re.compile(r"[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?\Z")
_WORDS = {"": None, "~": None, "null": None, "Null": None, "NULL": None}
_BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}


class Node(dict[str, Any]):
    """A mapping of the document with the place where it begins."""

    source: Source
    line: int

    @property
    def place(self) -> str:
        """File and line, for messages."""
        return f"{self.source.path}:{self.line}"


def copy_of(node: Node, *others: Node) -> Node:
    """Return a mapping with the keys of others, the last one's first; the place of the last."""
    result = Node(node)
    last = node
    for other in others:
        result.update(other)
        last = other
    result.source, result.line = last.source, last.line
    return result


@dataclass
class _Open:
    """A collection while its entries are being read."""

    value: Node | list[Any]
    anchor: str | None
    line: int
    size: int = 1
    key: str | None = None
    merged: list[Node] = field(default_factory=list)


def parse_document(source: Source) -> Any:
    """Return what YAML or JSON text holds: `Node`, list, str, float, bool or None.

    Raises
    ------
    LatticeError
        If it is not YAML, is nested too deeply, too large with its aliases, names a key twice
        in a mapping, or has tags.
    """
    composer = _Composer(source)
    try:
        for event in yaml.parse(source.text, Loader=_LOADER):
            composer.take(event)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{source.path}:{mark.line + 1}" if mark is not None else str(source.path)
        reason = getattr(error, "problem", None) or getattr(error, "reason", None) or "not text"
        raise LatticeError(f"{place}: not valid YAML or JSON: {shorten(reason)}") from None
    return composer.root


class _Composer:
    """Makes values of events, without recursion."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.root: Any = None
        self._documents = 0
        self._open: list[_Open] = []
        self._anchors: dict[str, tuple[Any, int]] = {}

    def take(self, event: Any) -> None:
        """Take the next event."""
        line = event.start_mark.line + 1
        if isinstance(event, yaml.DocumentStartEvent):
            if self._documents:
                raise LatticeError(f"{self.source.path}:{line}: a second document: keep one")
            self._documents += 1
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            self._check_tag(event, line)
            if len(self._open) >= _MAX_NESTING:
                raise LatticeError(
                    f"{self.source.path}:{line}: nested more than {_MAX_NESTING} levels deep"
                )
            value: Node | list[Any] = []
            if isinstance(event, yaml.MappingStartEvent):
                value = Node()
                value.source, value.line = self.source, line
            self._open.append(_Open(value, event.anchor, line))
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            done = self._open.pop()
            self._close(done)
            self._put(done.value, done.size, done.anchor, done.line)
        elif isinstance(event, yaml.ScalarEvent):
            self._check_tag(event, line)
            plain = not event.style and event.implicit[0]
            top = self._open[-1] if self._open else None
            if top is not None and isinstance(top.value, Node) and top.key is None:
                self._key(top, event.value, line)
            else:
                value = _scalar(event.value) if plain else event.value
                self._put(value, 1, event.anchor, line)
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise LatticeError(f"{self.source.path}:{line}: alias *{event.anchor} unknown")
            value, size = self._anchors[event.anchor]
            self._put(value, size, None, line)

    def _check_tag(self, event: Any, line: int) -> None:
        if event.tag is not None and event.tag != "!":
            raise LatticeError(
                f"{self.source.path}:{line}: tag {shorten(event.tag)!r}: tags are not read: "
                "write the plain value"
            )

    def _key(self, top: _Open, key: str, line: int) -> None:
        if key in top.value and key != "<<":
            raise LatticeError(
                f"{self.source.path}:{line}: {shorten(key)!r} is defined twice in one mapping: "
                "keep one"
            )
        top.key = key

    def _put(self, value: Any, size: int, anchor: str | None, line: int) -> None:
        if anchor is not None:
            self._anchors[anchor] = (value, size)
        if not self._open:
            self.root = value
            return
        top = self._open[-1]
        top.size += size
        if top.size > MAX_NODES:
            raise LatticeError(
                f"{self.source.path}:{line}: more than {MAX_NODES} values with aliases: refused"
            )
        if isinstance(top.value, list):
            top.value.append(value)
        elif top.key is None:
            raise LatticeError(f"{self.source.path}:{line}: a name must be plain text")
        elif top.key == "<<":
            parents = value if isinstance(value, list) else [value]
            if not all(isinstance(parent, Node) for parent in parents):
                raise LatticeError(f"{self.source.path}:{line}: << takes mappings")
            top.merged.extend(parents)
            top.key = None
        else:
            top.value[top.key] = value
            top.key = None

    def _close(self, done: _Open) -> None:
        for parent in done.merged:  # the first one wins, and own keys before all
            for key, value in parent.items():
                if isinstance(done.value, Node):
                    done.value.setdefault(key, value)


def _scalar(text: str) -> Any:
    if text in _WORDS:
        return None
    if text in _BOOLS:
        return _BOOLS[text]
    return float(text) if _NUMBER.match(text) else text
