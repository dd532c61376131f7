"""`sc-bridge convert FILE... --output FILE`: a lattice from one format to another."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from ..errors import LatticeError
from .audit import add_lattice_options, read, words_of
from .terminal import OK, add_command, add_printing_options

_EXAMPLES = """\
examples:
  sc-bridge convert psb.seq psb_fb_lhc.str --sequence psb1 --output psb.json
  sc-bridge convert ring.json --output ring.madx
  sc-bridge convert linac.lte linac.ele --allow CSR,wake --to cheetah --output linac.json
"""


def add_parser(commands: Any) -> None:
    """Add the command to those of `sc-bridge`."""
    parser = add_command(
        commands,
        "convert",
        help="write a lattice in another format",
        description="Read lattice files and write them as one, with what is left out by name.",
        examples=_EXAMPLES,
    )
    add_lattice_options(parser)
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="file to write")
    parser.add_argument("--to", metavar="NAME", help="format to write; by default from the suffix")
    add_printing_options(parser, json="print one JSON object")
    parser.set_defaults(execute=run)


def run(options: argparse.Namespace) -> int:
    """Carry out the command."""
    from dataclasses import asdict, replace

    from ..files import is_one_of
    from ..lattice import ReferenceFields
    from ..species import parse_reference
    from ..writers import write_lattice

    target: Path = options.output
    if is_one_of(target, options.files):
        raise LatticeError(f"convert: {target}: would be read and written: choose another --output")
    lattice = read(options)
    if options.reference is not None:
        given = parse_reference(options.reference)
        fields = (given.mass0.item(), given.q0.item(), given.p0c.item())
        lattice = replace(lattice, reference=ReferenceFields(*fields))
    lost = write_lattice(lattice, target, options.to, words_of(options.allow))
    left_out, places = (*lattice.left_out, *lost), len(lattice.element_names)
    if options.json:
        found = {
            "file": str(target),
            "places": places,
            "length": {"value": lattice.length, "unit": "m"},
            "left_out": [asdict(entry) for entry in left_out],
            "warnings": list(lattice.warnings),
        }
        print(json.dumps(found, indent=1))
    elif not options.quiet:
        for entry in left_out:
            print(f"left out: {entry}")
        for text in lattice.warnings:
            print(f"warning: {text}")
        print(f"{places} places, {lattice.length:.9g} m, written to {target}")
    return OK
