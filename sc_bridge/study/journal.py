"""Journal: what long work has done so far, kept in a file that is always whole."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from ..errors import StudyError
from ..files import write_whole
from ..lattice import Lattice
from ..versions import versions
from .model import Study

_LARGEST = 500_000_000  # bytes


def fingerprint(study: Study, lattice: Lattice, *more: Any) -> str:
    """Return what tells two pieces of work apart.

    Parameters
    ----------
    study : Study
    lattice : Lattice
        As read, so that files that its own call or include count.
    *more
        Options of the command.
    """
    records = [(record.name, record.kind, record.fields) for record in lattice.elements.values()]
    content = (
        records,
        lattice.element_names,
        lattice.variables,
        lattice.expressions,
        lattice.field_expressions,
        lattice.field_variables,
        lattice.reference,
    )
    settings = json.dumps([study.raw, more, versions()], sort_keys=True, default=str)
    digest = hashlib.sha256(settings.encode())
    digest.update(repr(content).encode())
    bunch = study.bunch_path
    if bunch is not None and bunch.is_file():
        with bunch.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


class Journal:
    """Entries of one piece of work; written after each, so that an interruption loses none.

    Parameters
    ----------
    path : Path
    mark : str
        Its `fingerprint`; entries of other work in the same file are not taken.
    """

    def __init__(self, path: Path, mark: str) -> None:
        self.path = path
        self.mark = mark
        self.entries: list[dict[str, Any]] = self._read()
        self.resumed = len(self.entries)

    def add(self, entry: dict[str, Any]) -> None:
        """Keep one more entry."""
        self.entries.append(entry)
        self.write({"complete": False})

    def write(self, more: dict[str, Any]) -> None:
        """Write all entries, and more beside them."""
        content = {"fingerprint": self.mark, **more, "entries": self.entries}
        write_whole(self.path, json.dumps(content, indent=1) + "\n")

    def _read(self) -> list[dict[str, Any]]:
        if not self.path.exists():
            return []
        try:
            if self.path.stat().st_size > _LARGEST:
                raise ValueError("too large")
            content = json.loads(self.path.read_text(encoding="utf-8"))
            if content["fingerprint"] != self.mark:
                return []
            return [dict(entry) for entry in content["entries"]]
        except OSError as error:
            raise StudyError(f"{self.path}: cannot be read: {error.strerror}") from None
        except (ValueError, KeyError, TypeError, RecursionError):
            raise StudyError(
                f"{self.path}: is not what an interrupted run left: move it away"
            ) from None
