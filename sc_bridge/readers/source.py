"""Text of the files of a lattice with places, and the files that they call or include."""

from __future__ import annotations

import bisect
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sc_bridge.errors import LatticeError

from .files import read_text

MAX_FILES = 1000  # read in all, so that files that call each other twice come to an end
MAX_CALLS = 32  # depth of calls


@dataclass(frozen=True)
class Source:
    """One file's text.

    Parameters
    ----------
    path : Path
    text : str
    callers : tuple of Path
        Files that are being read while this one is, resolved; itself last.
    """

    path: Path
    text: str
    callers: tuple[Path, ...] = ()

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *(i + 1 for i, letter in enumerate(self.text) if letter == "\n")]

    def line(self, offset: int) -> int:
        """Line number, from 1, of a position in the text."""
        return bisect.bisect_right(self._starts, offset)

    def place(self, offset: int) -> str:
        """File and line of a position in the text: `ring.madx:12`."""
        return f"{self.path}:{self.line(offset)}"


def _real(path: Path) -> Path:
    """The path with links resolved as far as they lead; reading tells of those in a circle."""
    return Path(os.path.realpath(path))


class SourceFiles:
    """Opens the given files and those that they call, within their folders.

    A called file must lie in the folder tree of a given file or of an allowed path, links
    resolved; files cannot call each other in a circle.

    Parameters
    ----------
    given : sequence of Path
    allow_paths : iterable of Path
    encoding : str
        For text that is not UTF-8: old files have Latin-1 in their comments.
    """

    def __init__(
        self, given: Sequence[Path], allow_paths: Iterable[Path] = (), encoding: str = "latin-1"
    ) -> None:
        self.given = tuple(given)
        self.encoding = encoding
        self._roots = [_real(path).parent for path in self.given]
        self._roots += [_real(path) for path in allow_paths]
        self._count = 0

    @property
    def shown(self) -> str:
        """The given files, for messages."""
        return " + ".join(map(str, self.given))

    def open_given(self) -> list[Source]:
        """Return the given files in order."""
        return [Source(path, self._read(path), (_real(path),)) for path in self.given]

    def called(self, name: str, caller: Source, place: str) -> Source:
        """Return a file that another one calls.

        A relative name is looked for beside the calling file, then beside the given files.

        Parameters
        ----------
        name : str
            As the file has it, variables of the environment replaced.
        caller : Source
        place : str
            File and line of the call, for messages.

        Raises
        ------
        LatticeError
            If it is outside the allowed folders, missing, or being read already.
        """
        path, resolved = self._find(name, caller, place)
        if resolved in caller.callers:
            shown = " -> ".join(p.name for p in (*caller.callers, resolved))
            raise LatticeError(f"{place}: files call each other in a circle: {shown}")
        if len(caller.callers) > MAX_CALLS:
            raise LatticeError(f"{place}: calls are more than {MAX_CALLS} files deep")
        return Source(path, self._read(path), (*caller.callers, resolved))

    def _find(self, name: str, caller: Source, place: str) -> tuple[Path, Path]:
        folders = dict.fromkeys([caller.path.parent, *(path.parent for path in self.given)])
        try:
            candidates = [folder / name for folder in folders]
            resolved = [path.resolve() for path in candidates]
            inside = [any(r.is_relative_to(root) for root in self._roots) for r in resolved]
            for path, real, allowed in zip(candidates, resolved, inside, strict=True):
                if allowed and real.is_file():
                    return path, real
        except (OSError, ValueError, RuntimeError) as error:
            raise LatticeError(f"{place}: file {name!r} cannot be read: {error}") from None
        if not any(inside):
            raise LatticeError(
                f"{place}: file {name!r} is outside the folders of the given files: "
                f"allow_paths = [{str(resolved[0].parent)!r}] lets it be read"
            )
        raise LatticeError(f"{place}: file {name!r} does not exist in {candidates[0].parent}")

    def _read(self, path: Path) -> str:
        self._count += 1
        if self._count > MAX_FILES:
            raise LatticeError(f"{path}: more than {MAX_FILES} files called: refused")
        return read_text(path, self.encoding)
