"""Elements of ImpactX as records in Xsuite's classes, fields and units."""

from __future__ import annotations

import math

from sc_bridge.expressions import Expression, Number
from sc_bridge.expressions.algebra import ONE, ZERO, divide, multiply, negate

from .plain import DEGREE, Builder, PlainRecorder

# How ImpactX slices and integrates, not what stands there.
_METHOD = ("nslice", "mapsteps", "int_order")


def _alignment(view: PlainRecorder) -> dict[str, Expression]:
    return {
        "shift_x": view("dx"),
        "shift_y": view("dy"),
        "rot_s_rad": multiply(view("rotation"), DEGREE),
    }


def _pipe(view: PlainRecorder) -> None:
    """Put the ellipse of aperture_x and aperture_y behind an element; 0 is no limit."""
    view.ignore(*_METHOD)
    if "ds" in view.attributes:
        view.ignore("ds")
    axes = {"a": view("aperture_x"), "b": view("aperture_y")}
    if ZERO in axes.values():
        return
    if view.context.losses.allows("aperture"):
        view.lose("aperture", "the aperture")
    else:
        values = {key: view.number(tree, key) for key, tree in axes.items()}
        view.beside("_aper", "LimitEllipse", values, behind=True)


def _emit(view: PlainRecorder, kind: str, fields: dict, **constants: object) -> None:
    view.emit(kind, fields | _alignment(view), **constants)
    _pipe(view)


def _length(view: PlainRecorder) -> Expression:
    return view("ds")


def _normalised(view: PlainRecorder, tree: Expression) -> Expression:
    """Strength in 1/m^n: with units = 1 the file has T/m^(n-1)."""
    if view.count("units", 0, 1) == 0 or tree == ZERO:
        return tree
    return divide(tree, Number(view.reference("a field in tesla").rigidity))


def _drift(view: PlainRecorder) -> None:
    view.emit("Drift", {"length": _length(view)})
    view.ignore("dx", "dy", "rotation")
    _pipe(view)


def _exact_drift(view: PlainRecorder) -> None:
    view.emit("Drift", {"length": _length(view)}, model="exact")
    view.ignore("dx", "dy", "rotation")
    _pipe(view)


def _quadrupole(view: PlainRecorder) -> None:
    _emit(view, "Quadrupole", {"length": _length(view), "k1": _normalised(view, view("k"))})


def _bend(view: PlainRecorder) -> None:
    """Map Sbend and CFbend: without faces, which are elements of their own."""
    length, radius = _length(view), view("rc")
    if view.number(radius, "rc") == 0.0:
        raise view.error("rc", radius, "must not be 0")
    _emit(view, "Bend", {"length": length, "angle": divide(length, radius), "k1": view("k")})


def _exact_bend(view: PlainRecorder) -> None:
    if view("B") != ZERO:
        view.lose("B", "a field that does not follow the angle")
    angle = multiply(view("phi"), DEGREE)
    _emit(view, "Bend", {"length": _length(view), "angle": angle}, model="bend-kick-bend")


def _coefficients(view: PlainRecorder) -> tuple[list[Expression], list[Expression]]:
    """Integrated normal and skew strengths of a thick multipole."""
    length = _length(view)
    normal, skew = (
        [multiply(_normalised(view, tree), length) for tree in view.list_of(key)]
        for key in ("k_normal", "k_skew")
    )
    view.ignore("units")
    return normal, skew


def _exact_multipole(view: PlainRecorder) -> None:
    strengths = [view.list_of("k_normal"), view.list_of("k_skew")]
    normal, skew = _coefficients(view)
    kind, order = next(
        (
            (kind, order)
            for kind, order in _THICK.items()
            if any(len(row) > order and row[order] != ZERO for row in strengths)
        ),
        ("Multipole", 0),
    )
    fields: dict = {"length": _length(view)}
    if order:  # the lowest order is the body, the others are kicks in it
        for row, suffix, kicks in ((strengths[0], "", normal), (strengths[1], "s", skew)):
            if len(row) > order:
                fields[f"k{order}{suffix}"] = _normalised(view, row[order])
                kicks[order] = ZERO
    constants = {} if order else {"isthick": True}
    _emit(view, kind, fields | {"knl": normal, "ksl": skew}, **constants)


# Magnets whose body is of one order.
_THICK = {"Quadrupole": 1, "Sextupole": 2, "Octupole": 3}


def _exact_combined_bend(view: PlainRecorder) -> None:
    """Map ExactCFbend: the first coefficient is the curvature."""
    length, strengths = _length(view), view.list_of("k_normal")
    normal, skew = _coefficients(view)
    if view.count("units", 0, 1) or any(tree != ZERO for tree in skew[:1]):
        view.lose("units", "the curvature by a field in tesla, or a skew one")
    fields = {"length": length, "angle": normal[0] if normal else ZERO}
    fields["k1"] = strengths[1] if len(strengths) > 1 else ZERO
    _emit(view, "Bend", fields | {"knl": [ZERO, ZERO, *normal[2:]], "ksl": skew})


def _dipole_edge(view: PlainRecorder) -> None:
    """Map DipEdge: its vertical focusing is linear in the fringe, Xsuite's that of an angle."""
    for key, usual in (("R", 1.0), ("K1", 0.0), ("K4", 0.0), ("K5", 0.0), ("K6", 0.0)):
        if view.number(view(key, Number(usual)), key) != usual:
            view.lose(key, f"{key} of the fringe")
    view.ignore("K0", "K3", "location")  # of no effect to first order
    if view.choice("model", ("linear", "nonlinear"), "linear") != "linear":
        view.lose("model", "the nonlinear fringe")
    if view.flag("modify_ref_part", False):
        view.lose("modify_ref_part", "the turn of the reference")
    angle, radius, gap = (view.value(key) for key in ("psi", "rc", "g"))
    if radius == 0.0 or math.cos(angle) == 0.0:
        raise view.error("rc", radius, "must not be 0")
    fint = view.number(view("K2", ONE), "K2")
    fringe = fint * gap / radius * (1.0 + math.sin(angle) ** 2) / math.cos(angle) ** 3
    vertical = math.atan(math.tan(angle) - fringe)
    fields = {"k": divide(ONE, view("rc")), "e1": view("psi"), "e1_fd": Number(vertical - angle)}
    _emit(view, "DipoleEdge", fields)


def _solenoid(view: PlainRecorder) -> None:
    _emit(view, "UniformSolenoid", {"length": _length(view), "ks": view("ks")})


def _multipole(view: PlainRecorder) -> None:
    order = view.count("multipole", 1, 100) - 1
    rows = {
        key: [ZERO] * order + [view(f"k_{k}")] for key, k in (("knl", "normal"), ("ksl", "skew"))
    }
    _emit(view, "Multipole", rows)


def _kicker(view: PlainRecorder) -> None:
    kicks = [view("xkick"), view("ykick")]
    if view.choice("units", ("dimensionless", "t-m"), "dimensionless") == "t-m":
        rigidity = Number(view.reference("a kick in T m").rigidity)
        kicks = [divide(kick, rigidity) for kick in kicks]
    _emit(view, "Multipole", {"knl": [negate(kicks[0])], "ksl": [kicks[1]]})


def _thin_dipole(view: PlainRecorder) -> None:
    angle = multiply(view("theta"), DEGREE)
    _emit(view, "Multipole", {"knl": [angle], "hxl": angle, "length": multiply(angle, view("rc"))})


def _nonlinear_lens(view: PlainRecorder) -> None:
    _emit(view, "NonLinearLens", {"knll": view("knll"), "cnll": view("cnll")})


def _short_cavity(view: PlainRecorder) -> None:
    """Map ShortRF: V in units of the rest energy, phase 0 on the crest, -90 for bunching."""
    reference = view.reference("a voltage in rest energies")
    voltage = multiply(view("V"), reference.mass0 / abs(reference.q0))
    phase = multiply(view("phase", Number(-90.0)), DEGREE)
    view.gain = (
        abs(reference.q0) * view.number(voltage, "V") * math.cos(view.number(phase, "phase"))
    )
    fields = {"voltage": voltage, "phase": phase, "frequency": view("freq")}
    _emit(view, "LinacCavity", fields)


def _buncher(view: PlainRecorder) -> None:
    """Map Buncher: a linear map, with the defocusing of the gap."""
    reference = view.reference("a buncher")
    voltage, wave = view.value("V"), view.value("k")
    matrix = _identity()
    matrix[5][4] = -voltage * wave
    matrix[1][0] = matrix[3][2] = 0.5 * voltage * wave * (reference.mass0 / reference.p0c) ** 2
    _emit(view, "FirstOrderTaylorMap", {}, m1=matrix)


def _identity() -> list[list[float]]:
    return [[float(i == j) for j in range(6)] for i in range(6)]


def _constant_focusing(view: PlainRecorder) -> None:
    """Map ConstF: three oscillators; a wave number of 0 is a drift."""
    momentum = view.reference("a constant focusing channel")
    scale = (momentum.mass0 / momentum.p0c) ** 2
    length, matrix = view.value("ds"), _identity()
    for plane, (key, mass) in enumerate((("kx", 1.0), ("ky", 1.0), ("kt", scale))):
        wave = view.value(key)
        phase, i = wave * length, 2 * plane
        matrix[i][i] = matrix[i + 1][i + 1] = math.cos(phase)
        matrix[i][i + 1] = mass * (math.sin(phase) / wave if wave else length)
        matrix[i + 1][i] = -wave * math.sin(phase) / mass
    _emit(view, "FirstOrderTaylorMap", {"length": _length(view)}, m1=matrix)


def _linear_map(view: PlainRecorder) -> None:
    """Map LinearMap: the last two coordinates of ImpactX are minus those of Xsuite's maps."""
    rows = view.attributes.get("R")
    view.ignore("R")
    if rows is None:
        names = [[f"R{i}{j}" for j in range(1, 7)] for i in range(1, 7)]
        values = [
            [view.number(view(name, Number(float(i == j))), name) for j, name in enumerate(row)]
            for i, row in enumerate(names)
        ]
    elif isinstance(rows, list) and [len(r) if isinstance(r, list) else 0 for r in rows] == [6] * 6:
        values = [[view.number(view.tree_of(x, "R"), "R") for x in row] for row in rows]
    else:
        raise view.error("R", rows, "must be 6 x 6 numbers")
    signs = (1.0, 1.0, 1.0, 1.0, -1.0, -1.0)
    matrix = [[signs[i] * signs[j] * values[i][j] for j in range(6)] for i in range(6)]
    _emit(view, "FirstOrderTaylorMap", {"length": _length(view)}, m1=matrix)


def _rotation(view: PlainRecorder) -> None:
    view.emit("Rotation", {"rot_s_rad": multiply(view("angle"), -DEGREE)})
    if view("dx") != ZERO or view("dy") != ZERO:
        view.lose("misalignment", "the shift of a rotation")
    view.ignore("rotation", "ds", *_METHOD)


def _aperture(view: PlainRecorder) -> None:
    x = view.first("aperture_x", "xmax")
    y = view.first("aperture_y", "ymax")
    shape = view.choice("shape", ("rectangular", "elliptical"), "rectangular")
    _check_mask(view)
    view.ignore("ds", *_METHOD)
    if view.context.losses.allows("aperture"):
        view.lose("aperture", "the aperture")
        view.emit("Marker", {})
        view.ignore("dx", "dy", "rotation")
    elif shape == "elliptical":
        view.emit("LimitEllipse", {"a": x, "b": y} | _alignment(view))
    else:
        limits = {"min_x": negate(x), "max_x": x, "min_y": negate(y), "max_y": y}
        view.emit("LimitRect", limits | _alignment(view))


def _polygon(view: PlainRecorder) -> None:
    x, y = ([view.number(t, k) for t in view.list_of(k)] for k in ("vertices_x", "vertices_y"))
    _check_mask(view)
    if view("min_radius2") != ZERO:
        view.ignore("min_radius2")  # only a short cut inside the polygon
    if x and y and (x[0], y[0]) == (x[-1], y[-1]):
        x, y = x[:-1], y[:-1]
    view.ignore("ds", *_METHOD)
    view.emit("LimitPolygon", _alignment(view), x_vertices=x, y_vertices=y)


def _check_mask(view: PlainRecorder) -> None:
    if view.choice("action", ("transmit", "absorb"), "transmit") != "transmit":
        view.lose("aperture", "an aperture that absorbs what is inside")
    if view("repeat_x") != ZERO or view("repeat_y") != ZERO or view.flag("shift_odd_x", False):
        view.lose("aperture", "the repetition of the aperture")


def _marker(view: PlainRecorder) -> None:
    view.emit("Marker", {})
    view.ignore_all()


_WORDS = {
    **dict.fromkeys(("RFCavity", "SoftSolenoid", "SoftQuadrupole", "VectorPotential"), "field map"),
    "ChrAcc": "energy",
}


def left_out(view: PlainRecorder) -> None:
    """Leave an element out; a drift keeps its length."""
    kind = view.origin.source_type
    view.lose(_WORDS.get(kind, kind), f"the {kind}")
    view.marker_or_drift("ds")
    view.ignore_all()


BUILDERS: dict[str, Builder] = {
    **dict.fromkeys(("Drift", "ChrDrift"), _drift),
    "ExactDrift": _exact_drift,
    **dict.fromkeys(("Quad", "ChrQuad", "ExactQuad"), _quadrupole),
    **dict.fromkeys(("Sbend", "CFbend"), _bend),
    "ExactSbend": _exact_bend,
    "ExactCFbend": _exact_combined_bend,
    "ExactMultipole": _exact_multipole,
    "DipEdge": _dipole_edge,
    "Sol": _solenoid,
    "Multipole": _multipole,
    "Kicker": _kicker,
    "ThinDipole": _thin_dipole,
    "NonlinearLens": _nonlinear_lens,
    "ShortRF": _short_cavity,
    "Buncher": _buncher,
    "ConstF": _constant_focusing,
    "LinearMap": _linear_map,
    "PlaneXYRot": _rotation,
    "Aperture": _aperture,
    "PolygonAperture": _polygon,
    **dict.fromkeys(("BeamMonitor", "Marker", "Empty", "None"), _marker),
}

# The words of inputs, and what ImpactX calls these elements elsewhere.
TYPES = {
    "quad": "Quad",
    "drift": "Drift",
    "sbend": "Sbend",
    "cfbend": "CFbend",
    "dipedge": "DipEdge",
    "quadedge": "QuadEdge",
    "constf": "ConstF",
    "buncher": "Buncher",
    "shortrf": "ShortRF",
    "multipole": "Multipole",
    "nonlinear_lens": "NonlinearLens",
    "rfcavity": "RFCavity",
    "solenoid": "Sol",
    "prot": "PRot",
    "plane_xyrotation": "PlaneXYRot",
    "solenoid_softedge": "SoftSolenoid",
    "quadrupole_softedge": "SoftQuadrupole",
    "drift_chromatic": "ChrDrift",
    "quad_chromatic": "ChrQuad",
    "plasma_lens_chromatic": "ChrPlasmaLens",
    "tapered_plasma_lens": "TaperedPL",
    "drift_exact": "ExactDrift",
    "quad_exact": "ExactQuad",
    "multipole_exact": "ExactMultipole",
    "cfbend_exact": "ExactCFbend",
    "sbend_exact": "ExactSbend",
    "uniform_acc_chromatic": "ChrAcc",
    "thin_dipole": "ThinDipole",
    "vector_potential": "VectorPotential",
    "kicker": "Kicker",
    "aperture": "Aperture",
    "polygon_aperture": "PolygonAperture",
    "beam_monitor": "BeamMonitor",
    "marker": "Marker",
    "empty": "Empty",
    "source": "Source",
    "spin_map": "SpinMap",
    "programmable": "Programmable",
    "linear_map": "LinearMap",
}
