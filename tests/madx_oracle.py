"""MAD-X itself, through cpymad, and decks for both."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cpymad.madx import Madx

from sc_bridge.lattice import Lattice
from sc_bridge.readers import read_lattice

Read = Callable[..., Lattice]
LINE = "end_of_all: marker; all_: line = (end_of_all);"


def read_decks(*decks: str, **options: Any) -> Lattice:
    """Write decks to a.madx, b.madx, ... in the present folder and read them in order."""
    names = [f"{letter}.madx" for letter, _ in zip("abc", decks, strict=False)]
    for name, deck in zip(names, decks, strict=True):
        Path(name).write_text(deck)
    return read_lattice(names, **options)


class Mad:
    """MAD-X in a process of its own, started anew when a deck asks for it or has ended it."""

    def __init__(self) -> None:
        self.process: Madx | None = None

    def run(self, deck: str, *, fresh: bool = False) -> Madx:
        if fresh:
            self.close()
        if self.process is None:
            self.process = Madx(stdout=subprocess.DEVNULL)
        self.process.input("option, rbarc=true;" + deck)
        return self.process

    def variables(self, deck: str, *, fresh: bool = False) -> dict[str, float]:
        """Variables after a deck."""
        found = self.run(deck, fresh=fresh).globals
        return {name: found[name] for name in found}

    def positions(self, deck: str, sequence: str) -> list[tuple[str, float]]:
        """Names and positions of the elements of a sequence, implicit drifts left out."""
        elements = self.run(deck).sequence[sequence].expanded_elements
        return [(e.name, e.position) for e in elements if not e.name.startswith("drift_")]

    def close(self) -> None:
        if self.process is not None:
            self.process.quit()
        self.process = None
