"""`sc-bridge run STUDY`: track a study and take its derivatives."""

from __future__ import annotations

import argparse
import json
from typing import Any

from .terminal import (
    OK,
    add_command,
    add_printing_options,
    add_study,
    console,
    tracking,
)

EXAMPLES = """\
examples:
  sc-bridge run examples/psb/study.toml
  sc-bridge run study.toml --output /tmp/results --quiet
  sc-bridge run study.toml --json | jq .derivatives.sigma_x
"""


def add_parser(commands: Any) -> None:
    """Add the command to those of `sc-bridge`."""
    parser = add_command(
        commands,
        "run",
        help="track a study and take its derivatives",
        description="Read a study, audit its lattice, track its bunch, take all derivatives by "
        "one backward pass, and write results.json, the bunches and pictures.",
        examples=EXAMPLES,
    )
    add_study(parser)
    add_printing_options(parser, json="print results.json instead of tables")
    parser.set_defaults(execute=run)


def run(options: argparse.Namespace) -> int:
    """Carry out the command."""
    # all that takes long to import, before anything is created
    from .. import study as studies
    from ..report.printed import print_report
    from ..results import keep_inputs, output_folder, to_dict

    study = studies.load_study(options.study)
    folder = options.output or study.output_folder
    keep_inputs(study, folder)
    with output_folder(folder) as output:
        with tracking(study.path, options.quiet or options.json) as progress:
            outcome = studies.run_study(study, progress)
            progress("writing results", 0, None)
            output.write(outcome)
        if options.json:
            print(json.dumps(to_dict(outcome), indent=1))
        elif not options.quiet:
            screen = console()
            print_report(screen, outcome)
            screen.print(f"results in {folder}", highlight=False, soft_wrap=True)
    return OK
