from __future__ import annotations

import pytest
import torch

from sc_bridge.elements.space_charge.deposit import (
    centred_differences,
    deposit,
    gather,
    stencil,
)

NODES = (8, 9, 11)
# Sums of a few hundred numbers of order 1.
ROUNDOFF = 1e-12


every_shape = pytest.mark.parametrize("shape", ["cic", "tsc"])


def random_cells(n: int = 300, batch: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    unit = torch.rand(batch, 3, n, generator=generator, dtype=torch.float64)
    return 1.5 + unit * (torch.tensor(NODES)[:, None] - 4.0)


def random_values(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(4)
    return torch.rand(*shape, generator=generator, dtype=torch.float64)


@every_shape
def test_deposit_keeps_the_total(shape):
    values = random_values(2, 300)
    rho = deposit(values, stencil(random_cells(), NODES, shape), NODES)
    assert rho.shape == (2, *NODES)
    assert (rho.sum((1, 2, 3)) - values.sum(-1)).abs().max() < ROUNDOFF


@every_shape
def test_deposit_keeps_the_centre_of_charge(shape):
    cells, values = random_cells(), random_values(2, 300)
    rho = deposit(values, stencil(cells, NODES, shape), NODES)
    for axis, n in enumerate(NODES):
        others = [a for a in (1, 2, 3) if a != axis + 1]
        moment = (rho.sum(others) * torch.arange(n)).sum(-1)
        assert (moment - (values * cells[:, axis]).sum(-1)).abs().max() < 10 * ROUNDOFF


def test_a_particle_on_a_node_goes_to_that_node_alone():
    cells = torch.tensor([[[3.0], [4.0], [5.0]]], dtype=torch.float64)
    rho = deposit(torch.tensor([[2.5]]).double(), stencil(cells, NODES), NODES)
    assert rho[0, 3, 4, 5] == 2.5 and rho.count_nonzero() == 1


@every_shape
def test_gather_is_exact_for_linear_fields(shape):
    cells = random_cells()
    x, y, z = torch.meshgrid(*(torch.arange(n).double() for n in NODES), indexing="ij")
    field = (1.0 + 2.0 * x - 3.0 * y + 0.5 * z).expand(1, 2, *NODES)
    expected = 1.0 + 2.0 * cells[:, 0] - 3.0 * cells[:, 1] + 0.5 * cells[:, 2]
    assert (gather(field, stencil(cells, NODES, shape))[0] - expected).abs().max() < ROUNDOFF


@every_shape
def test_gather_is_the_adjoint_of_deposit(shape):
    on = stencil(random_cells(), NODES, shape)
    values, field = random_values(2, 300), random_values(2, *NODES)
    there = (deposit(values, on, NODES) * field).sum()
    back = (values * gather(field[None], on)[0]).sum()
    assert (there - back).abs() < ROUNDOFF * there


@every_shape
def test_each_bunch_of_a_batch_has_its_own_nodes(shape):
    cells, values = random_cells(), random_values(2, 300)
    together = deposit(values, stencil(cells, NODES, shape), NODES)
    for index in range(2):
        one = slice(index, index + 1)
        alone = deposit(values[one], stencil(cells[one], NODES, shape), NODES)
        assert torch.equal(together[one], alone)


def test_quadratic_clouds_have_continuous_slopes():
    field = random_values(1, 1, *NODES)

    def slope_at(x: float) -> torch.Tensor:
        cells = torch.tensor([[[x], [4.2], [5.3]]], dtype=torch.float64, requires_grad=True)
        value = gather(field, stencil(cells, NODES, "tsc")).sum()
        return torch.autograd.grad(value, cells)[0]

    for edge in (3.5, 4.0):  # of the clouds' pieces, and a node
        assert (slope_at(edge + 1e-9) - slope_at(edge - 1e-9)).abs().max() < 1e-7


def test_centred_differences_are_exact_for_quadratics_inside():
    x, y, z = torch.meshgrid(*(torch.arange(n).double() for n in NODES), indexing="ij")
    slopes = centred_differences((x**2 - 2.0 * y**2 + y * z)[None])
    inside = (slice(None), 0, slice(1, -1), slice(1, -1), slice(1, -1))
    expected = torch.stack((4.0 * x, -8.0 * y + 2.0 * z, 2.0 * y))[:, None]
    assert torch.equal(slopes[inside], expected[inside])
    assert slopes[0, 0, 0].count_nonzero() == slopes[2, 0, :, :, -1].count_nonzero() == 0


@every_shape
def test_gradients_of_deposit_and_gather_are_exact(shape):
    cells = random_cells(5, 1).requires_grad_()
    values = random_values(1, 5).requires_grad_()
    field = random_values(2, 1, *NODES).requires_grad_()

    def both(cells, values, field):
        on = stencil(cells, NODES, shape)
        return deposit(values, on, NODES), gather(field, on)

    torch.autograd.gradcheck(both, (cells, values, field))
    torch.autograd.gradgradcheck(lambda c, v: both(c, v, field)[0] ** 2, (cells, values))
