"""Blocks of SixTrack's input files, and what each of them says.

Blocks of lines begin with a keyword, of which four letters count, and end with NEXT; lines that
begin with "/" are comments; nothing counts behind ENDE. Strengths of single elements are
integrated, in rad m^(1-n), with the sign of normal ones opposite to MAD's.

References
----------
SixTrack 5 manual, chapters 3 (general input) and 4 (machine geometry).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from sc_bridge.errors import LatticeError
from sc_bridge.readers.beamline import Item
from sc_bridge.readers.source import Source

from .machine import LINE, MEGA, Block, Line, Machine, Multipoles, Single

_HIGHEST_ORDER = 20  # of the MULT block

# Blocks of fort.3 that change the lattice, and what they would change.
_CHANGES = {
    "CHRO": ("CHRO", "strengths fitted to chromaticities"),
    "COLL": ("aperture", "collimation"),
    "COMB": ("COMB", "strengths tied to others"),
    "DECO": ("DECO", "strengths fitted to decouple"),
    "DISP": ("misalignment", "displacements of elements"),
    "DYNK": ("DYNK", "strengths that change in time"),
    "ELEN": ("ELEN", "electron lenses"),
    "LIMI": ("aperture", "aperture limits"),
    "ORBI": ("ORBI", "correctors fitted to an orbit"),
    "RIPP": ("RIPP", "ripple of power supplies"),
    "TROM": ("TROM", "phase trombones"),
    "TUNE": ("TUNE", "strengths fitted to tunes"),
    "WIRE": ("WIRE", "wires"),
}


def blocks_of(source: Source) -> Iterator[Block]:
    """Blocks of a file up to ENDE."""
    open_block: Block | None = None
    for number, text in enumerate(source.text.splitlines(), start=1):
        words = text.split()
        if not words or text.startswith("/"):
            continue
        place = f"{source.path}:{number}"
        keyword = words[0][:4].upper()
        if open_block is not None and keyword != "NEXT":
            open_block.lines.append(Line(words, place, text[0].isspace()))
        elif open_block is not None:
            yield open_block
            open_block = None
        elif keyword == "ENDE":
            return
        elif keyword not in ("GEOM", "FREE", "NEXT"):
            open_block = Block(keyword, place, [])
    if open_block is not None:
        raise LatticeError(f"{open_block.place}: block {open_block.keyword} has no NEXT")


def read_block(machine: Machine, block: Block) -> None:
    if block.keyword in _CHANGES:
        word, what = _CHANGES[block.keyword]
        if block.lines:
            machine.losses.leave_out(
                word, place=block.place, name=block.keyword, what=what, also=(block.keyword,)
            )
    elif block.keyword in _READERS:
        _READERS[block.keyword](machine, block)


def _read_singles(machine: Machine, block: Block) -> None:
    for line in block.lines:
        numbers = tuple(line.number(i) if i < len(line.words) else 0.0 for i in (2, 3, 4))
        path, _, number = line.place.rpartition(":")
        kind = line.number(1)
        if kind != int(kind):
            raise LatticeError(f"{line.place}: type {kind:g} is no integer")
        source = Source(Path(path), "")
        single = Single(line.words[0], int(kind), numbers, source, int(number))  # pyright: ignore
        if single.name in machine.singles:
            raise LatticeError(
                f"{line.place}: element {single.name!r} is defined already at "
                f"{machine.singles[single.name].place}: keep one"
            )
        machine.singles[single.name] = single


def _read_definitions(machine: Machine, block: Block) -> None:
    """Superperiods with their symmetry, then blocks of elements."""
    if not block.lines:
        return
    first, *lines = block.lines
    machine.periods = int(first.number(0))
    if not 1 <= machine.periods <= 1000:
        raise LatticeError(f"{first.place}: {machine.periods} superperiods: must be 1 to 1000")
    if any(first.number(i) != 1 for i in range(1, min(len(first.words), machine.periods + 1))):
        raise LatticeError(f"{first.place}: reflected superperiods are not supported")
    name = ""
    for line in lines:
        names = line.words
        if not line.continues:
            name, *names = line.words
            machine.lines[name] = []
        elif not name:
            raise LatticeError(f"{line.place}: a block must begin with its name")
        machine.lines[name] += [Item(entry) for entry in names]


def _read_structure(machine: Machine, block: Block) -> None:
    """Read the order of blocks and elements, which begins at GO."""
    lines = block.lines
    columns = bool(lines) and lines[0].words[0].upper() == "MULTICOL"
    machine.place = block.place
    if columns:  # name of the place, element or block, position
        short = [line for line in lines[1:] if len(line.words) < 2]
        if short:
            raise LatticeError(f"{short[0].place}: MULTICOL needs a name and an element")
        names = [line.words[1] for line in lines[1:]]
    else:
        names = [word for line in lines for word in line.words]
    if "GO" in names:
        start = names.index("GO")
        names = names[start + 1 :] + names[:start]
    machine.lines[LINE] = [Item(name) for name in names]


def _read_initial(machine: Machine, block: Block) -> None:
    """Coordinates of two particles, then the energy of the reference in MeV."""
    if len(block.lines) > 13:
        machine.energy = block.lines[13].number(0) * MEGA


def _read_synchrotron(machine: Machine, block: Block) -> None:
    """Harmonic, momentum compaction, voltage, phase, length, mass in MeV, transition."""
    if block.lines:
        line = block.lines[0]
        machine.harmonic, machine.voltage = line.number(0), line.number(2)
        machine.mass0 = line.number(5) * MEGA
        machine.transition = 1 if line.number(6) >= 0 else -1


def _read_ion(machine: Machine, block: Block) -> None:
    """Mass number, charge, mass in GeV."""
    if block.lines:
        line = block.lines[0]
        machine.charge, machine.mass0 = line.number(1), line.number(2) * 1e9


def _read_multipoles(machine: Machine, block: Block) -> None:
    """Name, reference radius in mm, bend in mrad; mean and rms of normal and skew strengths."""
    if not block.lines:
        return
    first, *lines = block.lines
    if len(lines) > _HIGHEST_ORDER:
        raise LatticeError(f"{first.place}: {len(lines)} orders, more than {_HIGHEST_ORDER}")
    table = [[line.number(i) if i < len(line.words) else 0.0 for i in range(4)] for line in lines]
    if any(row[1] or row[3] for row in table):
        machine.losses.leave_out(
            "errors", place=first.place, name=first.words[0], what="random parts of its multipoles"
        )
    normal, skew = [row[0] for row in table], [row[2] for row in table]
    r0, delta0 = first.number(1), first.number(2)
    if any(normal[1:] + skew[1:]) and r0 <= 0:
        raise LatticeError(f"{first.place}: the reference radius {r0:g} mm must be positive")
    machine.multipoles[first.words[0]] = Multipoles(r0, delta0, normal, skew)


_READERS: dict[str, Callable[[Machine, Block], None]] = {
    "SING": _read_singles,
    "BLOC": _read_definitions,
    "STRU": _read_structure,
    "INIT": _read_initial,
    "SYNC": _read_synchrotron,
    "HION": _read_ion,
    "MULT": _read_multipoles,
}
