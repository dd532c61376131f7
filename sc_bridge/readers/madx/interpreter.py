"""Statements of a MAD-X deck, in order: definitions, calls, conditions, loops, macros.

What changes no lattice (options, output, optics commands) is passed over by a table; what
changes one in a way that is not read here (errors, matching, thin slicing) is refused by line,
or left out where the caller allows that. A loop ends when a budget of statements is spent.

Cost: linear in the statements that are executed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from sc_bridge.errors import LatticeError
from sc_bridge.expressions import shorten
from sc_bridge.readers.options import Losses
from sc_bridge.readers.source import Source, SourceFiles
from sc_bridge.readers.statements import Statement, split_list, split_statements

from .commands import BLOCKS, CHANGES, COMMANDS, is_harmless
from .conditions import is_true
from .deck import Deck, Entry, MadSequence
from .dialect import NAME, SYNTAX
from .edits import EDITS, Edit, Editing
from .lines import read_line
from .variables import parse, split_assignment

MAX_EXECUTED = 30_000  # statements inside of loops and macros
MAX_NESTING = 50  # of blocks, macros and calls in each other


class Flow(Enum):
    """What happens after a statement."""

    NEXT = 0
    RETURN = 1  # ends the file that is called
    STOP = 2  # ends everything


@dataclass(frozen=True)
class Macro:
    """A macro: names of its arguments, and the text of its body where it stands."""

    arguments: tuple[str, ...]
    body: Statement


_BLOCK = re.compile(r"(if|elseif|else|while)\b\s*", re.IGNORECASE)
_MACRO = re.compile(
    rf"(?P<name>{NAME})\s*(\((?P<args>[^)]*)\))?\s*:\s*macro\s*=?\s*\{{", re.IGNORECASE
)
_LINE = re.compile(
    rf"(?P<name>{NAME})\s*(\((?P<args>[^)]*)\))?\s*:\s*line\s*:?=\s*(?P<body>.*)",
    re.IGNORECASE | re.DOTALL,
)
_LABEL = re.compile(rf"(?P<name>\"?{NAME}\"?)\s*:(?!=)\s*(?P<rest>.*)", re.DOTALL)
_VARIABLE = re.compile(
    rf"(?P<kind>((const|real|int|shared)\s+)*)(?P<name>{NAME})\s*:?=", re.IGNORECASE
)
_SET = re.compile(rf"(?P<name>{NAME})\s*->\s*(?P<key>[A-Za-z_]\w*)\s*:?=", re.IGNORECASE)


class Interpreter:
    """Runs the statements of the given files into a `Deck`.

    Parameters
    ----------
    files : SourceFiles
    losses : Losses
    """

    def __init__(self, files: SourceFiles, losses: Losses) -> None:
        self.files = files
        self.losses = losses
        self.deck = Deck(losses)
        self.macros: dict[str, Macro] = {}
        self.open: MadSequence | None = None  # the sequence being defined
        self.edited: Editing | None = None  # the sequence of a seqedit
        self.until: str | None = None  # the command that ends a block that is passed over
        self.budget = MAX_EXECUTED
        self.depth = 0
        self.chain: bool | None = None  # whether a branch of the present if was taken

    def run(self) -> Deck:
        """Run all given files.

        Raises
        ------
        LatticeError
            Where a statement is not understood, cannot be decided, or would be lost.
        """
        for source in self.files.open_given():
            if self.run_file(source) is Flow.STOP:
                break
        if self.open is not None:
            raise LatticeError(f"{self.open.place}: sequence {self.open.name} has no endsequence")
        return self.deck

    def run_file(self, source: Source) -> Flow:
        """Run one file; `return` ends it."""
        flow = self.run_all(split_statements(source, SYNTAX))
        return Flow.NEXT if flow is Flow.RETURN else flow

    def run_all(self, statements: Iterable[Statement]) -> Flow:
        """Run statements until one says otherwise."""
        self.depth += 1
        chain, self.chain = self.chain, None
        if self.depth > MAX_NESTING:
            raise LatticeError(f"{self.files.shown}: more than {MAX_NESTING} blocks in each other")
        for statement in statements:
            flow = self.execute(statement)
            if flow is not Flow.NEXT:
                break
        else:
            flow = Flow.NEXT
        self.depth -= 1
        self.chain = chain
        return flow

    def execute(self, statement: Statement) -> Flow:
        """Run one statement."""
        text = statement.text
        first = split_head(text)
        if self.until is not None:
            self.pass_over(first, statement)
            return Flow.NEXT
        if (block := _BLOCK.match(text)) and "{" in text:
            return self.run_block(block, statement)
        self.chain = None
        if match := _MACRO.match(text):
            args = tuple(a.strip().lower() for a in (match["args"] or "").split(",") if a.strip())
            self.macros[match["name"].lower()] = Macro(args, _inside(statement))
        elif match := _LINE.match(text):
            read_line(self.deck, match, statement.place)
        elif match := _SET.match(text):
            self.set_attribute(match, statement)
        elif match := _VARIABLE.match(text):
            self.assign(match, statement)
        elif match := _LABEL.match(text):
            self.define(match["name"].strip('"').lower(), match["rest"], statement)
        else:
            return self.command(first, statement)
        return Flow.NEXT

    # ---- blocks --------------------------------------------------------------------------

    def run_block(self, block: re.Match[str], statement: Statement) -> Flow:
        word = block[1].lower()
        condition = statement.text[block.end() : statement.text.index("{")].strip()
        body = _inside(statement)
        if word == "while":
            return self.run_while(condition, body, statement.place)
        if word == "if":
            taken = False
        elif self.chain is None:
            raise LatticeError(f"{statement.place}: {word} without an if before it")
        else:
            taken = self.chain
        go = not taken and (word == "else" or is_true(self.deck, condition, statement.place))
        flow = self.run_body(body) if go else Flow.NEXT
        self.chain = None if word == "else" else taken or go
        return flow

    def run_while(self, condition: str, body: Statement, place: str) -> Flow:
        while is_true(self.deck, condition, place):
            self.spend(place)
            flow = self.run_body(body)
            if flow is not Flow.NEXT:
                return flow
        return Flow.NEXT

    def run_body(self, body: Statement) -> Flow:
        inner = split_statements(body.source, SYNTAX, body.text, body.offset)
        return self.run_all(self._counted(inner, body.place))

    def _counted(self, statements: Iterable[Statement], place: str) -> Iterable[Statement]:
        for statement in statements:
            self.spend(place)
            yield statement

    def spend(self, place: str) -> None:
        self.budget -= 1
        if self.budget < 0:
            raise LatticeError(
                f"{place}: more than {MAX_EXECUTED} statements executed in loops and macros: "
                "write out what they define"
            )

    def run_macro(self, text: str, statement: Statement) -> Flow:
        """Run `name(1, $x)`: arguments replace their names wherever they occur in the body."""
        match = re.match(rf"\s*(?P<name>{NAME})\s*(\((?P<args>.*)\))?\s*\Z", text, re.DOTALL)
        macro = self.macros.get(match["name"].lower()) if match else None
        if match is None or macro is None:
            raise LatticeError(f"{statement.place}: macro {shorten(text)!r} is not defined")
        given = split_list(match["args"]) if (match["args"] or "").strip() else []
        if len(given) < len(macro.arguments):
            raise LatticeError(
                f"{statement.place}: macro {match['name']!r} takes {len(macro.arguments)} "
                f"arguments: {', '.join(macro.arguments)}"
            )
        body = macro.body.text
        for name, value in zip(macro.arguments, given, strict=False):
            if value.startswith("$"):
                place = f"{statement.place}: {value}"
                value = f"{self.deck.variables.evaluate(parse(value[1:], place), place):.12g}"
            body = re.sub(re.escape(name), lambda _, v=value: v, body, flags=re.IGNORECASE)
            if len(body) > _LONGEST:
                raise LatticeError(f"{statement.place}: macro {match['name']!r} grows too long")
        # Blank lines keep the lines of the body where they are in the file.
        padded = "\n" * (macro.body.line - 1) + body
        source = Source(macro.body.source.path, padded, macro.body.source.callers)
        return self.run_body(Statement(padded.strip(), source, len(padded) - len(padded.lstrip())))

    # ---- definitions ---------------------------------------------------------------------

    def assign(self, match: re.Match[str], statement: Statement) -> None:
        right, live = split_assignment(statement.text)
        name = match["name"].lower()
        if right[:1] in ("'", '"'):
            self.deck.variables.forget(name, f"{statement.place}: it is text")
            return
        tree = parse(right, f"{statement.place}: {name}")
        kind = " ".join(match["kind"].lower().split())
        if kind not in _QUALIFIERS:
            raise LatticeError(
                f"{statement.place}: {kind} {name}: MAD-X defines nothing by this: "
                f"write {'int' if 'int' in kind else 'real'} const {name} = ..."
            )
        self.deck.variables.assign(name, tree, statement.place, live, kind)

    def set_attribute(self, match: re.Match[str], statement: Statement) -> None:
        name, key = match["name"].lower(), match["key"].lower()
        rest = statement.text[match.start("key") :]
        attributes = self.deck.read_attributes([rest], statement.place)
        if name == "beam":
            self.deck.set_beam(attributes, statement.place)
        elif name in self.deck.elements:
            self.deck.update(name, {key: attributes[key]})
        else:
            raise LatticeError(f"{statement.place}: {name} -> {key}: no such element")

    def define(self, name: str, rest: str, statement: Statement) -> None:
        parts = split_list(rest)
        parent = parts[0].lower().strip('"')
        attributes = self.deck.read_attributes(parts[1:], statement.place)
        if parent == "sequence":
            self.open_sequence(name, attributes, statement)
            return
        if is_harmless(parent) or parent in COMMANDS:
            return  # a labelled command, such as a beta0
        if self.open is not None and name in self.deck.elements:
            # MAD-X ignores the second definition, and so the place is of the first.
            if any(key not in ("at", "from") for key in attributes):
                text = f"{name!r} is defined already: its definition in a sequence is ignored"
                self.losses.warn(statement.place, text)
        else:
            own = {k: v for k, v in attributes.items() if k not in ("at", "from")}
            self.deck.define(name, parent, own, statement)
        if self.open is not None:
            self.place_element(name, parts[1:], statement)

    def open_sequence(self, name: str, attributes: dict, statement: Statement) -> None:
        if self.open is not None:
            raise LatticeError(
                f"{statement.place}: sequence {name} begins inside of {self.open.name}: "
                "endsequence is missing"
            )
        self.open = MadSequence(name, attributes, statement.place)
        self.deck.sequences[name] = self.open
        self.deck.lines.pop(name, None)

    def place_element(self, name: str, parts: list[str], statement: Statement) -> None:
        sequence = self.open
        if sequence is None:
            return
        place = f"{statement.place}: {shorten(name, 60)}"
        if name not in self.deck.elements and name not in self.deck.sequences:
            if name not in self.deck.lines:
                raise LatticeError(f"{place}: no element or sequence of this name is defined")
            raise LatticeError(f"{place}: a line cannot be in a sequence: make it one")
        attributes = self.deck.read_attributes(parts, statement.place)
        at = attributes.get("at")
        origin = attributes.get("from")
        if at is None or not hasattr(at, "evaluate"):
            raise LatticeError(f"{place}: has no at = position in sequence {sequence.name}")
        sequence.entries.append(
            Entry(name, at, str(origin).lower() if origin else None, statement.place)  # pyright: ignore[reportArgumentType]
        )

    # ---- commands ------------------------------------------------------------------------

    def command(self, word: str, statement: Statement) -> Flow:
        parts = split_list(statement.text)
        if word == "endsequence":
            if self.open is None:
                raise LatticeError(f"{statement.place}: endsequence without a sequence")
            self.open = None
        elif self.open is not None and word not in _IN_SEQUENCE:
            self.place_element(parts[0].lower().strip('"'), parts[1:], statement)
        elif word in _FLOW:
            return _FLOW[word]
        elif word == "exec":
            return self.run_macro(statement.text[len(word) :].lstrip(" \t\n,"), statement)
        elif word in ("seqedit", "endedit"):
            self.edit(parts[1:], statement.place, begins=word == "seqedit")
        elif self.edited is not None and word in EDITS:
            Edit(self.edited, word, statement).run()
        elif word == "call":
            return self.call(parts[1:], statement)
        elif word in CHANGES:
            change = CHANGES[word]
            self.losses.leave_out(change.word, place=statement.place, name=word, what=change.what)
            self.until = change.until
        elif word in COMMANDS:
            COMMANDS[word](self.deck, parts[1:], statement.place)
        elif is_harmless(word):
            self.until = BLOCKS.get(word)
        elif parts[0].lower() in self.deck.elements:
            attributes = self.deck.read_attributes(parts[1:], statement.place)
            self.deck.update(parts[0].lower(), attributes)
        elif parts[0].lower() in self.deck.sequences:
            attributes = self.deck.read_attributes(parts[1:], statement.place)
            self.deck.sequences[parts[0].lower()].attributes.update(attributes)
        else:
            shown = shorten(statement.text, 60)
            self.losses.leave_out(
                word or "statement", place=statement.place, name=shown,
                what="a command that is not known and what it does",
            )  # fmt: skip
        return Flow.NEXT

    def edit(self, parts: list[str], place: str, begins: bool) -> None:
        """Begin or end the edits of a sequence."""
        if self.edited is not None:
            self.edited.end()
        self.edited = None
        if begins:
            name = str(self.deck.read_attributes(parts, place).get("sequence", "")).lower()
            if name not in self.deck.sequences:
                raise LatticeError(f"{place}: seqedit: sequence = {name!r} is not defined")
            self.edited = Editing(self.deck, self.deck.sequences[name])

    def call(self, parts: list[str], statement: Statement) -> Flow:
        attributes = self.deck.read_attributes(parts, statement.place)
        name = attributes.get("file", attributes.get("filename"))
        if not isinstance(name, str):
            raise LatticeError(f"{statement.place}: call: no file = name")
        return self.run_file(self.files.called(name, statement.source, statement.place))

    def pass_over(self, word: str, statement: Statement) -> None:
        """Inside of a block of commands that is not executed."""
        if word == self.until:
            self.until = None
        elif word == "vary":
            attributes = self.deck.read_attributes(split_list(statement.text)[1:], statement.place)
            name = str(attributes.get("name", "")).lower()
            self.deck.variables.forget(name, f"{statement.place}: it is the result of a match")


_QUALIFIERS = frozenset({"", "const", "real", "int", "real const", "int const"})
_LONGEST = 10**6  # characters of a macro after its arguments are put in
_IN_SEQUENCE = frozenset({"call", "exec", "return", "stop", "exit", "quit", "option", "value"})
_FLOW = {
    "return": Flow.RETURN,
    "stop": Flow.STOP,
    "exit": Flow.STOP,
    "quit": Flow.STOP,
}
_HEAD = re.compile(r"\"?([A-Za-z_][\w.$]*)")


def split_head(text: str) -> str:
    """Return the first word of a statement, lower case; "" if it begins otherwise."""
    match = _HEAD.match(text)
    return match[1].lower() if match else ""


def _inside(statement: Statement) -> Statement:
    """The part of a statement between its first { and its last }."""
    begin = statement.text.index("{") + 1
    end = statement.text.rindex("}")
    return Statement(statement.text[begin:end], statement.source, statement.offset + begin)
