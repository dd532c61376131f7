"""Moments along s as tables of text: a line a look, each column with its unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from .moments import MOMENTS
from .monitors import MomentsRecord

_COORDINATES = ("x", "px", "y", "py", "zeta", "pzeta")
_PLANES = ("x", "y", "zeta", "x_betatron", "y_betatron")
_PLACES = {"s": "m", "turn": "1", "n_alive": "1"}


def unit_of(name: str) -> str:
    """Unit of a column."""
    return _PLACES.get(name) or MOMENTS[name]


def columns_of(record: MomentsRecord) -> dict[str, list[float]]:
    """Return places and moments of a record by name."""
    names = [f"{kind}_{c}" for kind in ("mean", "sigma") for c in _COORDINATES]
    names += [f"{kind}_{plane}" for kind in ("gemitt", "nemitt") for plane in _PLANES]
    names = ["s", "turn", *names, "intensity", "n_alive"]
    return {name: getattr(record, name).detach().tolist() for name in names}


def write_moments(path: Path, columns: Mapping[str, Sequence[float]]) -> None:
    """Write columns as CSV: a header such as `s [m]`, then numbers that read back exactly."""
    header = ",".join(_titled(name) for name in columns)
    rows = (",".join(map(repr, row)) for row in zip(*columns.values(), strict=True))
    path.write_text("\n".join([header, *rows, ""]), encoding="utf-8")


def _titled(name: str) -> str:
    unit = unit_of(name)
    return name if unit == "1" else f"{name} [{unit}]"
