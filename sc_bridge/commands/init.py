"""`sc-bridge init LATTICE`: a commented study for a lattice."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .audit import add_lattice_options, read, words_of
from .terminal import OK, add_command

_EXAMPLES = """\
examples:
  sc-bridge init ring.json
  sc-bridge init psb.seq psb_fb_lhc.str --sequence psb1 \\
      --reference "proton, kinetic_energy = 160 MeV" --output psb.toml
"""


def add_parser(commands: Any) -> None:
    """Add the command to those of `sc-bridge`."""
    parser = add_command(
        commands,
        "init",
        help="write a commented study for a lattice",
        description="Read a lattice, and write a study of it that runs as it is, with comments.",
        examples=_EXAMPLES,
    )
    add_lattice_options(parser)
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("study.toml"),
        metavar="FILE",
        help="the study to write; study.toml",
    )
    parser.add_argument("--force", action="store_true", help="replace a study that is there")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    parser.set_defaults(execute=run)


def run(options: argparse.Namespace) -> int:
    """Carry out the command."""
    from ..errors import StudyError
    from ..files import is_one_of, write_whole
    from ..species import parse_reference
    from ..study.starter import Source, starter_study

    target: Path = options.output
    if is_one_of(target, options.files):
        raise StudyError(f"init: {target}: is the lattice: choose another --output")
    if target.exists() and not options.force:
        raise StudyError(f"{target}: is there already: choose another --output, or --force")
    reference = None if options.reference is None else parse_reference(options.reference)
    source = Source(
        tuple(options.files),
        options.format,
        options.sequence,
        options.range,
        tuple(words_of(options.allow)),
        tuple(options.allow_path),
    )
    text = starter_study(read(options), source, target.absolute().parent, reference)
    write_whole(target, text)
    if not options.quiet:
        print(f"written: {target}; next: sc-bridge run {target}")
    return OK
