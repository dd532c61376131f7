"""How the command line refuses: what every test of bad input checks."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from sc_bridge import cli

SECONDS = 10.0  # of the processor
MEBIBYTES = 1024.0


def _resident(key: str) -> int | None:
    """Present (VmRSS) or highest (VmHWM) resident size of this process, KiB."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return None  # only Linux tells
    return next(int(line.split()[1]) for line in lines if line.startswith(key))


def _forget_highest() -> int | None:
    """Let the kernel measure anew from the present size, and return that, KiB."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return None
    return _resident("VmRSS")


def refusal(folder: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run the command line, check that it refuses as it should, and return its one line."""
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    memory, start = _forget_highest(), time.process_time()
    assert cli.main(arguments) == cli.REFUSED
    assert time.process_time() - start < SECONDS
    highest = _resident("VmHWM")
    assert memory is None or highest is None or highest - memory < 1024 * MEBIBYTES
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert lines[-1].startswith("sc-bridge: error: ")
    assert all(line.startswith("sc-bridge: warning: ") for line in lines[:-1])
    assert len(lines[-1]) < 1100 and lines[-1].isprintable()
    assert captured.out == ""
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before
    return lines[-1]
