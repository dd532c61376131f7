"""`sc-bridge schema`: the JSON schema of study files, from the models that check them."""

from __future__ import annotations

import argparse
import json
from typing import Any

from .terminal import OK, add_command

_EXAMPLES = """\
examples:
  sc-bridge schema > study.schema.json    # for editors that complete and check TOML
"""


def add_parser(commands: Any) -> None:
    """Add the command to those of `sc-bridge`."""
    parser = add_command(
        commands,
        "schema",
        help="print the JSON schema of study files",
        description="Print the JSON schema of study files: every key, its type and its meaning.",
        examples=_EXAMPLES,
    )
    parser.set_defaults(execute=run)


def run(options: argparse.Namespace) -> int:
    """Carry out the command."""
    from ..study import schema

    print(json.dumps(schema(), indent=1))
    return OK
