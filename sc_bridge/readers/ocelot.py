"""Ocelot's lattice files: Python by syntax, read without running them."""

from __future__ import annotations

import math
from pathlib import Path

from sc_bridge.errors import LatticeError
from sc_bridge.expressions import Expression, Number
from sc_bridge.expressions.algebra import ZERO, add, multiply, negate
from sc_bridge.lattice import Lattice, ReferenceFields
from sc_bridge.species import SPECIES

from .constructors import Program
from .files import read_text
from .language import Language
from .made import Made, Sequence, places_of, plain_value
from .options import Losses, ReadOptions, choose_sequence, single_file
from .plain import DEGREE, Builder, PlainRecorder, add_place
from .recording import C_LIGHT, Assembly, Context, LocalReference, Origin

FORMAT = "ocelot"
_LANGUAGE = Language(
    "Ocelot",
    {"": ("l",), "Marker": ("eid",), "Twiss": (), "Beam": (), "MagneticLattice": ("sequence",)},
    {"pi": math.pi, "speed_of_light": C_LIGHT, "m_e_GeV": SPECIES["electron"].mass0 / 1e9},
    ("np", "numpy", "math"),
    frozenset(
        {
            "CavityTM", "KickTM", "MultipoleTM", "PulseTM", "RungeKuttaTM", "RungeKuttaTrTM",
            "SecondTM", "TransferMap", "TWCavityTM", "UndulatorTestTM",
        }
    ),
)  # fmt: skip
_GIGA = 1e9  # energies and voltages are in GeV and GV


def read_ocelot(paths: tuple[Path, ...], options: ReadOptions) -> Lattice:
    """Read one file; the reference is an electron of the energy of its only Twiss or Beam.

    The line is that of the only `MagneticLattice`, the only sequence that no other one holds, or
    that of `sequence=`.
    """
    path = single_file(paths, FORMAT)
    program = Program(read_text(path, "latin-1"), str(path), _LANGUAGE)
    lines, machines = _lines(program)
    roots = machines if len(machines) == 1 else program.roots()
    name = choose_sequence(roots, options.sequence, str(path), lines)
    reference = _reference(program)
    local = None
    if reference is not None:
        local = LocalReference(reference.mass0, reference.q0, reference.p0c)
    losses = Losses(options.allow)
    for made in program.made:
        _check_whole(made, str(path), losses)
    assembly = Assembly(Context(program.definitions, losses, local))
    for made in places_of(lines[name]):
        eid = made.attributes.get("eid")
        label = eid if isinstance(eid, str) and eid else made.name or f"{made.kind}_{made.line}"
        attributes = {key: plain_value(v) for key, v in made.attributes.items() if key != "eid"}
        origin = Origin(label, made.kind, f"{path}:{made.line}", made.line)
        if made.kind not in BUILDERS and made.kind not in _WORDS:
            raise LatticeError(f"{origin.place}: {label}: {made.kind[:40]!r}: no class of Ocelot")
        add_place(assembly, origin, attributes, BUILDERS.get(made.kind, _left_out), (id(made),))
    return Lattice(
        source=str(path), format=FORMAT, name=name, reference=reference, **assembly.lattice_fields()
    )


def _lines(program: Program) -> tuple[dict[str, Sequence], list[str]]:
    """Sequences by name, and the names of those that a `MagneticLattice` is made of."""
    lines = program.lines()
    machines: list[str] = []
    for made in program.made:
        line = made.attributes.get("sequence")
        if made.kind == "MagneticLattice" and isinstance(line, Sequence) and line.entries:
            known = next((name for name, other in lines.items() if other is line), None)
            name = known or made.name or f"line {made.line}"
            lines[name] = line
            machines.append(name)
    return lines, list(dict.fromkeys(machines))


def _check_whole(made: Made, source: str, losses: Losses) -> None:
    """Refuse a `MagneticLattice` that is a part of its line."""
    if made.kind == "MagneticLattice":
        for key in ("start", "stop"):
            if made.attributes.get(key) is not None:
                losses.leave_out(
                    key, place=f"{source}:{made.line}", name=made.kind,
                    what=f"{key} = (the whole line is read; choose a range for a part of it)",
                )  # fmt: skip


def _reference(program: Program) -> ReferenceFields | None:
    energies = {}
    for made in program.made:
        tree = made.attributes.get("E")
        if made.kind in ("Twiss", "Beam") and isinstance(tree, Expression):
            value = program.definitions.value(tree, f"{program.source}:{made.line}: E") * _GIGA
            energies[value] = made.line
    if len(energies) != 1:
        return None
    mass0 = SPECIES["electron"].mass0
    ((energy, line),) = energies.items()
    if energy <= mass0:
        raise LatticeError(f"{program.source}:{line}: E = {energy / _GIGA:g} GeV: too small")
    return ReferenceFields(mass0, -1.0, math.sqrt(energy**2 - mass0**2))


# ---- elements ----------------------------------------------------------------------------


def _alignment(view: PlainRecorder) -> dict[str, Expression]:
    return {"shift_x": view("dx"), "shift_y": view("dy"), "rot_s_rad": view("tilt")}


def _marker(view: PlainRecorder) -> None:
    view.marker_or_drift("l")
    view.ignore_all()


def _drift(view: PlainRecorder) -> None:
    view.emit("Drift", {"length": view("l")})
    view.ignore("tilt", "dx", "dy")


def _quadrupole(view: PlainRecorder) -> None:
    sextupole = multiply(view("k2"), view.value("l"))
    fields: dict = {"length": view("l"), "k1": view("k1"), "knl": [ZERO, ZERO, sextupole]}
    view.emit("Quadrupole", fields | _alignment(view))


def _magnet(kind: str, strength: str) -> Builder:
    def build(view: PlainRecorder) -> None:
        fields = {"length": view("l"), strength: view(strength)}
        view.emit(kind, fields | _alignment(view))

    return build


def _bend(own_edge: bool) -> Builder:
    def build(view: PlainRecorder) -> None:
        """Map Bend, SBend, RBend: the length is along the arc, the gap a whole one."""
        angle, fint, gap = view("angle"), view("fint"), view("gap")
        own = multiply(angle, 0.5) if own_edge else ZERO
        angles = (add(view("e1"), own), add(view("e2"), own))
        for key in ("h_pole1", "h_pole2"):
            if view(key) != ZERO:
                view.lose(key, "the curvature of a face")
        fields = {"length": view("l"), "angle": angle, "k1": view("k1"), "k2": view("k2")}
        fields |= view.edges(angles, (fint, view("fintx", fint)), (gap, gap))
        view.emit("Bend", fields | _alignment(view))

    return build


def _corrector(horizontal: bool) -> Builder:
    def build(view: PlainRecorder) -> None:
        kick = view("angle")
        view.kick(view("l"), [negate(kick)] if horizontal else [], [] if horizontal else [kick])

    return build


_COUPLERS = tuple(f"v{a}{b}_{end}" for a in "xy" for b in ("", "x", "y") for end in ("up", "down"))


def _cavity(structure: str) -> Builder:
    def build(view: PlainRecorder) -> None:
        """Map Cavity, TWCavity: V in GV, on the crest at phi = 0 (deg)."""
        for key in _COUPLERS:
            view.ignore(key)
            if view.attributes.get(key) not in (None, 0, 0j, ZERO):
                view.lose("coupler", "the kicks of its couplers")
        voltage, phase = multiply(view("v"), _GIGA), multiply(view("phi"), -DEGREE)
        fields = {"length": view("l"), "voltage": voltage, "phase": phase}
        view.gain = view.number(voltage, "v") * math.cos(view.number(phase, "phi"))
        fields = fields | {"frequency": view("freq")} | _alignment(view)
        view.emit("LinacCavity", fields, structure=structure)

    return build


def _deflector(view: PlainRecorder) -> None:
    """Map TDCavity, as long as it has no voltage."""
    if view("v") != ZERO:
        view.lose("TDCavity", "the deflection of the cavity")
    view.ignore("v", "phi")
    fields = {"length": view("l"), "frequency": view("freq")}
    view.emit("CrabCavity", fields | _alignment(view))


def _solenoid(view: PlainRecorder) -> None:
    fields = {"length": view("l"), "ks": multiply(view("k"), 2.0)}
    view.emit("UniformSolenoid", fields | _alignment(view))


def _multipole(view: PlainRecorder) -> None:
    strengths = view.list_of("kn")
    if strengths and strengths[0] != ZERO:
        view.lose("Multipole", "the bend of a multipole")
        strengths[0] = ZERO
    view.emit("Multipole", {"knl": strengths} | _alignment(view))


def _aperture(view: PlainRecorder) -> None:
    shape = view.choice("type", ("rect", "ellipt"), "rect")
    axes = {key: view(f"{key}max") for key in "xy" if view.has(f"{key}max")}
    shifts = {"shift_x": view("dx"), "shift_y": view("dy")}
    view.ignore("l", "tilt")
    if not axes or view.context.losses.allows("aperture"):
        if axes:
            view.lose("aperture", "the aperture")
        view.emit("Marker", {})
    elif shape == "ellipt" and len(axes) == 2:
        view.emit("LimitEllipse", {"a": axes["x"], "b": axes["y"]} | shifts)
    else:
        limits = {f"min_{key}": negate(tree) for key, tree in axes.items()}
        limits |= {f"max_{key}": tree for key, tree in axes.items()}
        view.emit("LimitRect", limits | shifts)


_WORDS = {
    "Undulator": "Undulator", "Matrix": "Matrix", "XYQuadrupole": "XYQuadrupole",
    "Pulse": "Pulse", "UnknownElement": "UnknownElement", "Edge": "Edge",
}  # fmt: skip


def _left_out(view: PlainRecorder) -> None:
    """Leave an element out; a drift keeps its length."""
    kind = view.origin.source_type
    view.lose(_WORDS[kind], f"the {kind}")
    length = view("l") if view.has("l") else Number(view.value("lperiod") * view.value("nperiods"))
    view.emit("Marker" if length == ZERO else "Drift", {"length": length})
    view.ignore_all()


BUILDERS: dict[str, Builder] = {
    "Drift": _drift,
    **dict.fromkeys(("Marker", "Monitor", "Element"), _marker),
    "Quadrupole": _quadrupole,
    "Sextupole": _magnet("Sextupole", "k2"),
    "Octupole": _magnet("Octupole", "k3"),
    **dict.fromkeys(("Bend", "SBend"), _bend(own_edge=False)),
    "RBend": _bend(own_edge=True),
    "Hcor": _corrector(horizontal=True),
    "Vcor": _corrector(horizontal=False),
    "Cavity": _cavity("standing"),
    "TWCavity": _cavity("travelling"),
    "TDCavity": _deflector,
    "Solenoid": _solenoid,
    "Multipole": _multipole,
    "Aperture": _aperture,
}
