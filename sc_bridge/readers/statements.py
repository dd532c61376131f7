"""Statements of a text format: comments blanked, split where the grammar says, places kept."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sc_bridge.errors import LatticeError

from .source import Source


@dataclass(frozen=True)
class Statement:
    """One statement: its text without comments, and where it begins.

    Parameters
    ----------
    text : str
        Stripped; not empty.
    source : Source
    offset : int
        Position in the source of the first character.
    """

    text: str
    source: Source
    offset: int

    @property
    def line(self) -> int:
        """Line number in the source."""
        return self.source.line(self.offset)

    @property
    def place(self) -> str:
        """File and line, for messages."""
        return f"{self.source.path}:{self.line}"


@dataclass(frozen=True)
class StatementSyntax:
    """Where statements end and what is a comment.

    Parameters
    ----------
    line_comments : tuple of str
        What begins a comment that the end of the line ends, such as "!".
    block_comments : tuple of (str, str)
        Pairs that enclose a comment, such as ("/*", "*/"); they do not nest.
    quotes : str
        Characters that enclose text in which nothing else has a meaning.
    terminator : str
        One character, such as ";".
    brackets : str
        Pairs of characters inside which a terminator ends nothing.
    block : pattern, optional
        Statements whose text begins like this end with their closing "}".
    """

    line_comments: tuple[str, ...] = ("!",)
    block_comments: tuple[tuple[str, str], ...] = ()
    quotes: str = "\"'"
    terminator: str = ";"
    brackets: str = "{}"
    block: str | None = None


def blank_comments(source: Source, syntax: StatementSyntax) -> str:
    """Return the text with blanks in place of comments, so that positions stay.

    Raises
    ------
    LatticeError
        If a block comment is not closed.
    """

    def blank(match: re.Match[str]) -> str:
        if match["comment"] is not None:
            return re.sub(r"[^\n]", " ", match[0])
        if match["open"] is not None:
            raise LatticeError(
                f"{source.place(match.start())}: {match[0]!r} begins a comment that never ends"
            )
        return match[0]

    return _comments(syntax).sub(blank, source.text)


@functools.lru_cache
def _comments(syntax: StatementSyntax) -> re.Pattern[str]:
    comments = [rf"{re.escape(begin)}[^\n]*" for begin in syntax.line_comments]
    for begin, end in syntax.block_comments:
        comments.append(rf"{re.escape(begin)}.*?{re.escape(end)}")
    opened = "|".join(re.escape(begin) for begin, _ in syntax.block_comments) or r"(?!)"
    # A quote that its line does not close is a character like any other.
    quoted = "|".join(rf"{q}[^{q}\n]*{q}" for q in syntax.quotes) or r"(?!)"
    return re.compile(
        rf"(?P<comment>{'|'.join(comments) or '(?!)'})|(?P<open>{opened})|{quoted}", re.DOTALL
    )


def split_statements(
    source: Source, syntax: StatementSyntax, text: str | None = None, start: int = 0
) -> Iterator[Statement]:
    """Split a text into statements; the last one needs no terminator.

    Parameters
    ----------
    source : Source
    syntax : StatementSyntax
    text : str, optional
        A part of the source's text, comments blanked, that begins at `start`; by default all.
    start : int

    Raises
    ------
    LatticeError
        If a comment or a bracket is not closed, or one closes that was not opened.
    """
    if text is None:
        text = blank_comments(source, syntax)
    opening, closing = syntax.brackets[::2], syntax.brackets[1::2]
    block = re.compile(syntax.block, re.IGNORECASE) if syntax.block else None
    open_at: list[int] = []
    begin = 0
    for match in _marks(syntax).finditer(text):
        mark = match[0]
        if mark in opening:
            open_at.append(match.start())
        elif mark in closing:
            if not open_at:
                raise LatticeError(f"{source.place(start + match.start())}: {mark!r} not opened")
            open_at.pop()
            if mark == "}" and not open_at and block and block.match(text, _skip(text, begin)):
                yield from _statement(text, begin, match.end(), source, start)
                begin = match.end()
        elif mark == syntax.terminator and not open_at:
            yield from _statement(text, begin, match.start(), source, start)
            begin = match.end()
    if open_at:
        mark = text[open_at[-1]]
        raise LatticeError(f"{source.place(start + open_at[-1])}: {mark!r} is never closed")
    yield from _statement(text, begin, len(text), source, start)


@functools.lru_cache
def _marks(syntax: StatementSyntax) -> re.Pattern[str]:
    quoted = [rf"{q}[^{q}\n]*{q}" for q in syntax.quotes]
    return re.compile("|".join([*quoted, f"[{re.escape(syntax.terminator + syntax.brackets)}]"]))


_BLANK = re.compile(r"\s*")


def _skip(text: str, begin: int) -> int:
    match = _BLANK.match(text, begin)
    return match.end() if match else begin


def _statement(text: str, begin: int, end: int, source: Source, start: int) -> Iterator[Statement]:
    first = _skip(text, begin)
    stripped = text[first:end].rstrip()
    if stripped:
        yield Statement(stripped, source, start + first)


def logical_lines(
    source: Source,
    syntax: StatementSyntax,
    continues: Callable[[str], bool],
    join: str = " ",
) -> Iterator[Statement]:
    """Split a text into lines, joined where one continues on the next.

    Parameters
    ----------
    source : Source
    syntax : StatementSyntax
        Its comments count, and "&" at the end of a line, which is taken away.
    continues : callable
        Tells of a line without comment whether the next one belongs to it; "&" always does.
    join : str
        What stands between the parts: "" where a name may be cut in two.
    """
    parts: list[str] = []
    offset = begin = 0
    for line in blank_comments(source, syntax).splitlines(keepends=True):
        text = line.rstrip()
        if not parts:
            begin = offset + _skip(line, 0)
        offset += len(line)
        # a line of comment between the parts ends nothing
        if parts and not text and source.text[offset - len(line) : offset].strip():
            continue
        more = text.endswith("&")
        parts.append(text.removesuffix("&").rstrip() if join else text.removesuffix("&"))
        if more or (text.strip() and continues(text)):
            continue
        joined = join.join(parts).strip()
        parts = []
        if joined:
            yield Statement(joined, source, begin)
    joined = join.join(parts).strip()
    if joined:
        yield Statement(joined, source, begin)


_ESCAPED = re.compile(r"\"[^\"\n]*\"|'[^'\n]*'|[()\[\]{}]")


def split_list(text: str, separator: str = ",") -> list[str]:
    """Split at a separator outside of brackets and quotes; parts are stripped.

    Examples
    --------
    >>> split_list("l=2, knl={0, 1}, at=f(1, 2)")
    ['l=2', 'knl={0, 1}', 'at=f(1, 2)']
    """
    if separator not in text:
        return [text.strip()]
    parts, depth, begin = [], 0, 0
    for match in _separators(separator).finditer(text):
        mark = match[0]
        if mark in "([{":
            depth += 1
        elif mark in ")]}":
            depth -= 1
        elif mark == separator and depth <= 0:
            parts.append(text[begin : match.start()].strip())
            begin = match.end()
    parts.append(text[begin:].strip())
    return parts


@functools.lru_cache
def _separators(separator: str) -> re.Pattern[str]:
    return re.compile(rf"{_ESCAPED.pattern}|{re.escape(separator)}")
