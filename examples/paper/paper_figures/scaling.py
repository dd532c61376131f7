"""Figures 2 to 6: what a kick and its steps keep, against particles and cells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.ticker import NullFormatter

from sc_bridge.memory import Law

from . import style
from .growth import WHOLE, Growth

# The paper's figure -> step of its scheme.
STEP_FIGURES = {
    "figure_4_green_function": "Green function",
    "figure_5_deposit": "charge deposition",
    "figure_6_gather": "field gather",
}
SHOWN = (
    "whole kick",
    "charge deposition",
    "field gather",
    "Green function",
    "forward FFTs",
    "inverse FFT",
)

Found = dict[str, list[Growth]]
Laws = dict[str, Law]


def draw_kick(folder: Path, scheme: Found, ours: Found, laws: dict[str, Laws]) -> None:
    """Figure 2: bytes of one kick, with the fits of both."""
    figure, axes = style.new_figure(1, 2, 9.0, 4.6, sharey=True)
    for name, found in ((style.PAPER, scheme), (style.OURS, ours)):
        _against(axes[0], found[WHOLE], laws[name][WHOLE], name)
    style.save(figure, folder, "figure_2_kick")


def draw_steps(folder: Path, scheme: Found, laws: Laws, ours: Law) -> None:
    """Figures 4 to 6: one step each."""
    for file, step in STEP_FIGURES.items():
        figure, axes = style.new_figure(1, 2, 9.0, 4.0, sharey=True)
        _against(axes[0], scheme[step], laws[step], style.PAPER)
        a, b = laws[step].bytes_per_particle, laws[step].bytes_per_cell
        figure.suptitle(
            f"{step}: {style.PAPER} keeps {_number(a)} B a particle and {_number(b)} B a cell;\n"
            f"sc_bridge keeps {_ours(step, ours)}",
            fontsize=9,
        )
        style.save(figure, folder, file)


def _ours(step: str, law: Law) -> str:
    if step != "field gather":
        return "nothing here"
    a, b = law.bytes_per_particle, law.bytes_per_cell
    return f"{a:.0f} B a particle and {b:.0f} B a cell for the whole kick"


def draw_coefficients(folder: Path, laws: dict[str, Laws]) -> None:
    """Figure 3: coefficients of each step of the kick."""
    figure, axes = style.new_figure(2, 1, 8.0, 5.2, sharex=True)
    width = 0.8 / len(laws)
    for place, (name, found) in enumerate(laws.items()):
        at = np.arange(len(SHOWN)) + (place - 0.5 * (len(laws) - 1)) * width
        for panel, field in zip(axes[:, 0], ("bytes_per_particle", "bytes_per_cell"), strict=True):
            heights = [max(getattr(found[s], field), 0.0) if s in found else 0.0 for s in SHOWN]
            label = f"{name} (one step in all)" if len(found) == 1 else name
            bars = panel.bar(at, heights, width, label=label, color=_colour(name))
            texts = [_number(h) if s in found else "" for h, s in zip(heights, SHOWN, strict=True)]
            panel.bar_label(bars, texts, fontsize=7, padding=1)
    for panel, unit in zip(axes[:, 0], ("particle", "cell"), strict=True):
        style.label(panel, "", f"bytes per {unit}")
        panel.set_xticks(range(len(SHOWN)), SHOWN)
        panel.margins(y=0.15)
        panel.grid(axis="x", visible=False)
    axes[0, 0].legend(fontsize=8)
    style.save(figure, folder, "figure_3_coefficients")


def _number(value: float) -> str:
    return "0" if value < 0.05 else f"{value:.0f}"


def _colour(name: str) -> str:
    return style.COLOURS.get(name, style.GREEN)


def _against(axes: Any, growths: list[Growth], law: Law, name: str) -> None:
    """Bytes against particles (left) for each number of cells, and against cells (right)."""
    views = (
        ("n_particles", "n_cells", "macroparticles", style.cells_label),
        ("n_cells", "n_particles", "cells", style.particles_label),
    )
    for panel, (along, other, text, describe) in zip(axes, views, strict=True):
        for marker, value in zip(
            style.MARKERS, sorted({getattr(one, other) for one in growths}), strict=False
        ):
            row = [one for one in growths if getattr(one, other) == value]
            places = [getattr(one, along) for one in row]
            panel.plot(
                places,
                [one.kept / 1e6 for one in row],
                marker,
                color=_colour(name),
                mfc="none",
                label=f"{name.split(',')[0]}, {describe(value)}",
            )
            line = np.geomspace(*style.spread(places), 50)
            fits = [law.predict(**{**_sizes(row[0]), along: x}, n_kicks=1) / 1e6 for x in line]
            panel.plot(line, fits, "-", color=_colour(name), lw=0.8)
        panel.set_xscale("log")
        panel.set_yscale("log")
        for ticks in (panel.xaxis, panel.yaxis):
            ticks.set_minor_formatter(NullFormatter())
        style.label(
            panel,
            f"number of {text}",
            "kept for the backward pass (MB)" if panel is axes[0] else "",
        )
        panel.legend(fontsize=6.5, loc="upper center", bbox_to_anchor=(0.45, -0.15), ncols=2)


def _sizes(one: Growth) -> dict[str, int]:
    return {"n_particles": one.n_particles, "n_cells": one.n_cells}
