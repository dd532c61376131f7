"""The kernels for GPUs against the plain kick, by Triton's interpreter.

It runs them as they are, operation by operation, without a GPU and without a compiler; tests/gpu
has the compiled ones.
"""

from __future__ import annotations

import os

import pytest
import torch

from sc_bridge.elements import Bunch
from sc_bridge.elements.errors import SpaceChargeError
from sc_bridge.elements.space_charge import (
    SpaceCharge,
    fused,
    space_charge_kick,
    triton_operations,
)
from space_charge.bunches import gaussian_bunch
from space_charge.fused_and_plain import FUSED, GRID, PLAIN, RANGES, compare

# more than one block of 256, and not a multiple of it
FEW = 300

every_shape = pytest.mark.parametrize("shape", ["cic", "tsc"])
pytestmark = pytest.mark.skipif(
    torch.cuda.is_available(), reason="there is a GPU: tests/gpu runs these kernels on it"
)


@pytest.fixture(autouse=True)
def interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    if not os.environ.get("CI"):
        pytest.importorskip("triton", reason="Triton is not there: pip install triton")
    found = triton_operations.load()
    assert found is not None
    monkeypatch.setattr(fused, "backend_for", lambda *_: found)


@every_shape
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_kick_and_gradients(dtype, shape):
    compare(gaussian_bunch(FEW, dtype=dtype), shape=shape)


@every_shape
def test_unequal_weights_and_lost_particles_on_a_fixed_grid(shape):
    bunch = gaussian_bunch(FEW)
    weight = torch.linspace(-1e8, 3e8, FEW, dtype=torch.float64)
    alive = torch.rand(FEW, generator=torch.Generator().manual_seed(3)) < 0.7
    coordinates = bunch.coordinates.clone()
    coordinates[:, ~alive] = torch.nan
    compare(Bunch(coordinates, bunch.reference, weight, alive), shape=shape, **RANGES)


def test_a_batch():
    bunches = [gaussian_bunch(FEW, (1e-3 * seed, 2e-3, 3e-3), seed=seed) for seed in (1, 2)]
    coordinates = torch.stack([bunch.coordinates for bunch in bunches])
    alive = torch.ones(2, FEW, dtype=torch.bool)
    alive[1, 50:] = False
    compare(Bunch(coordinates, bunches[0].reference, 1e8, alive))


def test_coordinates_that_are_not_contiguous():
    bunch = gaussian_bunch(FEW)
    strided = bunch.coordinates.t().contiguous().t()
    expected = space_charge_kick(bunch, 1.0, PLAIN).coordinates
    moved = space_charge_kick(bunch.replace(coordinates=strided), 1.0, FUSED).coordinates
    assert (moved - expected).abs().max() < 1e-15


@every_shape
def test_particles_outside_frozen_cells_are_refused(shape):
    with pytest.raises(SpaceChargeError, match=r"[1-9]\d* of 300 living particles are outside"):
        space_charge_kick(
            gaussian_bunch(FEW), 1.0, SpaceCharge(GRID, shape=shape), (1e-4, 1e-4, 1e-4)
        )
