"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import StudyError


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file: to a hidden one beside it, then rename.

    Raises
    ------
    StudyError
        If the disk refuses; what was there before stays.
    """
    data = content.encode() if isinstance(content, str) else content
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        reason = error.strerror or str(error)
        raise StudyError(f"{path}: cannot be written: {reason}: choose another place") from None
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Wait until no other program is inside `alone_in` for the same folder.

    Where the file system or the machine knows no locks, nobody waits.
    """
    descriptor = None
    with suppress(ImportError, OSError):
        import fcntl

        descriptor = os.open(folder, os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)  # which unlocks


def is_one_of(target: Path, files: Iterable[Path]) -> bool:
    """Tell whether a path leads to one of some files, by whatever name."""
    return any(
        target == file or (target.exists() and file.exists() and os.path.samefile(target, file))
        for file in files
    )


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
