"""`sc-bridge audit FILE...`: what a lattice file holds and what is built from it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .terminal import OK, add_command, add_printing_options

if TYPE_CHECKING:
    from ..inspection import Inspection
    from ..lattice import Lattice

_EXAMPLES = """\
examples:
  sc-bridge audit ring.json
  sc-bridge audit psb.seq psb_fb_lhc.str --sequence psb1 \\
      --reference "proton, kinetic_energy = 160 MeV" --matrix
  sc-bridge audit linac.lte linac.ele --allow CSR,wake --range BEGBC20/ENDBC20 --json
"""
_MATRIX_ROWS = ("x", "px", "y", "py", "zeta", "pzeta")


def add_parser(commands: Any) -> None:
    """Add the command to those of `sc-bridge`."""
    parser = add_command(
        commands,
        "audit",
        help="count what a lattice file holds, what is built, and what kicks it would get",
        description="Read lattice files, build and slice them, and print counts, length, bend "
        "angle, energies, what was left out, kick totals, and with --matrix the linear optics.",
        examples=_EXAMPLES,
    )
    add_lattice_options(parser)
    parser.add_argument(
        "--spacing",
        default="1 m",
        metavar="LENGTH",
        help="largest distance of kicks; 1 m; none leaves every element whole",
    )
    parser.add_argument(
        "--bend-model", metavar="MODEL", help="model of every bend, such as exact or expanded"
    )
    parser.add_argument(
        "--matrix", action="store_true", help="also the 6x6 map, tunes and Twiss functions"
    )
    add_printing_options(parser, json="print one JSON object")
    parser.set_defaults(execute=run)


def add_lattice_options(parser: argparse.ArgumentParser) -> None:
    """Add what every command that reads a lattice takes."""
    parser.add_argument(
        "files", type=Path, nargs="+", metavar="FILE", help="lattice files, in order"
    )
    parser.add_argument("--format", metavar="NAME", help="by default from suffix and content")
    parser.add_argument("--sequence", metavar="NAME", help="line or sequence to take")
    parser.add_argument("--range", metavar="FROM/TO", help="part of it, both ends included")
    parser.add_argument(
        "--reference",
        metavar="TEXT",
        help='such as "proton, kinetic_energy = 160 MeV" or "mass = 12 u, charge = 6, '
        'momentum = 2 GeV/c"; needed where the file has none',
    )
    parser.add_argument("--allow", default="", metavar="WORDS", help="what may be lost: CSR,wake")
    parser.add_argument(
        "--allow-path",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="folder that files may be included from",
    )


def read(options: argparse.Namespace) -> Lattice:
    """Read the lattice that the options name."""
    from ..readers import read_lattice
    from ..selection import range_of

    lattice = read_lattice(
        options.files,
        format=options.format,
        sequence=options.sequence,
        allow=words_of(options.allow),
        allow_paths=options.allow_path,
    )
    return range_of(lattice, options.range) if options.range else lattice


def words_of(text: str) -> list[str]:
    """Return the words of a list with commas."""
    return [word.strip() for word in text.split(",") if word.strip()]


def run(options: argparse.Namespace) -> int:
    """Carry out the command."""
    from ..inspection import inspect_lattice
    from ..species import parse_reference

    found = inspect_lattice(
        read(options),
        reference=None if options.reference is None else parse_reference(options.reference),
        spacing=None if options.spacing == "none" else options.spacing,
        bend_model=options.bend_model,
        matrix=options.matrix,
    )
    if options.json:
        print(json.dumps(found.to_dict(), indent=1))
    elif not options.quiet:
        print("\n".join(_lines(found)))
    return OK


def _lines(found: Inspection) -> list[str]:
    lattice = found.lattice
    lines = [str(found.audit), "", _in_file(found)]
    lines.append(
        f"energy: {found.energy_in / 1e6:.9g} MeV in, {found.energy_out / 1e6:.9g} MeV out"
    )
    lines += _left_out(lattice)
    lines += [f"warning: {text}" for text in lattice.warnings]
    if found.matrix is not None:
        lines += ["", "6x6 map, x px y py zeta pzeta:"]
        lines += [
            f"{name:>6} " + " ".join(f"{value:15.8g}" for value in row)
            for name, row in zip(_MATRIX_ROWS, found.matrix, strict=True)
        ]
        lines.append(_optics(found))
    return lines


def _left_out(lattice: Lattice) -> list[str]:
    """What was left out: each word and thing once, with how often and where first."""
    grouped: dict[tuple[str, str], list[str]] = {}
    for entry in lattice.left_out:
        grouped.setdefault((entry.word, entry.what), []).append(f"{entry.name} at {entry.place}")
    return [
        f"left out ({word}): {what}: {len(places)} times, first {places[0]}"
        for (word, what), places in grouped.items()
    ]


def _in_file(found: Inspection) -> str:
    counts = ", ".join(f"{number} {name}" for name, number in found.source_counts.items())
    drifts = found.implicit_drifts
    return f"in the file: {counts or 'nothing'}" + (f"; {drifts} implicit drifts" if drifts else "")


def _optics(found: Inspection) -> str:
    twiss = found.twiss
    if twiss is None:
        return f"not periodic: {found.not_periodic}"
    return (
        f"periodic, RF frozen: qx {twiss.qx:.9f}, qy {twiss.qy:.9f}, betx {twiss.betx:.6g} m, "
        f"bety {twiss.bety:.6g} m, alfx {twiss.alfx:.6g}, alfy {twiss.alfy:.6g}, "
        f"dx {twiss.dx:.6g} m"
    )
