"""What SixTrack's files say about a machine, filled block by block."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from sc_bridge.errors import LatticeError
from sc_bridge.expressions import shorten
from sc_bridge.lattice import ReferenceFields
from sc_bridge.readers.beamline import Item
from sc_bridge.readers.options import Losses
from sc_bridge.readers.source import Source

LINE = "structure"
MEGA = 1e6


@dataclass(frozen=True)
class Line:
    """One line of a block, split at blanks."""

    words: list[str]
    place: str
    continues: bool  # whether it begins with a blank

    def number(self, index: int) -> float:
        """Return a Fortran number.

        Raises
        ------
        LatticeError
            If there is none.
        """
        text = self.words[index] if index < len(self.words) else "nothing"
        try:
            value = float(text.lower().replace("d", "e"))
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise LatticeError(f"{self.place}: {shorten(text)!r} is no number (column {index + 1})")
        return value


@dataclass(frozen=True)
class Block:
    """A keyword's first four letters, upper case, and the lines up to NEXT."""

    keyword: str
    place: str
    lines: list[Line]


@dataclass(frozen=True)
class Single:
    """One single element: type and its numbers, which mean what the type says."""

    name: str
    type: int
    numbers: tuple[float, float, float]
    source: Source
    line: int

    @property
    def place(self) -> str:
        return f"{self.source.path}:{self.line}"


@dataclass(frozen=True)
class Multipoles:
    """A MULT block: mean strengths relative to a bend of `delta0` at the radius `r0`."""

    r0: float  # mm
    delta0: float  # mrad
    normal: list[float]
    skew: list[float]


@dataclass
class Machine:
    """All that the blocks say; what is not said is None or 0.

    Parameters
    ----------
    losses : Losses
    singles : dict of str to Single
    lines : dict of str to list of Item
        Blocks of elements, and the structure under `LINE`.
    multipoles : dict of str to Multipoles
    place : str
        File and line of the structure.
    periods : int
        Superperiods that the structure makes.
    energy, mass0 : float, eV
    charge : float, elementary charges
    harmonic : float
    voltage : float, MV
        Of the element CAV.
    transition : int
        1 above, -1 below.
    """

    losses: Losses
    singles: dict[str, Single] = field(default_factory=dict)
    lines: dict[str, list[Item]] = field(default_factory=dict)
    multipoles: dict[str, Multipoles] = field(default_factory=dict)
    place: str = ""
    periods: int = 1
    energy: float | None = None
    mass0: float | None = None
    charge: float = 1.0
    harmonic: float = 0.0
    voltage: float = 0.0
    transition: int = 1

    @property
    def reference(self) -> ReferenceFields | None:
        """Reference particle, where energy and mass are given.

        Raises
        ------
        LatticeError
            If the energy is not above the mass.
        """
        if self.energy is None or self.mass0 is None:
            return None
        if not self.energy > self.mass0 > 0:
            raise LatticeError(
                f"{self.place}: energy {self.energy:g} eV is not above the mass {self.mass0:g} eV"
            )
        p0c = math.sqrt((self.energy - self.mass0) * (self.energy + self.mass0))
        return ReferenceFields(self.mass0, self.charge, p0c)
