"""Command line: `sc-bridge run STUDY`, the same as `python -m sc_bridge run STUDY`."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from .commands import audit, convert
from .errors import ScBridgeError, StudyError

if TYPE_CHECKING:
    from .study import Outcome, Progress

OK, REFUSED, INTERRUPTED = 0, 2, 130
# Tables keep their columns when printed to a file.
_WIDTH_OF_FILES = 110

_EXAMPLES = """\
examples:
  sc-bridge run examples/psb/study.toml
  sc-bridge run study.toml --output /tmp/results --quiet
  sc-bridge run study.toml --json | jq .derivatives.sigma_x

exit codes: 0 done; 2 the study, the lattice or the output cannot be used (one line says why,
nothing is written); 130 interrupted.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        with _short_warnings(getattr(options, "quiet", False)):
            return options.execute(options)
    except ScBridgeError as error:
        print(f"sc-bridge: error: {_one_line(error)}", file=sys.stderr)
        return REFUSED
    except KeyboardInterrupt:
        return _interrupted()
    except Exception:
        if not _ending:
            raise
        # a library turned the signal into an error of its own
        if isinstance(_ending[-1], KeyboardInterrupt):
            return _interrupted()
        raise _ending[-1] from None


def _interrupted() -> int:
    print("sc-bridge: interrupted, nothing written", file=sys.stderr)
    return INTERRUPTED


def entry_point() -> NoReturn:
    """Run as a program."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _end)
    if sys.stdout is None:  # closed by the shell
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    try:
        code = main()
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of a pipe has gone; results are written by then
        code = OK
        _discard_output()
    except OSError as error:
        print(f"sc-bridge: error: cannot print: {error.strerror}", file=sys.stderr)
        code = REFUSED
        _discard_output()
    sys.exit(code)


def _discard_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def _short_warnings(quiet: bool) -> Iterator[None]:
    """Show a warning as one line, without the code that it came from."""

    def show(message: Warning | str, *place: Any, **more: Any) -> None:
        if not quiet:
            print(f"sc-bridge: warning: {' '.join(str(message).split())}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


# Set by a signal. What a handler raises is lost where a library ignores exceptions (in a
# destructor, say), so that it is raised again at the next sign of progress.
_ending: list[BaseException] = []


def _end(number: int, frame: Any) -> None:
    """End through the usual clean-up, so that no temporary folder stays."""
    interrupted = number == signal.SIGINT
    _ending.append(KeyboardInterrupt() if interrupted else SystemExit(128 + number))
    raise _ending[-1]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sc-bridge",
        description="Differentiate through the lattice you already have, with space charge.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser(
        "run",
        help="track a study and take its derivatives",
        description="Read a study, audit its lattice, track its bunch, take all derivatives by "
        "one backward pass, and write results.json, bunch_final.h5 and envelopes.png.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run.add_argument("study", type=Path, metavar="STUDY", help="a study file, study.toml")
    run.add_argument(
        "--output", type=Path, metavar="DIR", help="default: results/ beside the study"
    )
    run.add_argument("--quiet", action="store_true", help="print nothing but errors")
    run.add_argument("--json", action="store_true", help="print results.json instead of tables")
    run.set_defaults(execute=_run)
    audit.add_parser(commands)
    convert.add_parser(commands)
    return parser


def _version() -> str:
    from .results import versions

    return "sc-bridge " + versions()["sc-bridge"]


def _run(options: argparse.Namespace) -> int:
    # all that takes long to import, before anything is created
    from . import study as _  # noqa: F401
    from .results import output_folder, to_dict
    from .study import load_study

    study = load_study(options.study)
    folder = options.output or study.output_folder
    with output_folder(folder) as output:
        with _progress(quiet=options.quiet or options.json) as progress:
            outcome = _compute(study, progress)
            progress("writing results", 0, None)
            output.write(outcome)
        if options.json:
            print(json.dumps(to_dict(outcome), indent=1))
        elif not options.quiet:
            _print(outcome, folder)
    return OK


def _compute(study: Any, progress: Progress) -> Outcome:
    from .study import run_study

    try:
        return run_study(study, progress)
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
            raise StudyError(
                f"{study.path}: not enough memory: take fewer particles, a smaller grid or fewer "
                "kicks"
            ) from None
        raise


@contextmanager
def _progress(quiet: bool) -> Iterator[Progress]:
    """Progress bar on a terminal, nothing elsewhere."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description:<20}"),
        BarColumn(bar_width=40),
        MofNCompleteColumn(),
        TextColumn("kicks"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    disabled = quiet or not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=disabled) as bar:
        task = bar.add_task("", total=None)

        def show(stage: str, done: int, total: int | None) -> None:
            if _ending:
                raise _ending[-1]
            if total is None:
                bar.update(task, description=stage, total=None)
            else:
                bar.update(task, description=stage, completed=done, total=total)

        yield show


def _print(outcome: Outcome, folder: Path) -> None:
    from rich.console import Console

    from .report import print_report

    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH_OF_FILES)
    print_report(console, outcome)
    console.print(f"results in {folder}", highlight=False, soft_wrap=True)


def _one_line(error: ScBridgeError) -> str:
    return " ".join(str(error).split())
