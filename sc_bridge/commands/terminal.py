"""What commands have in common: progress, printing, interruption and exit codes."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import StudyError

if TYPE_CHECKING:
    from rich.console import Console

    from ..study import Progress

OK, REFUSED, INTERRUPTED = 0, 2, 130
# Tables keep their columns when printed to a file.
_WIDTH_OF_FILES = 110

# Set by a signal. What a handler raises is lost where a library ignores exceptions (in a
# destructor, say), so that it is raised again at the next sign of progress.
ending: list[BaseException] = []

EXIT_CODES = """\
exit codes: 0 done; 2 the study, the lattice or the output cannot be used (one line says why,
nothing is written); 130 interrupted.
"""


def add_command(commands: Any, name: str, help: str, description: str, examples: str) -> Any:
    """Add a command with its examples under its help, and return its parser."""
    return commands.add_parser(
        name,
        help=help,
        description=description,
        epilog=f"{examples}\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_printing_options(parser: argparse.ArgumentParser, json: str) -> None:
    """Add --quiet and --json."""
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    parser.add_argument("--json", action="store_true", help=json)


def add_study(parser: argparse.ArgumentParser, writes: bool = True) -> None:
    """Add the study, and --output where the command writes."""
    parser.add_argument("study", type=Path, metavar="STUDY", help="a study file, study.toml")
    if writes:
        parser.add_argument(
            "--output", type=Path, metavar="DIR", help="default: the study's, results/ beside it"
        )


@contextmanager
def tracking(
    path: Path, quiet: bool, what: str = "kicks", kept: Callable[[], str] | None = None
) -> Iterator[Progress]:
    """Show progress, and say in words what ends long work.

    Parameters
    ----------
    path : Path
        The study.
    quiet : bool
    what : str
        What is counted.
    kept : callable, optional
        Says what an interruption leaves to go on from; "" if nothing.
    """
    try:
        with progress_bar(quiet, what) as progress, memory_in_words(path):
            yield progress
    except KeyboardInterrupt:
        said = kept() if kept is not None else ""
        raise KeyboardInterrupt(f"{said}: the same command goes on" if said else "") from None


def console() -> Console:
    """Where tables go: as wide as the terminal, or of a fixed width into a file."""
    from rich.console import Console

    found = Console()
    return found if found.is_terminal else Console(width=_WIDTH_OF_FILES)


def check_interrupt() -> None:
    """Raise again what a signal raised and a library swallowed."""
    if ending:
        raise ending[-1]


# How arguments of Python that messages name are said in a study, and as options of a command.
_END = r"(?=$|[ ;,:)])"
_IN_STUDY = (
    (rf"\bsequence={_END}", "line in [lattice]"),
    (rf"\bformat={_END}", "format in [lattice]"),
    (r"\btwiss=Twiss\(betx=\.\.\., alfx=\.\.\., bety=\.\.\., alfy=\.\.\.\)", "[bunch.twiss]"),
    (r"\btwiss=Twiss\(\.\.\.\)", "[bunch.twiss]"),
)
_AS_OPTION = (
    (rf"\bsequence={_END}", "--sequence"),
    (rf"\bformat={_END}", "--format"),
    (
        r"\breference=sc_bridge\.reference\(\"proton\", kinetic_energy=\"160 MeV\"\)",
        '--reference "proton, kinetic_energy = 160 MeV"',
    ),
    (r"\ballow = \[(['\"])(.*?)\1\] accepts", r"--allow \1\2\1 accepts"),
)


def in_words_of(text: str, options: argparse.Namespace) -> str:
    """Say what a message advises as the user of a command would write it."""
    words = _AS_OPTION if hasattr(options, "allow_path") else _IN_STUDY
    for argument, said in words:
        text = re.sub(argument, said, text)
    return text


@contextmanager
def progress_bar(quiet: bool, what: str = "kicks") -> Iterator[Progress]:
    """Progress bar on a terminal, nothing elsewhere."""
    from ..progress import progress_bar as bar

    with bar(quiet=quiet, what=what) as show:

        def report(stage: str, done: int, total: int | None) -> None:
            check_interrupt()
            show(stage, done, total)

        yield report


@contextmanager
def memory_in_words(path: Path) -> Iterator[None]:
    """Turn a failed allocation into one line about the study."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        known = ("can't allocate memory", "CUDA out of memory")
        if isinstance(error, MemoryError) or any(text in str(error) for text in known):
            raise StudyError(
                f"{path}: not enough memory: take fewer particles, a smaller grid or fewer kicks"
            ) from None
        raise
