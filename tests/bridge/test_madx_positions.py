"""MAD-X sequences and lines: elements are where MAD-X itself has them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from madx_oracle import Mad, Read, read_decks

from sc_bridge.errors import LatticeError
from sc_bridge.lattice import IMPLICIT_DRIFT

POSITION = 1e-9  # m; MAD-X's own positions are sums of a few numbers


@pytest.fixture
def read(tmp_path, monkeypatch) -> Read:
    monkeypatch.chdir(tmp_path)
    return read_decks


@pytest.fixture(scope="module")
def mad() -> Iterator[Mad]:
    mad = Mad()
    yield mad
    mad.close()


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
