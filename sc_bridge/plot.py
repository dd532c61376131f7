"""Pictures: envelopes along s, with magnets and kicks under them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sc_bridge.elements import Bend, Cavity, Element, Quadrupole

from .sequence import KickedSequence

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .study import Outcome

_BLUE, _RED = "#1f5fa8", "#c43b2f"
_COLOURS = {"bend": "#5b7fb5", "focusing": "#d1605e", "defocusing": "#e29a48", "cavity": "#3f8f5f"}
_GREY = "#555555"


@dataclass(frozen=True)
class Magnet:
    """Something of the lattice that is drawn: kind, place in m, and strength k1 if it has one."""

    kind: str
    name: str
    s_start: float
    s_end: float


def magnets(sequence: KickedSequence) -> Iterator[Magnet]:
    """Yield the magnets and cavities along the line, each once, whatever its slices."""
    s = 0.0
    for name in sequence.lattice.element_names:
        element = sequence[name]
        length = element.length.detach().max().item() if element.isthick else 0.0
        kind = _kind(element)
        if kind:
            yield Magnet(kind, name, s, s + length)
        s += length


def _kind(element: Element) -> str:
    if isinstance(element, Bend):
        return "bend"
    if isinstance(element, Quadrupole):
        return "focusing" if element.k1.detach().max().item() >= 0 else "defocusing"
    return "cavity" if isinstance(element, Cavity) else ""


def save_envelopes(path: str | os.PathLike[str], outcome: Outcome) -> None:
    """Save a picture of sigma_x and sigma_y along s, the lattice and the kicks, as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 5.6), layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[5, 1.25])
    _draw_envelopes(above, outcome)
    _draw_lattice(below, outcome.sequence)
    title = outcome.study.model.title
    if title:
        above.set_title(title, loc="left", fontsize=12, pad=10, parse_math=False)
    figure.savefig(path, dpi=150, format="png")


def _draw_envelopes(axes: Axes, outcome: Outcome) -> None:
    trace = outcome.along_s
    for name, colour, label in (
        ("sigma_x", _BLUE, r"$\sigma_x$"),
        ("sigma_y", _RED, r"$\sigma_y$"),
    ):
        axes.plot(trace["s"], [1e3 * value for value in trace[name]], color=colour, label=label)
    axes.set_ylabel("rms size [mm]")
    axes.set_ylim(bottom=0.0)
    axes.set_xlim(0.0, max(trace["s"][-1], 1e-9))
    axes.grid(axis="y", color="#dddddd", linewidth=0.7)
    axes.spines[["top", "right"]].set_visible(False)
    # outside the data, whatever the envelopes do
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, frameon=False)


def _draw_lattice(axes: Axes, sequence: KickedSequence) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    axes.axhline(0.0, color=_GREY, linewidth=0.8)
    seen: dict[str, Any] = {}
    for magnet in magnets(sequence):
        bottom, height = {
            "bend": (-0.35, 0.7),
            "focusing": (0.0, 0.9),
            "defocusing": (-0.9, 0.9),
            "cavity": (-0.6, 1.2),
        }[magnet.kind]
        width = magnet.s_end - magnet.s_start
        colour = _COLOURS[magnet.kind]
        if width > 0:
            axes.bar(magnet.s_start, height, width, bottom, align="edge", color=colour)
        else:
            axes.vlines(
                magnet.s_start, bottom, bottom + height, color=colour, linewidth=2.5, clip_on=False
            )
        seen.setdefault(magnet.kind, Patch(color=colour, label=magnet.kind))
    kicks = [step.s_start for step in sequence.steps if step.kind == "kick"]
    if kicks:
        axes.vlines(kicks, -1.45, -1.15, color=_GREY, linewidth=0.6)
        tick = {"color": _GREY, "marker": "|", "linestyle": "none", "markersize": 8}
        seen["kicks"] = Line2D([], [], label=f"{len(kicks)} kicks", **tick)
    axes.set_ylim(-1.55, 1.05)
    axes.set_yticks([])
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_xlabel("s [m]")
    if seen:
        axes.legend(
            handles=list(seen.values()),
            loc="center left",
            bbox_to_anchor=(1.0, 0.5),
            frameon=False,
            fontsize=9,
            handlelength=1.0,
        )
