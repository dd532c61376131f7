"""What every reader is told, and the ledger of what it leaves out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from sc_bridge.errors import LatticeError
from sc_bridge.lattice import LeftOut

MAX_NOTES = 100  # a file of a million undefined names needs no million warnings

# Words of `allow` that mean the same in every format; a reader may also give the type or the
# attribute of the file, such as "WAKE" or "fint".
CATEGORIES = {
    "aperture": "apertures and scrapers",
    "beam-beam": "beam-beam kicks",
    "CSR": "coherent synchrotron radiation",
    "energy": "changes of the reference energy",
    "field map": "fields given as maps or profiles",
    "misalignment": "shifts and rotations",
    "radiation": "synchrotron radiation",
    "space charge": "the file's own space charge",
    "wake": "wake fields and impedances",
}


@dataclass(frozen=True)
class ReadOptions:
    """What the caller of `read_lattice` wants.

    Parameters
    ----------
    sequence : str, optional
        Name of the line or sequence; None where the file has only one.
    allow : frozenset of str
        What may be left out: words of `CATEGORIES`, or types and attributes of the format.
    allow_paths : tuple of Path
        Folders that `call` and `include` may reach, besides those of the given files.
    """

    sequence: str | None = None
    allow: frozenset[str] = frozenset()
    allow_paths: tuple[Path, ...] = ()


@dataclass
class Losses:
    """Ledger of what a reader does not carry over: refused, unless the caller allows it.

    Parameters
    ----------
    allow : frozenset of str
        Compared in any case.

    Examples
    --------
    >>> losses = Losses(options.allow)
    >>> losses.leave_out("CSR", place="f.lte:12", name="B1", what="CSR in the bend",
    ...                  also=("CSRCSBEND",))
    """

    allow: frozenset[str] = frozenset()
    left_out: list[LeftOut] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    _warned: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._allowed = {word.lower() for word in self.allow}

    def allows(self, *words: str) -> bool:
        """Whether the caller accepts a loss that goes by any of these words."""
        return any(word.lower() in self._allowed for word in words)

    def leave_out(
        self, word: str, *, place: str, name: str, what: str, also: Iterable[str] = ()
    ) -> None:
        """Note that something is left out.

        Parameters
        ----------
        word : str
            The word that accepts it: one of `CATEGORIES` where one fits.
        place : str
            File and line: `ring.madx:12`.
        name : str
            Of the element.
        what : str
            What would be lost, as in "bb1: the beam-beam kick would be lost".
        also : iterable of str
            Other words that accept it, such as the type in the file.

        Raises
        ------
        LatticeError
            If the caller does not allow it.
        """
        if not self.allows(word, *also):
            raise LatticeError(
                f"{place}: {name}: {what} would be lost: allow = [{word!r}] accepts that"
            )
        self.left_out.append(LeftOut(name, word, what, place))

    def warn(self, place: str, text: str) -> None:
        """Note what the caller should see, once for each text."""
        if text in self._warned:
            return
        self._warned.add(text)
        if len(self._warned) <= MAX_NOTES:
            self.warnings.append(f"{place}: {text}")


def single_file(paths: tuple[Path, ...], format: str) -> Path:
    """Return the one path of a format that is one file.

    Raises
    ------
    LatticeError
        If several are given.
    """
    if len(paths) != 1:
        shown = ", ".join(map(str, paths))
        raise LatticeError(f"{shown}: {len(paths)} files: a lattice in {format} is one file")
    return paths[0]


def choose_sequence(
    roots: Iterable[str], wanted: str | None, source: str, known: Iterable[str] = ()
) -> str:
    """Return the line to read: the wanted one, or the only root.

    Parameters
    ----------
    roots : iterable of str
        Lines that no other line uses.
    wanted : str, optional
        Compared in any case where no line has exactly that name.
    source : str
    known : iterable of str
        Every line of the file, where there are more than roots.

    Raises
    ------
    LatticeError
        If there is no such line, or none is wanted and there are several; it lists them.
    """
    candidates = list(dict.fromkeys(roots))
    every = list(dict.fromkeys([*candidates, *known]))
    shown = ", ".join(candidates[:40]) or "none"
    if wanted is not None:
        folded = {name.lower(): name for name in every}
        if wanted in every:
            return wanted
        if wanted.lower() in folded:
            return folded[wanted.lower()]
        raise LatticeError(f"{source}: no sequence {wanted!r}: the file holds {shown}")
    if len(candidates) != 1:
        raise LatticeError(
            f"{source}: the file holds {len(candidates)} sequences ({shown}): "
            "choose one with sequence="
        )
    return candidates[0]
