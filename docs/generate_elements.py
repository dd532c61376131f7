"""Write the table of elements in docs/elements.md: what each agrees with, and to how much.

    python docs/generate_elements.py           # measure, and write the table
    python docs/generate_elements.py --check   # measure, and fail if the table is not current

The cases are those of the tests. A figure is a power of ten above the largest difference to
xtrack; one that still holds is kept, so that the table is the same on every machine.
"""

from __future__ import annotations

import argparse
import math
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "elements.md"
START, END = "<!-- table: generate_elements.py -->", "<!-- end of table -->"
AMPLITUDES = (1e-8, 1e-5, 1e-2)
HEAD = "| Class | Cases | Largest difference to xtrack | Symplectic | Inverse | Slices |"
# A figure is kept while it holds and is not this much too large.
GENEROUS = 1e4
# Differences below this are rounding, which is another on every machine.
ROUNDING = 1e-14

sys.path[:0] = [str(ROOT), str(ROOT / "tests")]


def difference(kind, kwargs) -> float:
    """Largest difference over species and amplitudes; relative for coordinates above 1."""
    import numpy as np
    import torch

    from cases import REFERENCES, make_reference, random_bunch
    from oracles import track_xtrack, xtrack_element
    from sc_bridge.elements import Aperture, Bunch

    element, theirs = kind(**kwargs), xtrack_element(kind.__name__, kwargs)
    largest = 0.0
    for species in REFERENCES:
        reference = make_reference(species)
        bunches = [random_bunch(amplitude=a, reference=reference) for a in AMPLITUDES]
        coordinates = torch.cat([bunch.coordinates for bunch in bunches], dim=-1)
        together = Bunch(coordinates, reference)
        expected = track_xtrack(theirs, together, may_lose=issubclass(kind, Aperture))
        ours = element.track(together).coordinates.numpy()
        scale = max(1.0, float(np.abs(expected).max()))
        largest = max(largest, float(np.abs(ours - expected).max()) / scale)
    return largest


def figure(measured: float, stated: float | None) -> float:
    """Power of ten above a measured difference, or the stated one if it still holds."""
    measured = max(measured, ROUNDING)
    if stated is not None and measured <= stated <= GENEROUS * measured:
        return stated
    return 10.0 ** math.ceil(math.log10(measured))


def stated_figures(text: str) -> dict[str, float]:
    """Figures that a page states, by class."""
    rows = re.findall(r"^\| `(\w+)` \| \d+ \| ([\d.e-]+) ", text, re.MULTILINE)
    return {name: float(value) for name, value in rows}


def row(kind, cases, stated: dict[str, float]) -> str:
    from rf_cases import NO_INVERSE, NO_SLICES, NOT_SYMPLECTIC, OWN_ORACLE

    name = kind.__name__
    if kind in OWN_ORACLE:
        agreement = f"not in Xsuite: `tests/elements/{OWN_ORACLE[kind]}`"
    else:
        measured = max(difference(kind, kwargs) for kwargs in cases.values())
        agreement = f"{figure(measured, stated.get(name)):.0e}"
    exceptions = {
        reason: key for key, reason in NOT_SYMPLECTIC.items() if key.split("-")[0] == name
    }
    symplectic = f"no: {'; '.join(exceptions)}" if exceptions else "yes"
    if exceptions and name not in NOT_SYMPLECTIC:
        symplectic = f"except {'; '.join(exceptions)}"
    inverse = f"no: {NO_INVERSE[kind]}" if kind in NO_INVERSE else "exact"
    thick = any(kind(**kwargs).isthick for kwargs in cases.values())
    slices = "cannot be cut" if kind in NO_SLICES else "yes" if thick else "thin"
    return f"| `{name}` | {len(cases)} | {agreement} | {symplectic} | {inverse} | {slices} |"


def table(stated: dict[str, float]) -> str:
    from cases import ELEMENT_CASES

    kinds = sorted(ELEMENT_CASES, key=lambda kind: kind.__name__)
    rows = [row(kind, ELEMENT_CASES[kind], stated) for kind in kinds]
    return "\n".join([HEAD, "|---|---|---|---|---|---|", *rows])


def renewed(text: str) -> str:
    """Return a page with its table made anew."""
    before, rest = text.split(START)
    _, after = rest.split(END)
    return f"{before}{START}\n\n{table(stated_figures(text))}\n\n{END}{after}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="fail if the table is not current")
    options = parser.parse_args()
    text = PAGE.read_text(encoding="utf-8")
    new = renewed(text)
    if options.check and new != text:
        raise SystemExit("docs/elements.md is not current: run python docs/generate_elements.py")
    if not options.check:
        PAGE.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
