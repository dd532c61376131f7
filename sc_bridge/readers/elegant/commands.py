"""Run files (.ele): the momentum, the species and the line that a lattice file does not have."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sc_bridge.errors import ExpressionError, LatticeError
from sc_bridge.expressions import shorten
from sc_bridge.lattice import ReferenceFields
from sc_bridge.readers.options import Losses
from sc_bridge.readers.source import Source
from sc_bridge.readers.statements import blank_comments
from sc_bridge.species import SPECIES

from .parsing import SYNTAX
from .stores import Stores

RUN_FILE = re.compile(r"^[ \t]*&run_setup\b", re.MULTILINE | re.IGNORECASE)

_COMMAND = re.compile(
    r'&(?P<name>\w+)(?P<body>(?:"(?:[^"\\]|\\.)*"|[^"&])*)&end|^[ \t]*%(?P<rpn>.*)$',
    re.MULTILINE | re.IGNORECASE,
)
_ENTRY = re.compile(r'\b(\w+)(?:\[\d+\])?\s*=\s*("(?:[^"\\]|\\.)*"|[^\s,"&]+)')

# Commands that change the lattice after it is read, and what they would change.
_CHANGES = {
    "alter_elements": "parameters of elements",
    "change_start": "the start of the line",
    "change_end": "the end of the line",
    "divide_elements": "the division of elements",
    "error_element": "errors of elements",
    "ignore_elements": "elements that are ignored",
    "insert_elements": "elements that are inserted",
    "insert_sceffects": "space charge",
    "link_elements": "links between elements",
    "load_parameters": "parameters of elements from a file",
    "modulate_elements": "modulations",
    "ramp_elements": "ramps",
    "replace_elements": "elements that are replaced",
    "rf_setup": "voltage and phase of the RF",
    "transmute_elements": "types of elements",
}

_ELECTRON = SPECIES["electron"]


@dataclass
class Run:
    """What a run file says about the lattice.

    Parameters
    ----------
    lattice, line : str, optional
        Name of the lattice file, and of the line.
    mass0, q0 : float, eV and elementary charges
        elegant tracks electrons unless a run file changes the particle.
    p0c : float, eV, optional
    source : Source, optional
    place : str
        File and line of run_setup.
    """

    lattice: str | None = None
    line: str | None = None
    mass0: float = _ELECTRON.mass0
    q0: float = _ELECTRON.q0
    p0c: float | None = None
    source: Source | None = None
    place: str = ""

    @property
    def reference(self) -> ReferenceFields | None:
        """Reference particle, if a momentum is known."""
        return None if self.p0c is None else ReferenceFields(self.mass0, self.q0, self.p0c)


def read_run(source: Source, stores: Stores, losses: Losses) -> Run:
    """Read a run file; its `%` lines store variables for the lattice.

    Raises
    ------
    LatticeError, ExpressionError
        If a value that counts is no number, or a command would change the lattice and is not
        allowed to be left out.
    """
    run = Run(source=source)
    momenta: list[tuple[float, str]] = []  # and their unit: m c or MeV/c
    for match in _COMMAND.finditer(blank_comments(source, SYNTAX)):
        place = source.place(match.start())
        if match["rpn"] is not None:
            stores.execute(match["rpn"], place)
            continue
        name = match["name"].lower()
        values = {key.lower(): value.strip('"') for key, value in _ENTRY.findall(match["body"])}
        if name in _CHANGES:
            losses.leave_out(name, place=place, name=f"&{name}", what=_CHANGES[name])
        elif name == "run_setup":
            run.lattice, run.line = values.get("lattice"), values.get("use_beamline")
            run.place = place
            momenta += [
                (_number(values[key], f"{place}: {key}", stores), key)
                for key in ("p_central", "p_central_mev")
                if key in values
            ]
        elif name == "change_particle":
            run.mass0, run.q0 = _particle(values, place, stores)
    for value, key in momenta:
        if value < 0:
            raise ExpressionError(f"{run.place}: {key} = {value:g}: must not be negative")
        if value > 0:
            run.p0c = value * (run.mass0 if key == "p_central" else 1e6)
    return run


def _particle(values: dict[str, str], place: str, stores: Stores) -> tuple[float, float]:
    name = values.get("name", "").lower()
    if name == "custom":
        mass, charge = (
            _number(values.get(key, "0"), f"{place}: {key}", stores)
            for key in ("mass_ratio", "charge_ratio")
        )
        if not (mass > 0 and charge):
            raise LatticeError(f"{place}: a custom particle needs mass_ratio and charge_ratio")
        return mass * _ELECTRON.mass0, charge * _ELECTRON.q0
    if name not in SPECIES:
        raise LatticeError(
            f"{place}: particle {name!r} is not known: known are {', '.join(SPECIES)} and custom"
        )
    return SPECIES[name].mass0, SPECIES[name].q0


def _number(text: str, where: str, stores: Stores) -> float:
    """A number, or an RPN expression in brackets."""
    if "<" in text:
        raise LatticeError(f"{where} = {shorten(text)!r}: a macro: write its value into the file")
    inside = text[1:-1] if text.startswith("(") and text.endswith(")") else text
    tree = stores.parser(stores.now).parse(inside, where)
    return stores.present(tree, where)
