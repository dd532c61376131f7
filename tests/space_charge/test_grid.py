from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from sc_bridge.elements import Bunch
from sc_bridge.elements.errors import SpaceChargeError
from sc_bridge.elements.space_charge import (
    SpaceCharge,
    SpaceChargeKick,
    cell_sizes,
    space_charge_kick,
)
from sc_bridge.elements.space_charge.grid import grid_around
from space_charge.bunches import gaussian_bunch

SETTINGS = SpaceCharge(grid=(16, 24, 32))


def covering(bunch: Bunch, settings: SpaceCharge = SETTINGS) -> tuple[float, ...]:
    size = cell_sizes(bunch, settings)
    assert isinstance(size, tuple)
    return size


def test_cell_sizes_are_rungs_of_a_ladder():
    for size in covering(gaussian_bunch()):
        rung = 8.0 * math.log2(size)
        assert abs(rung - round(rung)) < 1e-12


def test_grid_covers_every_particle_with_two_cells_to_spare_and_not_much_more():
    bunch = gaussian_bunch()
    gamma0 = bunch.reference.gamma0[None]
    position = bunch.coordinates[None, 0::2]
    grid = grid_around(position, gamma0, None, SETTINGS)
    offset = position - grid.centre[..., None]
    cells = offset * grid.cells_per_metre(gamma0)[..., None] + grid.half_width[:, None]
    cells = cells[0]
    for axis, n in enumerate(SETTINGS.grid):
        assert cells[axis].min() >= 2.0 and cells[axis].max() <= n - 3.0
        reach = (cells[axis] - (n - 1) / 2).abs().max()
        assert reach * 2**0.125 >= (n - 1) / 2 - 2.0


def test_cell_sizes_do_not_change_with_small_changes_of_the_bunch():
    bunch = gaussian_bunch()
    grown = bunch.replace(coordinates=bunch.coordinates * 1.001)
    assert covering(bunch) == covering(grown)


def test_cell_sizes_carry_no_gradient():
    bunch = gaussian_bunch()
    bunch = bunch.replace(coordinates=bunch.coordinates.requires_grad_())
    batch = bunch.replace(coordinates=bunch.coordinates.expand(2, 6, -1))
    size = cell_sizes(batch, SETTINGS)
    assert isinstance(size, torch.Tensor)
    assert size.shape == (2, 3) and not size.requires_grad


def test_each_bunch_of_a_batch_has_its_own_cells():
    first, second = gaussian_bunch(seed=1), gaussian_bunch(seed=2, sigma=(1e-3, 1e-3, 1e-2))
    batch = Bunch(torch.stack((first.coordinates, second.coordinates)), first.reference, 1e8)
    expected = torch.tensor([covering(first), covering(second)], dtype=torch.float64)
    assert torch.equal(torch.as_tensor(cell_sizes(batch, SETTINGS)), expected)


def test_lost_particles_do_not_stretch_the_grid():
    bunch = gaussian_bunch()
    stray = bunch.coordinates.clone()
    stray[:, 7] = math.nan
    stray[:, 8] = 1e3
    alive = torch.ones(bunch.n_particles, dtype=torch.bool)
    alive[7:9] = False
    assert covering(Bunch(stray, bunch.reference, 1e8, alive)) == covering(
        Bunch(bunch.coordinates, bunch.reference, 1e8, alive)
    )


def test_flat_directions_and_points_get_finite_cells():
    bunch = gaussian_bunch()
    flat = bunch.coordinates.clone()
    flat[2] = 0.3
    hx, hy, hz = covering(bunch.replace(coordinates=flat))
    assert 0 < hy < 1e-4 * max(hx, hz)
    point = bunch.replace(coordinates=flat[:, :1].expand(6, bunch.n_particles))
    assert all(0 < size < 1 for size in covering(point))


def test_frozen_cells_that_are_too_small_are_refused_with_the_number_outside():
    bunch = gaussian_bunch()
    half = tuple(size / 2 for size in covering(bunch))
    with pytest.raises(SpaceChargeError, match=r"[1-9]\d* of 500 living particles are outside"):
        space_charge_kick(bunch, 1.0, SETTINGS, half)


def test_frozen_cells_allow_the_bunch_to_grow_a_little():
    bunch = gaussian_bunch()
    grown = bunch.replace(coordinates=bunch.coordinates * 1.01)
    space_charge_kick(grown, 1.0, SETTINGS, covering(bunch))


def test_living_particles_without_a_position_are_refused():
    for wrong in (math.nan, math.inf):
        coordinates = gaussian_bunch().coordinates.clone()
        coordinates[2, 3] = wrong
        bunch = Bunch(coordinates, gaussian_bunch().reference, 1e8)
        with pytest.raises(SpaceChargeError, match="no finite position"):
            space_charge_kick(bunch, 1.0, SETTINGS)
        with pytest.raises(SpaceChargeError, match=r"outside the grid"):
            space_charge_kick(bunch, 1.0, SETTINGS, (1e-2, 1e-2, 1e-2))


@pytest.mark.parametrize("grid", [(16, 16), (16, 16, 7), (16, 16, 16.0), (16, 16, True)])
def test_grids_that_are_not_three_numbers_of_nodes_are_refused(grid):
    with pytest.raises(SpaceChargeError, match="three numbers of nodes"):
        SpaceCharge(grid=grid)


@pytest.mark.parametrize("cell_size", [(1e-3, 1e-3), (1e-3, 0.0, 1e-3), (1e-3, math.nan, 1e-3)])
def test_cell_sizes_that_are_not_three_lengths_are_refused(cell_size):
    with pytest.raises(SpaceChargeError, match="three positive lengths"):
        SpaceChargeKick(1.0, cell_size=cell_size)


# ---- fixed grids ----------------------------------------------------------------------------

RANGES = {"x_range": (-30e-3, 25e-3), "y_range": (-20e-3, 20e-3), "z_range": (-15e-3, 12e-3)}


def test_fixed_grid_has_the_given_nodes_and_stays_where_it_is():
    bunch = gaussian_bunch()
    gamma0 = bunch.reference.gamma0[None]
    fixed = SpaceCharge(grid=(12, 21, 28), **RANGES)
    centre = torch.tensor([[-2.5e-3, 0.0, -1.5e-3]], dtype=torch.float64)
    for shift in (0.0, 1e-3):
        grid = grid_around(bunch.coordinates[None, 0::2] + shift, gamma0, None, fixed)
        spacing = torch.tensor([[55e-3 / 11, 40e-3 / 20, 27e-3 / 27]], dtype=torch.float64)
        assert ((grid.cell_size / spacing)[:, :2] - 1.0).abs().max() < 1e-14
        assert (grid.cell_size[0, 2] / (spacing[0, 2] * gamma0[0]) - 1.0).abs() < 1e-14
        assert (grid.centre - centre).abs().max() < 1e-15


def test_kick_on_a_fixed_grid_moves_with_neither_bunch_nor_ladder():
    bunch = gaussian_bunch(5000)
    fixed = SpaceCharge(grid=(32, 32, 32), **RANGES)
    following = SpaceCharge(grid=(32, 32, 32))
    kicks = [
        (space_charge_kick(bunch, 1.0, settings).coordinates - bunch.coordinates)[1::2]
        for settings in (fixed, following)
    ]
    # the same field on two grids of similar cells
    assert ((kicks[0] - kicks[1]).norm() / kicks[1].norm()) < 0.1


def test_particles_outside_a_fixed_grid_are_refused():
    fixed = SpaceCharge(
        grid=(16, 16, 16),
        x_range=(-1e-3, 1e-3),
        **{name: RANGES[name] for name in ("y_range", "z_range")},
    )
    with pytest.raises(SpaceChargeError, match=r"[1-9]\d* of 500 living particles are outside"):
        space_charge_kick(gaussian_bunch(), 1.0, fixed)


def test_ranges_that_are_missing_or_reversed_are_refused():
    with pytest.raises(SpaceChargeError, match="y_range, z_range missing"):
        SpaceCharge(x_range=(-1.0, 1.0))
    with pytest.raises(SpaceChargeError, match="first < last"):
        SpaceChargeKick(1.0, **{**RANGES, "z_range": (1.0, -1.0)})


@pytest.mark.parametrize("wrong", [("-1 cm", "1 cm"), (0.0, math.nan), (1.0,), 5, [[1, 2], [3, 4]]])
def test_a_range_is_two_numbers(wrong):
    with pytest.raises(SpaceChargeError, match=r"x_range = .*: must be two finite numbers in m"):
        SpaceCharge(**{**RANGES, "x_range": wrong})


def test_a_range_may_be_an_array():
    assert SpaceCharge(**{**RANGES, "x_range": np.array([-0.1, 0.1])}).x_range == (-0.1, 0.1)


@pytest.mark.parametrize("option", [{"shape": "ngp"}, {"implementation": "fast"}])
def test_unknown_options_are_refused(option):
    with pytest.raises(SpaceChargeError, match=r"must be one of '\w+', '\w+'"):
        SpaceCharge(**option)
