"""What an elegant lattice file defines: elements and lines, with places."""

from __future__ import annotations

from dataclasses import dataclass, field

from sc_bridge.errors import LatticeError
from sc_bridge.readers.beamline import Item
from sc_bridge.readers.source import Source
from sc_bridge.readers.statements import Statement

from .stores import Stores


@dataclass(frozen=True)
class Attribute:
    """One attribute as it stands in the file.

    Parameters
    ----------
    key : str
        As the file has it, upper case.
    text : str
        Of the value, without quotes.
    quoted : bool
    """

    key: str
    text: str
    quoted: bool


@dataclass(frozen=True)
class Definition:
    """One element.

    Parameters
    ----------
    name : str
    word : str
        The type as the file has it, upper case, such as "CSRCSBEN".
    type : str
        The type of elegant, such as "CSRCSBEND".
    attributes : dict of str to Attribute
        By the key without underscores, as elegant compares them.
    statement : Statement
    moment : int
        In the order of the stores.
    """

    name: str
    word: str
    type: str
    attributes: dict[str, Attribute]
    statement: Statement
    moment: int

    @property
    def place(self) -> str:
        """File and line."""
        return self.statement.place

    @property
    def source(self) -> Source:
        """File that it is in."""
        return self.statement.source


@dataclass
class Deck:
    """All definitions of a lattice, filled statement by statement."""

    stores: Stores = field(default_factory=Stores)
    elements: dict[str, Definition] = field(default_factory=dict)
    lines: dict[str, list[Item]] = field(default_factory=dict)
    line_places: dict[str, str] = field(default_factory=dict)
    used: str | None = None

    def check_new(self, name: str, place: str) -> None:
        """Refuse a name that is taken, as elegant does.

        Raises
        ------
        LatticeError
        """
        first = self.elements[name].place if name in self.elements else self.line_places.get(name)
        if first is not None:
            raise LatticeError(f"{place}: {name!r} is defined already at {first}: keep one")
