"""Command line: `sc-bridge run STUDY`, the same as `python -m sc_bridge run STUDY`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from .commands import audit, convert, init, optimise, plan, run, scan, schema
from .commands.terminal import EXIT_CODES, INTERRUPTED, OK, REFUSED, ending, in_words_of
from .errors import ScBridgeError

_EXAMPLES = """\
examples:
  sc-bridge init ring.json               # writes study.toml
  sc-bridge run study.toml               # tracks, differentiates, writes results/
  sc-bridge scan study.toml kbrqf --from 0.75 --to 0.79 --steps 5
  sc-bridge COMMAND --help               # more of them

"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        with _short_warnings(getattr(options, "quiet", False)):
            return options.execute(options)
    except ScBridgeError as error:
        print(f"sc-bridge: error: {in_words_of(_one_line(error), options)}", file=sys.stderr)
        return REFUSED
    except KeyboardInterrupt as interrupt:
        return _interrupted(interrupt)
    except Exception:
        if not ending:
            raise
        # a library turned the signal into an error of its own
        if isinstance(ending[-1], KeyboardInterrupt):
            return _interrupted(ending[-1])
        raise ending[-1] from None


def _interrupted(interrupt: BaseException) -> int:
    reason = str(interrupt) or "nothing written"
    print(f"sc-bridge: interrupted, {reason}", file=sys.stderr)
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


def _end(number: int, frame: Any) -> None:
    """End through the usual clean-up, so that no temporary folder stays."""
    interrupted = number == signal.SIGINT
    ending.append(KeyboardInterrupt() if interrupted else SystemExit(128 + number))
    raise ending[-1]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sc-bridge",
        description="Differentiate through the lattice you already have, with space charge.",
        epilog=_EXAMPLES + EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in (run, plan, scan, optimise, audit, convert, init, schema):
        command.add_parser(commands)
    return parser


def _version() -> str:
    from .versions import versions

    return "sc-bridge " + versions()["sc-bridge"]


def _one_line(error: ScBridgeError) -> str:
    return " ".join(str(error).split())
