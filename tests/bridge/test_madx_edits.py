"""Edits of sequences, and qualifiers of variables: what MAD-X itself makes of them."""

import pytest

import sc_bridge as scb
from sc_bridge.errors import LatticeError

BASE = (
    "q: quadrupole, l=1, k1=0.1; p: quadrupole, l=0.4, k1=0.2; m: marker; dist = 7;\n"
    "s: sequence, l=20, refer={}; q1: q, at=2; qa: q, at=4, from=q1; m1: m, at=9; q3: q, at=12;"
    " q1b: q, at=15, from=q1; endsequence;\n"
    "beam, particle=proton, energy=2;\n"
)
EDITS = {
    "install": "install, element=m2, class=m, at=10;",
    "install from": "install, element=m2, class=m, at=1, from=q1;",
    "install with a length": "install, element=qn, class=p, at=dist;",
    "install on another": "install, element=m2, class=m, at=9;",
    "install twice": "install, element=m, at=7; install, element=m, at=8;",
    "move by": "move, element=q1, by=1;",
    "move by, placed from another": "move, element=qa, by=0.5; move, element=q1, by=-0.5;",
    "move by, then what is placed from it": "move, element=q1, by=-0.5; move, element=qa, by=0.5;",
    "move to, from what moves": "move, element=qa, to=4.5, from=q1; move, element=q1, by=-0.5;",
    "install from what moved": "move, element=q1, by=-0.5;"
    " install, element=m2, class=m, at=1, from=q1;",
    "move to": "move, element=qa, to=dist+0.2;",
    "move to, from": "move, element=m1, to=1.5, from=q3;",
    "remove": "remove, element=m1;",
    "replace": "replace, element=q3, by=p;",
    "numbers": "install, element=m, at=8; install, element=m, at=7; move, element=m[2], by=0.5;",
    "flatten": "flatten; remove, element=q1b;",
}


@pytest.fixture
def read(tmp_path):
    """Read the text of a deck."""

    def read(text, **options):
        path = tmp_path / "a.madx"
        path.write_text(text)
        return scb.read_lattice(path, **options)

    return read


def _places(lattice):
    """Names and starts of what is no drift, in order."""
    at, found = 0.0, []
    for name in lattice.element_names:
        if not name.startswith("drift_"):
            found.append((name, at))
        at += lattice.elements[name].fields.get("length", 0.0)
    return found


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
@pytest.mark.parametrize("refer", ["centre", "exit"])
def test_edited_sequences_are_those_of_madx(read, edit, refer):
    from cpymad.madx import Madx

    deck = BASE.format(refer) + f"seqedit, sequence=s; {edit} endedit; use, sequence=s;"
    with Madx(stdout=False) as madx:
        madx.input(deck)
        elements = madx.sequence.s.expanded_elements
        expected = [(e.name, e.position) for e in elements if e.base_name != "drift"]
    places = _places(read(deck))
    assert [name for name, _ in places] == [name.split("[")[0] for name, _ in expected]
    assert [at for _, at in places] == pytest.approx([at for _, at in expected], abs=1e-9)


RANGES = ["q1/m1", "m1/#e", "q3", "#s/m1", "p[2]/#e", "q1b/p[2]", "#s/#e"]


@pytest.mark.parametrize("part", RANGES)
def test_the_range_of_use_is_that_of_madx(read, part):
    from cpymad.madx import Madx

    deck = BASE.format("centre").replace("endsequence", "p, at=18; p, at=19; endsequence")
    deck += f"use, sequence=s, range={part};"
    with Madx(stdout=False) as madx:
        madx.input(deck + "twiss, betx=1, bety=1;")
        table = madx.table.twiss
        names = [name.split(":")[0] for name in table.name if not name.startswith("drift")]
        length = table.s[-1]
    lattice = read(deck)
    assert [name for name, _ in _places(lattice)] == names
    assert lattice.length == pytest.approx(length, abs=1e-9)
    assert read(deck, sequence="s").length == pytest.approx(20.0)


REFUSED = {
    "a range backwards": (
        "use, sequence=s, range=m1/qa; seqedit, sequence=s; endedit;",
        "range m1/qa: qa is before m1",
    ),
    "no sequence": ("seqedit, sequence=t; endedit;", "sequence = 't' is not defined"),
    "no element": ("remove, element=nothing;", "'nothing' is not in sequence s"),
    "an element without a name": ("remove, at=3;", "remove: has no element = name"),
    "an occurrence too many": ("remove, element=q1[2];", "'q1\\[2\\]' is not in sequence s"),
    "what others stand on": ("remove, element=q1;", "'q1' cannot go: qa is placed from it"),
    "no position": ("install, element=m2, class=m;", "install: has no at = position"),
    "no class": ("install, element=m2, at=3;", "'m2' is not defined: give class ="),
    "no name": ("install, at=3;", "install: has no element = name"),
    "no origin": ("install, element=m, at=1, from=zz;", "from = 'zz' is not in sequence s"),
    "no replacement": ("replace, element=q3, by=zz;", "by = 'zz': no element"),
    "a selection": ("remove, element=selected;", "the edit of what is selected of the seq"),
    "reflect": ("flatten; reflect;", "the edit 'reflect' of the sequence would be lost"),
    "cycle": ("cycle, start=m1;", r"the edit 'cycle' .* allow = \['seqedit'\]"),
}


@pytest.mark.parametrize(("edit", "message"), REFUSED.values(), ids=REFUSED)
def test_edits_that_make_no_sense_or_are_not_read_are_refused(read, edit, message):
    text = edit if "seqedit" in edit else f"seqedit, sequence=s; {edit} endedit;"
    with pytest.raises(LatticeError, match=message):
        read(BASE.format("centre") + text)


def test_a_move_that_madx_makes_by_another_distance_is_warned_of(read):
    text = "seqedit, sequence=s; move, element=q1, by=1; endedit;"
    assert any(
        "puts q1 where its centre was" in w for w in read(BASE.format("exit") + text).warnings
    )
    assert not read(BASE.format("centre") + text).warnings


def test_nested_sequences_are_not_flattened_in_edits(read):
    deck = BASE.format("centre") + "t: sequence, l=30; s, at=10; endsequence;"
    with pytest.raises(LatticeError, match=r"'flatten' \(which makes one of nested sequences"):
        read(deck + "seqedit, sequence=t; flatten; endedit;")


QUALIFIED = ["const", "real", "int", "real const", "int const"]


@pytest.mark.parametrize("kind", QUALIFIED)
def test_qualified_variables_have_the_value_that_madx_gives_them(read, kind):
    from cpymad.madx import Madx

    with Madx(stdout=False) as madx:
        madx.input(f"{kind} a=2.7;")
        expected = madx.globals["a"]
    assert read(f"{kind} a=2.7;" + BASE.format("centre")).variables["a"] == expected


@pytest.mark.parametrize("kind", ["const real", "const int", "shared", "shared real"])
def test_qualifiers_that_define_nothing_in_madx_are_refused(read, kind):
    from cpymad.madx import Madx

    with Madx(stdout=False) as madx:
        madx.input(f"{kind} a=2.7;")
        assert "a" not in madx.globals
    with pytest.raises(LatticeError, match=f"{kind} a: MAD-X defines nothing by this"):
        read(f"{kind} a=2.7;" + BASE.format("centre"))


def test_attributes_that_are_not_known_are_named_with_their_value(read):
    deck = "b: rbend, l=1, angle=0.1, add_angle={0.01, 0.02}; s: line=(b);"
    with pytest.raises(LatticeError, match=r"add_angle = .*0\.01.*, which is not known of a rbend"):
        read(deck)
