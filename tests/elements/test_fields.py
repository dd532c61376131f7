"""Fields of elements: what a torch user and an Xsuite user may do with them, and what not."""

from __future__ import annotations

import math

import pytest
import torch

from cases import make_reference, random_bunch
from sc_bridge.elements import Bend, Cavity, DipoleEdge, Drift, Multipole, Quadrupole, RBend
from sc_bridge.elements.errors import ElementError


def test_fields_are_parameters_that_ask_for_no_gradient():
    quadrupole = Quadrupole(length=0.5, k1=0.7)
    assert isinstance(quadrupole.k1, torch.nn.Parameter)
    assert not any(parameter.requires_grad for parameter in quadrupole.parameters())
    assert quadrupole.k1.dtype == torch.float64


def test_a_number_sets_a_field_in_place():
    quadrupole = Quadrupole(length=0.5, k1=0.7)
    parameter = quadrupole.k1
    quadrupole.k1 = 0.123456789012345
    assert quadrupole.k1 is parameter
    assert parameter.item() == 0.123456789012345


def test_numbers_keep_all_digits_of_a_double():
    assert Drift(length=1.3).length.item() == 1.3
    assert Multipole(knl=[0.1]).knl.tolist() == [0.1]


def test_optimisers_train_a_field():
    quadrupole = Quadrupole(length=0.5, k1=0.7)
    quadrupole.k1.requires_grad_()
    optimiser = torch.optim.SGD([quadrupole.k1], lr=1.0)
    quadrupole.track(random_bunch()).sigma_x.backward()
    optimiser.step()
    assert quadrupole.k1.item() != 0.7


def test_the_field_of_a_bend_follows_its_angle_until_freed():
    bend = Bend(length=2.0, angle=0.2)
    assert bend.k0.item() == pytest.approx(0.1)
    bend.angle = 0.4
    assert bend.k0.item() == pytest.approx(0.2)
    with pytest.raises(ElementError, match="k0 is driven by angle, length"):
        bend.k0 = 0.1
    bend.free("k0")
    bend.k0 = 0.15
    bend.angle = 0.2
    assert bend.k0.item() == 0.15


def test_slices_share_the_fields_of_their_parent():
    quadrupole = Quadrupole(length=0.5, k1=0.7)
    quadrupole.k1.requires_grad_()
    bunch = random_bunch()
    for part in quadrupole.slices([0.5, 0.5]):
        bunch = part.track(bunch)
    bunch.sigma_x.backward()
    sliced = quadrupole.k1.grad.clone()
    quadrupole.k1.grad = None
    quadrupole.track(random_bunch()).sigma_x.backward()
    assert sliced.item() == pytest.approx(quadrupole.k1.grad.item(), rel=1e-10)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_field_that_is_not_finite_is_refused(bad):
    with pytest.raises(ElementError, match=f"k1 = {bad}: must be finite"):
        Quadrupole(length=0.5, k1=bad)
    quadrupole = Quadrupole(length=0.5)
    with pytest.raises(ElementError, match=f"k1 = {bad}: must be finite"):
        quadrupole.k1 = bad


def test_a_number_where_a_list_belongs_is_refused():
    with pytest.raises(ElementError, match=r"knl = .*: must be a list of numbers"):
        Multipole(knl=torch.tensor(1.0))


def test_text_where_a_number_belongs_is_refused():
    with pytest.raises(ElementError, match=r"k1 = 'strong': must be a number"):
        Quadrupole(length=0.5, k1="strong")
    with pytest.raises(ElementError, match=r"knl = .*: must be a list of numbers"):
        Multipole(knl=["a"])


@pytest.mark.parametrize("value", [1 + 2j, torch.tensor(1 + 2j), [1 + 2j]])
def test_a_complex_number_is_refused(value):
    with pytest.raises(ElementError, match=r"k1 = .*: must be a number"):
        Quadrupole(length=0.5, k1=value)
    with pytest.raises(ElementError, match=r"knl = .*: must be a list of numbers"):
        Multipole(knl=[value])


def test_orders_whose_factorial_is_no_float_are_refused():
    Multipole(knl=[0.0] * 170 + [1.0]).track(random_bunch())
    with pytest.raises(ElementError, match="knl has 172 components: must have at most 171"):
        Multipole(knl=[0.0] * 171 + [1.0])


def test_a_cavity_has_a_frequency_or_a_harmonic():
    with pytest.raises(ElementError, match=r"harmonic = 1.0: give one of them"):
        Cavity(voltage=1.0, frequency=1e6, harmonic=1.0)


def test_multipoles_of_any_order_are_finite():
    out = Multipole(knl=[0.0] * 30 + [1.0]).track(random_bunch())
    assert out.coordinates.isfinite().all()


def test_driving_what_is_no_field_is_refused():
    with pytest.raises(ElementError, match="no float field 'gradient' to drive"):
        Quadrupole(length=0.5).drive("gradient", Bend(length=1.0).drivers["k0"])
    with pytest.raises(ElementError, match="'k1' is not driven"):
        Quadrupole(length=0.5).free("k1")


@pytest.mark.parametrize("weights", [[], [0.5, 0.4], [1.0, 1.0]])
def test_slice_weights_must_add_up_to_one(weights):
    with pytest.raises(ElementError, match="not 1"):
        Drift(length=1.0).slices(weights)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Drift(model="thick"), "Drift: model 'thick'"),
        (lambda: Quadrupole(model="thin"), "Quadrupole: model 'thin'"),
        (lambda: Quadrupole(num_multipole_kicks=-1), "num_multipole_kicks = -1"),
        (lambda: Bend(length=1.0, model="x"), "Bend: model 'x'"),
        (lambda: Bend(length=1.0, edge_exit_model="hard"), "edge_exit_model 'hard'"),
        (lambda: Bend(length=1.0, integrator="euler"), "integrator 'euler'"),
        (lambda: Quadrupole(model="bend-kick-bend"), "model 'bend-kick-bend'"),
        (lambda: RBend(rbend_model="round"), "rbend_model 'round'"),
        (lambda: RBend(length_straight=0.0, angle=0.1), "length_straight = 0.0 m: must not be 0"),
        (lambda: DipoleEdge(model="dipole-only"), "DipoleEdge: model 'dipole-only'"),
        (lambda: DipoleEdge(side="left"), "DipoleEdge: side 'left'"),
        (lambda: Multipole(knl=[1.0], knl_rel=[1.0], main_order=1), "knl has no such component"),
        (lambda: Multipole(main_order=-1), "main_order = -1"),
        (lambda: Bend(length=1.0, num_multipole_kicks=-2), "num_multipole_kicks = -2"),
        (lambda: Bend(length=0.0, angle=0.1), "length = 0.0 m: must not be 0"),
        (lambda: Cavity(model="x"), "Cavity: model 'x'"),
        (lambda: Cavity(num_kicks=-1), "num_kicks = -1"),
    ],
)
def test_unknown_choices_are_refused(make, message):
    with pytest.raises(ElementError, match=message):
        make()


def test_an_exact_bend_refuses_what_its_map_leaves_out():
    bend = Bend(length=1.0, angle=0.1, k1=0.2, model="exact")
    with pytest.raises(ElementError, match="map of a pure dipole"):
        bend.track(random_bunch())
    wanted = Bend(length=1.0, angle=0.1, model="exact")
    wanted.k1.requires_grad_()
    with pytest.raises(ElementError, match="ask for a gradient"):
        wanted.track(random_bunch())


def test_a_harmonic_needs_a_circumference():
    cavity = Cavity(voltage=1e3, harmonic=1.0)
    with pytest.raises(ElementError, match="needs the circumference"):
        cavity.track(random_bunch())
    cavity.line_length = 100.0
    wave = cavity.wave_number(make_reference()).item()
    assert wave == pytest.approx(2 * math.pi / 100.0, rel=1e-14)


def test_batched_matrices_have_the_shape_of_the_batch():
    quadrupole = Quadrupole(length=0.5, k1=torch.tensor([0.1, 0.2, 0.3]))
    matrix = quadrupole.transfer_matrix(make_reference())
    assert matrix.shape == (3, 6, 6)
    alone = Quadrupole(length=0.5, k1=quadrupole.k1[1].item()).transfer_matrix(make_reference())
    assert torch.allclose(matrix[1], alone, rtol=0, atol=1e-15)


def test_gradients_flow_through_a_matrix():
    quadrupole = Quadrupole(length=0.5, k1=0.7)
    assert not quadrupole.transfer_matrix(make_reference()).requires_grad
    quadrupole.k1.requires_grad_()
    quadrupole.transfer_matrix(make_reference())[1, 0].backward()
    step = 1e-6
    high, low = (
        Quadrupole(length=0.5, k1=0.7 + s).transfer_matrix(make_reference())[1, 0]
        for s in (step, -step)
    )
    assert quadrupole.k1.grad.item() == pytest.approx(((high - low) / (2 * step)).item(), rel=1e-8)
