"""MAD-X decks: what MAD-X itself says of variables and statements, we say too; beams."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from madx_oracle import LINE, Mad, Read, read_decks

from sc_bridge.errors import ExpressionError, LatticeError
from sc_bridge.readers.madx.dialect import CONSTANTS

ROUNDING = 1e-12  # relative: the same formulas in float64


@pytest.fixture
def read(tmp_path, monkeypatch) -> Read:
    monkeypatch.chdir(tmp_path)
    return read_decks


@pytest.fixture(scope="module")
def mad() -> Iterator[Mad]:
    mad = Mad()
    yield mad
    mad.close()


# ---- arithmetic and statements (table 2.2 of the reference on formats) ---------------------


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
