"""Results: what a run leaves behind, written whole or not at all."""

from __future__ import annotations

import json
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from .errors import StudyError
from .moments import MOMENTS
from .study import Outcome

RESULTS = "results.json"
BUNCH = "bunch_final.h5"
PICTURE = "envelopes.png"


def to_dict(outcome: Outcome) -> dict[str, Any]:
    """Return the results of a run as plain values, for JSON."""
    return {
        "final": {name: _quantity(value, _unit(name)) for name, value in outcome.final.items()},
        "derivatives": _derivatives(outcome),
        "kicks": outcome.sequence.n_kicks,
        "audit": outcome.audit.to_dict(),
        "memory": {
            "saved_for_backward": _quantity(outcome.memory.saved_for_backward, "B"),
            "peak_resident": _quantity(outcome.memory.peak_resident, "B"),
            "adjoint": outcome.memory.adjoint,
            **_predicted(outcome.memory.predicted_peak),
        },
        "seconds": outcome.seconds,
        "along_s": {
            name: {"value": values, "unit": "m" if name == "s" else MOMENTS[name]}
            for name, values in outcome.along_s.items()
        },
        "versions": versions(),
        "study": {"file": outcome.study.path.name, **outcome.study.raw},
    }


def versions() -> dict[str, str]:
    """Versions of what numbers depend on."""
    found = {"python": platform.python_version()}
    for name in ("sc-bridge", "torch", "numpy"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


class Output:
    """Folder for the results of one run, checked before the run and filled after it.

    Files are written to a hidden folder beside their place and renamed when all are complete;
    `results.json` comes last.
    """

    def __init__(self, folder: Path, working: Path) -> None:
        self.folder = folder
        self._working = working

    def write(self, outcome: Outcome) -> None:
        """Write results, final bunch and picture.

        Raises
        ------
        StudyError
            If the disk refuses; the folder is then as it was.
        """
        from .bunch_files import write_bunch
        from .plot import save_envelopes

        try:
            write_bunch(self._working / BUNCH, outcome.bunch)
            save_envelopes(self._working / PICTURE, outcome)
            text = json.dumps(to_dict(outcome), indent=1, allow_nan=False)
            (self._working / RESULTS).write_text(text + "\n", encoding="utf-8")
            self._publish()
        except OSError as error:
            raise _refusal(self.folder, error) from None

    def _publish(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / RESULTS).unlink(missing_ok=True)
        for name in (BUNCH, PICTURE, RESULTS):
            os.replace(self._working / name, self.folder / name)


@contextmanager
def output_folder(folder: Path) -> Iterator[Output]:
    """Check that results can be written to `folder`, and clean up whatever happens.

    Raises
    ------
    StudyError
        If it is a file, or cannot be written to.
    """
    folder = folder.absolute()
    place = next(path for path in (folder, *folder.parents) if path.exists())
    if not place.is_dir():
        raise StudyError(f"{place}: is a file, not a folder for results: choose another --output")
    try:
        working = Path(tempfile.mkdtemp(prefix=".sc-bridge-", dir=place))
    except OSError as error:
        raise _refusal(folder, error) from None
    try:
        yield Output(folder, working)
    finally:
        shutil.rmtree(working, ignore_errors=True)


def _refusal(folder: Path, error: OSError) -> StudyError:
    return StudyError(
        f"{folder}: results cannot be written: {error.strerror or error}: choose another --output"
    )


def _derivatives(outcome: Outcome) -> dict[str, dict[str, dict[str, Any]]]:
    table: dict[str, dict[str, dict[str, Any]]] = {}
    for entry in outcome.derivatives:
        table.setdefault(entry.of, {})[entry.input.name] = _quantity(entry.value, entry.unit)
    return table


def _predicted(peak: int | None) -> dict[str, Any]:
    return {} if peak is None else {"predicted_peak_resident": _quantity(peak, "B")}


def _unit(name: str) -> str:
    return MOMENTS.get(name, "1")


def _quantity(value: float, unit: str) -> dict[str, Any]:
    return {"value": value, "unit": unit}
