"""The fused kick against the plain one, on both of its implementations."""

from __future__ import annotations

import pytest
import torch

from sc_bridge.elements import Bunch, Reference, kernels
from sc_bridge.elements.errors import SpaceChargeError
from sc_bridge.elements.space_charge import (
    SpaceCharge,
    fused,
    space_charge_kick,
    torch_operations,
)
from sc_bridge.elements.space_charge.compiled import Compiled
from space_charge.bunches import PROTON_MASS, change_of_momenta, gaussian_bunch
from space_charge.fused_and_plain import FUSED, GRID, PLAIN, RANGES, compare, outcome

pytestmark = pytest.mark.usefixtures("two_threads")


@pytest.fixture(params=["compiled", "torch"], autouse=True)
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "torch":
        monkeypatch.setattr(fused, "backend_for", lambda *_: torch_operations)
    else:
        found = kernels.load()
        assert found is not None, "this machine has a C compiler: the kernels must build"
    return request.param


def test_cpu_uses_the_compiled_kernels(backend):
    chosen = fused.backend_for(torch.device("cpu"))
    assert isinstance(chosen, Compiled) is (backend == "compiled")


every_shape = pytest.mark.parametrize("shape", ["cic", "tsc"])


@every_shape
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("longitudinal", [True, False])
def test_fused_equals_plain(dtype, longitudinal, shape):
    compare(gaussian_bunch(dtype=dtype), longitudinal=longitudinal, shape=shape)


@every_shape
def test_fused_equals_plain_for_a_long_bunch(shape):
    compare(gaussian_bunch(sigma=(5e-3, 4e-3, 15.0)), shape=shape)


@every_shape
def test_fused_equals_plain_with_unequal_weights(shape):
    bunch = gaussian_bunch()
    weight = torch.linspace(-1e8, 3e8, bunch.n_particles, dtype=torch.float64)
    compare(bunch.replace(weight=weight), shape=shape)


@every_shape
def test_fused_equals_plain_with_lost_particles(shape):
    bunch = gaussian_bunch()
    coordinates = bunch.coordinates.clone()
    alive = torch.rand(bunch.n_particles, generator=torch.Generator().manual_seed(3)) < 0.7
    coordinates[:, ~alive] = torch.nan
    compare(Bunch(coordinates, bunch.reference, bunch.weight, alive), shape=shape)


def test_fused_equals_plain_for_a_batch():
    bunches = [gaussian_bunch(300, (1e-3 * seed, 2e-3, 3e-3), seed=seed) for seed in (1, 2, 3)]
    coordinates = torch.stack([bunch.coordinates for bunch in bunches])
    alive = torch.ones(3, 300, dtype=torch.bool)
    alive[1, 50:] = False
    compare(Bunch(coordinates, bunches[0].reference, 1e8, alive))


def test_fused_equals_plain_for_coordinates_that_are_not_contiguous():
    bunch = gaussian_bunch()
    strided = bunch.coordinates.t().contiguous().t()
    assert not strided.is_contiguous()
    expected = space_charge_kick(bunch, 1.0, PLAIN).coordinates
    moved = space_charge_kick(bunch.replace(coordinates=strided), 1.0, FUSED).coordinates
    assert (moved - expected).abs().max() < 1e-15


@every_shape
def test_fused_equals_plain_for_many_particles_on_two_threads(shape):
    compare(gaussian_bunch(50_000), shape=shape)


@every_shape
def test_fused_equals_plain_on_a_fixed_grid(shape):
    compare(gaussian_bunch(), shape=shape, **RANGES)


def test_repeated_kicks_are_identical():
    bunch = gaussian_bunch(50_000)
    first, second = (space_charge_kick(bunch, 1.0, FUSED).coordinates for _ in range(2))
    assert torch.equal(first, second)


@every_shape
def test_gradients_are_exact(shape):
    def kick(unit, weight, momentum, length):
        bunch = Bunch(unit * 1e-3, Reference(0.938e9, 1.0, momentum * 1e9), weight * 1e9)
        settings = SpaceCharge(grid=(8, 9, 10), shape=shape)
        return change_of_momenta(space_charge_kick(bunch, length, settings), bunch) * 1e6

    generator = torch.Generator().manual_seed(2)
    inputs = [
        torch.randn(6, 5, generator=generator, dtype=torch.float64),
        torch.rand(5, generator=generator, dtype=torch.float64),
        torch.tensor(0.6, dtype=torch.float64),
        torch.tensor(0.7, dtype=torch.float64),
    ]
    torch.autograd.gradcheck(kick, [value.requires_grad_() for value in inputs])


def test_sum_of_position_gradients_is_zero():
    bunch = gaussian_bunch()
    _, gradients = outcome(FUSED, bunch)
    position = gradients[0][::2]
    generator = torch.Generator().manual_seed(7)
    upstream = torch.randn(bunch.coordinates.shape, generator=generator, dtype=torch.float64)
    through_kick = position - upstream[::2]
    assert (through_kick.sum(-1).abs() / through_kick.abs().sum(-1)).max() < 1e-12


@every_shape
def test_particles_outside_frozen_cells_are_refused(shape):
    settings = SpaceCharge(grid=GRID, shape=shape)
    with pytest.raises(SpaceChargeError, match=r"[1-9]\d* of 500 living particles are outside"):
        space_charge_kick(gaussian_bunch(), 1.0, settings, (1e-4, 1e-4, 1e-4))


@every_shape
def test_particles_may_touch_the_limits_of_a_fixed_grid(shape):
    """A particle exactly at the last allowed place is the same in both implementations."""
    spare = {"cic": 1.0, "tsc": 1.5}[shape]
    reach = 7.5 - spare  # cells from the middle of 16 nodes
    corner = torch.tensor([reach, 0.0, -reach, 0.0, reach, 0.0], dtype=torch.float64)
    coordinates = torch.stack((corner, -corner, 0.3 * corner), dim=-1)
    ranges = dict.fromkeys(RANGES, (-7.5, 7.5))
    bunch = Bunch(coordinates, Reference(PROTON_MASS, 1.0, 5e8), 1e12)
    out, expected = (
        space_charge_kick(bunch, 1.0, SpaceCharge((16,) * 3, shape=shape, **options, **ranges))
        for options in ({}, {"implementation": "plain"})
    )
    kick = change_of_momenta(expected, bunch)
    assert (kick.abs().amax(-1) > 0).all()
    assert (out.coordinates - expected.coordinates).abs().max() < 1e-11 * kick.abs().max()


# torch's own tables of decompositions are built with torch.jit, which it deprecates
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
def test_forward_mode_and_torch_func_take_the_plain_operations():
    bunch = gaussian_bunch(20)
    size = (2e-3, 2e-3, 2e-3)

    def first_px(coordinates):
        kicked = space_charge_kick(bunch.replace(coordinates=coordinates), 1.0, FUSED, size)
        return kicked.coordinates[1, 0]

    coordinates = bunch.coordinates.clone().requires_grad_()
    (expected,) = torch.autograd.grad(first_px(coordinates), coordinates)
    by_func = torch.func.grad(first_px)(bunch.coordinates)
    direction = torch.ones_like(bunch.coordinates) * torch.arange(20)
    _, along = torch.func.jvp(first_px, (bunch.coordinates,), (direction,))
    scale = expected.abs().max()
    assert (by_func - expected).abs().max() < 1e-11 * scale
    assert (along - (expected * direction).sum()).abs() < 1e-9 * scale


def test_second_derivatives_equal_those_of_plain_operations():
    def second(settings):
        bunch = gaussian_bunch(20)
        coordinates = bunch.coordinates.clone().requires_grad_()
        out = space_charge_kick(bunch.replace(coordinates=coordinates), 1.0, settings).coordinates
        (first,) = torch.autograd.grad(out[1::2].square().sum(), coordinates, create_graph=True)
        return torch.autograd.grad(first.square().sum(), coordinates)[0]

    expected = second(PLAIN)
    assert (second(FUSED) - expected).abs().max() < 1e-10 * expected.abs().max()


# ---- memory -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "per_particle", "per_cell"), [(torch.float32, 24, 4), (torch.float64, 48, 8)]
)
def test_backward_keeps_the_state_and_one_number_a_cell(dtype, per_particle, per_cell):
    def kept(n: int, grid: int) -> int:
        bunch = gaussian_bunch(n, dtype=dtype)
        bunch = bunch.replace(coordinates=bunch.coordinates.requires_grad_())
        storages: dict[int, int] = {}

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            space_charge_kick(bunch, 1.0, SpaceCharge(grid=(grid, grid, grid)))
        return sum(storages.values())

    few, many, fine = kept(1000, 16), kept(3000, 16), kept(1000, 24)
    assert (many - few) / 2000 <= per_particle
    assert (fine - few) / (24**3 - 16**3) <= per_cell
    # factors, gamma0 and the one weight
    assert few - 1000 * per_particle - 16**3 * per_cell < 200
