"""Parts that readers share: files, statements, lines of lines, what is left out, infix text."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sc_bridge.errors import ExpressionError, LatticeError
from sc_bridge.expressions import Dialect, InfixParser, Variable, constant
from sc_bridge.readers import read_lattice
from sc_bridge.readers.beamline import Item, expand_line, roots_of
from sc_bridge.readers.formats import FORMATS, format_of
from sc_bridge.readers.options import Losses, choose_sequence, single_file
from sc_bridge.readers.source import MAX_CALLS, MAX_FILES, Source, SourceFiles
from sc_bridge.readers.statements import (
    StatementSyntax,
    blank_comments,
    logical_lines,
    split_list,
    split_statements,
)

C_LIKE = StatementSyntax(("!", "//"), (("/*", "*/"),), block=r"(if|while)\b")


def statements(text: str, syntax: StatementSyntax = C_LIKE) -> list[tuple[int, str]]:
    return [(s.line, s.text) for s in split_statements(Source(Path("f"), text), syntax)]


# ---- statements ----------------------------------------------------------------------------


def test_statements_end_at_their_terminator_and_know_their_line():
    text = "a = 1; b=2;; ! c=3;\n/* d;\n e; */ f: g,\n  h = 'x;!y' ;\n last"
    assert statements(text) == [
        (1, "a = 1"), (1, "b=2"), (3, "f: g,\n  h = 'x;!y'"), (5, "last"),
    ]  # fmt: skip


def test_a_terminator_in_braces_ends_nothing_and_a_block_ends_with_its_brace():
    text = "k={1,2}; if (a) { b; {c;} } d; x: y = {z;}"
    assert [t for _, t in statements(text)] == [
        "k={1,2}", "if (a) { b; {c;} }", "d", "x: y = {z;}",
    ]  # fmt: skip


def test_a_part_of_a_text_keeps_its_places():
    source = Source(Path("f"), "if {\n a;\n b;}")
    (block,) = split_statements(source, C_LIKE)
    inside = block.text[4:-1]
    parts = list(split_statements(source, C_LIKE, inside, block.offset + 4))
    assert [(p.place, p.text) for p in parts] == [("f:2", "a"), ("f:3", "b")]


def test_an_apostrophe_that_its_line_does_not_close_is_a_letter():
    assert [t for _, t in statements("a = don't;\nb = 2;")] == ["a = don't", "b = 2"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a;\n /* b", r"f:2: '/\*' begins a comment that never ends"),
        ("a;\n k = {1, 2;", r"f:2: '{' is never closed"),
        ("a;\n\n k = 2};", r"f:3: '}' not opened"),
    ],
)
def test_what_is_not_closed_is_refused_with_its_place(text, message):
    with pytest.raises(LatticeError, match=message):
        statements(text)


def test_blanked_comments_keep_every_position():
    source = Source(Path("f"), "a ! b\n/* c\n */ d 'x!y'")
    blanked = blank_comments(source, C_LIKE)
    assert len(blanked) == len(source.text)
    assert blanked.split() == ["a", "d", "'x!y'"]
    assert blanked.count("\n") == 2


def test_lines_continue_where_the_format_says():
    source = Source(Path("f"), "q: QUAD, &\n  L=1 ! long\n\nP1F&\nL2: DRIF\nx = 1 +\n 2")
    plain = StatementSyntax(("!",))

    def lines(join: str) -> list[tuple[int, str]]:
        found = logical_lines(source, plain, lambda text: text.endswith("+"), join)
        return [(s.line, " ".join(s.text.split())) for s in found]

    assert lines(" ") == [(1, "q: QUAD, L=1"), (4, "P1F L2: DRIF"), (6, "x = 1 + 2")]
    assert lines("")[1] == (4, "P1FL2: DRIF")


def test_a_continuation_at_the_end_of_the_file_is_a_line():
    source = Source(Path("f"), "a, &\n")
    assert [s.text for s in logical_lines(source, C_LIKE, lambda _: False)] == ["a,"]


def test_lists_split_outside_of_brackets_and_quotes():
    assert split_list("l=2, knl={0, 1}, at=f(1, 2), s='a,b'") == [
        "l=2", "knl={0, 1}", "at=f(1, 2)", "s='a,b'",
    ]  # fmt: skip
    assert split_list(" a ") == ["a"]


# ---- files ---------------------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "ring" / "parts").mkdir(parents=True)
    (tmp_path / "ring" / "main.seq").write_text("main")
    (tmp_path / "ring" / "parts" / "arc.seq").write_text("arc")
    (tmp_path / "other.seq").write_text("other")
    return tmp_path


def test_called_files_are_found_beside_the_caller_and_beside_the_given_file(tree):
    files = SourceFiles([tree / "ring" / "main.seq"])
    (main,) = files.open_given()
    arc = files.called("parts/arc.seq", main, "main.seq:1")
    assert arc.text == "arc"
    assert files.shown == str(tree / "ring" / "main.seq")
    with pytest.raises(LatticeError, match=r"in a circle: main\.seq -> arc\.seq -> main\.seq"):
        files.called("main.seq", arc, "arc.seq:1")


@pytest.mark.parametrize("name", ["../other.seq", "/etc/passwd", "parts/../../other.seq", "link"])
def test_a_called_file_cannot_be_outside_the_folders_of_the_given_files(tree, name):
    (tree / "ring" / "link").symlink_to(tree / "other.seq")
    files = SourceFiles([tree / "ring" / "main.seq"])
    (main,) = files.open_given()
    with pytest.raises(LatticeError, match="outside the folders of the given files: allow_paths"):
        files.called(name, main, "main.seq:1")


def test_allowed_paths_may_be_called(tree):
    files = SourceFiles([tree / "ring" / "main.seq"], [tree])
    (main,) = files.open_given()
    assert files.called("../other.seq", main, "main.seq:1").text == "other"


def test_a_missing_called_file_names_the_place_of_the_call(tree):
    files = SourceFiles([tree / "ring" / "main.seq"])
    (main,) = files.open_given()
    with pytest.raises(LatticeError, match=r"main.seq:7: file 'no.seq' does not exist in"):
        files.called("no.seq", main, "main.seq:7")
    with pytest.raises(LatticeError, match=r"main.seq:7: file .* cannot be read"):
        files.called("n\0", main, "main.seq:7")


def test_calls_are_bounded_in_depth_and_number(tree):
    files = SourceFiles([tree / "ring" / "main.seq"])
    (main,) = files.open_given()
    deep = Source(main.path, "", tuple(Path(f"/{i}") for i in range(MAX_CALLS + 1)))
    with pytest.raises(LatticeError, match="files deep"):
        files.called("parts/arc.seq", deep, "main.seq:1")
    for _ in range(MAX_FILES - 1):
        files.called("parts/arc.seq", main, "main.seq:1")
    with pytest.raises(LatticeError, match=f"more than {MAX_FILES} files called"):
        files.called("parts/arc.seq", main, "main.seq:1")


def test_text_that_is_not_utf8_is_latin1_and_binary_is_refused(tree):
    path = tree / "old.seq"
    path.write_bytes(b"! 5 \xb0\n")
    assert SourceFiles([path]).open_given()[0].text == "! 5 °\n"
    path.write_bytes(b"\xb0\0\1")
    with pytest.raises(LatticeError, match="not a text file"):
        SourceFiles([path]).open_given()


# ---- lines of lines ------------------------------------------------------------------------


def names(name: str, lines: dict[str, list[Item]], **limit: int) -> str:
    return " ".join(
        placed.name + ("'" if placed.reflected else "")
        for placed in expand_line(name, lines, lambda n: f"f:{n}", **limit)
    )


def test_lines_repeat_nest_and_reflect():
    lines = {
        "cell": [Item("a"), Item("b", 2), Item("c", reflected=True)],
        "ring": [Item("cell", 2), Item("cell", reflected=True), Item("empty", 10**9)],
        "inline": [Item((Item("a"), Item("cell")), 2, True), Item("d", 0)],
        "empty": [],
    }
    assert names("cell", lines) == "a b b c'"
    assert names("ring", lines) == "a b b c' a b b c' c b' b' a'"
    assert names("inline", lines) == "c b' b' a' a' c b' b' a' a'"
    assert roots_of(lines) == ["ring", "inline"]
    assert expand_line("ring", lines, str)[0].path == ("ring", "cell")


def test_the_number_of_places_is_bounded_before_they_are_made():
    lines = {"l0": [Item("a", 10**9)]}
    lines |= {f"l{i}": [Item(f"l{i - 1}", 10**9)] for i in range(1, 30)}
    with pytest.raises(LatticeError, match=r"f:l29: l29: .* places, more than"):
        names("l29", lines)


def test_a_line_that_contains_itself_is_refused():
    lines = {"a": [Item("b")], "b": [Item((Item("c"),))], "c": [Item("b")]}
    with pytest.raises(LatticeError, match="contains itself: b -> c -> b"):
        names("a", lines)


# ---- what is left out ----------------------------------------------------------------------


def test_a_loss_is_refused_unless_it_is_allowed_by_any_of_its_words():
    with pytest.raises(LatticeError, match=r"f:1: b1: CSR would be lost: allow = \['CSR'\]"):
        Losses().leave_out("CSR", place="f:1", name="b1", what="CSR")
    for word in ("csr", "CSRCSBEND"):
        losses = Losses(frozenset({word}))
        losses.leave_out("CSR", place="f:1", name="b1", what="CSR", also=("csrcsbend",))
        (entry,) = losses.left_out
        assert str(entry) == "f:1: b1: CSR (CSR)"


def test_warnings_are_kept_once_and_bounded():
    losses = Losses()
    for number in (1, 1, *range(1000)):
        losses.warn("f:1", f"name {number}")
    assert losses.warnings[0] == "f:1: name 1"
    assert len(losses.warnings) == len(set(losses.warnings)) == 100


def test_one_root_line_is_chosen_and_several_are_listed():
    assert choose_sequence(["a"], None, "f") == "a"
    assert choose_sequence(["a", "b"], "B", "f") == "b"
    assert choose_sequence(["a"], "c", "f", known=["c"]) == "c"
    with pytest.raises(LatticeError, match=r"holds 2 sequences \(a, b\): choose one"):
        choose_sequence(["a", "b"], None, "f")
    with pytest.raises(LatticeError, match=r"no sequence 'x': the file holds a, b"):
        choose_sequence(["a", "b"], "x", "f")


def test_a_format_of_one_file_refuses_two():
    with pytest.raises(LatticeError, match="2 files: a lattice in xsuite-json is one file"):
        single_file((Path("a"), Path("b")), "xsuite-json")


# ---- formats -------------------------------------------------------------------------------


def test_every_format_names_a_reader_that_exists():
    for name, row in FORMATS.items():
        assert callable(row.reader()), name


def test_the_format_follows_from_content_where_the_suffix_says_nothing(tmp_path):
    path = tmp_path / "lattice"
    path.write_text('{"__class__": "Line"}')
    assert format_of((path,), None) == "xsuite-json"
    path.write_text("nothing of the kind")
    with pytest.raises(LatticeError, match=r"cannot tell the format .* \(looks like none\)"):
        format_of((path,), None)


def test_no_file_and_a_text_for_a_list_are_refused(tmp_path):
    with pytest.raises(LatticeError, match="no file given"):
        read_lattice([])
    with pytest.raises(LatticeError, match="allow = 'CSR': must be a list of words"):
        read_lattice(tmp_path / "a.json", allow="CSR")


# ---- infix text ----------------------------------------------------------------------------

MAD = Dialect(
    "MAD-X", left_associative=True, zero_division=True, references=r"[A-Za-z_]\w*\s*->\s*\w+"
)
VALUES = {"a": 2.0, "q->k1": 3.0, "zero": 0.0}


@pytest.mark.parametrize(
    ("text", "mad", "other"),
    [
        ("-2^2", -4.0, -4.0),
        ("2^3^2", 64.0, 512.0),
        ("2**3**2", 64.0, 512.0),
        ("-A*3 - 4/2*3", -12.0, -12.0),
        ("2*-3", -6.0, -6.0),
        ("2^-1", 0.5, 0.5),
        ("2^-a", 0.25, 0.25),
        ("1.5d2 + .5 + 1.E0", 151.5, 151.5),
        ("max(a, sqrt( 9 ))", 3.0, 3.0),
        (" +(a) ", 2.0, 2.0),
        ("- 7", -7.0, -7.0),
    ],
)
def test_infix_text_means_what_the_dialect_says(text, mad, other):
    for dialect, value in ((MAD, mad), (Dialect("other"), other)):
        tree = InfixParser(dialect, Variable).parse(text, "f:1: k")
        assert tree.evaluate(VALUES) == value
        assert InfixParser(Dialect("tree"), Variable).parse(str(tree), "").evaluate(VALUES) == value


def test_a_quotient_by_zero_is_zero_where_the_dialect_says_so_with_zero_gradients():
    tree = InfixParser(MAD, Variable).parse("1/zero + a/zero + a/2", "f:1")
    assert tree.evaluate(VALUES) == 1.0
    a, zero = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (2.0, 0.0))
    value = tree.evaluate({"a": a, "zero": zero})
    assert isinstance(value, torch.Tensor)
    value.backward()
    assert (value.item(), a.grad.item(), zero.grad.item()) == (1.0, 0.5, 0.0)
    with pytest.raises(ExpressionError, match="division by zero"):
        InfixParser(Dialect("other"), Variable).parse("1/zero", "f:1").evaluate(VALUES)


def test_references_are_handed_over_without_blanks():
    tree = InfixParser(MAD, Variable, Variable).parse("2 * Q -> K1", "f:1")
    assert tree.evaluate(VALUES) == 6.0
    with pytest.raises(ExpressionError, match="reference to 'q->k1' is not allowed here"):
        InfixParser(MAD, Variable).parse("q->k1 + 1", "f:1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2", "unexpected '2' after '1'"),
        ("1 +", "it ends too early"),
        ("  ", "it is empty"),
        ("* 2", r"unexpected '\*'"),
        ("a $ b", r"'\$' is not understood"),
        ("nofunction(1)", "function 'nofunction' is not known: known are abs"),
        ("sin(1, 2)", "function 'sin' takes 1 argument"),
        ("atan2()", "function 'atan2' takes 2 arguments"),
        ("1e999 + 1", "a number that is too large"),
        ("1e999", "a number that is too large"),
        ("-" * 300 + "1", "levels deep"),
        ("1+" * 20_000 + "1", "characters, more than"),
        ("__import__('os')", "is not understood"),
    ],
)
def test_text_that_is_no_expression_is_refused_with_its_place(text, message):
    with pytest.raises(ExpressionError, match=rf"f:3: k: expression .*{message}"):
        InfixParser(MAD, Variable).parse(text, "f:3: k")


def test_deep_brackets_are_no_danger():
    depth = 5000
    text = "(" * depth + "a" + ")" * depth
    assert InfixParser(MAD, Variable).parse(text, "f:1").evaluate(VALUES) == 2.0


def test_an_expression_of_numbers_is_constant():
    parse = InfixParser(MAD, Variable).parse
    assert constant(parse("2*3", "")) == 6.0
    assert constant(parse("5", "")) == 5.0
    assert constant(parse("2*a", "")) is None
