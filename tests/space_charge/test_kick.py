from __future__ import annotations

import math

import pytest
import torch

from sc_bridge.elements import Bunch, Reference, State
from sc_bridge.elements.errors import ElementError
from sc_bridge.elements.space_charge import (
    SpaceCharge,
    SpaceChargeKick,
    cell_sizes,
    space_charge_kick,
)
from space_charge.bunches import (
    ELECTRON_MASS,
    PROTON_MASS,
    change_of_momenta,
    gaussian_bunch,
    proton,
)

SETTINGS = SpaceCharge(grid=(16, 16, 16))
# Rounding of positions of a few millimetres, amplified by the 1e-4 m of a cell.
ROUNDOFF = 1e-12


def kick_of(bunch: Bunch, length=1.0, settings: SpaceCharge = SETTINGS, cell_size=None):
    return change_of_momenta(space_charge_kick(bunch, length, settings, cell_size), bunch)


def rms(kick: torch.Tensor) -> torch.Tensor:
    return kick.square().mean(-1, keepdim=True).sqrt()


# ---- invariances --------------------------------------------------------------------------


@pytest.mark.parametrize("grid", [(16, 16, 16), (8, 12, 20), (9, 15, 16)])
def test_bunch_exerts_no_net_force_on_itself(grid):
    bunch = gaussian_bunch()
    kick = kick_of(bunch, settings=SpaceCharge(grid=grid))
    assert (kick.mean(-1, keepdim=True) / rms(kick)).abs().max() < ROUNDOFF


def test_quadratic_clouds_exert_no_net_force_on_themselves():
    bunch = gaussian_bunch()
    kick = kick_of(bunch, settings=SpaceCharge(grid=(16, 16, 16), shape="tsc"))
    assert (kick.mean(-1, keepdim=True) / rms(kick)).abs().max() < ROUNDOFF


def test_quadratic_clouds_agree_with_cloud_in_cell_to_the_cells_order():
    bunch = gaussian_bunch(20_000)
    cloud, quadratic = (
        kick_of(bunch, settings=SpaceCharge(grid=(32, 32, 32), shape=shape))
        for shape in ("cic", "tsc")
    )
    assert (rms(cloud - quadratic) / rms(cloud)).max() < 0.05


def test_bunch_of_unequal_weights_exerts_no_net_force_on_itself():
    bunch = gaussian_bunch()
    weight = torch.linspace(0.0, 1e9, bunch.n_particles, dtype=torch.float64)
    kick = kick_of(bunch.replace(weight=weight))
    assert ((kick * weight).sum(-1) / (rms(kick).squeeze() * weight.sum())).abs().max() < ROUNDOFF


@pytest.mark.parametrize("coordinate", [0, 2, 4])
def test_kick_is_invariant_under_translation(coordinate):
    bunch = gaussian_bunch()
    moved = bunch.coordinates.clone()
    moved[coordinate] += 20e-3
    kick = kick_of(bunch)
    difference = kick_of(bunch.replace(coordinates=moved)) - kick
    # 20 mm have 1e-14 of a cell of rounding; a cell is a fortieth of the field's length
    assert (difference.abs() / rms(kick)).max() < 10 * ROUNDOFF


def test_gradient_with_respect_to_a_common_shift_is_zero():
    bunch = gaussian_bunch()
    coordinates = bunch.coordinates.requires_grad_()
    kick = kick_of(bunch.replace(coordinates=coordinates))
    weights = torch.randn(kick.shape, generator=torch.Generator().manual_seed(1)).double()
    (gradient,) = torch.autograd.grad((kick / rms(kick).detach() * weights).sum(), coordinates)
    total = gradient[::2].sum(-1).abs() / gradient[::2].abs().sum(-1)
    assert total.max() < ROUNDOFF


def test_kick_is_symmetric_in_the_sign_of_the_charge():
    bunch = gaussian_bunch()
    negative = bunch.replace(reference=bunch.reference.replace(q0=-1.0))
    assert torch.equal(kick_of(bunch), kick_of(negative))


def test_kick_of_ions_scales_with_charge_squared_over_mass():
    proton_bunch = gaussian_bunch(reference=Reference(PROTON_MASS, 1.0, 5e8))
    ions = proton_bunch.replace(
        reference=Reference(207 * PROTON_MASS, 54.0, 207 * 5e8), weight=1e8 / 54.0
    )
    expected = kick_of(proton_bunch) * 54.0 / 207.0
    # same gamma0: the kick goes with q0^2 w/(A p0c)
    assert ((kick_of(ions) - expected).abs() / rms(expected)).max() < 1e-11


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("kinetic_energy", [0.1e6, 1e6, 1e9])
def test_zero_charge_changes_nothing(dtype, kinetic_energy):
    for bunch in (
        gaussian_bunch(weight=0.0, reference=proton(kinetic_energy), dtype=dtype),
        gaussian_bunch(reference=Reference(ELECTRON_MASS, 0.0, 1e6), dtype=dtype),
    ):
        assert torch.equal(space_charge_kick(bunch, 1.0, SETTINGS).coordinates, bunch.coordinates)


def test_every_living_particle_feels_the_field():
    bunch = gaussian_bunch(2000)
    far = bunch.coordinates.clone()
    far[:, 0] = torch.tensor([40e-3, 0.0, 0.0, 0.0, 0.0, 0.0])
    kick = kick_of(bunch.replace(coordinates=far), settings=SpaceCharge(grid=(64, 64, 64)))
    assert (kick.norm(dim=0) > 0).all()
    # ten sigma outside, the force is nearly Coulomb's
    reference = bunch.reference
    n_real = 1e8 * 1999
    coulomb = 1.43996454e-9 * n_real * reference.mass0 / reference.p0c**2
    expected = coulomb / (40e-3 - bunch.coordinates[0, 1:].mean()) ** 2
    assert (kick[0, 0] / expected - 1.0).abs() < 0.03


def test_lost_particles_neither_act_nor_feel():
    bunch = gaussian_bunch()
    alive = torch.ones(bunch.n_particles, dtype=torch.bool)
    alive[100:] = False
    coordinates = bunch.coordinates.clone()
    coordinates[:, 400:] = math.nan
    some = Bunch(coordinates, bunch.reference, 1e8, alive)
    out = space_charge_kick(some, 1.0, SETTINGS).coordinates
    few = Bunch(bunch.coordinates[:, :100], bunch.reference, 1e8)
    expected = space_charge_kick(few, 1.0, SETTINGS).coordinates
    assert (out[:, :100] - expected).abs().max() < ROUNDOFF * 1e-3
    assert torch.equal(out[:, 100:].nan_to_num(), coordinates[:, 100:].nan_to_num())


def test_a_bunch_of_lost_particles_stays_as_it_is():
    bunch = gaussian_bunch(5)
    lost = bunch.replace(alive=torch.zeros(5, dtype=torch.bool))
    assert torch.equal(space_charge_kick(lost, 1.0, SETTINGS).coordinates, bunch.coordinates)


def test_longitudinal_false_leaves_pzeta_alone():
    bunch = gaussian_bunch()
    kick = kick_of(bunch, settings=SpaceCharge(grid=(16, 16, 16), longitudinal=False))
    assert kick[2].count_nonzero() == 0
    assert torch.equal(kick[:2], kick_of(bunch)[:2])


def test_kick_depends_on_positions_only():
    bunch = gaussian_bunch()
    faster = bunch.coordinates.clone()
    faster[1::2] *= 3.0
    difference = kick_of(bunch.replace(coordinates=faster)) - kick_of(bunch)
    assert difference.abs().max() < ROUNDOFF * 1e-3


# ---- inverse, batches, dtypes -------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-11), (torch.float32, 1e-4)], ids=["64", "32"]
)
def test_inverse_undoes_the_kick(dtype, tolerance):
    kick, bunch = SpaceChargeKick(2.0, grid=(16, 16, 16)), gaussian_bunch(dtype=dtype, weight=1e12)
    for first, second in ((kick, kick.inverse()), (kick.inverse(), kick)):
        there = first(bunch)
        assert change_of_momenta(there, bunch).abs().max() > 1e-3
        assert (second(there).coordinates - bunch.coordinates).abs().max() < tolerance
    assert kick.inverse().inverse() is kick


def test_batch_equals_a_loop():
    bunches = [gaussian_bunch(seed=seed, sigma=(1e-3 * seed, 2e-3, 3e-3)) for seed in (1, 2, 3)]
    batch = Bunch(torch.stack([b.coordinates for b in bunches]), proton(), 1e8)
    together = kick_of(batch)
    for index, bunch in enumerate(bunches):
        alone = kick_of(bunch)
        assert ((together[index] - alone).abs() / rms(alone)).max() < ROUNDOFF


def test_batched_reference_weight_and_length_equal_a_loop():
    bunch = gaussian_bunch()
    p0c = torch.tensor([4e8, 5e8, 9e8], dtype=torch.float64)
    length = torch.tensor([[0.5], [2.0]], dtype=torch.float64)
    batch = bunch.replace(reference=Reference(PROTON_MASS, 1.0, p0c))
    together = space_charge_kick(batch, length, SETTINGS)
    assert together.coordinates.shape == (2, 3, 6, bunch.n_particles)
    for i in range(2):
        for j in range(3):
            one = bunch.replace(reference=Reference(PROTON_MASS, 1.0, p0c[j]))
            expected = space_charge_kick(one, length[i, 0], SETTINGS).coordinates
            assert (together.coordinates[i, j] - expected).abs().max() < ROUNDOFF * 1e-3


@pytest.mark.parametrize("sigma", [(4e-3, 3e-3, 2e-3), (5e-3, 5e-3, 15.0), (1e-2, 1e-2, 1e-3)])
def test_float32_agrees_with_float64(sigma):
    double = gaussian_bunch(2000, sigma)
    double = double.replace(coordinates=double.coordinates.float().double())
    single = double.to(torch.float32)
    settings = SpaceCharge(grid=(32, 32, 32))
    kick = kick_of(double, settings=settings)
    out = space_charge_kick(single.replace(coordinates=_still(single)), 1.0, settings)
    assert out.coordinates.dtype == torch.float32
    difference = out.coordinates[1::2].double() - kick
    assert (difference.abs() / kick.abs().amax(-1, keepdim=True)).max() < 1e-4


def _still(bunch: Bunch) -> torch.Tensor:
    coordinates = bunch.coordinates.clone()
    coordinates[1::2] = 0.0
    return coordinates


# ---- degenerate bunches -------------------------------------------------------------------


def flattened(*coordinates: int, n: int = 50) -> Bunch:
    bunch = gaussian_bunch(n)
    flat = bunch.coordinates.clone()
    flat[list(coordinates)] = 0.1
    return bunch.replace(coordinates=flat)


DEGENERATE = {
    "flat": flattened(2),
    "flat and short": flattened(0, 4),
    "line": flattened(0, 2),
    "point": flattened(0, 2, 4),
    "single particle": flattened(n=1),
    "two particles": flattened(n=2),
    "no charge": gaussian_bunch(50, weight=0.0),
}


@pytest.mark.parametrize("name", DEGENERATE)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_degenerate_bunches_give_finite_kicks_and_gradients(name, dtype):
    bunch = DEGENERATE[name].to(dtype)
    inputs = [
        bunch.coordinates.clone().requires_grad_(),
        bunch.weight.clone().requires_grad_(),
        torch.tensor(5e8, dtype=torch.float64, requires_grad=True),
    ]
    changed = Bunch(inputs[0], Reference(PROTON_MASS, 1.0, inputs[2]), inputs[1])
    out = space_charge_kick(changed, 1.0, SETTINGS).coordinates
    gradients = torch.autograd.grad(out.square().sum(), inputs)
    assert torch.isfinite(out).all()
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


def test_a_single_particle_does_not_kick_itself():
    bunch = flattened(n=1)
    assert kick_of(bunch).abs().max() < 1e-16


def test_flat_direction_feels_no_force():
    kick = kick_of(DEGENERATE["flat"])
    # rounding of the potential, divided by cells 1e-5 times as large as the others
    assert kick[1].abs().max() < 1e-9 * kick[0].abs().max()


# ---- gradients ----------------------------------------------------------------------------


def scaled_kick(unit, weight, momentum, mass, length):
    """The kick in numbers of order 1, so that finite differences are well conditioned."""
    reference = Reference(mass * 1e9, 1.0, momentum * 1e9)
    bunch = Bunch(unit * 1e-3, reference, weight * 1e9)
    settings = SpaceCharge(grid=(8, 9, 10))
    return change_of_momenta(space_charge_kick(bunch, length, settings), bunch) * 1e6


def gradcheck_inputs(n: int = 5) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(2)
    values = (
        torch.randn(6, n, generator=generator, dtype=torch.float64),
        torch.rand(n, generator=generator, dtype=torch.float64),
        *(torch.tensor(value, dtype=torch.float64) for value in (0.6, 0.938, 0.7)),
    )
    return tuple(value.requires_grad_() for value in values)


def test_gradients_of_everything_are_exact():
    torch.autograd.gradcheck(scaled_kick, gradcheck_inputs())


def test_second_derivatives_are_exact():
    torch.autograd.gradgradcheck(scaled_kick, gradcheck_inputs(3), atol=1e-4)


def test_gradients_for_several_outputs_at_once_equal_a_loop():
    inputs = gradcheck_inputs()
    kick = scaled_kick(*inputs)
    outputs = torch.stack([kick.square().sum(), kick[0, 1], kick[2].abs().sum()])
    basis = torch.eye(3, dtype=torch.float64)
    at_once = torch.autograd.grad(outputs, inputs, basis, is_grads_batched=True, retain_graph=True)
    mapped = torch.func.vmap(
        lambda row: torch.autograd.grad(outputs, inputs, row, retain_graph=True)
    )(basis)
    for row in range(3):
        alone = torch.autograd.grad(outputs, inputs, basis[row], retain_graph=True)
        for together, one in zip((*at_once, *mapped), (*alone, *alone), strict=True):
            assert (together[row] - one).abs().max() <= ROUNDOFF * (1.0 + one.abs().max())


def test_gradient_flows_to_the_length_of_the_element():
    kick = SpaceChargeKick(0.5, grid=(8, 8, 8))
    kick.length.requires_grad_()
    bunch = gaussian_bunch(50)
    change = change_of_momenta(kick(bunch), bunch)[0, 0]
    (gradient,) = torch.autograd.grad(change, kick.length)
    assert (gradient * 0.5 / change - 1.0).abs() < 1e-9


def test_frozen_and_following_cells_have_the_same_gradient():
    inputs = gradcheck_inputs()
    settings = SpaceCharge(grid=(8, 9, 10))
    reference = Reference(0.938e9, 1.0, 0.6e9)
    bunch = Bunch(inputs[0] * 1e-3, reference, 1e9)
    following = space_charge_kick(bunch, 1.0, settings).coordinates.square().sum()
    frozen = space_charge_kick(bunch, 1.0, settings, cell_sizes(bunch, settings))
    expected = torch.autograd.grad(following, inputs[0], retain_graph=True)[0]
    actual = torch.autograd.grad(frozen.coordinates.square().sum(), inputs[0])[0]
    assert torch.equal(actual, expected)


# ---- refusals -----------------------------------------------------------------------------


def test_map_of_coordinates_alone_is_refused():
    kick = SpaceChargeKick(1.0)
    for element in (kick, kick.inverse()):
        with pytest.raises(ElementError, match="call track"):
            element.transfer_matrix(proton())
        with pytest.raises(ElementError, match="call track"):
            element.undo(State(*torch.zeros(6, 1, dtype=torch.float64)), proton())
