"""elegant's types to the functions that make records of them, in one table."""

from __future__ import annotations

from collections.abc import Callable

from sc_bridge.errors import LatticeError
from sc_bridge.expressions import Expression, Number
from sc_bridge.expressions.algebra import ZERO, negate
from sc_bridge.lattice import Record

from . import magnets, matrices, rf
from .types import words
from .view import View

Builder = Callable[[View], None]


def read_element(view: View) -> None:
    """Emit the records of an element."""
    BUILDERS.get(view.definition.type, _left_out)(view)
    view.check_left_over()


# ---- drifts and markers ------------------------------------------------------------------


def _drift(view: View) -> None:
    view.emit("Drift", length=view("L"))


def _exact_drift(view: View) -> None:
    _drift(view)
    view.set("model", "exact")


def _drift_with_space_charge(view: View) -> None:
    if view.flag("LSC", True):
        view.lose("space charge", "longitudinal space charge in the drift")
    _drift(view)
    view.ignore_all()


def _drift_with_csr(view: View) -> None:
    if view.flag("CSR", True):
        view.lose("CSR", "coherent synchrotron radiation in the drift")
    if view.value("LSCBINS"):
        view.lose("space charge", "longitudinal space charge in the drift")
    _drift(view)
    view.ignore_all()


def _marker(view: View) -> None:
    """Diagnostics and bookkeeping: a marker, or a drift where it has a length."""
    if view("L") == ZERO:
        view.emit("Marker")
    else:
        _drift(view)
    view.ignore_all()


def _beam_marker(view: View) -> None:
    """Map what elegant does to the whole beam: a marker and a warning."""
    view.warn(f"{view.definition.word} acts on the beam as a whole: here it is a marker")
    _marker(view)


# ---- apertures ---------------------------------------------------------------------------


def _rectangle(x: Expression, y: Expression) -> tuple[str, dict[str, Expression]]:
    fields = {}
    if x != ZERO:
        fields |= {"min_x": negate(x), "max_x": x}
    if y != ZERO:
        fields |= {"min_y": negate(y), "max_y": y}
    return "LimitRect", fields


def _ellipse(x: Expression, y: Expression) -> tuple[str, dict[str, Expression]]:
    """Half-axes; a plane without a limit has none, so that the other limits like a slit."""
    if ZERO in (x, y):
        return _rectangle(x, y)
    return "LimitEllipse", {"a": x, "b": y}


def _emit_limit(view: View, elliptical: bool, suffix: str) -> Record | None:
    """Emit an aperture of X_MAX and Y_MAX, where 0 is no limit."""
    x, y = view("XMAX"), view("YMAX")
    if x == ZERO == y:
        return None
    if view.context.losses.allows("aperture"):
        view.lose("aperture", "the aperture")
        view.ignore("EXPONENT", "YEXPONENT", "OPENSIDE", "INVERT")
        return None
    kind, fields = (_ellipse if elliptical else _rectangle)(x, y)
    view.emit(kind, suffix, **fields, shift_x=view("DX"), shift_y=view("DY"))
    for key in ("EXPONENT", "YEXPONENT"):
        if view.value(key, 2.0) not in (0.0, 2.0):
            view.lose("aperture", f"the exponent {view.value(key):g} of the aperture")
    return view.records[-1]


def _collimator(elliptical: bool) -> Builder:
    def build(view: View) -> None:
        limit = _emit_limit(view, elliptical, "_aper")
        if view("L") == ZERO and limit is None:
            view.emit("Marker")
        else:
            _drift(view)
        if limit is not None and view("L") != ZERO:
            view.records.append(limit)  # at the exit too
        view.ignore("DX", "DY")

    return build


def _maximum_amplitudes(view: View) -> None:
    view.emit("Marker")
    view.limit = _emit_limit(view, view.flag("ELLIPTICAL"), "_aper")
    view.sets_limit = True


# INSERT_FROM: planes and sides that are cut off; elegant's older DIRECTION counts +x, +y, -x, -y
_SIDES = {
    "+X": ["max_x"], "-X": ["min_x"], "X": ["min_x", "max_x"],
    "+Y": ["max_y"], "-Y": ["min_y"], "Y": ["min_y", "max_y"],
}  # fmt: skip
_SIDES |= {sign + new: _SIDES[sign + old] for sign in ("+", "-", "") for new, old in ("HX", "VY")}
_DIRECTIONS = ("", "+X", "+Y", "-X", "-Y")


def _scraper(view: View) -> None:
    """Map SCRAPER: POSITION is that of the edge, with its sign, or half the gap of two."""
    sides = view.text("INSERTFROM").upper()
    number = view.value("DIRECTION", -1.0)
    if not sides and number in (0.0, 1.0, 2.0, 3.0):
        sides = _DIRECTIONS[int(number) + 1]
    position, shifts = view("POSITION"), {"shift_x": view("DX"), "shift_y": view("DY")}
    if sides:
        if sides not in _SIDES:
            raise LatticeError(f"{view.place}: {view.name}: INSERT_FROM = {sides!r} is not known")
        fields = _SIDES[sides]
        if view.context.losses.allows("aperture"):
            view.lose("aperture", "the scraper")
        else:
            signs = {f: f.startswith("min") and len(fields) == 2 for f in fields}
            limits = {f: negate(position) if minus else position for f, minus in signs.items()}
            view.emit("LimitRect", "_aper", **limits, **shifts)
            for field in fields:  # a limit at 0 is one
                view.records[-1].fields.setdefault(field, 0.0)
    _drift(view)


# ---- the beam's coordinates and reference ------------------------------------------------


def _rotation(view: View) -> None:
    view.emit("Rotation", rot_s_rad=view("TILT"))
    _on_every_pass(view)
    view.ignore("EXCLUDEFLOOR", "EXCLUDEOPTICS")


def _on_every_pass(view: View) -> None:
    if view.value("ONPASS", -1.0) != -1.0:
        view.lose("ON_PASS", "the choice of a pass")
    view.ignore("ONPASS")


def _beam_offset(view: View) -> None:
    """Map MALIGN: an offset of the beam is one of the frame the other way."""
    view.emit("XYShift", dx=negate(view("DX")), dy=negate(view("DY")))
    kicks = {"knl": [negate(view("DXP"))], "ksl": [view("DYP")]}
    if kicks != {"knl": [ZERO], "ksl": [ZERO]}:
        view.emit("Multipole", "_kick", **kicks)
    _on_every_pass(view)
    view.ignore("STARTPID", "ENDPID", "FORCEMODIFYMATRIX", "FLOOR", "EXCLUDEORBIT")


def _energy(view: View) -> None:
    """Map ENERGY: the reference gets a momentum; CENTRAL_ENERGY and _MOMENTUM are in m c^2."""
    mass0 = view.context.place.mass0
    momentum = view.value("CENTRALMOMENTUM") * mass0
    energy = view.value("CENTRALENERGY") * mass0
    if energy > mass0:
        momentum = (energy**2 - mass0**2) ** 0.5
    if view.flag("MATCHBEAMLINE") or view.flag("MATCHPARTICLES"):
        view.lose("energy", "the matching of the reference energy to the beam")
    view.ignore("MATCHBEAMLINE", "MATCHPARTICLES")
    if momentum > 0:
        view.momentum = momentum
        view.emit("ReferenceEnergyChange", p0c=Number(momentum))
    else:
        view.emit("Marker")


# ---- what has no counterpart -------------------------------------------------------------

_WORDS: dict[str, str] = {
    **dict.fromkeys(
        words(
            "WAKE TRWAKE LRWAKE CWAKE ZLONGIT ZTRANSVERSE IMPEDANCE RFMODE TRFMODE FRFMODE "
            "FTRFMODE CORGPIPE CORGPLATES"
        ),
        "wake",
    ),
    **dict.fromkeys(
        words(
            "BGGEXP BMAPXY BMXYZ BOFFAXE BRAT FTABLE MAPSOLENOID RFTMEZ0 UKICKMAP GKICKMAP "
            "CWIGGLER GFWIGGLER WIGGLER LSRMDLTR TWLA TWMTA TMCF LGBEND TUBEND NISEPT FMULT "
            "POLYSERIES"
        ),
        "field map",
    ),
    **dict.fromkeys(words("APCONTOUR TAPERAPC TAPERAPE TAPERAPR SPEEDBUMP PEPPOT"), "aperture"),
    **dict.fromkeys(("SREFFECTS",), "radiation"),
    **dict.fromkeys(("SCMULT", "IONEFFECTS"), "space charge"),
    "BEAMBEAM": "beam-beam",
    "RAMPP": "energy",
}


def _left_out(view: View) -> None:
    """Leave an element out; a drift keeps its length."""
    kind = view.definition.type
    view.lose(_WORDS.get(kind, kind), f"the {kind}")
    _marker(view)


BUILDERS: dict[str, Builder] = {
    **dict.fromkeys(
        words(
            "MARK MONI HMON VMON WATCH HISTOGRAM MHISTOGRAM SLICE FLOOR RECIRC TRCOUNT TWISS "
            "CPICKUP TFBPICKUP RIMULT"
        ),
        _marker,
    ),
    **dict.fromkeys(words("CENTER CHARGE CLEAN"), _beam_marker),
    **dict.fromkeys(words("QUAD KQUAD KQUSE"), magnets.quadrupole),
    **dict.fromkeys(words("SEXT KSEXT"), magnets.sextupole),
    **dict.fromkeys(words("OCTU KOCT"), magnets.octupole),
    **dict.fromkeys(words("HKICK EHKICK"), magnets.horizontal_kick),
    **dict.fromkeys(words("VKICK EVKICK"), magnets.vertical_kick),
    **dict.fromkeys(words("KICKER EKICKER"), magnets.kicker),
    **dict.fromkeys(words("SBEN CSBEND CSRCSBEND KSBEND NIBEND"), magnets.bend),
    **dict.fromkeys(words("RFCA RFCW"), rf.cavity),
    "DRIF": _drift,
    "EDRIFT": _exact_drift,
    "LSCDRIFT": _drift_with_space_charge,
    "CSRDRIFT": _drift_with_csr,
    "MULT": magnets.multipole,
    "RBEN": magnets.rectangular_bend,
    "CCBEND": magnets.straight_bend,
    "BEDGE": magnets.dipole_edge,
    "SOLE": magnets.solenoid,
    "MODRF": rf.modulated_cavity,
    "RFDF": rf.deflector,
    "MATR": matrices.matrix_from_file,
    "EMATRIX": matrices.explicit_matrix,
    "RCOL": _collimator(elliptical=False),
    "ECOL": _collimator(elliptical=True),
    "MAXAMP": _maximum_amplitudes,
    "SCRAPER": _scraper,
    "ROTATE": _rotation,
    "MALIGN": _beam_offset,
    "ENERGY": _energy,
}
