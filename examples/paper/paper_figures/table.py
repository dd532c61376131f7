"""The table: coefficients of the memory law, ours beside the paper's scheme and Cheetah's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from sc_bridge.memory import Law

HEADER = (
    "| code | step or strategy | dtype | B per particle | B per cell | R^2 |\n" + "|---" * 6 + "|"
)

Row = tuple[str, str, str, Law | None]


def write(folder: Path, rows: Iterable[Row], others: Mapping[str, str]) -> Path:
    """Write table.md: coefficients for every kick, then single numbers."""
    lines = ["# The memory law, for each kick", "", HEADER]
    lines += [_line(*row) for row in rows]
    lines += ["", "# Single numbers", "", "| what | value |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in others.items()]
    path = folder / "table.md"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _line(code: str, step: str, dtype: str, law: Law | None) -> str:
    if law is None:
        return f"| {code} | {step} | {dtype} | not installed | | |"
    a, b = (_number(value) for value in (law.bytes_per_particle, law.bytes_per_cell))
    return f"| {code} | {step} | {dtype} | {a} | {b} | {law.r2:.6f} |"


def _number(value: float) -> str:
    return f"{value:.1f}" if abs(value) >= 0.05 else "0"
