"""`sc-bridge convert FILE... OUT`: a lattice from one format to another."""

from __future__ import annotations

import argparse
from typing import Any

from ..errors import LatticeError
from .audit import add_lattice_options, read, words_of

_EXAMPLES = """\
examples:
  sc-bridge convert psb.seq psb_fb_lhc.str psb.json --sequence psb1
  sc-bridge convert ring.json ring.madx
  sc-bridge convert linac.lte linac.ele linac.json --to cheetah --allow CSR,wake
"""


def add_parser(commands: Any) -> None:
    """Add the command to those of `sc-bridge`."""
    parser = commands.add_parser(
        "convert",
        help="write a lattice in another format",
        description="Read lattice files and write one; the last file is the one written.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_lattice_options(parser)
    parser.add_argument("--to", metavar="NAME", help="format to write; by default from the suffix")
    parser.set_defaults(execute=run)


def run(options: argparse.Namespace) -> int:
    """Carry out the command."""
    from dataclasses import replace

    from ..files import is_one_of
    from ..lattice import ReferenceFields
    from ..species import parse_reference
    from ..writers import write_lattice

    *options.files, target = options.files
    if not options.files:
        raise LatticeError(f"convert: {target}: only one file given: name what to read, then OUT")
    if is_one_of(target, options.files):
        raise LatticeError(f"convert: {target}: would be read and written: give another OUT")
    lattice = read(options)
    if options.reference is not None:
        given = parse_reference(options.reference)
        fields = (given.mass0.item(), given.q0.item(), given.p0c.item())
        lattice = replace(lattice, reference=ReferenceFields(*fields))
    lost = write_lattice(lattice, target, options.to, words_of(options.allow))
    for entry in (*lattice.left_out, *lost):
        print(f"left out: {entry}")
    for text in lattice.warnings:
        print(f"warning: {text}")
    print(f"{len(lattice.element_names)} places, {lattice.length:.9g} m, written to {target}")
    return 0
