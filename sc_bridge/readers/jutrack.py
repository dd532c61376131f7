"""JuTrack's lattices: constructor calls and vectors in Julia, read without running them."""

from __future__ import annotations

import math
import re
from pathlib import Path

from sc_bridge.errors import LatticeError
from sc_bridge.expressions import Expression, Number
from sc_bridge.expressions.algebra import ZERO, add, multiply, negate, subtract
from sc_bridge.lattice import Lattice, ReferenceFields
from sc_bridge.species import SPECIES

from .constructors import Program
from .files import read_text
from .language import Language
from .made import places_of, plain_value
from .options import Losses, ReadOptions, choose_sequence, single_file
from .plain import Builder, PlainRecorder, add_place
from .recording import C_LIGHT, Assembly, Context, LocalReference, Origin

FORMAT = "jutrack"
_LANGUAGE = Language("JuTrack", {"": ()}, {"pi": math.pi, "π": math.pi, "speed_of_light": C_LIGHT})
_METHOD = ("name", "NumIntSteps", "rad", "MaxOrder", "eletype")
# Space-charge variants of an element are the element: kicks are chosen in the study.
_VARIANTS = re.compile(r"_SC(2P5D)?$")


def read_jutrack(paths: tuple[Path, ...], options: ReadOptions) -> Lattice:
    """Read one file; the reference is an electron of the energy of its cavities.

    The line is the only vector that no other one holds, or that of `sequence=`.
    """
    path = single_file(paths, FORMAT)
    text = _without_comments(read_text(path))
    _check_flow(text, str(path))
    program = Program(_as_python(text), str(path), _LANGUAGE)
    lines = program.lines()
    name = choose_sequence(program.roots(), options.sequence, str(path), lines)
    reference = _reference(program)
    local = None
    if reference is not None:
        local = LocalReference(reference.mass0, reference.q0, reference.p0c)
    assembly = Assembly(Context(program.definitions, Losses(options.allow), local))
    for made in places_of(lines[name]):
        kind = _VARIANTS.sub("", made.kind)
        given = made.attributes.get("name")
        label = given if isinstance(given, str) and given else made.name or f"{kind}_{made.line}"
        attributes = {k: plain_value(v) for k, v in made.attributes.items() if k not in _METHOD}
        origin = Origin(label, made.kind, f"{path}:{made.line}", made.line)
        if kind not in BUILDERS and kind not in _WORDS:
            raise LatticeError(
                f"{origin.place}: {label}: {made.kind[:40]!r}: no element of JuTrack"
            )
        add_place(assembly, origin, attributes, BUILDERS.get(kind, _left_out), (id(made),))
    return Lattice(
        source=str(path), format=FORMAT, name=name, reference=reference, **assembly.lattice_fields()
    )


_IMPORT = re.compile(r"^[ \t]*(using|import|include)\b[^\n]*", re.MULTILINE)


_BLOCK = re.compile(
    r"^[ \t]*(?P<word>function|for|while|if|begin|let|struct|mutable|module|macro|try|do|quote)\b"
    r"|^[ \t]*(?P<short>[A-Za-z_]\w{0,60})\([^()\n]{0,200}\)[ \t]*=(?!=)"
    r"|\b(?P<mutating>push|append|pushfirst|prepend|insert|reverse)!\("
    r"|\bfor[ \t]+[A-Za-z_]\w*[ \t]+(?P<inner>in)\b",
    re.MULTILINE,
)


def _check_flow(text: str, source: str) -> None:
    """Refuse by name what is more than assignments, which would read as bad syntax."""
    found = _BLOCK.search(re.sub(r'"[^"\n]*"|#[^\n]*', lambda m: " " * len(m[0]), text))
    if found is None:
        return
    if found["short"]:
        what = f"the function {found['short']}"
    elif found["mutating"]:
        what = f"{found['mutating']}!"
    else:
        what = f"'{found['word'] or 'for'}'"
    raise LatticeError(
        f"{source}:{text.count(chr(10), 0, found.start()) + 1}: {what}: not understood: only "
        "assignments of numbers, elements and vectors are read in JuTrack files: write them out"
    )


def _without_comments(text: str) -> str:
    """Return the text without Julia's comments of several lines, which stay as blank lines."""
    return re.sub(r"#=.*?=#", lambda match: "\n" * match[0].count("\n"), text, flags=re.DOTALL)


def _as_python(text: str) -> str:
    """Return Julia's assignments as Python writes them; what is different stays and is refused."""
    text = _IMPORT.sub("", text)
    quoted_or_word = re.compile(r'"[^"\n]*"|#[^\n]*|\^|\bconst[ \t]+|\b(true|false|nothing)\b')
    # `line...` is Python's `*line`
    text = re.sub(r"\b([A-Za-z_]\w*)\.\.\.", r"*\1", text)
    words = {"^": "**", "true": "True", "false": "False", "nothing": "None"}
    return quoted_or_word.sub(lambda match: words.get(match[0], _without_const(match[0])), text)


def _without_const(text: str) -> str:
    return "" if text.split() == ["const"] else text


def _reference(program: Program) -> ReferenceFields | None:
    energies = {}
    for made in program.made:
        tree = made.attributes.get("energy")
        if isinstance(tree, Expression):
            place = f"{program.source}:{made.line}: energy"
            energies[program.definitions.value(tree, place)] = made.line
    if len(energies) != 1:
        return None
    mass0 = SPECIES["electron"].mass0
    ((energy, line),) = energies.items()
    if energy <= mass0:
        raise LatticeError(f"{program.source}:{line}: energy = {energy:g} eV: too small")
    return ReferenceFields(mass0, -1.0, math.sqrt(energy**2 - mass0**2))


# ---- elements ----------------------------------------------------------------------------


def _drift(view: PlainRecorder) -> None:
    view.emit("Drift", {"length": view("len")})


def _marker(view: PlainRecorder) -> None:
    view.emit("Marker", {})
    view.ignore_all()


def _polynomials(view: PlainRecorder) -> tuple[list[Expression], list[Expression]]:
    """Normal and skew strengths kn, ksn of the polynomials, whose entries are kn/n!."""
    return tuple(  # pyright: ignore[reportReturnType]
        [multiply(tree, float(math.factorial(n))) for n, tree in enumerate(view.list_of(key))]
        for key in ("PolynomB", "PolynomA")
    )


def _strengths(view: PlainRecorder) -> dict[str, dict[int, Expression]]:
    """Strengths by order, those given by name added to the polynomials."""
    normal, skew = (dict(enumerate(trees)) for trees in _polynomials(view))
    for order in range(4):
        named = view(f"k{order}")
        if named != ZERO:
            normal[order] = add(normal.get(order, ZERO), named)
    return {"normal": normal, "skew": skew}


def _integrated(view: PlainRecorder, trees: dict[int, Expression]) -> list[Expression]:
    length = view("len")
    return [multiply(trees.get(n, ZERO), length) for n in range(max(trees, default=-1) + 1)]


def _magnet(kind: str, order: int) -> Builder:
    def build(view: PlainRecorder) -> None:
        """Map KQUAD, KSEXT, KOCT, QUAD: the main order is the body, the others kicks in it."""
        rows = _strengths(view)
        fields: dict = {"length": view("len")}
        fields[f"k{order}"] = rows["normal"].pop(order, ZERO)
        fields[f"k{order}s"] = rows["skew"].pop(order, ZERO)
        fields["knl"] = _integrated(view, rows["normal"])
        fields["ksl"] = _integrated(view, rows["skew"])
        view.emit(kind, fields)

    return build


def _bend(own_edge: bool) -> Builder:
    def build(view: PlainRecorder) -> None:
        angle = view("angle")
        own = multiply(angle, 0.5) if own_edge else ZERO
        angles = (add(view("e1"), own), add(view("e2"), own))
        rows = _strengths(view)
        if rows["normal"].pop(0, ZERO) != ZERO:
            view.lose("k0", "a field beside that of the angle")
        fields: dict = {"length": view("len"), "angle": angle}
        fields |= {f"k{order}": rows["normal"].pop(order, ZERO) for order in (1, 2)}
        fields["knl"] = _integrated(view, rows["normal"])
        fields["ksl"] = _integrated(view, rows["skew"])
        gap = view("gap")
        fields |= view.edges(angles, (view("fint1"), view("fint2")), (gap, gap))
        view.emit("Bend", fields)

    return build


def _cavity(view: PlainRecorder) -> None:
    """Map RFCA: a later particle loses energy at lag 0, as in AT."""
    phase = subtract(Number(math.pi), view("lag"))
    view.ignore("energy", "h")  # the frequency is given
    fields = {"length": view("len"), "voltage": view("volt"), "frequency": view("freq")}
    view.emit("Cavity", fields | {"phase": phase})


def _corrector(view: PlainRecorder) -> None:
    view.kick(view("len"), [negate(view("xkick"))], [view("ykick")])


def _solenoid(view: PlainRecorder) -> None:
    view.emit("UniformSolenoid", {"length": view("len"), "ks": view("ks")})


def _thin_multipole(view: PlainRecorder) -> None:
    normal, skew = _polynomials(view)
    view.emit("Multipole", {"knl": normal, "ksl": skew})


_WORDS = {
    **dict.fromkeys(("SPACECHARGE", "QUAD_SPACECHARGE"), "space charge"),
    **dict.fromkeys(("LongitudinalRLCWake", "LongitudinalWake"), "wake"),
    **dict.fromkeys(
        ("StrongThinGaussianBeam", "StrongGaussianBeam", "CRABCAVITY_K2", "LorentzBoost"),
        "beam-beam",
    ),
    **dict.fromkeys(
        ("AccelCavity", "CRABCAVITY", "WIGGLER", "TRANSLATION", "YROTATION", "InvLorentzBoost",
         "LBEND", "ESBEND", "ERBEND", "optics4DUC", "easyCRABCAVITY"), "",
    ),
}  # fmt: skip


def _left_out(view: PlainRecorder) -> None:
    """Leave an element out; a drift keeps its length."""
    kind = view.origin.source_type
    view.lose(_WORDS[_VARIANTS.sub("", kind)] or kind, f"the {kind}")
    view.marker_or_drift("len")
    view.ignore_all()


BUILDERS: dict[str, Builder] = {
    "DRIFT": _drift,
    "MARKER": _marker,
    **dict.fromkeys(("QUAD", "KQUAD"), _magnet("Quadrupole", 1)),
    "KSEXT": _magnet("Sextupole", 2),
    "KOCT": _magnet("Octupole", 3),
    "SBEND": _bend(own_edge=False),
    "RBEND": _bend(own_edge=True),
    "RFCA": _cavity,
    "CORRECTOR": _corrector,
    **dict.fromkeys(("HKICKER", "VKICKER"), _corrector),
    "SOLENOID": _solenoid,
    "thinMULTIPOLE": _thin_multipole,
}
