"""Magnets: limits, integrators, and inverses of fringes."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
import torch
import xtrack as xt

from cases import make_reference, random_bunch
from magnet_cases import ERRORS, FULL_EDGES
from oracles import ROUNDOFF, check_gradients, track_xtrack, xtrack_tpsa
from sc_bridge.elements import (
    Bend,
    Bunch,
    Drift,
    Magnet,
    Multipole,
    MultipoleEdge,
    Octupole,
    Quadrupole,
    RBend,
    Sextupole,
)
from sc_bridge.elements.errors import ElementError
from sc_bridge.elements.integrators import INTEGRATORS
from sc_bridge.elements.scalars import plain
from sc_bridge.elements.stumpff import cosine_pair, stumpff

TOLERANCE = ROUNDOFF[torch.float64]


def constants_of(taylor):
    return np.array([coordinate.const_part for coordinate in taylor.coords])


def outgoing_with_delta(element, bunch):
    out = element.track(bunch)
    return torch.cat([out.coordinates[:5, 0], out.delta])


def test_the_matrix_without_focusing_equals_the_limit_of_xtrack():
    """Where k0 h + k1 is exactly 0, floats of xtrack leave out a term that its TPSA has."""
    kwargs = {"length": 0.8, "angle": 0.06, "k0": 0.0, "model": "mat-kick-mat"}
    bunch = random_bunch(1, amplitude=3e-3)
    taylor = xtrack_tpsa(bunch)
    xt.Bend(**kwargs).track(taylor)
    element = Bend(**kwargs)
    assert abs(outgoing_with_delta(element, bunch).numpy() - constants_of(taylor)).max() < TOLERANCE

    def outgoing(coordinates, k0, k1, angle):
        fields = {"k0": k0, "k1": k1, "angle": angle}
        return torch.func.functional_call(
            element, fields, (Bunch(coordinates, bunch.reference),)
        ).coordinates

    numbers = {"k0": 0.0, "k1": 0.0, "angle": 0.06}
    check_gradients(
        outgoing,
        {"coordinates": bunch.coordinates}
        | {name: torch.tensor(value, dtype=torch.float64) for name, value in numbers.items()},
    )


@pytest.mark.parametrize("u", [-30.0, -1.0, -0.3, -0.2, -1e-9, 0.0, 1e-9, 0.2, 0.3, 1.0, 30.0])
@pytest.mark.parametrize("nominal", [None, 1.0])
def test_stumpff_functions_equal_high_precision(u, nominal):
    exact = []
    with mpmath.workdps(50):
        for shift in range(4):
            series = ((-mpmath.mpf(u)) ** n / mpmath.factorial(2 * n + shift) for n in range(80))
            exact.append(float(mpmath.fsum(series)))
    argument = torch.tensor(u, dtype=torch.float64)
    ours, pair = stumpff(argument, nominal and u), cosine_pair(argument, nominal and u)
    assert [value.item() for value in pair] == pytest.approx(exact[:2], rel=1e-14, abs=1e-14)
    # 1 - c0 loses up to three bits where the series ends
    assert [value.item() for value in ours] == pytest.approx(exact, rel=1e-14, abs=1e-14)


@pytest.mark.parametrize("nominal", [-1.0, 0.0, 1.0])
def test_stumpff_functions_are_smooth(nominal):
    u = torch.tensor([0.7, 0.2, 1e-9], dtype=torch.float64) * (nominal or 0.1)
    u = u[:2] if nominal else u
    u.requires_grad_()
    torch.autograd.gradcheck(lambda v: torch.stack([*stumpff(v)]), u)
    torch.autograd.gradcheck(lambda v: torch.stack([*stumpff(v, nominal)]), u)
    torch.autograd.gradcheck(lambda v: torch.stack(cosine_pair(v, nominal)), u)
    assert torch.allclose(torch.stack([*stumpff(u)]), torch.stack([*stumpff(u, nominal)]), 1e-13)


FEW_KICKS = {"length": 0.4, "num_multipole_kicks": 2, **ERRORS}
EVERY_MODEL = [
    (Quadrupole, {"k1": 0.9, "k1s": 0.2}, xt.Quadrupole),
    (Sextupole, {"k2": 9.0, "k2s": 2.0}, xt.Sextupole),
    (Octupole, {"k3": 90.0, "k3s": 20.0}, xt.Octupole),
    (Multipole, {"hxl": 0.01, "isthick": True}, xt.Multipole),
    (Bend, {"angle": 0.03, "k0": 0.07, "k1": 0.3, "k2": 1.0}, xt.Bend),
    (Bend, {"angle": 0.0, "k0": 0.07, "k1": 0.3, "k2": 1.0}, xt.Bend),
]


@pytest.mark.parametrize(("kind", "kwargs", "theirs"), EVERY_MODEL)
def test_every_model_with_every_integrator_equals_xtrack(kind, kwargs, theirs):
    bunch = random_bunch(5, amplitude=5e-3)
    models = [*theirs.get_available_models(), *(("full", "expanded") if kind is Bend else ())]
    for model in models:
        for integrator in (*INTEGRATORS, "adaptive"):
            choice = {**FEW_KICKS, **kwargs, "model": model, "integrator": integrator}
            if model == "mat-kick-mat-exact":
                # xtrack couples hxl to where the particle was before the path correction
                choice.pop("hxl", None)
            expected = track_xtrack(theirs(**choice), bunch)
            ours = kind(**choice).track(bunch).coordinates.numpy()
            assert abs(ours - expected).max() < TOLERANCE, (model, integrator)


ORDERS = {"uniform": 2, "teapot": 2, "yoshida-4": 4, "yoshida-6": 6, "yoshida-8": 8}


@pytest.mark.parametrize("integrator", INTEGRATORS)
def test_integrators_converge_with_their_order(integrator):
    bunch = random_bunch(amplitude=1e-2)
    exact = Quadrupole(length=1.2, k1=3.0).track(bunch).coordinates
    kicks = {"uniform": 40, "teapot": 40, "yoshida-4": 30, "yoshida-6": 14, "yoshida-8": 120}

    def error(number):
        kwargs = {"model": "drift-kick-drift-expanded", "integrator": integrator}
        stepped = Quadrupole(length=1.2, k1=3.0, num_multipole_kicks=number, **kwargs)
        return (stepped.track(bunch).coordinates - exact).abs().max().item()

    order = math.log2(error(kicks[integrator]) / error(2 * kicks[integrator]))
    assert order == pytest.approx(ORDERS[integrator], abs=0.4)


@pytest.mark.parametrize(
    "element",
    [
        Bend(length=0.8, angle=0.06, **FULL_EDGES),
        Quadrupole(length=0.4, k1=2.0, edge_entry_active=True, edge_exit_active=True, **ERRORS),
    ],
    ids=["dipole", "multipole"],
)
def test_the_inverse_of_a_fringe_is_differentiable(element):
    back = element.inverse()
    start = element.track(random_bunch(2)).coordinates.detach()
    hgap = {"edge_entry_hgap": 0.03} if isinstance(element, Bend) else {"knl": [1e-3, 0.2]}
    fields = {name: torch.tensor(value, dtype=torch.float64) for name, value in hgap.items()}

    def outgoing(coordinates, **fields):
        named = {f"parent.{name}": value for name, value in fields.items()}
        bunch = Bunch(coordinates, make_reference())
        return torch.func.functional_call(back, named, (bunch,)).coordinates

    check_gradients(outgoing, {"coordinates": start, **fields})


def test_an_inverse_of_a_fringe_that_does_not_converge_is_refused():
    generator = torch.Generator().manual_seed(0)
    far = torch.rand(6, 200, generator=generator, dtype=torch.float64) * 0.5
    far[[1, 3, 5]] *= 0.1
    edge = MultipoleEdge(kn=[0.0, 0.0, 0.0, 1e3])
    with pytest.raises(ElementError, match="inverse of a multipole fringe: no convergence for"):
        edge.inverse().track(Bunch(far, make_reference()))


def test_the_models_of_a_straight_body_agree_on_the_reference_orbit():
    """The orbit of the design enters and leaves on axis, to the accuracy of seven kicks."""
    still = Bunch(torch.zeros(6, 1, dtype=torch.float64), make_reference())
    straight = RBend(length_straight=1.0, angle=0.1, rbend_model="straight-body")
    straight.model = "bend-kick-bend"
    assert straight.track(still).coordinates.abs().max() < 1e-14
    curved = RBend(length_straight=1.0, angle=0.1, model="bend-kick-bend")
    assert (
        straight.length.item()
        == curved.length.item()
        == xt.RBend(length_straight=1.0, angle=0.1).length
    )


def test_the_length_of_an_rbend_follows_its_angle():
    bend = RBend(length_straight=1.0, angle=0.1, rbend_angle_diff=0.02)
    theirs = xt.RBend(length_straight=1.0, angle=0.1, rbend_angle_diff=0.02)
    assert bend.length.item() == pytest.approx(theirs.length, rel=1e-15)
    assert bend.h.item() == pytest.approx(theirs.h, rel=1e-15)
    assert bend.k0.item() == pytest.approx(theirs.h, rel=1e-15)


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
def test_derivatives_in_forward_mode_equal_those_in_reverse():
    """Numbers that carry a tangent are not taken for constants."""
    element, bunch = Magnet(length=0.5, k1=0.4, k0=1e-3, k1s=0.1), random_bunch(2)

    def sizes(k1):
        return torch.func.functional_call(element, {"k1": k1}, (bunch,)).coordinates

    k1 = torch.tensor(0.4, dtype=torch.float64)
    forward = torch.func.jvp(sizes, (k1,), (torch.ones_like(k1),))[1]
    backward = torch.func.jacrev(sizes)(k1)
    assert torch.allclose(forward, backward, rtol=1e-12, atol=1e-15)
    assert forward.abs().max() > 1e-5


def test_a_batch_of_fields_may_come_from_vmap():
    quadrupole, bunch = Quadrupole(length=0.5, k1=0.7), random_bunch(3)

    def outgoing(k1):
        return torch.func.functional_call(quadrupole, {"k1": k1}, (bunch,)).coordinates

    k1 = torch.tensor([-0.7, 0.0, 0.7], dtype=torch.float64)
    together = torch.func.vmap(outgoing)(k1)
    alone = torch.stack([outgoing(value) for value in k1])
    assert (together - alone).abs().max() < TOLERANCE


def test_a_number_is_read_only_where_nothing_is_lost():
    value = torch.tensor(0.5, dtype=torch.float64)
    assert plain(value) == 0.5
    assert isinstance(plain(value), float)
    assert plain(value.clone().requires_grad_()).requires_grad
    assert plain(value.unsqueeze(0)).shape == (1,)


def test_strengths_of_zero_cost_no_kick():
    """A drift, a quadrupole and a multipole of nothing but zeros are a drift."""
    bunch = random_bunch()
    drift = Drift(length=0.5).track(bunch).coordinates
    for element in (
        Sextupole(length=0.5),
        Multipole(knl=[0.0, 0.0], length=0.5, isthick=True),
        Quadrupole(length=0.5, model="drift-kick-drift-expanded"),
    ):
        assert (element.track(bunch).coordinates - drift).abs().max() < TOLERANCE
