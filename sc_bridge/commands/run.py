"""`sc-bridge run STUDY`: track a study and take its derivatives."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from .terminal import (
    OK,
    add_command,
    add_printing_options,
    console,
    memory_in_words,
    progress_bar,
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
    parser.add_argument("study", type=Path, metavar="STUDY", help="a study file, study.toml")
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="default: the study's, results/ beside it"
    )
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
        with progress_bar(quiet=options.quiet or options.json) as progress:
            with memory_in_words(study.path):
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
