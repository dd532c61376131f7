"""Reports: what a run prints, as tables."""

from __future__ import annotations

import math

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..moments import MOMENTS
from ..study import Derivative, Outcome

# Unit -> (factor, unit to show).
_SHOWN = {"m": (1e3, "mm"), "B": (1 / 2**20, "MiB")}
_SHOWN_BY_NAME = {"nemitt": (1e6, "um"), "gemitt": (1e6, "um"), "sigma_zeta": (1.0, "m")}
_SHORT = ("sigma_x", "sigma_y", "sigma_zeta", "sigma_delta", "nemitt_x", "nemitt_y")
_SHORT += ("nemitt_x_betatron", "nemitt_y_betatron", "intensity")


def print_report(console: Console, outcome: Outcome) -> None:
    """Print audit, memory, final moments and derivatives of a run."""
    title = outcome.study.model.title
    if title:
        console.print(Text(title, style="bold"))
    console.print(_audit_table(outcome))
    console.print(_final_table(outcome))
    if outcome.derivatives:
        console.print(_derivative_table(outcome))
    console.print(Text(_memory_line(outcome)))
    for note in outcome.notes:
        console.print(Text(f"note: {note}"), soft_wrap=True)


def _audit_table(outcome: Outcome) -> Table:
    header, *rows, total = outcome.audit.table()
    table = Table(
        title=Text(f"Audit of {outcome.audit.source}"),
        title_justify="left",
        caption=Text(outcome.audit.summary),
        caption_justify="left",
        show_footer=True,
    )
    for index, (name, footer) in enumerate(zip(header, total, strict=True)):
        table.add_column(name, footer=footer, justify="right" if index else "left")
    for row in rows:
        table.add_row(*row)
    return table


def _final_table(outcome: Outcome) -> Table:
    table = Table(title="Bunch", title_justify="left")
    table.add_column("moment")
    table.add_column("start", justify="right")
    table.add_column("end", justify="right")
    table.add_column("unit")
    for name in _SHORT:
        factor, unit = _shown(name)
        first = outcome.along_s.get(name, [math.nan])[0]
        start = "" if math.isnan(first) else f"{first * factor:.6g}"
        table.add_row(name, start, f"{outcome.final[name] * factor:.6g}", unit)
    table.add_row(
        "particles alive", str(outcome.bunch.n_particles), f"{outcome.final['n_alive']:.0f}", ""
    )
    return table


def _derivative_table(outcome: Outcome) -> Table:
    table = Table(
        title="Derivatives, all from one backward pass",
        title_justify="left",
        caption="last column: percent of change for one percent of change",
        caption_justify="left",
    )
    for name in ("of", "with respect to"):
        table.add_column(name)
    table.add_column("derivative", justify="right")
    table.add_column("unit")
    table.add_column("% per %", justify="right")
    last = ""
    for entry in outcome.derivatives:
        if last and entry.of != last:
            table.add_section()
        shown = "" if entry.of == last else entry.of
        last = entry.of
        cells = (shown, entry.input.name, f"{entry.value: .6e}", entry.unit, _relative(entry))
        table.add_row(*map(Text, cells))  # as they are: units may hold brackets
    return table


def _relative(entry: Derivative) -> str:
    value = entry.of_value
    return f"{entry.value * entry.input.value / value: .4f}" if value else ""


def _memory_line(outcome: Outcome) -> str:
    memory, seconds = outcome.memory, outcome.seconds
    predicted = memory.predicted_peak
    planned = "" if predicted is None else f" (predicted: {_bytes(predicted)})"
    return (
        f"{outcome.sequence.n_kicks} kicks; memory: {_bytes(memory.saved_for_backward)} kept for "
        f"the backward pass by {memory.adjoint}, "
        f"{_bytes(memory.peak_resident)} at the peak{planned}\n"
        f"time: {seconds['track']:.1f} s forward, {seconds['backward']:.1f} s backward"
    )


def _bytes(count: int) -> str:
    return f"{count / 2**30:.2f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"


def _shown(name: str) -> tuple[float, str]:
    for start, shown in _SHOWN_BY_NAME.items():
        if name.startswith(start):
            return shown
    unit = MOMENTS[name]
    return _SHOWN.get(unit, (1.0, "" if unit == "1" else unit))
