"""Picture of a scan: one panel for every objective."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..study.scanning import Scan

_BLUE = "#1f5fa8"


def scan_picture(scan: Scan) -> bytes:
    """Return a PNG of all objectives against the scanned value."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 1.2 + 2.1 * len(scan.of)), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(scan.of), 1, sharex=True, squeeze=False)[:, 0]
    for index, (axes, objective) in enumerate(zip(panels, scan.of, strict=True)):
        axes.plot(scan.values, [row[index] for row in scan.rows], "o-", color=_BLUE, markersize=4)
        axes.set_ylabel(_label(objective.text, objective.unit), parse_math=False)
        axes.grid(color="#dddddd", linewidth=0.7)
        axes.spines[["top", "right"]].set_visible(False)
    panels[-1].set_xlabel(_label(scan.name, scan.unit), parse_math=False)
    content = io.BytesIO()
    figure.savefig(content, dpi=150, format="png")
    return content.getvalue()


def _label(name: str, unit: str | None) -> str:
    return f"{name} [{unit}]" if unit and unit != "1" else name
