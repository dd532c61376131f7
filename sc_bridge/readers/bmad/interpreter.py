"""Statements of a Bmad deck, in order: what they define, and which files they call."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from sc_bridge.errors import LatticeError
from sc_bridge.expressions import shorten
from sc_bridge.readers.options import Losses
from sc_bridge.readers.source import Source, SourceFiles
from sc_bridge.readers.statements import (
    Statement,
    StatementSyntax,
    logical_lines,
    split_list,
)

from .deck import Deck, Template
from .dialect import CONSTANTS
from .types import CONTROLS, GLOBAL

SYNTAX = StatementSyntax(line_comments=("!",))
_CONTINUES = re.compile(r"[,({=+\-*/^]\s*\Z")
_NAME = r"[A-Za-z_][\w.\\#]*"
_SETTING = re.compile(
    r"\s*([\w.*%\\#:]+)\s*\[([^\]]+)\]\s*(\(\s*\d+\s*\))?\s*:?=\s*(.*)\Z", re.DOTALL
)
_ASSIGNMENT = re.compile(
    rf"\s*(?:redef\s*:\s*|parser_debug\s+)?({_NAME})\s*:?=\s*(.*)\Z", re.DOTALL | re.IGNORECASE
)
_DEFINITION = re.compile(rf"\s*({_NAME}|\"[^\"]*\")\s*(\([^()]*\))?\s*:\s*(.*)\Z", re.DOTALL)
_LINE = re.compile(
    r"(line|list)\s*(\[\s*multipass\s*\])?\s*=\s*\((.*)\)\s*\Z", re.DOTALL | re.IGNORECASE
)
_BRACED = re.compile(r"([\w.]+)\s*=\s*\{(.*)\}\Z", re.DOTALL)
_VARIABLE = re.compile(r"\$(\w+|\{\w+\})")

# Commands that change nothing here.
_HARMLESS = frozenset(
    {
        "expand_lattice", "no_digested", "print", "debug", "parser_debug", "title",
        "no_superimpose_check", "write_digested", "calc_reference_orbit", "ran_seed",
        "start_branch_at_marker", "end_marker", "warn",
    }
)  # fmt: skip
# Commands that end a file.
_ENDS = frozenset({"return", "end_file"})
_CHANGES = {
    "slice_lattice": "the cut of the lattice",
    "remove_elements": "the removal of elements",
    "merge_elements": "the merging of elements",
    "combine_consecutive_elements": "the combination of elements",
}


class Interpreter:
    """Reads the statements of given files.

    Parameters
    ----------
    files : SourceFiles
    losses : Losses
    """

    def __init__(self, files: SourceFiles, losses: Losses) -> None:
        self.files = files
        self.deck = Deck(losses)

    def run(self) -> Deck:
        """Read everything."""
        for source in self.files.open_given():
            waiting = [self._statements(source)]
            while waiting:  # a stack of files that call each other
                statement = next(waiting[-1], None)
                if statement is None or statement.text.lower() in _ENDS:
                    waiting.pop()
                    continue
                called = self._take(statement)
                if called is not None:
                    waiting.append(self._statements(called))
        return self.deck

    def _statements(self, source: Source) -> Iterator[Statement]:
        lines = logical_lines(source, SYNTAX, lambda text: _CONTINUES.search(text) is not None)
        for line in lines:
            if line.text.lower() == "title":
                next(lines, None)  # the title is the next line
                continue
            for part in split_list(line.text, ";"):
                if part:
                    yield Statement(part, source, line.offset)

    def _take(self, statement: Statement) -> Source | None:
        text = statement.text
        word = re.split(r"[\s,=:\[(]", text, maxsplit=1)[0].lower()
        if word in ("call", "use") and not re.match(r"\w+\s*[:\[]", text):
            return self._command(word, statement)
        setting = _SETTING.match(text)
        if setting is not None:
            self._set(setting, statement)
            return None
        assignment = _ASSIGNMENT.match(text)
        definition = _DEFINITION.match(text)
        if assignment is not None and word not in ("title",):
            self._assign(assignment[1].lower(), assignment[2], statement.place)
        elif definition is not None and word not in _HARMLESS:
            self._define(definition, statement)
        else:
            self._other(word, statement)
        return None

    def _command(self, word: str, statement: Statement) -> Source | None:
        rest = statement.text[len(word) :].strip().lstrip(",").strip()
        if word == "use":
            self.deck.used = [name.strip().lower() for name in split_list(rest) if name]
            return None
        name = re.sub(r"\A(file)?(name)?\s*=\s*", "", rest, flags=re.IGNORECASE).strip("'\" ")
        name = _VARIABLE.sub(lambda match: self._environment(match, statement.place), name)
        return self.files.called(name, statement.source, statement.place)

    def _environment(self, match: re.Match[str], place: str) -> str:
        name = match[1].strip("{}")
        if name not in os.environ:
            raise LatticeError(f"{place}: ${name} is not set: set it in the environment")
        return os.environ[name]

    def _other(self, word: str, statement: Statement) -> None:
        place = statement.place
        if word in _HARMLESS or word in _ENDS:
            return
        if word in _CHANGES:
            self.deck.losses.leave_out(word, place=place, name=word, what=_CHANGES[word])
            return
        parts = split_list(statement.text)
        if word in GLOBAL:  # "beam, particle = electron, energy = 5"
            attributes = self.deck.read_attributes(parts[1:], place)
            self.deck.elements[word].attributes.update(attributes)
            return
        targets = self.deck.matching(parts[0].strip().lower(), place)
        if targets and len(parts) > 1:  # MAD's "q1, k1 = 3"
            for element in targets:
                element.attributes.update(self.deck.read_attributes(parts[1:], place))
            return
        raise LatticeError(f"{place}: {shorten(statement.text)!r} is not understood")

    def _assign(self, name: str, text: str, place: str) -> None:
        if name in CONSTANTS:
            self.deck.losses.warn(place, f"{name!r} is a constant and keeps its value")
            return
        self.deck.assign(name, text, place)

    def _set(self, match: re.Match[str], statement: Statement) -> None:
        place, key = statement.place, "".join(match[2].split()).lower()
        for pattern in split_list(match[1].lower()):
            if "##" in pattern or "\\" in pattern:
                self.deck.losses.leave_out(
                    "##", place=place, name=pattern, what="a setting of one occurrence"
                )
                continue
            targets = self.deck.matching(pattern, place)
            if not targets and not re.search(r"[*%:]", pattern):
                raise LatticeError(f"{place}: {pattern}[{key}]: no element {pattern!r} is defined")
            if not targets:
                self.deck.losses.warn(place, f"{pattern!r} matches no element")
            full = key + "".join((match[3] or "").split())
            for element in targets:
                element.attributes[full] = self.deck.attribute(key, match[4].strip(), place)

    def _define(self, match: re.Match[str], statement: Statement) -> None:
        name, rest, place = match[1].strip('"').lower(), match[3], statement.place
        line = _LINE.match(rest)
        if line is not None:
            arguments = tuple(a.lower() for a in split_list((match[2] or "()")[1:-1]) if a)
            multipass, is_list = line[2] is not None, line[1].lower() == "list"
            self.deck.lines[name] = Template(
                name, line[3].lower(), place, arguments, multipass, is_list
            )
            self.deck.elements.pop(name, None)
            return
        parts = split_list(rest)
        body, word = "", parts[0].strip().lower()
        braced = _BRACED.match(parts[0])
        if braced is not None and braced[1].lower() in CONTROLS:
            word, body = braced[1].lower(), braced[2].lower()
        self.deck.lines.pop(name, None)
        self.deck.define(name, word, self.deck.read_attributes(parts[1:], place), statement, body)
