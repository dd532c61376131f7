"""Draw Figures 1 to 8 of the paper anew and write the table beside them, in one command.

    python examples/paper/make_figures.py [--output DIR] [--quick]

The paper: "The Memory Scaling of Reverse-Mode Differentiation in Particle Accelerator
Simulations with Space Charge". It takes some minutes, needs matplotlib, and measures Cheetah
too where the extra `bench` is installed; `docs/paper.md` explains each figure. `--quick` draws
the same with small bunches and grids in half a minute, too coarse for Figures 7 and 8.
"""

from __future__ import annotations

import argparse
from importlib.metadata import version
from pathlib import Path

from paper_figures import case, expansion, fields, growth, scaling, style, table, timeline
from torch import float32, float64

DTYPES = {"float32": float32, "float64": float64}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--output", type=Path, default=Path("figures"), help="folder, made if missing"
    )
    parser.add_argument("--quick", action="store_true", help="small sizes")
    options = parser.parse_args()
    size = case.QUICK if options.quick else case.FULL
    options.output.mkdir(parents=True, exist_ok=True)
    numbers = draw_accuracy(options.output, size)
    numbers |= draw_timeline(options.output, size)
    rows = draw_scaling(options.output, size)
    print(table.write(options.output, rows, numbers).read_text(encoding="utf-8"))


def draw_accuracy(folder: Path, size: case.Size) -> dict[str, str]:
    """Figures 7 and 8."""
    worst = fields.draw(folder, size)
    errors = expansion.draw(folder, size)
    return {
        "Figure 7, largest error over largest force": f"{worst:.2%}",
        "Figure 8, largest error of the radius": f"{errors['radius']:.2%}",
        "Figure 8, largest error of dr/dr0": f"{errors['dr/dr0']:.2%}",
    }


def draw_timeline(folder: Path, size: case.Size) -> dict[str, str]:
    """Figure 1."""
    return {
        f"Figure 1, peak {derivatives} derivatives, {name}": f"{peak / 1e6:.2f} MB"
        for name, peaks in timeline.draw(folder, size).items()
        for derivatives, peak in peaks.items()
    }


def draw_scaling(folder: Path, size: case.Size) -> list[table.Row]:
    """Figures 2 to 6; returns the rows of the table."""
    rows: list[table.Row] = []
    for dtype, of in DTYPES.items():
        scheme, ours = growth.measure_scheme(size, of), growth.measure_ours(size, of)
        cheetah = growth.measure_cheetah(size, of)
        laws = {style.PAPER: growth.fit_steps(scheme), style.OURS: growth.fit_steps(ours)}
        name = f"Cheetah {version('cheetah-accelerator')}" if cheetah else "Cheetah"
        if cheetah:
            laws[name] = growth.fit_steps(cheetah)
        if dtype == "float32":  # the paper's
            scaling.draw_kick(folder, scheme, ours, laws)
            scaling.draw_coefficients(folder, laws)
            scaling.draw_steps(folder, scheme, laws[style.PAPER], laws[style.OURS][growth.WHOLE])
        for code in (style.PAPER, name):
            steps = laws.get(code, {growth.WHOLE: None})
            rows += [(code, step, dtype, law) for step, law in steps.items()]
        rows += [
            ("sc_bridge", strategy, dtype, growth.fit_strategy(adjoint, of, size))
            for strategy, adjoint in growth.STRATEGIES.items()
        ]
    return rows


if __name__ == "__main__":
    main()
