"""Results: what a run leaves behind, written whole or not at all."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sc_bridge.elements import Bunch

from .errors import StudyError
from .files import alone_in, is_one_of
from .monitors import BunchRecord, MomentsRecord
from .study import Outcome, Study
from .tables import columns_of, unit_of, write_moments
from .versions import versions

RESULTS = "results.json"
MOMENTS_TABLE = "moments.csv"
PICTURE = "envelopes.png"
REPORT = "report.html"
_SUFFIXES = {"openpmd": "h5", "npz": "npz"}
# What a run may have written, and a later one may therefore remove.
_OURS = re.compile(r"(bunch|moments)[^/\\\0]*\.(h5|npz|csv)|envelopes\.png|report\.html")


def to_dict(outcome: Outcome) -> dict[str, Any]:
    """Return the results of a run as plain values, for JSON."""
    return {
        "final": {name: _quantity(value, unit_of(name)) for name, value in outcome.final.items()},
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
            name: {"value": values, "unit": unit_of(name)}
            for name, values in outcome.along_s.items()
        },
        "losses": [asdict(loss) for loss in outcome.losses],
        "monitors": {name: _record(record) for name, record in outcome.monitors.items()},
        "left_out": [asdict(entry) for entry in outcome.sequence.lattice.left_out],
        "warnings": list(outcome.notes),
        "seed": outcome.study.model.bunch.seed,
        "versions": versions(),
        "files": files_of(outcome),
        "study": {"file": outcome.study.path.name, **outcome.study.raw},
    }


class Output:
    """Folder for the results of one run, checked before the run and filled after it.

    Files are written to a hidden folder beside their place and renamed when all are complete;
    `results.json` comes last.
    """

    def __init__(self, folder: Path, working: Path) -> None:
        self.folder = folder
        self._working = working

    def write(self, outcome: Outcome) -> tuple[str, ...]:
        """Write all files of a run and return their names, `results.json` last.

        Raises
        ------
        StudyError
            If the disk refuses; the folder is then as it was.
        """
        try:
            names = tuple(self._write_all(outcome))
            self._publish(names)
        except OSError as error:
            raise _refusal(self.folder, error) from None
        return names

    def _write_all(self, outcome: Outcome) -> list[str]:
        """Write everything into the working folder."""
        from .bunch_files import write_bunch
        from .pictures.figures import save_envelopes

        folder, names = self._working, files_of(outcome)
        write_moments(folder / MOMENTS_TABLE, outcome.along_s)
        for stem, bunch in bunches_of(outcome).items():
            for format in outcome.study.model.output.bunches:
                write_bunch(folder / f"{stem}.{_SUFFIXES[format]}", bunch, format=format)
        for name, record in outcome.monitors.items():
            if isinstance(record, MomentsRecord):
                write_moments(folder / _moments_file(name), columns_of(record))
        save_envelopes(folder / PICTURE, outcome)
        if REPORT in names:
            from .report.page import report_page

            page = report_page(outcome, versions(), names)
            (folder / REPORT).write_text(page, encoding="utf-8")
        text = json.dumps(to_dict(outcome), indent=1, allow_nan=False)
        (folder / RESULTS).write_text(text + "\n", encoding="utf-8")
        return names

    def _publish(self, names: tuple[str, ...]) -> None:
        """Put the files in place; without `results.json` a folder holds no whole run."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with alone_in(self.folder):  # or the files would be of several runs
            before = self._files_before()
            (self.folder / RESULTS).unlink(missing_ok=True)
            for name in before - set(names):
                (self.folder / name).unlink(missing_ok=True)
            for name in names:
                os.replace(self._working / name, self.folder / name)

    def _files_before(self) -> set[str]:
        """Files of an earlier run in this folder, as its own `results.json` lists them."""
        try:
            content = json.loads((self.folder / RESULTS).read_text(encoding="utf-8"))
            listed = content["files"]
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            return set()
        names = listed if isinstance(listed, list) else []
        return {name for name in names if isinstance(name, str) and _OURS.fullmatch(name)}


def files_of(outcome: Outcome) -> list[str]:
    """Return the names of all files that a run writes, `results.json` last."""
    output = outcome.study.model.output
    names = [MOMENTS_TABLE]
    names += [
        f"{stem}.{_SUFFIXES[format]}" for stem in bunches_of(outcome) for format in output.bunches
    ]
    for name, record in outcome.monitors.items():
        if isinstance(record, MomentsRecord):
            names.append(_moments_file(name))
    return [*names, PICTURE, *([REPORT] if output.report else []), RESULTS]


def _moments_file(monitor: str) -> str:
    return f"moments_{file_name(monitor)}.csv"


def bunches_of(outcome: Outcome) -> dict[str, Bunch]:
    """Return the bunches that a run writes, by the stems of their files."""
    found = {"bunch_final": outcome.bunch}
    for name, record in outcome.monitors.items():
        if isinstance(record, BunchRecord):
            stem = f"bunch_{file_name(name)}"
            numbered = len(record) > 1
            for number, bunch in enumerate(record, start=1):
                found[f"{stem}_{number:04d}" if numbered else stem] = bunch
    return found


def file_name(name: str) -> str:
    """Return the name of a monitor as a part of a file's name, whatever it holds."""
    return quote(name, safe=" ()+,=@")


@contextmanager
def output_folder(folder: Path) -> Iterator[Output]:
    """Check that results can be written to `folder`, and clean up whatever happens.

    Raises
    ------
    StudyError
        If it is a file, or cannot be written to.
    """
    folder = folder.absolute()
    if "\0" in str(folder):
        raise StudyError(f"{str(folder)!r}: is no path: choose another --output")
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


def keep_inputs(study: Study, folder: Path) -> None:
    """Refuse a folder where a run would write or remove a file that it reads.

    Raises
    ------
    StudyError
        With the file's name.
    """
    for given in _inputs(study):
        for path in (given, given.resolve()):
            ours = path.name == RESULTS or _OURS.fullmatch(path.name)
            if ours and path.parent.resolve() == folder.resolve():
                raise StudyError(
                    f"{study.path}: {given} is in {folder}, where a run replaces files of such "
                    "names: choose another --output, or copy it elsewhere"
                )


def _inputs(study: Study) -> list[Path]:
    """Files that a study reads."""
    bunch = [] if study.bunch_path is None else [study.bunch_path]
    return [study.path, *study.lattice_paths, *bunch]


def check_targets(study: Study, targets: Iterable[Path]) -> None:
    """Refuse files that cannot be written, or that the study reads, before long work begins.

    Raises
    ------
    StudyError
        With the file's name, or as `output_folder`.
    """
    inputs, folders = _inputs(study), set()
    for target in targets:
        if is_one_of(target, inputs):
            raise StudyError(
                f"{study.path}: {target} would be read and written: choose another --output"
            )
        folders.add(target.parent)
    for folder in folders:
        with output_folder(folder):
            pass


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


def _record(record: Any) -> dict[str, Any]:
    """What a monitor recorded: moments as in `along_s`, or where the bunches are."""
    if isinstance(record, MomentsRecord):
        columns = columns_of(record)
        return {key: {"value": v, "unit": unit_of(key)} for key, v in columns.items()}
    return {"s": _quantities(record.s, "m"), "turn": _quantities(record.turn, "1")}


def _quantities(values: Any, unit: str) -> dict[str, Any]:
    return {"value": values.tolist(), "unit": unit}


def _quantity(value: float, unit: str) -> dict[str, Any]:
    return {"value": value, "unit": unit}
