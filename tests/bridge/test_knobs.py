"""Knobs: variables as parameters, and the fields that follow them."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from sc_bridge.errors import ExpressionError, LatticeError, ScBridgeError
from sc_bridge.expressions import Binary, Call, Expression, Number, Variable
from sc_bridge.knobs import FieldDriver, Knobs
from sc_bridge.lattice import Lattice, Record
from sc_bridge.units import registry

ROUNDOFF = 1e-15


def lattice(variables: dict[str, float], expressions: dict[str, Expression]) -> Lattice:
    drift = Record("d", "Drift", {"length": 1.0}, 7)
    return Lattice("ring.json", "test", "", {"d": drift}, ("d",), variables, expressions)


@pytest.fixture
def knobs() -> Knobs:
    expressions: dict[str, Expression] = {
        "kd": Binary("*", Number(-1.02), Variable("kf.b1")),
        "kd2": Binary("**", Variable("kd"), Number(2.0)),
    }
    return Knobs(lattice({"kf.b1": 0.5, "kd": -0.51, "phase": 0.3}, expressions))


def test_knobs_are_the_independent_variables_in_the_order_of_the_file(knobs):
    assert list(knobs) == list(knobs.keys()) == ["kf.b1", "phase"]
    assert len(knobs) == 2
    assert "kf.b1" in knobs
    assert "kd" not in knobs
    assert [value.item() for value in knobs.values()] == [0.5, 0.3]
    assert [name for name, _ in knobs.items()] == ["kf.b1", "phase"]


def test_a_knob_is_a_float64_parameter_that_requires_no_gradient(knobs):
    knob = knobs["kf.b1"]
    assert isinstance(knob, torch.nn.Parameter)
    assert knob.dtype == torch.float64
    assert knob.dim() == 0
    assert not knob.requires_grad


def test_state_dict_is_by_index_since_names_contain_dots(knobs):
    state = knobs.state_dict()
    assert list(state) == ["0", "1"]
    other = copy.deepcopy(knobs)
    other["kf.b1"] = 9.0
    other.load_state_dict(state)
    assert other["kf.b1"].item() == 0.5


def test_assigning_sets_the_parameter_in_place(knobs):
    knob = knobs["kf.b1"].requires_grad_()
    knobs["kf.b1"] = 0.77
    assert knobs["kf.b1"] is knob
    assert knob.requires_grad
    assert knob.item() == 0.77
    knobs["kf.b1"] = torch.tensor(0.78)
    assert knob.item() == torch.tensor(0.78).item()


def test_a_batch_of_values_reaches_the_fields(knobs):
    knobs["kf.b1"] = torch.tensor([0.5, 0.6, 0.7])
    driver = FieldDriver(knobs, {None: Variable("kd")})
    torch.testing.assert_close(driver(), -1.02 * torch.tensor([0.5, 0.6, 0.7]).double())


def test_a_parameter_takes_the_place_of_a_knob(knobs):
    parameter = torch.nn.Parameter(torch.tensor(0.4, dtype=torch.float64))
    knobs["kf.b1"] = parameter
    assert knobs["kf.b1"] is parameter
    assert next(iter(knobs.parameters())) is parameter


def test_dependent_variables_are_evaluated_with_gradients(knobs):
    knob = knobs["kf.b1"].requires_grad_()
    value = knobs.value("kd2")
    assert value.item() == pytest.approx((1.02 * 0.5) ** 2, rel=ROUNDOFF)
    value.backward()
    assert knob.grad.item() == pytest.approx(2 * 1.02**2 * 0.5, rel=ROUNDOFF)
    assert knobs.value("phase") is knobs["phase"]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_knob_must_be_finite(knobs, value):
    with pytest.raises(LatticeError, match=r"ring\.json: knob 'phase' = .*: must be finite"):
        knobs["phase"] = value


@pytest.mark.parametrize("value", ["1 1/m^2", None, registry()("1 mm"), np.ones(2) * registry().m])
def test_a_knob_is_set_to_a_number(knobs, value):
    with pytest.raises(LatticeError, match=r"ring\.json: knob 'phase' = .*: must be a number"):
        knobs["phase"] = value


def test_an_unknown_name_is_an_error_with_near_matches(knobs):
    with pytest.raises(ScBridgeError, match=r"no variable 'kf\.b2': did you mean 'kf\.b1'"):
        knobs["kf.b2"]
    with pytest.raises(ScBridgeError, match="no variable 'zzz': it has 4"):
        knobs.value("zzz")


def test_a_dependent_variable_cannot_be_set_and_names_what_drives_it(knobs):
    with pytest.raises(LatticeError, match=r"'kd2' is defined by an expression of kf\.b1: set th"):
        knobs["kd2"] = 1.0
    with pytest.raises(LatticeError, match=r"its value is knobs\.value\('kd'\)"):
        knobs["kd"]


def test_variables_that_define_each_other_are_refused():
    expressions: dict[str, Expression] = {"a": Variable("b"), "b": Variable("a")}
    with pytest.raises(ExpressionError, match="define each other: a -> b -> a"):
        Knobs(lattice({}, expressions))


def test_an_expression_without_a_value_names_its_variable():
    broken = Knobs(lattice({}, {"a": Call("sqrt", (Number(-1.0),))}))
    with pytest.raises(ExpressionError, match=r"ring\.json: variable 'a': sqrt\(-1\): no finite"):
        broken.value("a")


def test_a_field_follows_its_knob_and_gives_it_gradients(knobs):
    driver = FieldDriver(knobs, {None: Variable("kd")})
    assert driver.knobs == ("kf.b1",)
    assert driver().item() == pytest.approx(-0.51, rel=ROUNDOFF)
    knobs["kf.b1"] = 0.6
    assert driver().item() == pytest.approx(-0.612, rel=ROUNDOFF)
    knob = knobs["kf.b1"].requires_grad_()
    driver().backward()
    assert knob.grad.item() == -1.02


def test_components_of_a_list_are_driven_one_by_one(knobs):
    base = torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)
    driver = FieldDriver(knobs, {1: Variable("phase"), 4: Variable("kd")})
    assert driver.knobs == ("kf.b1", "phase")
    assert driver.driving(4) == ("kf.b1",)
    assert driver.driving(0) is None
    assert driver(base).tolist() == pytest.approx([0.1, 0.3, 0.3, 0.0, -0.51], rel=ROUNDOFF)
    knob = knobs["phase"].requires_grad_()
    base.requires_grad_()
    driver(base).sum().backward()
    assert knob.grad.item() == 1.0
    assert base.grad is not None
    assert base.grad.tolist() == [1.0, 0.0, 1.0]


def test_a_constant_expression_drives_without_knobs(knobs):
    driver = FieldDriver(knobs, {None: Number(2.5)})
    assert driver.knobs == ()
    assert driver().dtype == torch.float64
    assert driver().item() == 2.5


def test_a_driver_of_an_unknown_variable_is_refused(knobs):
    with pytest.raises(LatticeError, match="no variable 'nothing'"):
        FieldDriver(knobs, {None: Variable("nothing")})


def test_a_deep_copy_of_knobs_and_driver_stays_tied(knobs):
    driver = FieldDriver(knobs, {None: Variable("kf.b1")})
    knobs_copy, driver_copy = copy.deepcopy((knobs, driver))
    knobs_copy["kf.b1"] = 0.9
    assert driver_copy().item() == 0.9
    assert driver().item() == 0.5


def test_functional_call_reaches_the_fields(knobs):
    class Holder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.knobs = knobs
            self.driver = FieldDriver(knobs, {None: Variable("kd2")})

        def forward(self) -> torch.Tensor:
            return self.driver()

    holder = Holder()

    def field(value: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(holder, {"knobs.0": value}, ())

    slope = torch.func.grad(field)(torch.tensor(0.7, dtype=torch.float64))
    assert slope.item() == pytest.approx(2 * 1.02**2 * 0.7, rel=ROUNDOFF)


def test_a_long_chain_is_evaluated_once_a_variable():
    """2000 variables, each using the one before twice: linear, where naive is 2^2000."""
    expressions: dict[str, Expression] = {
        f"v{n}": Binary("-", Binary("*", Number(2.0), Variable(f"v{n - 1}")), Variable(f"v{n - 1}"))
        for n in range(1, 2000)
    }
    chain = Knobs(lattice({"v0": 1.5}, expressions))
    knob = chain["v0"].requires_grad_()
    driver = FieldDriver(chain, {None: Variable("v1999")})
    value = driver()
    value.backward()
    assert knob.grad is not None
    assert (value.item(), knob.grad.item(), driver.knobs) == (1.5, 1.0, ("v0",))


def test_repr_shows_names_and_values(knobs):
    assert "kf.b1=0.5, phase=0.3" in repr(knobs)
    assert repr(FieldDriver(knobs, {1: Variable("kd")})) == "FieldDriver([1]: kd)"
    many = Knobs(lattice({f"k{n}": 0.0 for n in range(30)}, {}))
    assert "... 10 more" in repr(many)
