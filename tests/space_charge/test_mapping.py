"""`torch.vmap` and the transforms of `torch.func` over the kick."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from sc_bridge.elements import Bunch, Reference
from sc_bridge.elements.errors import SpaceChargeError
from sc_bridge.elements.space_charge import SpaceCharge, space_charge_kick
from space_charge.bunches import PROTON_MASS, gaussian_bunch

GRID = (16, 12, 20)
# The same operations in another order, relative to the largest value.
ROUNDOFF = 1e-11
VARIANTS = {
    "fused": {},
    "plain": {"implementation": "plain"},
    "tsc": {"shape": "tsc"},
    "ballistic": {"transform": "ballistic"},
    "fixed grid": dict.fromkeys(("x_range", "y_range", "z_range"), (-0.05, 0.05)),
}
every_variant = pytest.mark.parametrize("variant", VARIANTS)
# torch's own tables of decompositions are built with torch.jit, which it deprecates
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")


def kick_of(variant: str, bunch: Bunch | None = None) -> Callable[..., Tensor]:
    bunch = bunch or gaussian_bunch(50)
    settings = SpaceCharge(GRID, **VARIANTS[variant])

    def kick(coordinates: Tensor, weight: Tensor | float = 1e8, length: float = 1.0) -> Tensor:
        changed = Bunch(coordinates, bunch.reference, weight)
        return space_charge_kick(changed, length, settings).coordinates

    return kick


def three() -> Tensor:
    coordinates = gaussian_bunch(50).coordinates
    return torch.stack((coordinates, 1.3 * coordinates, 0.7 * coordinates))


def assert_equal(ours: Tensor, expected: Tensor) -> None:
    assert (ours - expected).abs().max() <= ROUNDOFF * expected.abs().max()


@every_variant
def test_vmap_over_coordinates_equals_a_loop(variant):
    kick = kick_of(variant)
    assert_equal(torch.vmap(kick)(three()), torch.stack([kick(one) for one in three()]))


def test_vmap_over_weight_and_length_equals_a_loop():
    coordinates = three()[0]
    kick = kick_of("fused")
    weight, length = torch.tensor([1e8, 3e8]).double(), torch.tensor([1.0, 2.0]).double()
    ours = torch.vmap(kick, in_dims=(None, 0, 0))(coordinates, weight, length)
    expected = [kick(coordinates, w, s) for w, s in zip(weight, length, strict=True)]
    assert_equal(ours, torch.stack(expected))


def test_vmap_over_who_is_alive_equals_a_loop():
    bunch, settings = gaussian_bunch(50), SpaceCharge(GRID)

    def kick(alive: Tensor) -> Tensor:
        return space_charge_kick(bunch.replace(alive=alive), 1.0, settings).coordinates

    alive = torch.arange(50).expand(2, 50) % torch.tensor([[2], [3]]) > 0
    assert_equal(torch.vmap(kick)(alive), torch.stack([kick(one) for one in alive]))


def test_vmap_of_a_float32_bunch_keeps_its_dtype():
    kick = kick_of("fused")
    coordinates = three().to(torch.float32)
    ours = torch.vmap(kick)(coordinates)
    assert ours.dtype == torch.float32
    expected = torch.stack([kick(one) for one in coordinates])
    assert (ours - expected).abs().max() < 1e-6 * expected.abs().max()


@every_variant
def test_gradients_under_vmap_equal_a_loop(variant):
    kick = kick_of(variant)
    gradient = torch.func.grad(lambda coordinates: 1e12 * kick(coordinates).square().sum())
    expected = torch.stack([gradient(one) for one in three()])
    assert_equal(torch.vmap(gradient)(three()), expected)


@every_variant
def test_jacobians_by_rows_and_by_columns_are_those_of_autograd(variant):
    kick = kick_of(variant)
    unit = three()[0]

    def few(knobs: Tensor) -> Tensor:
        momenta = kick(unit * (1.0 + knobs[0]), 1e8 * (1.0 + knobs[1]))[1::2, :2]
        return momenta.flatten() * 1e6

    knobs = torch.zeros(2, dtype=torch.float64)
    expected = torch.autograd.functional.jacobian(few, knobs)
    assert isinstance(expected, Tensor)
    assert_equal(torch.func.jacrev(few)(knobs), expected)
    assert_equal(torch.func.jacfwd(few)(knobs), expected)


def test_nested_vmap_equals_batch_dimensions():
    kick, coordinates = kick_of("fused"), three()
    weight = torch.tensor([1e8, 2e8], dtype=torch.float64)
    inner = torch.vmap(kick, in_dims=(None, 0))
    ours = torch.vmap(inner, in_dims=(0, None))(coordinates, weight)
    batch = coordinates[:, None].expand(3, 2, 6, 50)
    bunch = Bunch(batch, gaussian_bunch().reference, weight[:, None])
    assert_equal(ours, space_charge_kick(bunch, 1.0, SpaceCharge(GRID)).coordinates)


def test_particles_outside_are_refused_under_vmap_too():
    bunch, settings = gaussian_bunch(50), SpaceCharge(GRID)

    def kick(coordinates: Tensor) -> Tensor:
        changed = bunch.replace(coordinates=coordinates)
        return space_charge_kick(changed, 1.0, settings, (1e-4, 1e-4, 1e-4)).coordinates

    with pytest.raises(SpaceChargeError, match=r"[1-9]\d* of 50 living particles are outside"):
        torch.vmap(kick)(three())
    with pytest.raises(SpaceChargeError, match="no finite position"):
        torch.vmap(kick_of("fused"))(three() * torch.nan)


def test_long_flights_are_refused_under_vmap_too():
    ring = gaussian_bunch(50, (5e-3, 5e-3, 15.0), Reference(PROTON_MASS, 1.0, 5e8))
    with pytest.raises(SpaceChargeError, match=r'use transform="none"'):
        torch.vmap(kick_of("ballistic", ring))(ring.coordinates.expand(2, 6, 50))


def test_a_kick_and_its_gradients_do_not_load_torchs_compiler():
    code = (
        "import sys, torch\n"
        "from sc_bridge.elements import Bunch, Reference\n"
        "from sc_bridge.elements.space_charge import SpaceCharge, space_charge_kick\n"
        "x = (1e-3 * torch.randn(6, 20, dtype=torch.float64)).requires_grad_()\n"
        "bunch = Bunch(x, Reference(938e6, 1.0, 570e6), 1e8)\n"
        "out = space_charge_kick(bunch, 1.0, SpaceCharge((8, 8, 8))).coordinates[1::2, 0]\n"
        "torch.autograd.grad(out, x, torch.eye(3, dtype=x.dtype), is_grads_batched=True)\n"
        "assert 'torch._dynamo' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
