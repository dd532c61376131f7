"""Figures by matplotlib: envelopes over the lattice, and phase space of bunches."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import torch

from sc_bridge.adjoint import TrackResult
from sc_bridge.elements import Bunch
from sc_bridge.errors import ScBridgeError
from sc_bridge.monitors import MomentsRecord
from sc_bridge.sequence import KickedSequence

from .synoptic import SHAPES, kick_places, magnets

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sc_bridge.study import Outcome

_BLUE, _RED, _GREY = "#1f5fa8", "#c43b2f", "#555555"
COLOURS = {
    "bend": "#5b7fb5",
    "focusing quadrupole": "#d1605e",
    "defocusing quadrupole": "#e29a48",
    "idle quadrupole": "#9aa5b1",
    "sextupole": "#8b6bb0",
    "octupole": "#4f9aa8",
    "solenoid": "#a0793d",
    "cavity": "#3f8f5f",
}
# Planes of phase space: (across, its unit and factor, up, its unit and factor).
PLANES = (
    ("x", "mm", 1e3, "px", "1e-3", 1e3),
    ("y", "mm", 1e3, "py", "1e-3", 1e3),
    ("zeta", "m", 1.0, "delta", "1e-3", 1e3),
)
_FEW = 2000  # particles that are drawn one by one


def plot(what: Any, sequence: KickedSequence | None = None) -> Figure:
    """Draw a bunch in phase space, or envelopes along s over the lattice.

    Parameters
    ----------
    what : Bunch, MomentsRecord, TrackResult or KickedSequence
        A bunch gives x-px, y-py and zeta-delta; the record of a `MomentsMonitor`, or a result that
        has one, gives sigma_x and sigma_y along s; a sequence gives its magnets and kicks.
    sequence : KickedSequence, optional
        Draws the lattice under the envelopes.

    Returns
    -------
    matplotlib.figure.Figure
        Of pyplot, so that notebooks and `plt.show()` show it; `.savefig("envelopes.png")`.

    Raises
    ------
    ScBridgeError
        If it is none of these, a batch, or a result without moments.

    Examples
    --------
    >>> plot(bunch).savefig("phase_space.png")  # doctest: +SKIP
    """
    import matplotlib.pyplot as plt

    if isinstance(what, TrackResult):
        what = _moments_of(what)
    if isinstance(what, KickedSequence):
        figure = plt.figure(figsize=(11, 2.0), layout="constrained")
        draw_lattice(figure.subplots(), what)
        return figure
    if isinstance(what, Bunch):
        return _phase_space(plt.figure(figsize=(11, 3.8), layout="constrained"), what)
    if not isinstance(what, MomentsRecord):
        raise ScBridgeError(
            f"plot: {type(what).__name__}: give a Bunch, the record of a MomentsMonitor, the "
            "result of track(monitors=...), or a KickedSequence"
        )
    if what.mean.dim() != 2:
        raise ScBridgeError("plot: a batch of moments: draw one bunch at a time")
    per_turn = sequence.length if sequence is not None else what.s.max().item()
    trace = {
        "s": (what.s + what.turn * per_turn).tolist(),
        "sigma_x": what.sigma_x.detach().tolist(),
        "sigma_y": what.sigma_y.detach().tolist(),
    }
    figure = plt.figure(figsize=(11, 5.6), layout="constrained")
    _envelopes_and_lattice(figure, trace, sequence)
    return figure


def _moments_of(result: TrackResult) -> MomentsRecord:
    for record in result.records.values():
        if isinstance(record, MomentsRecord):
            return record
    raise ScBridgeError(
        "plot: the result has no moments: track(..., monitors="
        "{'kicks': MomentsMonitor(every_kick=True)})"
    )


def save_envelopes(path: str | os.PathLike[str], outcome: Outcome) -> None:
    """Save a picture of sigma_x and sigma_y along s, the lattice and the kicks, as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 5.6), layout="constrained")
    FigureCanvasAgg(figure)
    above = _envelopes_and_lattice(figure, outcome.along_s, outcome.sequence)
    title = outcome.study.model.title
    if title:
        above.set_title(title, loc="left", fontsize=12, pad=10, parse_math=False)
    figure.savefig(path, dpi=150, format="png")


def _envelopes_and_lattice(
    figure: Figure, trace: dict[str, list[float]], sequence: KickedSequence | None
) -> Axes:
    if sequence is None:
        axes = figure.subplots()
        _draw_envelopes(axes, trace)
        axes.set_xlabel("s [m]")
        return axes
    one_turn = trace["s"][-1] <= sequence.length * (1.0 + 1e-9)
    above, below = figure.subplots(2, 1, sharex=one_turn, height_ratios=[5, 1.25])
    _draw_envelopes(above, trace)
    draw_lattice(below, sequence)
    return above


def _draw_envelopes(axes: Axes, trace: dict[str, list[float]]) -> None:
    for name, colour, label in (
        ("sigma_x", _BLUE, r"$\sigma_x$"),
        ("sigma_y", _RED, r"$\sigma_y$"),
    ):
        marker = "o" if len(trace["s"]) == 1 else None
        values = [1e3 * value for value in trace[name]]
        axes.plot(trace["s"], values, color=colour, label=label, marker=marker)
    axes.set_ylabel("rms size [mm]")
    axes.set_ylim(bottom=0.0)
    axes.set_xlim(0.0, max(trace["s"][-1], 1e-9))
    axes.grid(axis="y", color="#dddddd", linewidth=0.7)
    axes.spines[["top", "right"]].set_visible(False)
    # outside the data, whatever the envelopes do
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, frameon=False)


def draw_lattice(axes: Axes, sequence: KickedSequence) -> None:
    """Draw magnets as boxes and kicks as ticks along s."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    axes.axhline(0.0, color=_GREY, linewidth=0.8)
    found = list(magnets(sequence))
    handles: list[Any] = []
    for kind in (kind for kind in SHAPES if any(magnet.kind == kind for magnet in found)):
        bottom, height = SHAPES[kind]
        of_kind = [magnet for magnet in found if magnet.kind == kind]
        thick = [magnet for magnet in of_kind if magnet.s_end > magnet.s_start]
        thin = [magnet.s_start for magnet in of_kind if magnet.s_end <= magnet.s_start]
        if thick:
            spans = [(magnet.s_start, magnet.s_end - magnet.s_start) for magnet in thick]
            axes.broken_barh(spans, (bottom, height), color=COLOURS[kind], linewidth=0)
        if thin:
            axes.vlines(thin, bottom, bottom + height, color=COLOURS[kind], linewidth=1.5)
        handles.append(Patch(color=COLOURS[kind], label=kind))
    kicks = kick_places(sequence)
    if kicks:
        axes.vlines(kicks, -1.55, -1.25, color=_GREY, linewidth=0.6)
        tick = {"color": _GREY, "marker": "|", "linestyle": "none", "markersize": 8}
        handles.append(Line2D([], [], label=f"{len(kicks)} kicks", **tick))
    axes.set_ylim(-1.65, 1.15)
    axes.set_xlim(0.0, max(sequence.length, 1e-9))
    axes.set_yticks([])
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_xlabel("s [m]")
    if handles:
        where = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5), "frameon": False}
        axes.legend(handles=handles, fontsize=8, handlelength=1.0, labelspacing=0.2, **where)


def _phase_space(figure: Figure, bunch: Bunch) -> Figure:
    if bunch.coordinates.dim() != 2:
        shape = tuple(bunch.coordinates.shape[:-2])
        raise ScBridgeError(f"plot: a batch of shape {shape}: draw one bunch at a time")
    bunch = bunch.detach().to("cpu")
    for axes, plane in zip(figure.subplots(1, 3), PLANES, strict=True):
        across, unit, factor, up, unit_up, factor_up = plane
        x = living(bunch, across) * factor
        y = living(bunch, up) * factor_up
        if len(x) > _FEW:
            axes.hist2d(x, y, bins=120, cmin=1, cmap="viridis")
        else:
            axes.plot(x, y, ".", markersize=3, color=_BLUE)
        axes.set_xlabel(f"{across} [{unit}]")
        axes.set_ylabel(f"{up} [{unit_up}]")
    return figure


def living(bunch: Bunch, name: str) -> Any:
    """One coordinate of the particles that are alive, as a NumPy array of float64."""
    return getattr(bunch, name)[bunch.alive].to(torch.float64).numpy()
