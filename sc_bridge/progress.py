"""Progress of long work, in terminals and notebooks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Called with what is going on, how much of it is done, and of how much (None: unknown).
Report = Callable[[str, int, int | None], None]


@contextmanager
def progress_bar(quiet: bool = False, what: str = "kicks") -> Iterator[Report]:
    """Show a bar with counts and times on a terminal or in a notebook, nothing elsewhere.

    Parameters
    ----------
    quiet : bool
        Show nothing anywhere.
    what : str
        What is counted.
    """
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
        TextColumn(what),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    disabled = quiet or not (console.is_terminal or console.is_jupyter)
    with Progress(*columns, console=console, transient=True, disable=disabled) as bar:
        task = bar.add_task("", total=None)

        def show(stage: str, done: int, total: int | None) -> None:
            if total is None:
                bar.update(task, description=stage, total=None)
            else:
                bar.update(task, description=stage, completed=done, total=total)

        yield show
