"""The report of a run: one page of HTML that needs nothing else, not even a network."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from typing import Any

from markupsafe import Markup, escape

from ..bunch_files.laboratory import species_name
from ..lattice import Lattice
from ..moments import MOMENTS, moment
from ..monitors import BunchRecord
from ..pictures.synoptic import SHAPES, magnets
from ..study import Outcome
from .along import drawings
from .phase_space import phase_spaces
from .scales import shown, shown_unit, suited_unit
from .sensitivities import largest, relative

_MOMENTS_SHOWN = ("intensity", "mean_x", "mean_y", *(n for n in MOMENTS if n.startswith("sigma_")))
_MOMENTS_SHOWN += tuple(n for n in MOMENTS if n.startswith("nemitt_"))
_ENERGIES = ((1e12, "TeV"), (1e9, "GeV"), (1e6, "MeV"), (1e3, "keV"), (1.0, "eV"))
_FOLDERS = re.compile(r"\S*/(?=[^/\s]+:\d+:)")  # in front of file and line
_DISPERSED = 0.02  # of an emittance: less is not worth a word
_MOST_ROWS = 200  # of a list; the rest is in results.json


def report_page(outcome: Outcome, versions: Mapping[str, str], written: Sequence[str] = ()) -> str:
    """Return the report of a run as HTML.

    Parameters
    ----------
    outcome : Outcome
    versions : mapping of str to str
    written : sequence of str
        Names of the files that the run wrote beside the report.
    """
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters.update(number=shown, unit=shown_unit, bytes=_bytes, breakable=_breakable)
    folder = files("sc_bridge.report")
    template = environment.from_string((folder / "page.html").read_text(encoding="utf-8"))
    found = {magnet.kind for magnet in magnets(outcome.sequence)}
    sensitivities = largest(outcome)
    lattice = outcome.sequence.lattice
    return template.render(
        style=(folder / "page.css").read_text(encoding="utf-8"),
        title=outcome.study.model.title or outcome.study.path.name,
        study=outcome.study.path.name,
        particle=_particle(outcome),
        outcome=outcome,
        lattice=lattice,
        notes=[_FOLDERS.sub("", text) for text in outcome.notes],
        left_out=_left_out(lattice),
        tiles=list(_tiles(outcome)),
        along=drawings(outcome),
        kinds=[kind for kind in SHAPES if kind in found],
        spaces=list(phase_spaces(outcome.start, outcome.bunch)),
        bars=sensitivities,
        longest=max((abs(entry.relative) for entry in sensitivities), default=1.0),
        derivatives=[(entry, relative(entry)) for entry in outcome.derivatives],
        moments=list(_moments(outcome)),
        losses=sorted(outcome.losses, key=lambda loss: -loss.n_particles)[:_MOST_ROWS],
        memory=_memory(outcome),
        off=_prediction_off(outcome),
        monitors=[
            (name, "bunch" if isinstance(record, BunchRecord) else "moments", len(record.s))
            for name, record in outcome.monitors.items()
        ],
        parameters=list(_flat(outcome.study.raw)),
        most=_MOST_ROWS,
        versions=versions,
        written=written,
    )


def _left_out(lattice: Lattice) -> list[tuple[str, str, list[str]]]:
    """Rows (what, word of allow, names) of what the lattice does not have."""
    groups: dict[tuple[str, str], list[str]] = {}
    for entry in lattice.left_out:
        names = groups.setdefault((entry.what, entry.word), [])
        if entry.name not in names:
            names.append(entry.name)
    return [(what, word, names) for (what, word), names in groups.items()]


def _breakable(key: str) -> Markup:
    """Return a key that may be broken behind its dots and underscores."""
    return Markup(re.sub(r"[._]", lambda sign: sign[0] + "<wbr>", str(escape(key))))


def _particle(outcome: Outcome) -> str:
    """The reference at the start, in words."""
    reference = outcome.sequence.reference
    name = species_name(reference)
    if name == "other":
        mass, charge = reference.mass0.item() / 1e6, reference.q0.item()
        name = f"{shown(mass, 6)} MeV/c² of charge {shown(charge)} e"
    energy = reference.kinetic_energy0.item()
    size, unit = next((s, u) for s, u in _ENERGIES if energy >= s or u == "eV")
    return f"{name}, kinetic energy {shown(energy / size, 5)} {unit}"


def _tiles(outcome: Outcome) -> Iterator[tuple[str, str, str]]:
    """Yield what one wants to know first: (name, value, remark)."""
    turns = outcome.study.model.turns
    yield "Length", _with_unit(outcome.sequence.length, "m"), "" if turns == 1 else f"{turns} turns"
    yield "Space-charge kicks", f"{outcome.sequence.n_kicks * turns}", ""
    alive, all_of = int(outcome.final["n_alive"]), outcome.bunch.n_particles
    lost = "none lost" if alive == all_of else f"{all_of - alive} lost"
    yield "Macroparticles", f"{alive}", lost
    for plane in ("x", "y"):
        name = f"nemitt_{plane}_betatron"
        first, last = outcome.along_s[name][0], outcome.final[name]
        remarks = [_change(first, last), *_dispersed(last, outcome.final[f"nemitt_{plane}"])]
        yield f"Norm. emittance {plane}", _with_unit(last, "m"), ", ".join(filter(None, remarks))
    yield "Time", f"{shown(outcome.seconds['total'], 3)} s", ""


def _dispersed(betatron: float, projected: float) -> Iterator[str]:
    """Yield the emittance with dispersion, where it is another."""
    if abs(projected - betatron) > _DISPERSED * projected:
        yield f"{_with_unit(projected, 'm')} with dispersion"


def _change(first: float, last: float) -> str:
    if not first:
        return ""
    ratio = last / first
    return f"×{shown(ratio, 3)}" if ratio > 10 else f"{100 * (ratio - 1):+.2f} %".replace("-", "−")


def _moments(outcome: Outcome) -> Iterator[tuple[str, str, str, str]]:
    """Yield (name, start, end, unit) in a unit that suits both."""
    for name in _MOMENTS_SHOWN:
        values = [moment(outcome.start, name).item(), outcome.final[name]]
        unit = MOMENTS[name]
        factor, unit = (1.0, "1") if name == "intensity" else suited_unit(values, unit)
        first, last = (shown(value * factor, 6) for value in values)
        yield name, first, last, shown_unit(unit)


def _memory(outcome: Outcome) -> list[tuple[str, int, float]]:
    """Rows (name, bytes, part of the longest bar)."""
    memory = outcome.memory
    rows = [
        ("peak of the process, predicted", memory.predicted_peak),
        ("peak of the process, measured", memory.peak_resident),
        ("kept for the backward pass", memory.saved_for_backward),
    ]
    known = [(name, count) for name, count in rows if count is not None]
    longest = max(1, *(count for _, count in known))
    return [(name, count, count / longest) for name, count in known]


def _prediction_off(outcome: Outcome) -> float:
    """Percent by which the predicted peak is above the measured one; 0 where there is none."""
    memory = outcome.memory
    return 100 * ((memory.predicted_peak or memory.peak_resident) / memory.peak_resident - 1)


def _flat(content: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield every key of a study with its value."""
    if isinstance(content, Mapping) and content:
        for name, value in content.items():
            yield from _flat(value, f"{key}.{name}" if key else str(name))
    elif isinstance(content, list):
        yield key, ", ".join(map(_plain, content))
    else:
        yield key, _plain(content)


def _plain(value: Any) -> str:
    """Return a value of a study much as it was written."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def _with_unit(value: float, unit: str) -> str:
    factor, name = suited_unit([value], unit)
    return f"{shown(value * factor)} {name}"


def _bytes(count: int) -> str:
    for size, name in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if count >= size:
            return f"{count / size:.3g} {name}"
    return f"{count} B"
