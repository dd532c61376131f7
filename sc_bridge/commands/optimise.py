"""`sc-bridge optimise STUDY`: change inputs within bounds until an objective is least."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .terminal import (
    OK,
    add_command,
    add_printing_options,
    add_study,
    console,
    tracking,
)

if TYPE_CHECKING:
    from ..study.optimising import Optimum, Step

_EXAMPLES = """\
examples:
  sc-bridge optimise study.toml      # the study has a section such as
                                     #   [optimise]
                                     #   minimise = "sigma_x*sigma_y"
                                     #   vary = { kbrqf = [0.74, 0.80] }
  sc-bridge optimise study.toml --json | jq .optimum

After an interruption the same command goes on where it was.
"""
# Tables of a study that name what they set; in others the key is the name.
_BY_NAME = {"knob": "lattice.knobs", "field": "lattice.fields"}


def add_parser(commands: Any) -> None:
    """Add the command to those of `sc-bridge`."""
    parser = add_command(
        commands,
        "optimise",
        help="change knobs or beam parameters within bounds until an objective is least",
        description="Minimise the objective of a study's [optimise] by L-BFGS-B with exact "
        "gradients, and write optimise.json and optimised.toml: what a study then says.",
        examples=_EXAMPLES,
    )
    add_study(parser)
    add_printing_options(parser, json="print one JSON object instead of tables")
    parser.set_defaults(execute=run)


def run(options: argparse.Namespace) -> int:
    """Carry out the command."""
    from ..files import write_whole
    from ..results import check_targets
    from ..study import load_study
    from ..study.building import read_study_lattice
    from ..study.journal import Journal, fingerprint
    from ..study.optimising import optimise_study

    study = load_study(options.study)
    folder = options.output or study.output_folder
    check_targets(study, (folder / "optimise.json", folder / "optimised.toml"))
    lattice = read_study_lattice(study)
    journal = Journal(folder / "optimise.json", fingerprint(study, lattice, "optimise"))
    screen = console()
    shown = screen.is_terminal and not options.quiet and not options.json
    if shown and journal.resumed:
        screen.print(f"going on after {journal.resumed} evaluations of {journal.path}")

    def show(step: Step) -> None:
        if shown:
            screen.print(_line(step), highlight=False, markup=False, soft_wrap=True)

    def kept() -> str:
        count = len(journal.entries)
        return f"{count} evaluations kept in {journal.path}" if count else ""

    with tracking(study.path, not shown, "evaluations", kept) as progress:
        found = optimise_study(study, lattice, journal, progress, show)
    journal.write({"complete": True, **_to_dict(found)})
    write_whole(folder / "optimised.toml", _toml(found))
    if options.json:
        print(json.dumps(_to_dict(found), indent=1))
    elif not options.quiet:
        _print(screen, found, folder)
    return OK


def _line(step: Step) -> str:
    at = ", ".join(f"{name} = {value:.9g}" for name, value in step.at.items())
    return f"step {step.number:3d}: {step.value:.9g}, slope {step.slope:.2e}; {at}"


def _to_dict(found: Optimum) -> dict[str, Any]:
    return {
        "minimise": found.objective.text,
        "unit": found.objective.unit,
        "start_value": found.start_value,
        "value": found.value,
        "value_with_new_grids": found.value_with_new_grids,
        "start": found.start,
        "optimum": found.optimum,
        "units": found.units,
        "converged": found.converged,
        "message": found.message,
        "evaluations": found.evaluations,
        "steps": [
            {"value": step.value, "slope": step.slope, "at": step.at} for step in found.steps
        ],
    }


def _toml(found: Optimum) -> str:
    """Write the optimum as sections of a study say it."""
    tables: dict[str, list[str]] = {}
    for name, value in found.optimum.items():
        section, unit = found.sections[name], found.units[name] or "1"
        key = json.dumps(name) if section in _BY_NAME else name.partition(".")[2]
        with_unit = section not in _BY_NAME and unit != "1"
        text = json.dumps(f"{value!r} {unit}") if with_unit else repr(value)
        tables.setdefault(_BY_NAME.get(section, section), []).append(f"{key} = {text}")
    unit = f" {found.objective.unit}" if found.objective.unit else ""
    lines = [f"# {found.objective.text} = {found.value!r}{unit}"]
    for table, entries in tables.items():
        lines += [f"[{table}]", *entries]
    return "\n".join(lines) + "\n"


def _print(screen: Any, found: Optimum, folder: Path) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(title="What was varied", title_justify="left")
    table.add_column("name")
    for name in ("start", "optimum"):
        table.add_column(name, justify="right")
    table.add_column("unit")
    for name, value in found.optimum.items():
        unit = found.units[name] or ""
        cells = (name, f"{found.start[name]:.9g}", f"{value:.9g}", unit)
        table.add_row(*map(Text, cells))
    screen.print(table)
    unit = "" if found.objective.unit in (None, "1") else f" {found.objective.unit}"
    screen.print(
        Text(
            f"{found.objective.text}: {found.start_value:.6g}{unit} at the start, "
            f"{found.value:.6g}{unit} after {len(found.steps)} steps and {found.evaluations} "
            f"evaluations; {found.value_with_new_grids:.6g}{unit} with grids chosen anew\n"
            f"{'done' if found.converged else 'not converged'}: {found.message}\n"
            f"written to {folder}/optimise.json and optimised.toml"
        ),
        soft_wrap=True,
    )
