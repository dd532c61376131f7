"""Expressions: what is accepted means what Python says; everything else is refused."""

from __future__ import annotations

import ast
import copy
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sc_bridge.errors import ExpressionError
from sc_bridge.expressions import (
    FUNCTIONS,
    MAX_DEPTH,
    MAX_LENGTH,
    Binary,
    Call,
    Expression,
    Negative,
    Number,
    Variable,
    order_of_evaluation,
    shorten,
)
from sc_bridge.readers.xsuite_expressions import (
    FieldTarget,
    OtherTarget,
    VariableTarget,
    parse_expression,
    parse_target,
)

WHERE = "psb.json:12: qf.k1"
ROUNDOFF = 1e-14  # a few operations in float64

ACCEPTED = {
    "1.5": lambda a, b: 1.5,
    "vars['a']": lambda a, b: a,
    "(-vars['a'])": lambda a, b: -a,
    "(+vars['a'])": lambda a, b: a,
    "((vars['a'] * 2.0) + vars['b'])": lambda a, b: a * 2 + b,
    "(vars['a'] - (vars['b'] - 1))": lambda a, b: a - (b - 1),
    "(vars['a'] / vars['b'])": lambda a, b: a / b,
    "(7.5 // vars['b'])": lambda a, b: 7.5 // b,
    "((-7.5) % vars['b'])": lambda a, b: -7.5 % b,
    "(vars['b'] ** vars['a'])": lambda a, b: b**a,
    "(-(vars['a'] ** 2))": lambda a, b: -(a**2),
    "f.sin((vars['a'] * 0.5))": lambda a, b: math.sin(a * 0.5),
    "f['cos'](vars['a'])": lambda a, b: math.cos(a),
    "abs((vars['a'] - vars['b']))": lambda a, b: abs(a - b),
    "f.atan2(vars['a'], vars['b'])": lambda a, b: math.atan2(a, b),
    "f.sinc(vars['a'])": lambda a, b: math.sin(a) / a,
}

HOSTILE = [
    "__import__('os').system('touch owned')",
    "().__class__.__bases__[0].__subclasses__()",
    "f.__class__",
    "f.sin.__globals__",
    "f.sin.__call__(1)",
    "vars.__class__",
    "vars['a'].__class__",
    "vars['a']['b']",
    "vars[1]",
    "vars",
    "f",
    "f.system('ls')",
    "eval('1')",
    "open('psb.json')",
    "(lambda: 1)()",
    "[x for x in (1, 2)]",
    "{1: 2}",
    "(1, 2)",
    "1 if 2 else 3",
    "1 < 2",
    "1 and 2",
    "not 1",
    "~1",
    "1 | 2",
    "1 << 62",
    "f'{1}'",
    "'text'",
    "b'text'",
    "True",
    "None",
    "...",
    "1j",
    "1e999",
    "9" * 5000,
    "f.sin(*vars)",
    "f.sin(x=1)",
    "f.sin(1, 2)",
    "f.sin()",
    "f.nothing(1)",
    "x := 1",
    "x = 1",
    "1; 2",
    "import os",
    "yield",
    "await 1",
    "",
    "1 +",
    "vars['a'",
    "\0",
    "\ud800",
    "element_refs['q'].k1",
    "particles['p'].p0c",
    "-" * 10_000 + "1",
    "(" * 1000 + "1" + ")" * 1000,
    "1+" * 5000 + "1",
    "1**" * 3000 + "1",
    "f.sin(" * (MAX_DEPTH - 1) + "-1" + ")" * (MAX_DEPTH - 1),
    "a" + ".b" * 9000,
    "1" * (MAX_LENGTH + 1),
    3.0,
    ["vars['a']"],
]


@pytest.mark.parametrize("text", ACCEPTED)
def test_an_expression_means_what_python_says(text):
    tree = parse_expression(text, WHERE)
    assert tree.evaluate({"a": 0.3, "b": 1.7}) == ACCEPTED[text](0.3, 1.7)


@pytest.mark.parametrize("text", ACCEPTED)
def test_floats_and_tensors_give_the_same_value(text):
    tree = parse_expression(text, WHERE)
    variables = {"a": 0.3, "b": 1.7}
    tensors = {name: torch.tensor(v, dtype=torch.float64) for name, v in variables.items()}
    value = torch.as_tensor(tree.evaluate(tensors), dtype=torch.float64)
    assert value.item() == pytest.approx(tree.evaluate(variables), rel=ROUNDOFF)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_agrees_on_floats_and_tensors(name):
    arguments = (0.37, 0.61)[: FUNCTIONS[name].arity]
    tree = Call(name, tuple(map(Number, arguments)))
    tensors = [torch.tensor(value, dtype=torch.float64) for value in arguments]
    expected = FUNCTIONS[name].of_tensors(*tensors).item()
    assert tree.evaluate({}) == pytest.approx(expected, rel=ROUNDOFF)
    mixed = Call(name, (Variable("x"), *map(Number, arguments[1:])))
    assert float(mixed.evaluate({"x": tensors[0]})) == pytest.approx(expected, rel=ROUNDOFF)


def test_sinc_is_one_at_zero():
    assert Call("sinc", (Number(0.0),)).evaluate({}) == 1.0


@pytest.mark.parametrize("text", [text for text in ACCEPTED if "vars" in text])
def test_gradients_flow_to_every_variable(text):
    tree = parse_expression(text, WHERE)
    names = sorted(tree.variables())

    def of_tensors(*values: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(tree.evaluate(dict(zip(names, values, strict=True))))

    point = {"a": 0.3, "b": 1.7}
    inputs = [torch.tensor(point[n], dtype=torch.float64, requires_grad=True) for n in names]
    assert torch.autograd.gradcheck(of_tensors, inputs)


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: repr(text)[:30])
def test_hostile_text_is_refused_naming_the_place(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ExpressionError, match=r"psb\.json:12: qf\.k1: expression ") as caught:
        parse_expression(text, WHERE)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600
    assert list(tmp_path.iterdir()) == []


REASONS = {
    "f.ramp(vars['t_turn_s'])": "function 'ramp' is not known: allowed are",
    "f.sin(1, 2)": "function 'sin' takes 1 argument$",
    "f.atan2(1)": "function 'atan2' takes 2 arguments$",
    "(lambda: 1)()": "only functions of a fixed list may be called",
    "1j": "1j is not a real number",
    "1e999": "number that is too large",
    "vars['a'].k1": "a reference that is not allowed",
    "1 < 2": "Compare is not allowed",
    "(" * 300 + "1" + ")" * 300: "too many nested parentheses",
    "1+" * 5000 + "1": "deep",
    "2 * (3": "was never closed",
    "1" * (MAX_LENGTH + 1): f"more than {MAX_LENGTH}: split it into variables",
    "f.sin(" * 150 + "-" * 60 + "1" + ")" * 150: f"more than {MAX_DEPTH} levels deep",
}


@pytest.mark.parametrize("text", REASONS, ids=lambda text: text[:20])
def test_a_refusal_says_why(text):
    with pytest.raises(ExpressionError, match=REASONS[text]):
        parse_expression(text, WHERE)


def test_an_expression_must_be_a_string():
    with pytest.raises(ExpressionError, match=r"expression '3\.0': must be a string"):
        parse_expression(3.0, WHERE)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("9**9**9**9", "no finite real value"),
        ("vars['a'] * 9**9**9**9", "no finite real value"),
        ("f.exp(1e9)", "no finite real value"),
        ("1 / (vars['a'] - vars['a'])", "division by zero"),
        ("vars['a'] % 0", "division by zero"),
        ("(-8.0) ** (1 / 3)", "no finite real value"),
        ("f.sqrt(-1)", r"sqrt\(-1\): no finite real value \(operands -1\)"),
        ("vars['nothing']", "variable 'nothing' is not defined"),
    ],
)
def test_an_expression_without_a_real_value_says_where(text, reason):
    with pytest.raises(ExpressionError, match=reason):
        parse_expression(text, WHERE).evaluate({"a": 2.0})


def trees() -> st.SearchStrategy[Expression]:
    numbers = st.floats(-1e6, 1e6).map(Number)
    variables = st.sampled_from(["a", "b"]).map(Variable)

    def grow(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
        # "/0" is MAD-X's division: Python's, which its text shows, has no value where it is 0
        operators = sorted(set(Binary.OPERATORS) - {"/0"})
        binary = st.builds(Binary, st.sampled_from(operators), inner, inner)
        call = st.builds(Call, st.just("sin"), st.tuples(inner))
        return binary | call | st.builds(Negative, inner)

    return st.recursive(numbers | variables, grow, max_leaves=12)


@settings(max_examples=200, deadline=None)
@given(trees())
def test_the_text_of_a_tree_means_the_tree(tree):
    """Python's own parser reads the text back to the same value, so no bracket is missing."""
    source = str(tree).replace("sin(", "f.sin(")
    source = source.replace("a", "vars['a']").replace("b", "vars['b']")
    again = parse_expression(source.replace("vvars['a']rs", "vars"), WHERE)
    variables = {"a": 1.25, "b": -0.75}
    try:
        expected = tree.evaluate(variables)
    except ExpressionError:
        return
    assert again.evaluate(variables) == expected


def test_text_has_no_needless_brackets():
    tree = parse_expression("(((vars['a'] * 2.0) + (-vars['b'])) / (vars['a'] - 1.5))", WHERE)
    assert str(tree) == "(a * 2 + -b) / (a - 1.5)"
    assert ast.parse(str(tree), mode="eval")


def test_trees_are_values_that_copies_share():
    first, second = (parse_expression("2 * vars['a']", WHERE) for _ in range(2))
    assert first == second
    assert hash(first) == hash(second)
    assert copy.deepcopy(first) is first
    assert first.variables() == {"a"}


def test_long_text_is_cut_in_messages():
    assert shorten("a  b\n c") == "a b c"
    assert len(shorten("x" * 1000)) == 80


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("vars['kq.1']", VariableTarget("kq.1")),
        ("element_refs['q'].k1", FieldTarget("q", "k1")),
        ("element_refs['q'].knl[2]", FieldTarget("q", "knl", 2)),
        ("particles['p'].p0c", OtherTarget("particles", "p", "p0c")),
        ("element_refs['q'].extra['note']", OtherTarget("element_refs", "q", "extra")),
    ],
)
def test_a_target_is_a_variable_or_a_field(text, target):
    assert parse_target(text, WHERE) == target


@pytest.mark.parametrize(
    "text",
    [
        "vars",
        "element_refs['q'].knl[-1]",
        "vars['a'].b",
        "element_refs['q']",
        "element_refs['q'].a.b",
        "f.sin(1)",
        "1",
    ],
)
def test_any_other_target_is_refused(text):
    with pytest.raises(ExpressionError, match=r"cannot drive .*: expected vars\['name'\]"):
        parse_target(text, WHERE)


def test_a_field_on_the_right_becomes_the_variable_that_stands_for_it():
    tree = parse_expression("2 * element_refs['q'].knl[1]", WHERE, field_variable=str)
    assert tree == Binary("*", Number(2.0), Variable("q.knl[1]"))


def chain(length: int) -> dict[str, Expression]:
    return {f"v{n}": Binary("+", Variable(f"v{n - 1}"), Number(1.0)) for n in range(1, length)}


def test_definitions_are_ordered_after_what_they_need():
    order = order_of_evaluation(chain(5000), ["v4999"])
    assert order == tuple(f"v{n}" for n in range(1, 5000))


def test_a_cycle_is_an_error_that_shows_it():
    definitions = chain(4) | {"v1": Variable("v3")}
    with pytest.raises(ExpressionError, match="define each other: v1 -> v3 -> v2 -> v1"):
        order_of_evaluation(definitions, ["v1"])
