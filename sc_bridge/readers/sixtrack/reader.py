"""From SixTrack's files to a `Lattice`."""

from __future__ import annotations

from pathlib import Path

from sc_bridge.errors import LatticeError
from sc_bridge.lattice import Lattice
from sc_bridge.readers.beamline import Item, expand_line
from sc_bridge.readers.options import Losses, ReadOptions, choose_sequence
from sc_bridge.readers.source import SourceFiles

from .blocks import blocks_of, read_block
from .elements import add_cavity, record_of
from .machine import LINE, Machine

FORMAT = "sixtrack"


def read_sixtrack(paths: tuple[Path, ...], options: ReadOptions) -> Lattice:
    """Read fort.2 and fort.3, in any order; fort.3 alone opens the fort.2 beside it."""
    losses = Losses(options.allow)
    files = SourceFiles(paths, options.allow_paths)
    machine = Machine(losses, place=files.shown)
    sources = files.open_given()
    blocks = [block for source in sources for block in blocks_of(source)]
    if not any(block.keyword == "SING" for block in blocks):
        blocks += blocks_of(files.called("fort.2", sources[0], str(sources[0].path)))
    for block in blocks:
        read_block(machine, block)
    if LINE not in machine.lines:
        raise LatticeError(f"{files.shown}: no STRUCTURE INPUT: is this fort.2 of SixTrack?")
    choose_sequence([LINE], options.sequence, files.shown)
    add_cavity(machine, sources[0])
    whole = f"{machine.periods} superperiods"  # no name of a block: it has a blank
    lines = {**machine.lines, whole: [Item(LINE, machine.periods)]}
    names = [placed.name for placed in expand_line(whole, lines, lambda name: machine.place)]
    records = {name: record_of(machine, name) for name in dict.fromkeys(names)}
    return Lattice(
        source=files.shown,
        format=FORMAT,
        name=LINE,
        elements=records,
        element_names=tuple(names),
        reference=machine.reference,
        left_out=tuple(losses.left_out),
        warnings=tuple(losses.warnings),
    )
