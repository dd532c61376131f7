"""`sc-bridge plan STUDY`: what a study will need, without running it."""

from __future__ import annotations

import argparse
import json
from typing import Any

from .terminal import OK, add_command, add_printing_options, add_study

_EXAMPLES = """\
examples:
  sc-bridge plan study.toml
  sc-bridge plan study.toml --memory "8 GiB" --json | jq .chosen
"""


def add_parser(commands: Any) -> None:
    """Add the command to those of `sc-bridge`."""
    parser = add_command(
        commands,
        "plan",
        help="predict the memory of a study under every strategy",
        description="Read and build a study and predict what its run will need under every "
        "memory strategy, in seconds and without running it.",
        examples=_EXAMPLES,
    )
    add_study(parser, writes=False)
    parser.add_argument(
        "--memory",
        metavar="BYTES",
        help="what the run may take besides the program itself, as '8 GiB'; by default the "
        "study's memory_limit less the program",
    )
    add_printing_options(parser, json="print one JSON object")
    parser.set_defaults(execute=run)


def run(options: argparse.Namespace) -> int:
    """Carry out the command."""
    from ..study import load_study, plan_study
    from ..units import to_si

    memory = options.memory
    if memory is not None:
        memory = float(to_si(memory, "B", "--memory"))
    planned = plan_study(load_study(options.study), memory)
    if options.json:
        print(json.dumps(_to_dict(planned), indent=1))
    elif not options.quiet:
        print(planned)
    return OK


def _to_dict(planned: Any) -> dict[str, Any]:
    return {
        "n_particles": planned.n_particles,
        "n_cells": planned.n_cells,
        "n_kicks": planned.n_kicks,
        "dtype": str(planned.dtype).removeprefix("torch."),
        "budget_bytes": planned.budget,
        "chosen": repr(planned.adjoint),
        "peak_bytes": planned.peak,
        "choices": [
            {
                "adjoint": repr(choice.adjoint),
                "dtype": str(choice.dtype).removeprefix("torch."),
                "tensors_bytes": choice.tensors,
                "peak_bytes": choice.peak,
                "extra_work": choice.extra,
                "fits": choice.fits,
            }
            for choice in planned.choices
        ],
    }
