"""MAD-X decks: what MAD-X itself (through cpymad) says of variables and positions, we say too."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cpymad.madx import Madx

from sc_bridge.errors import ExpressionError, LatticeError
from sc_bridge.lattice import IMPLICIT_DRIFT, Lattice
from sc_bridge.readers import read_lattice
from sc_bridge.readers.madx.dialect import CONSTANTS

ROUNDING = 1e-12  # relative: the same formulas in float64
POSITION = 1e-9  # m; MAD-X's own positions are sums of a few numbers
Read = Callable[..., Lattice]


@pytest.fixture
def read(tmp_path, monkeypatch) -> Read:
    """Write decks to a.madx, b.madx, ... and read them in order."""
    monkeypatch.chdir(tmp_path)

    def read_them(*decks: str, **options: Any) -> Lattice:
        names = [f"{letter}.madx" for letter, _ in zip("abc", decks, strict=False)]
        for name, deck in zip(names, decks, strict=True):
            Path(name).write_text(deck)
        return read_lattice(names, **options)

    return read_them


class Mad:
    """MAD-X in a process of its own, started anew when a deck asks for it or has ended it."""

    def __init__(self) -> None:
        self.process: Madx | None = None

    def run(self, deck: str, *, fresh: bool = False) -> Madx:
        if fresh:
            self.close()
        if self.process is None:
            self.process = Madx(stdout=subprocess.DEVNULL)
        self.process.input("option, rbarc=true;" + deck)
        return self.process

    def variables(self, deck: str, *, fresh: bool = False) -> dict[str, float]:
        """Variables after a deck."""
        found = self.run(deck, fresh=fresh).globals
        return {name: found[name] for name in found}

    def positions(self, deck: str, sequence: str) -> list[tuple[str, float]]:
        """Names and positions of the elements of a sequence, implicit drifts left out."""
        elements = self.run(deck).sequence[sequence].expanded_elements
        return [(e.name, e.position) for e in elements if not e.name.startswith("drift_")]

    def close(self) -> None:
        if self.process is not None:
            self.process.quit()
        self.process = None


@pytest.fixture(scope="module")
def mad() -> Iterator[Mad]:
    mad = Mad()
    yield mad
    mad.close()


# ---- arithmetic and statements (table 2.2 of the reference on formats) ---------------------

LINE = "end_of_all: marker; all_: line = (end_of_all);"
ARITHMETIC = {
    "a power binds more than a sign": "a = -2^2; b = -(2)^2; c = 2*3^2; d = 5 - 2*3^2/3;",
    "powers group to the left": "a = 2^3^2; b := 2^3^2; c = 2^2*3;",
    "x/0 is 0": "z = 0; a = 1/0; b := 2/z; c = 3/z + 1;",
    "attributes of elements": "q: quadrupole, l=3, k1=0.5; a = q->l; b := 2*q->k1; c = q->l/q->k1;",
    "empty statements": "a = 1;; ; b = 2;",
    "text": "a = 1; title, 'abc; def'; b = 2;",
    "Fortran's exponents": "a = 1d-3; b = 1.5D2; c = 1E3; d = .5; e2 = 5.;",
    "qualifiers": "real const a = 3; const b = 4; real c = 5; int d = 2.7; e2 = d*10;",
    "constants keep their value": "const a = 3; a = 4; pi = 3; b = pi; raddeg = 1/57.2958;"
    "c = raddeg;",
    "if": "a=2; if (a>1) {b=1;} elseif (a>0) {b=2;} else {b=3;}if (a<>2 || 0>1) {c=1;} else {c=2;}",
    "elseif": "a=0.5; if (a>1) {b=1;} elseif (a>0 && a<1) {b=2;} else {b=3;} c = b;",
    "while": "a = 0; b = 1; while (a < 5) {a = a + 1; b = b*2;} c = b;",
    "macro": "a = 1; m(x,yy): macro = {axx = yy; b.x = 2*yy;}; n = 4;"
    "exec, m(1, 7); exec, m($n, 3);",
    "commands that do nothing here": "a=1; option, -echo; set, format='12.6f'; print, text='x';"
    " value, a; system, 'true'; title, \"t\"; b=2;",
    "stop": "a = 1; stop; a = 2;",
    "evaluated now or live": "a = 1; b = a; c := a; a = 2; d = c + b; c2 := d + c; d = 5;",
    "undefined names are 0": "a = nothing + 1; b := 2*nobody + 3;",
    "functions": "a = sin(1)+cos(1)+tan(1)+asin(0.3)+acos(0.3)+atan(2)+sinh(1)+cosh(1)+tanh(1);"
    "b = sqrt(2)+log(2)+log10(3)+exp(1.5)+abs(-2)+sinc(0.1)+erf(0.3)+erfc(0.3);"
    "c = round(2.5); d = round(-2.6); f = frac(-1.3); g = frac(1.3); h = floor(-1.3)+ceil(-1.3);",
    "constants": "a=twopi; b=degrad; c=e; d=emass; f=pmass; g=nmass; h=mumass; i=clight; j=qelect;"
    "k=hbar; l1=erad; m1=prad; n=umass; o=amu0;",
    "case": "A = 1; b = a + 1; Q: QUADRUPOLE, L=2, k1:=B; c = q->L; D := Q->K1; B = 7;",
    "comments": "a = 1; ! a = 2;\n// a = 3;\n/* a = 4;\n a = 5; */ b = a /* + 1 */ + 2;",
    "labels on several lines": " q \n :\n quadrupole\n,l\n=\n 1 ;a=q->l;",
    "a class copied before it changes": "q: quadrupole, l=1, k1=1; p: q; q, k1=2;a=p->k1; b=q->k1;",
    "a live attribute of a class": "q: quadrupole, l=1, k1:=k; p: q; k=3; a=p->k1; b:=p->k1; k=4;",
    "a definition replaces": "q: quadrupole, l=1, k1=1; q: quadrupole, l=2; a=q->k1; b=q->l;",
    "an attribute by arrow": "q: quadrupole, l=1; k = 2; q->k1 = 3*k; k = 1; a = q->k1;",
    "a chord is shorter": "r: rbend, l=1, angle=1; a = r->l;",
    "a chord that is an arc": "option, rbarc=false; r: rbend, l=1, angle=1; a = r->l;",
    "a list on a multipole": "m: multipole, knl={1, -2, 3*x}; a = 1;",
    "beams": "beam, particle=proton, energy=3; a=beam->pc; b=beam->mass; beam, pc=5;"
    "c=beam->energy; d = beam->gamma; f = beam->beta; g = beam->brho; h = beam->charge;",
    "an ion": "beam, particle=Pb54, mass=193.7, charge=54, energy=1000; a=beam->pc; b=beam->brho;",
    "an electron": "beam, particle=electron, energy=3; a=beam->pc; b=beam->charge; c=beam->gamma;",
    "energy goes before pc": "beam, particle=proton, energy=3, pc=5; a = beam->pc;",
    "gamma goes before beta": "beam, particle=proton, gamma=3, beta=0.5; a = beam->pc;",
    "beta goes before brho": "beam, particle=proton, brho=3, beta=0.5; a = beam->pc;",
    "brho": "beam, particle=ion, mass=3.7, charge=2, brho=3; a = beam->pc; b = beam->energy;",
    "mass and charge of a known particle": "beam, particle=proton, mass=1, charge=2, energy=3;"
    "a = beam->mass; b = beam->charge;",
    "no beam command": "a = beam->energy; b = beam->mass; c = beam->charge;",
}


# Decks that need, or leave behind, what other decks must not have.
FRESH = {
    "qualifiers",
    "constants keep their value",
    "stop",
    "undefined names are 0",
    "no beam command",
}


@pytest.mark.parametrize("title", ARITHMETIC)
def test_variables_have_the_values_of_madx(read, mad, title):
    deck = ARITHMETIC[title]
    ours = read(LINE, deck, sequence="all_").variables
    fresh = title in FRESH
    theirs = mad.variables(deck, fresh=fresh)
    if fresh:
        mad.close()
    names = {part.split("=")[0].strip(" :\n").lower() for part in deck.split(";") if "=" in part}
    names &= theirs.keys() - CONSTANTS.keys()
    assert "a" in ours
    for name in names | (ours.keys() & theirs.keys()):
        assert ours[name] == pytest.approx(theirs[name], rel=ROUNDING, abs=ROUNDING), name


def test_two_stars_are_a_power_although_madx_refuses_them(read):
    assert read(LINE + "a = 2**3;").variables["a"] == 8.0


def test_text_is_no_number_and_harms_only_what_needs_it(read):
    assert "s" not in read(LINE + 's = "text"; a = 1;').variables
    with pytest.raises(ExpressionError, match=r"'s' has no value \(a\.madx:1: it is text\)"):
        read(LINE + 's = "text"; q: quadrupole, l=1, k1:=s; l: line=(q);', sequence="l")


def test_undefined_names_are_warned_of_with_their_place(read):
    lattice = read(LINE + "\n a = nothing + 1;")
    assert lattice.warnings == ("a.madx:2: 'nothing' is not defined: 0 is used, as in MAD-X",)


def test_constants_that_are_set_are_warned_of(read):
    assert "a.madx:1: 'pi' is a constant and keeps its value" in read(LINE + "pi=3;").warnings


@pytest.mark.parametrize(
    "call", ["call, file=b.madx;", "call, file='b.madx';", 'CALL,FILE="b.madx";']
)
def test_called_files_are_read_and_return_ends_them(read, tmp_path, call):
    (tmp_path / "b.madx").write_text("b = a + 1; return; b = 0; ")
    assert read(LINE + f"a = 1; {call} c = b;").variables == {"a": 1.0, "b": 2.0, "c": 2.0}


def test_stop_ends_everything(read):
    assert read(LINE + "a = 1; if (a == 1) { stop; } a = 2;", "a = 3;").variables == {"a": 1.0}


def test_return_ends_one_of_the_given_files(read):
    assert read(LINE + "a = 1; return; a = 2;", "b = 3;").variables == {"a": 1.0, "b": 3.0}


def test_what_no_file_holds_is_refused_only_where_it_is_needed(read):
    deck = "q1 = table(summ, q1); r = ranf(); s = sqrt(-1); t := t + 1; "
    lattice = read(LINE + deck)
    assert lattice.variables == {}
    assert any("'t' has no value" in warning for warning in lattice.warnings)
    needs = "q: quadrupole, l=1, k1:={}; l: line=(q);"
    for name, reason in (("q1", r"table\(\)"), ("r", r"ranf\(\)"), ("t", "define each other")):
        with pytest.raises(ExpressionError, match=reason):
            read(deck + needs.format(name), sequence="l")


def test_a_match_needs_leave_and_leaves_its_knobs_without_value(read):
    deck = LINE + "k = 1; match, sequence=x; vary, name=k; global, q1=3; endmatch; a = 2;"
    with pytest.raises(LatticeError, match=r"a.madx:1: match: .* allow = \['match'\]"):
        read(deck)
    lattice = read(deck, allow=["match"])
    assert lattice.variables == {"a": 2.0}
    assert [entry.word for entry in lattice.left_out] == ["match"]


# ---- positions -----------------------------------------------------------------------------

ELEMENTS = """
beam; a: quadrupole, l=1; b: marker; c: drift, l=1; r: rbend, l=1, angle=1; x = 2;
n: sequence, l=4, refer=entry; na: quadrupole, l=1, at=1; nm: marker, at=3; endsequence;
p: sequence, l=4, refpos=pb; pa: marker, at=1; pb: marker, at=3; endsequence;
"""
LAYOUTS = {
    "entry": "s: sequence, l=10, refer=entry; a, at=2; m1: marker, at=4, from=a; endsequence;",
    "centre": "s: sequence, l=10; a, at=2; m1: marker, at=4, from=a;"
    "a2: a, at=1, from=m1; endsequence;",
    "center": "s: sequence, l=10, refer=center; a, at=2; endsequence;",
    "exit": "s: sequence, l=10, refer=exit; a, at=2; m1: marker, at=4, from=a;"
    "a2: a, at=1, from=m1; endsequence;",
    "a later origin": "s: sequence, l=10; m1: marker, at=-2, from=a; a, at=5; endsequence;",
    "nested": "s: sequence, l=20; n, at=5; p, at=12; n, at=18; endsequence;",
    "nested by entry": "s: sequence, l=20, refer=entry; n, at=5; p, at=12; endsequence;",
    "nested by exit": "s: sequence, l=20, refer=exit; n, at=5; p, at=12; endsequence;",
    "a chord": "s: sequence, l=10; r, at=5; endsequence;",
    "an arc": "option, rbarc=false; s: sequence, l=10; r, at=5; endsequence;",
    "now and live": "s: sequence, l=5*x; a, at=x; a2: a, at:=2*x; endsequence; x = 3;",
    "a live length": "s: sequence, l=10; q: quadrupole, l:=x, at=5; endsequence; x = 1;",
    "a new definition": "s: sequence, l=10; a, at=2; endsequence; a: quadrupole, l=2;",
    "a new sequence": "s: sequence, l=4; a, at=2; endsequence;"
    "s: sequence, l=5; a, at=3; endsequence;",
    "a second definition inside": "q: a, l=2; s: sequence, l=9; q: a, at=5, l=3; endsequence;",
    "overlaps below a micrometre": "s: sequence, l=10; a, at=2; a2: a, at=2.9999995; endsequence;",
    "lines": "s: line = (a, 2*b, -(c, a), r);",
    "nested lines": "l1: line = (a, 2*b, c); s: line = (l1, -l1, 2*(a, c), -2*l1);",
    "arguments": "l1(u, v): line = (a, u, v, u); s: line = (l1(b, c), l1(c, b));",
}


@pytest.mark.parametrize("deck", LAYOUTS.values(), ids=LAYOUTS)
def test_elements_are_where_madx_has_them(read, mad, deck):
    deck = ELEMENTS + deck + "use, sequence=s;"
    lattice = read(deck)
    position, ours = 0.0, []
    for name, record in zip(lattice.element_names, lattice.records, strict=True):
        if record.source_type != IMPLICIT_DRIFT and not name.startswith("drift_"):
            ours.append((name, position))
        position += lattice.length_of(name)
    theirs = mad.positions(deck, "s")
    assert [name for name, _ in ours] == [name for name, _ in theirs]
    tolerance = 1e-6 if "2.9999995" in deck else POSITION  # the overlap moves what follows
    for (name, here), (_, there) in zip(ours, theirs, strict=True):
        assert here == pytest.approx(there, abs=tolerance), name


def test_drifts_follow_live_positions_and_lengths(read):
    deck = """x := 2*y; y = 1; s: sequence, l=10; q: quadrupole, l:=x/2, at:=2*x; m: marker, at=9;
    endsequence;"""
    lattice = read(deck)
    live = {name: str(tree) for (name, _, _), tree in lattice.field_expressions.items()}
    assert set(live) == {"q", "drift_0", "drift_1"}
    for y in (1.0, 1.5):
        values = {"y": y, "x": 2 * y}
        lengths = [tree.evaluate(values) for tree in lattice.field_expressions.values()]
        assert sum(map(float, lengths)) == pytest.approx(9.0)  # up to the fixed marker


def test_a_negative_drift_is_refused_with_both_names(read):
    deck = "a: quadrupole, l=1;\ns: sequence, l=10; a, at=2;\n a2: a, at=2.5; endsequence;"
    with pytest.raises(LatticeError, match=r"a.madx:3: a2 begins 0\.5 m before a ends, in s"):
        read(deck)
    with pytest.raises(LatticeError, match=r"a.madx:1: s\$end begins 0\.3 m before a ends"):
        read("s: sequence, l=4; a: quadrupole, l=1, at=3.8; endsequence;")


def test_the_root_is_chosen_by_use_by_name_or_because_it_is_the_only_one(read):
    deck = ELEMENTS + "s: sequence, l=20; n, at=5; p, at=12; endsequence;"
    assert read(deck).name == "s"
    assert read(deck, sequence="N").name == "n"
    assert read(deck + "use, sequence=n;").name == "n"
    assert read(deck + "use, period=p;").name == "p"
    with pytest.raises(LatticeError, match=r"the file holds 2 sequences \(s, l\): choose one"):
        read(deck + "l: line = (a, b);")
    with pytest.raises(LatticeError, match="no sequence 'zz'"):
        read(deck, sequence="zz")


def test_other_ways_to_say_the_same(read):
    deck = "m: marker; b: beta0, betx=3; s: sequence, l=4; m, at=1; endsequence; s, l=6; a = s->l;"
    lattice = read(deck + "if (a - 6) {a = 0;} while (1) {a = a + 1; if (a > 8) {stop;}} a = 1;")
    assert (lattice.length, lattice.variables["a"]) == (6.0, 9.0)
    assert read(deck + "l: line=(m); use, l;").name == "l"
    lattice = read(deck + "beam, particle=ion, charge=2, pc=1; beam->pc = 5; x: marker, , a={'b'};")
    assert lattice.reference is not None
    assert lattice.reference.mass0 == pytest.approx(0.93956542052e9)  # one nucleon, as in MAD-X
    assert lattice.reference.p0c == pytest.approx(5e9)


# ---- beams ---------------------------------------------------------------------------------


def test_the_beam_is_the_reference(read):
    lattice = read(LINE + "beam, particle=Pb54, mass=193.7, charge=54, energy=1000;")
    reference = lattice.reference
    assert reference is not None
    assert (reference.mass0, reference.q0) == (193.7e9, 54.0)
    assert reference.p0c == pytest.approx((1000.0**2 - 193.7**2) ** 0.5 * 1e9, rel=ROUNDING)
    assert read(LINE).reference is None


def test_a_sequence_may_have_a_beam_of_its_own(read):
    deck = LINE + "beam, particle=proton, pc=2; beam, sequence=all_, particle=electron, pc=3;"
    reference = read(deck).reference
    assert reference is not None
    assert (reference.q0, reference.p0c) == (-1.0, pytest.approx(3e9))


# ---- refusals ------------------------------------------------------------------------------

REFUSALS = {
    "no such macro": ("exec, m(1);", r"a.madx:1: macro 'm\(1\)' is not defined"),
    "too few arguments": ("m(x,y): macro={a=x;}; exec, m(1);", "macro 'm' takes 2 arguments: x, y"),
    "a macro that grows": (
        "m(x): macro={a=xxxxxxxxxxxxxxxxxxxx;}; exec, m(" + "1" * 100_000 + ");",
        "macro 'm' grows too long",
    ),
    "a macro in itself": ("m: macro={exec, m;}; exec, m;", "more than 50 blocks in each other"),
    "an endless loop": ("while (1 < 2) {a = 1;}", "more than 30000 statements executed"),
    "an else alone": ("a = 1; else {b = 2;}", "else without an if before it"),
    "a condition without brackets": ("if a > 1 {b = 2;}", "condition 'a > 1': must be in brackets"),
    "a chain of comparisons": ("if (1 < a < 3) {b = 2;}", "one comparison at a time"),
    "an undecidable condition": (
        "q = table(summ, q1); if (q > 1) {b = 2;}", r"condition: variable 'q' has no value",
    ),
    "no expression": ("a = 1 +;", "a.madx:1: a: expression '1 \\+': it ends too early"),
    "no class": ("\n q: quadrupol, l=1;", "a.madx:2: q: class 'quadrupol' is not defined"),
    "no key": ("q: quadrupole, 2*l=3;", "a.madx:1: .2.l=3. is not understood: expected key"),
    "no value": ("q: quadrupole, l=;", "a.madx:1: l: no value after the equals sign"),
    "no endsequence": ("s: sequence, l=1;", "a.madx:1: sequence s has no endsequence"),
    "a sequence inside": ("s: sequence, l=1; t: sequence, l=1;", "t begins inside of s: endseq"),
    "endsequence alone": ("endsequence;", "endsequence without a sequence"),
    "no position": ("s: sequence, l=1; m: marker; endsequence;", "m: has no at = position in s"),
    "no element": ("s: sequence, l=1;\n nope, at=3; endsequence;", "a.madx:2: nope: no element or"),
    "a line in a sequence": (
        "l: line = (x); s: sequence, l=1; l, at=0; endsequence;", "a line cannot be in a sequence",
    ),
    "a sequence in a line": (
        "s: sequence, l=1; endsequence; l: line=(s); use, sequence=l;",
        "a.madx:1: s in a line is a sequence",
    ),
    "no element in a line": ("l: line = (nope);", "a.madx:1: nope in a line is not defined"),
    "no brackets": ("l: line = a, b;", "line l: must be a list in brackets"),
    "an odd entry": ("l: line = (2a);", "line l: '2a' is not understood"),
    "an entry of signs": ("l: line = (-);", "'-' is not understood"),
    "no line with arguments": ("l: line = (a(b));", "'a' is no line with arguments"),
    "other arguments": ("k(x): line=(x); l: line = (k(a, b));", "line 'k' takes 1 arguments"),
    "brackets in brackets": (
        "l: line = " + "(" * 60 + "a" + ")" * 60 + ";", "more than 50 brackets in each other",
    ),
    "a repetition of repetitions": (
        "m: marker; l: line = (999999999*m);", "places, more than 2000000",
    ),
    "a repetition beyond bounds": ("m: marker; l: line=(" + "9" * 30 + "*m);", "beyond all bounds"),
    "lines that grow": (
        "l0(x): line = (x, x);"
        + "".join(f"l{i}(x): line = (l{i - 1}(x), l{i - 1}(x));" for i in range(1, 40))
        + "m: marker; l: line = (l39(m));",
        "more than 20000 entries from lines",
    ),
    "an unknown command": ("gibberish, a=1;", r"gibberish, a=1: .* allow = \['gibberish'\]"),
    "no text of a statement": ("= 3;", "a command that is not known"),
    "no file to call": ("call;", "call: no file = name"),
    "a file elsewhere": ("call, file='../x';", "outside the folders of the given files"),
    "nothing to use": ("use;", "use: no sequence = name"),
    "a range": ("m: marker; s: line=(m); use, sequence=s, range=a/b;",
        "range: no element 'a' on the line"),
    "no arrow's element": ("nope->k1 = 3;", "nope -> k1: no such element"),
    "an odd refer": (
        "s: sequence, l=1, refer=middle; m: marker, at=0; endsequence;", "must be entry, centre or",
    ),
    "no origin": (
        "s: sequence, l=1; m: marker, at=0, from=q; endsequence;",
        "from = 'q' is not in sequence s",
    ),
    "an origin in a circle": (
        "s: sequence, l=1; m: marker, at=0, from=n; n: marker, at=1, from=m; endsequence;",
        "from = leads back to itself",
    ),
    "no refpos": (
        "t: sequence, l=1, refpos=q; endsequence; s: sequence, l=9; t, at=3; endsequence;",
        "refpos = 'q' is not in it",
    ),
    "sequences that double": (
        "m: marker; s0: sequence, l=1; m, at=0; m, at=1; endsequence;"
        + "".join(
            f"s{i}: sequence, l={2**i}, refer=entry; s{i - 1}, at=0; s{i - 1}, at={2 ** (i - 1)};"
            "endsequence;"
            for i in range(1, 40)
        ),
        r"s1\d has \d+ places, more than 200000",
    ),
    "no length": ("s: sequence; m: marker, at=0; endsequence;", "sequence s has no length"),
    "sequences in a circle": (
        "s: sequence, l=9; endsequence; t: sequence, l=3; s, at=1; endsequence;"
        "s: sequence, l=9; t, at=3; endsequence; use, sequence=s;",
        "sequences contain each other: s -> t -> s",
    ),
    "an energy below the mass": ("beam, particle=proton, energy=0.3; a = beam->pc; b = 1/a;"
        "m: marker; s: line=(m);", "the energy must exceed the mass"),
    "an unknown particle": (LINE + "beam, particle=xyz, energy=3;", "particle 'xyz' is not known"),
    "a beam backwards": (LINE + "beam, bv=-1;", r"bv = -1 .* allow = \['bv'\]"),
    "thin slicing": ("makethin, sequence=s;", r"slicing into thin lenses .* \['makethin'\]"),
    "errors": ("ealign, dx=1;", r"alignment errors would be lost: allow = \['misalignment'\]"),
    "twice the same name": (
        "q: quadrupole, apertype=circle, aperture={1}; q_aper: marker; s: line=(q, q_aper);",
        "q_aper: another element has this name",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("deck", "message"), REFUSALS.values(), ids=REFUSALS)
def test_what_cannot_be_read_is_refused_with_its_place(read, deck, message):
    with pytest.raises(LatticeError, match=message):
        read(deck)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("nope->k1", "no element 'nope' is defined"),
        ("q->foo", "a quadrupole has no attribute 'foo'"),
        ("q->knl", "knl = .* must be a number"),
        ("beam->foo", "beam->foo is not known: known are mass"),
    ],
)
def test_a_reference_that_leads_nowhere_is_refused_where_it_is_needed(read, expression, message):
    deck = f"q: quadrupole, knl={{1}}; p: quadrupole, l=1, k1={expression}; s: line = (p);"
    with pytest.raises(ExpressionError, match=message):
        read(deck)
