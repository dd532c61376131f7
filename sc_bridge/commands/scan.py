"""`sc-bridge scan STUDY NAME`: final moments while one knob or number goes through values."""

from __future__ import annotations

import argparse
import csv
import io
import json
import re
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
    from ..study.scanning import Scan

_EXAMPLES = """\
examples:
  sc-bridge scan study.toml kbrqf --from 0.75 --to 0.79 --steps 5
  sc-bridge scan study.toml bunch.nemitt_x --values "1 um" "2 um" "4 um" --of sigma_x nemitt_x
  sc-bridge scan study.toml bunch.intensity --from 0 --to 2e12 --steps 5 --json

After an interruption the same command goes on where it was.
"""


def add_parser(commands: Any) -> None:
    """Add the command to those of `sc-bridge`."""
    parser = add_command(
        commands,
        "scan",
        help="track a study for many values of one knob or beam parameter",
        description="Track a study once for every value of a knob, a field of an element, or a "
        "number of the beam, and write a table (CSV, JSON) and a picture.",
        examples=_EXAMPLES,
    )
    add_study(parser)
    parser.add_argument("name", metavar="NAME", help="as in derivatives.with_respect_to")
    parser.add_argument("--values", nargs="+", metavar="VALUE", help="values, one by one")
    parser.add_argument("--from", dest="first", metavar="VALUE", help="the first of --steps values")
    parser.add_argument("--to", dest="last", metavar="VALUE", help="the last of them")
    parser.add_argument("--steps", type=int, metavar="N", help="how many values; 5 by default")
    parser.add_argument(
        "--of", nargs="+", metavar="MOMENT", help="moments or expressions; the study's by default"
    )
    parser.add_argument(
        "--rematch", action="store_true", help="match the bunch anew for every value of a knob"
    )
    add_printing_options(parser, json="print one JSON object instead of a table")
    parser.set_defaults(execute=run)


def run(options: argparse.Namespace) -> int:
    """Carry out the command."""
    from ..results import check_targets
    from ..study import load_study
    from ..study.journal import Journal, fingerprint
    from ..study.scanning import DEFAULT_OF, prepare_scan, scan_study

    study = load_study(options.study)
    derivatives = study.model.derivatives
    of = options.of or (derivatives.of if derivatives else DEFAULT_OF)
    sequence, found = prepare_scan(study, options.name)
    values = _values(study, found, options)
    folder = options.output or study.output_folder
    stem = str(folder / f"scan_{_file_name(options.name)}")
    mark = fingerprint(study, sequence.lattice, "scan", options.name, list(of), options.rematch)
    journal = Journal(Path(f"{stem}.json"), mark)
    check_targets(study, (Path(f"{stem}{suffix}") for suffix in (".csv", ".json", ".png")))

    def kept() -> str:
        count = len({entry["value"] for entry in journal.entries} & set(values))
        return f"{count} of {len(values)} values kept in {journal.path}" if count else ""

    with tracking(study.path, options.quiet or options.json, "values", kept) as progress:
        done = scan_study(study, sequence, found, values, of, options.rematch, journal, progress)
        progress("writing", 0, None)
        _write(stem, done, journal)
    if options.json:
        print(json.dumps(_to_dict(done), indent=1))
    elif not options.quiet:
        _print(done, stem)
    return OK


def _values(study: Any, found: Any, options: argparse.Namespace) -> tuple[float, ...]:
    from ..errors import StudyError
    from ..study.values import parse_values

    ends = [text for text in (options.first, options.last) if text is not None]
    if (options.values is None) != (len(ends) == 2) or (options.values and ends):
        raise StudyError("scan: give either --values, or --from and --to")
    if options.values:
        if options.steps is not None:
            raise StudyError("scan: --steps goes with --from and --to, not with --values")
        return parse_values(study, found, options.values)
    steps = 5 if options.steps is None else options.steps
    if not 2 <= steps <= 100_000:
        raise StudyError(f"scan: --steps {steps}: must be a number from 2 to 100000")
    first, last = parse_values(study, found, ends)
    return tuple(first + (last - first) * index / (steps - 1) for index in range(steps))


def _file_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name)[:80]


def _header(done: Scan) -> list[str]:
    units = [done.unit or "", *(o.unit or "" for o in done.of), "1"]
    names = [done.name, *(o.text for o in done.of), "n_alive"]
    return [
        f"{name} [{unit}]" if unit not in ("", "1") else name
        for name, unit in zip(names, units, strict=True)
    ]


def _to_dict(done: Scan) -> dict[str, Any]:
    columns = list(zip(*done.rows, strict=True))
    return {
        "name": done.name,
        "unit": done.unit,
        "values": list(done.values),
        "of": {
            o.text: {"value": list(column), "unit": o.unit}
            for o, column in zip(done.of, columns[:-1], strict=True)
        },
        "n_alive": list(columns[-1]),
    }


def _write(stem: str, done: Scan, journal: Any) -> None:
    from ..files import write_whole
    from ..pictures.scan import scan_picture

    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(_header(done))
    for value, row in zip(done.values, done.rows, strict=True):
        writer.writerow([repr(value), *map(repr, row)])
    write_whole(Path(f"{stem}.csv"), text.getvalue())
    write_whole(Path(f"{stem}.png"), scan_picture(done))
    journal.write({"complete": True, **_to_dict(done)})


def _print(done: Scan, stem: str) -> None:
    from rich.table import Table
    from rich.text import Text

    # text: "sigma_x [m]" is no markup
    table = Table(title=Text(f"Scan of {done.name}"), title_justify="left")
    for name in _header(done):
        table.add_column(Text(name), justify="right")
    for value, row in zip(done.values, done.rows, strict=True):
        table.add_row(f"{value:.9g}", *(f"{entry:.6g}" for entry in row))
    screen = console()
    screen.print(table)
    screen.print(
        f"written to {stem}.csv, .json and .png", highlight=False, soft_wrap=True, markup=False
    )
