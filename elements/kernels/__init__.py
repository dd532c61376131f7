"""C kernels for the CPU: built once per machine, kept in the user's cache folder.

The compiled module is named by a hash of all that it depends on, built in a folder of its
own by a separate process, and moved into place at once, so that any number of processes may
build at the same time. Without a compiler or a writable folder space charge and drifts run on torch
operations, which is said once.

SC_BRIDGE_CACHE names another folder; SC_BRIDGE_KERNELS=0 leaves the kernels off.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import warnings
from functools import lru_cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any

from . import build

Kernels = dict[str, Any]

_lock = threading.Lock()


def cache_folder() -> Path:
    """Where compiled kernels are kept: SC_BRIDGE_CACHE, or the platform's cache folder."""
    if chosen := os.environ.get("SC_BRIDGE_CACHE"):
        return Path(chosen)
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "sc_bridge"


def load() -> Kernels | None:
    """Return the kernels by C name, building them if need be; None if the machine cannot."""
    if os.environ.get("SC_BRIDGE_KERNELS") == "0":
        return None
    with _lock:
        return _load_once()


@lru_cache(maxsize=1)
def _load_once() -> Kernels | None:
    try:
        return _built(cache_folder())
    except Exception as error:  # any failure of a compiler or a file system
        reason = str(error).strip().splitlines() or [type(error).__name__]
        warnings.warn(
            f"no compiled kernels ({reason[-1]}): space charge and element maps run several "
            "times slower on torch operations. For speed, install a C compiler (gcc or clang) and "
            f"let {cache_folder()} be writable, or name another folder in SC_BRIDGE_CACHE",
            RuntimeWarning,
            stacklevel=2,
        )
        return None


def _built(folder: Path) -> Kernels:
    import xobjects as xo

    name = build.module_name()
    if not _modules(folder, name):
        _build(folder, name)
    context: Any = xo.ContextCpu()
    return context.kernels_from_file(name, build.descriptions(), containing_dir=str(folder))


def _modules(folder: Path, name: str) -> list[Path]:
    candidates = (folder / f"{name}{suffix}" for suffix in EXTENSION_SUFFIXES)
    return [path for path in candidates if path.is_file()]


def _build(folder: Path, name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix="build_") as scratch:
        done = subprocess.run(
            [sys.executable, build.__file__, name, scratch],
            cwd=scratch,
            capture_output=True,
            text=True,
            check=False,
        )
        made = _modules(Path(scratch), name)
        if done.returncode or not made:
            raise RuntimeError(done.stderr or "the compiler wrote no module")
        os.replace(made[0], folder / made[0].name)
