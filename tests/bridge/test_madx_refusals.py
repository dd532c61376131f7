"""MAD-X decks that cannot be read are refused with their place."""

from __future__ import annotations

import pytest
from madx_oracle import LINE, Read, read_decks

from sc_bridge.errors import ExpressionError, LatticeError


@pytest.fixture
def read(tmp_path, monkeypatch) -> Read:
    monkeypatch.chdir(tmp_path)
    return read_decks


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
