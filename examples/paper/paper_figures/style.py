"""Style of all figures."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

BLUE, RED, GREEN, GREY = "#1f5fa8", "#c43b2f", "#3f8f5f", "#555555"
ORANGE = "#e29a48"
PAPER, OURS = "the paper's scheme", "sc_bridge, StoreStates"
COLOURS = {PAPER: RED, OURS: BLUE}
MARKERS = ("o", "s", "^", "D")


def new_figure(rows: int, columns: int, width: float, height: float, **more: Any) -> Any:
    """Return figure and axes, (rows, columns)."""
    plt.rcParams.update({"font.size": 9, "axes.grid": True, "grid.alpha": 0.3})
    return plt.subplots(
        rows, columns, figsize=(width, height), layout="constrained", squeeze=False, **more
    )


def save(figure: Any, folder: Path, name: str) -> Path:
    path = folder / f"{name}.png"
    figure.savefig(path, dpi=150)
    plt.close(figure)
    return path


def label(axes: Any, x: str, y: str, title: str = "") -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_title(title, fontsize=9)


def cells_label(n_cells: int) -> str:
    return f"{round(n_cells ** (1 / 3))}$^3$ cells"


def particles_label(n_particles: int) -> str:
    return f"{n_particles:,} particles"


def spread(values: Iterable[float]) -> tuple[float, float]:
    """Smallest and largest value, for the ends of a line."""
    values = list(values)
    return min(values), max(values)
