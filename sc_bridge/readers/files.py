"""Text of a file, within bounds, and JSON in it with places."""

from __future__ import annotations

import gzip
import json
import math
import re
import stat
import zlib
from pathlib import Path
from typing import Any, BinaryIO

from sc_bridge.errors import LatticeError
from sc_bridge.expressions import shorten

MAX_BYTES = 256 * 2**20  # also bounds what a compressed file may unpack to


def read_text(path: Path, otherwise: str | None = None) -> str:
    """Return the text of a file, unpacked if its name ends in `.gz`.

    Parameters
    ----------
    path : Path
    otherwise : str, optional
        Encoding of text that is not UTF-8.

    Raises
    ------
    LatticeError
        If it does not exist, cannot be read, is too large, or is not UTF-8 text.
    """
    _check_regular(path)
    try:
        with open(path, "rb") as raw:
            if path.name.lower().endswith(".gz"):
                with gzip.open(raw) as unpacked:
                    data = _bounded(unpacked, path)  # pyright: ignore[reportArgumentType]
            else:
                data = _bounded(raw, path)
    except FileNotFoundError:
        raise LatticeError(f"lattice file {path} does not exist") from None
    except IsADirectoryError:
        raise LatticeError(f"lattice file {path} is a folder: name a file in it") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise LatticeError(f"{path}: not a whole gzip file: {error}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise LatticeError(f"lattice file {path} cannot be read: {reason}") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if otherwise is not None and b"\0" not in data:
            return data.decode(otherwise, errors="replace")
        raise LatticeError(f"{path}: not a text file: byte {error.start} is not UTF-8") from None


def _check_regular(path: Path) -> None:
    """Refuse pipes and devices before they are opened: they may never end, or never begin."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return  # opening it tells why
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise LatticeError(f"lattice file {path} is no regular file: save it to one first")


def _bounded(file: BinaryIO, path: Path) -> bytes:
    data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise LatticeError(f"{path}: more than {MAX_BYTES // 2**20} MiB of text: too large to read")
    return data


def parse_json(text: str, source: str) -> Any:
    """Return what JSON text holds.

    Raises
    ------
    LatticeError
        If it is not JSON, names one key twice in an object, or is too deeply nested.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) < len(pairs):
            seen: set[str] = set()
            again = next(key for key, _ in pairs if key in seen or seen.add(key))
            raise LatticeError(f"{source}: {shorten(repr(again))} is defined twice: keep one")
        return result

    try:
        return json.loads(text, object_pairs_hook=unique, parse_int=_integer)
    except json.JSONDecodeError as error:
        raise LatticeError(
            f"{source}:{error.lineno}:{error.colno}: not valid JSON: {error.msg}"
        ) from None
    except RecursionError:
        raise LatticeError(f"{source}: not a lattice: too deeply nested") from None


def _integer(digits: str) -> int | float:
    """An integer, or an infinite float where no float could hold it (refused as not finite)."""
    return int(digits) if len(digits) < 300 else math.copysign(math.inf, float(digits))


_TOKEN = re.compile(r'"([^"\\]*(?:\\.[^"\\]*)*)"(\s*:)?|[{}\[\]]', re.DOTALL)


def lines_of_keys(text: str, parent: str) -> dict[str, int]:
    """Return the line of every key in the objects called `parent`, in valid JSON text.

    Where the text is one line there is nothing to tell, and the result is empty.
    """
    if "\n" not in text.strip():
        return {}
    keys: list[str] = [""]  # the last key seen at each depth
    lines: dict[str, int] = {}
    number, last = 1, 0
    for token in _TOKEN.finditer(text):
        if token[0] in "{[":
            keys.append("")
        elif token[0] in "}]":
            keys.pop()
        elif token[2]:
            keys[-1] = token[1]
            if len(keys) > 1 and keys[-2] == parent:
                number += text.count("\n", last, token.start())
                last = token.start()
                name = json.loads(f'"{token[1]}"') if "\\" in token[1] else token[1]
                lines.setdefault(name, number)
    return lines
