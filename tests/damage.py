"""Damage to the text of a file, as editors, disks, converters and enemies do it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

from hypothesis import strategies as st

_TOKEN = re.compile(r"[A-Za-z_][\w.]*|\d+(?:\.\d*)?(?:[eEdD][+-]?\d+)?|\s+|.", re.DOTALL)
_NUMBER = re.compile(r"(?<![\w.])[+-]?(?:\d+\.?\d*|\.\d+)(?:[eEdD][+-]?\d+)?")
_WORD = re.compile(r"[A-Za-z_]\w*")

# What stands in the place of a number.
NUMBERS = (
    "0", "-1", "1e400", "-1e308", "nan", "inf", "-inf", "1e-320", "9" * 400, "0x7f", "1_000", "1d3",
    "999999999", "1e9", "-0.0", "1e300", "--1", "1.2.3", ".", "", "true", "null", "1j", "007",
)  # fmt: skip
# What stands anywhere.
PIECES = (
    "(", ")", "[", "]", "{", "}", ",", ";", ":", "=", ":=", "/", "*", "-", "+", "^", "**",
    "\n", "\\",
    "&\n", "'", '"', "#", "!", "%", "//", "/*", "\0", "\r", "\t", "\x0b", "\x0c", "\u2028",
    "\ufeff",
    "é", "µ", "٣", "²", "𝟘", "\u202e", "None", "true", "1e400", "9" * 30, "2**9**9**9", "sqrt(-1)",
    "1/0", "__import__('os')", "a" * 300,
)  # fmt: skip
# A nest of these is put around or in the place of a token.
_NESTS = (("(", ")"), ("[", "]"), ("{", "}"), ("-", ""), ("sin(", ")"), ('{"a":', "}"), ("- ", ""))
_DEPTHS = (2, 30, 101, 250, 1200, 20_000)


def _tokens(random: Random, text: str, pieces: Sequence[str]) -> str:
    """Delete, double, exchange or insert tokens."""
    return _parts(random, _TOKEN.findall(text), pieces)


def _lines(random: Random, text: str, pieces: Sequence[str]) -> str:
    """Delete, double, exchange or insert lines."""
    return _parts(random, text.splitlines(keepends=True), pieces)


def _parts(random: Random, parts: list[str], pieces: Sequence[str]) -> str:
    if not parts:
        return random.choice(pieces)
    here, there = random.randrange(len(parts)), random.randrange(len(parts))
    match random.randrange(5):
        case 0:
            del parts[here : here + random.choice((1, 1, 2, 5))]
        case 1:
            parts[here] *= random.choice((2, 3))
        case 2:
            parts[here], parts[there] = parts[there], parts[here]
        case 3:
            parts.insert(here, parts[there])
        case _:
            parts.insert(here, random.choice(pieces))
    return "".join(parts)


def _truncate(random: Random, text: str, pieces: Sequence[str]) -> str:
    return text[: random.randrange(len(text) + 1)]


def _number(random: Random, text: str, pieces: Sequence[str]) -> str:
    """Put a strange number in the place of one."""
    return _replace(random, text, _NUMBER, lambda old: random.choice(NUMBERS))


def _word(random: Random, text: str, pieces: Sequence[str]) -> str:
    """Put another word of the text in the place of one."""
    words = _WORD.findall(text) or ["x"]
    return _replace(random, text, _WORD, lambda old: random.choice(words))


def _nest(random: Random, text: str, pieces: Sequence[str]) -> str:
    """Put a token into many brackets."""
    begin, end = random.choice(_NESTS)
    depth = random.choice(_DEPTHS)
    return _replace(random, text, _TOKEN, lambda old: begin * depth + old + end * depth)


def _piece(random: Random, text: str, pieces: Sequence[str]) -> str:
    """Put a piece in the place of a few characters."""
    begin = random.randrange(len(text) + 1)
    end = begin + random.choice((0, 0, 1, 3, 40))
    return text[:begin] + random.choice(pieces) + text[end:]


# What stands in the place of a value of JSON.
_VALUES = (
    None, True, "", "x", "1e3", "1 m",
    "a*b", [], {}, [[]], -1, 0, 1.5, 1e308, -1e300, 10**9, 10**400,
    float("nan"), float("inf"), [1, "x"], {"a": {}}, [1.0] * 2000, "vars['a']", "\ud800", "\0",
)  # fmt: skip


def _tree(random: Random, text: str, pieces: Sequence[str]) -> str:
    """Change, delete, move or rename values of JSON; other text gets strange numbers."""
    try:
        root = json.loads(text)
    except (ValueError, RecursionError):
        return _number(random, text, pieces)
    places = list(_places(root))
    if not places:
        return text
    for _ in range(random.choice((1, 1, 2))):
        (holder, key), (other, where) = random.choice(places), random.choice(places)
        _change(random, holder, key, other, where)
    try:
        return json.dumps(root)
    except (ValueError, RecursionError):  # it holds itself by now
        return text


def _change(random: Random, holder: Any, key: Any, other: Any, where: Any) -> None:
    try:
        match random.randrange(6):
            case 0:
                del holder[key]
            case 1:
                holder[key] = other[where]
            case 2 if isinstance(holder, dict):
                holder[random.choice((str(where), "length", "x"))] = holder.pop(key)
            case _:
                holder[key] = random.choice(_VALUES)
    except (KeyError, IndexError):
        pass  # deleted before


def _places(root: Any) -> Iterator[tuple[Any, Any]]:
    """Every value of JSON, by what holds it and the key there."""
    waiting = [root]
    while waiting:
        holder = waiting.pop()
        keys: Any = holder if isinstance(holder, dict) else ()
        for key in list(keys) or (range(len(holder)) if isinstance(holder, list) else ()):
            yield holder, key
            waiting.append(holder[key])


def _replace(
    random: Random, text: str, pattern: re.Pattern[str], make: Callable[[str], str]
) -> str:
    """Replace one match of a pattern."""
    found = list(pattern.finditer(text))
    if not found:
        return text
    match = random.choice(found)
    return text[: match.start()] + make(match[0]) + text[match.end() :]


_DAMAGES = (_tokens, _tokens, _lines, _truncate, _number, _number, _word, _nest, _piece, _piece,
            _tree, _tree, _tree, _tree)  # fmt: skip
_ENCODINGS = ("utf-16", "utf-8-sig", "latin-1", "utf-32")


def damage(random: Random, text: str, pieces: Sequence[str]) -> bytes:
    """Return the text damaged in one to five places, as bytes."""
    for _ in range(random.choice((1, 1, 1, 2, 3, 5))):
        text = random.choice(_DAMAGES)(random, text, pieces)
    match random.randrange(20):
        case 0:
            return text.encode(random.choice(_ENCODINGS), errors="replace")
        case 1:
            return text.replace("\n", random.choice(("\r\n", "\r"))).encode()
        case 2:
            return _bytes(random, text.encode())
    return text.encode()


def _bytes(random: Random, data: bytes) -> bytes:
    """Change single bytes."""
    changed = bytearray(data or b"\0")
    for _ in range(random.choice((1, 3, 30))):
        changed[random.randrange(len(changed))] = random.randrange(256)
    return bytes(changed)


@st.composite
def damaged(draw: st.DrawFn, texts: Sequence[str], pieces: Sequence[str] = PIECES) -> bytes:
    """Draw one of several texts, damaged."""
    random = draw(st.randoms(use_true_random=False))
    return damage(random, random.choice(texts), pieces)


def damage_bytes(random: Random, data: bytes) -> bytes:
    """Return a binary file with bytes changed, put in or left out, or its end missing."""
    begin = random.randrange(len(data) + 1)
    end = begin + random.choice((1, 4, 8, 100))
    match random.randrange(5):
        case 0:
            return data[:begin]
        case 1:
            return data[:begin] + data[end:]
        case 2:
            return data[:begin] + bytes(random.choice((0, 255)) for _ in range(8)) + data[end:]
        case _:
            return _bytes(random, data)
