"""RPN text: what a stack calculator makes of it, and what it refuses."""

from __future__ import annotations

import math

import pytest
import torch

from sc_bridge.errors import ExpressionError
from sc_bridge.expressions import Expression, Variable
from sc_bridge.expressions.rpn import CONSTANTS, RpnParser

VALUES = {"a": 2.0, "lq:1": 0.25}


def variable(name: str) -> Expression | None:
    return Variable(name) if name in VALUES else None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("36 pi * 180 /", 0.2 * math.pi),
        ("-2.050000000E+01 90 +", 69.5),
        (" 7.059795796E+06 1 *", 7059795.796),
        ("1 a a * + 4 /", 1.25),
        ("lq:1 2 *", 0.5),
        ("7 2 - 3 -", 2.0),
        ("3 = * chs", -9.0),
        ("2 3 swap -", 1.0),
        ("9 8 pop sqrt", 3.0),
        ("1 2 cle 3", 3.0),
        ("2 10 pow", 1024.0),
        ("4 rec 3 sqr +", 9.25),
        ("100 log 2 10x +", 102.0),
        ("1 exp ln", 1.0),
        ("30 dsin", 0.5),
        ("0.5 dacos", 60.0),
        ("180 dtor rtod", 180.0),
        ("-3.7 int abs", 3.0),
        ("3 4 hypot", 5.0),
        ("3 4 max2 1 min2", 1.0),
        ("0.75 beta.p", 0.6),
        ("0.75 gamma.p", 1.25),
        ("1.25 p.gamma", 0.75),
        ("0.6 gamma.beta", 1.25),
        ("0.6 p.beta", 0.75),
        ("c_mks", 299792458.0),
        ("1 atan 4 *", math.pi),
    ],
)
def test_words_take_their_operands_from_the_stack(text, value):
    tree = RpnParser(variable).parse(text, "f:1")
    assert tree.evaluate(VALUES) == pytest.approx(value, rel=1e-14)
    tensors = {k: torch.tensor(v, dtype=torch.float64) for k, v in VALUES.items()}
    assert float(tree.evaluate(tensors)) == pytest.approx(value, rel=1e-14)


def test_a_name_of_the_file_goes_before_a_constant():
    assert RpnParser(Variable).parse("pi", "f:1") == Variable("pi")
    assert CONSTANTS["mev"] == pytest.approx(0.510999, rel=1e-5)


def test_stores_are_handed_over_and_leave_the_stack_as_it_is():
    stored = {}
    rest = RpnParser(variable, stored.__setitem__).run("2 a * sto b 1 + sto c pop", "f:1")
    assert rest == []
    assert {name: tree.evaluate(VALUES) for name, tree in stored.items()} == {"b": 4.0, "c": 5.0}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 +", r"'\+': an operand is missing"),
        ("sqrt", "'sqrt': an operand is missing"),
        ("1 swap", "'swap': an operand is missing"),
        ("pop", "'pop': an operand is missing"),
        ("", "it leaves no value"),
        ("2 sto x", "'sto' is not allowed here"),
        ("1 b +", "'b' is neither a number, an operator nor a stored name"),
        ("1 2 < ? 3 : 4 $", "'<' is neither"),
        ("__import__('os')", "is neither"),
        ("1e999", "too large a number"),
        ("1 " * 2000, "more than 1000 values on the stack"),
        ("1 " * 20_000, "characters, more than"),
        ("a " + "= * " * 60, "too large an expression"),
        ("a " + "1 + " * 300, "too large an expression"),
    ],
)
def test_text_that_is_no_expression_is_refused_with_its_place(text, message):
    with pytest.raises(ExpressionError, match=rf"f:3: k: expression .*{message}"):
        RpnParser(variable).parse(text, "f:3: k")


@pytest.mark.parametrize(
    ("text", "message"),
    [("1 sto", "'sto' '': a name must follow"), ("sto x", "'sto x': the stack is empty")],
)
def test_a_store_needs_a_value_and_a_name(text, message):
    with pytest.raises(ExpressionError, match=message):
        RpnParser(variable, lambda name, tree: None).run(text, "f:1")
