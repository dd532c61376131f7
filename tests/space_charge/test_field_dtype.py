"""The field of a float32 bunch in float32 and in float64, against that of a float64 bunch."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
from torch import Tensor

from sc_bridge.elements import Bunch
from sc_bridge.elements.errors import SpaceChargeError
from sc_bridge.elements.space_charge import (
    SpaceCharge,
    SpaceChargeKick,
    cell_sizes,
    fused,
    space_charge_field,
    space_charge_kick,
    torch_operations,
)
from space_charge.bunches import gaussian_bunch, proton

# Largest difference from float64 over the rms kick. float32 rounds a position to 1e-6 of a
# cell; in a pancake, neighbouring nodes differ by little of their potential.
ORDINARY, PANCAKE = 1e-4, 2e-3
# The same with the field in float64: what is left is the rounding of the result.
ROUNDED = 1e-6
GRID = (32, 32, 32)
FLAT = 1e-3
IMPLEMENTATIONS = ("compiled", "torch", "plain")


def settings(
    implementation: str, monkeypatch: pytest.MonkeyPatch, nodes: int = 32, **options
) -> SpaceCharge:
    if implementation == "torch":
        monkeypatch.setattr(fused, "backend_for", lambda *_: torch_operations)
    kind = "plain" if implementation == "plain" else "fused"
    return SpaceCharge((nodes,) * 3, implementation=kind, **options)


def bunch_of(aspect: float) -> Bunch:
    """Float32 bunch without momenta; `aspect` is length over width in its rest frame."""
    reference = proton()
    sigma = (4e-3, 4e-3, aspect * 4e-3 / float(reference.gamma0))
    bunch = gaussian_bunch(2000, sigma, reference, dtype=torch.float32)
    coordinates = bunch.coordinates.clone()
    coordinates[1::2] = 0.0
    return bunch.replace(coordinates=coordinates)


def kick_and_gradient(bunch: Bunch, chosen: SpaceCharge) -> tuple[Tensor, Tensor]:
    """Kicks, (3, n), and the gradient of positions for random upstreams of the order 1/rms."""
    size = cell_sizes(bunch.to(torch.float64), chosen)
    coordinates = bunch.coordinates.clone().requires_grad_()
    out = space_charge_kick(bunch.replace(coordinates=coordinates), 1.0, chosen, size).coordinates
    assert out.dtype == bunch.coordinates.dtype
    kick = out[1::2]
    unit = torch.randn(kick.shape, generator=torch.Generator().manual_seed(4))
    upstream = (unit.double() / rms(kick.detach().double())).to(kick.dtype)
    (gradient,) = torch.autograd.grad(kick, coordinates, upstream)
    return kick.detach().double(), gradient[::2].double()


def rms(rows: Tensor) -> Tensor:
    return rows.square().mean(-1, keepdim=True).sqrt()


def errors(aspect: float, chosen: SpaceCharge) -> tuple[float, float]:
    """Largest error of kick and gradient over their rms."""
    single = bunch_of(aspect)
    wanted = kick_and_gradient(single.to(torch.float64), chosen)
    found = kick_and_gradient(single, chosen)
    kick, gradient = (
        float(((ours - exact).abs() / rms(exact)).max())
        for ours, exact in zip(found, wanted, strict=True)
    )
    return kick, gradient


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("aspect", [0.01, 0.1, 1.0, 10.0])
def test_float32_kicks_of_ordinary_bunches_agree_with_float64(aspect, implementation, monkeypatch):
    kick, gradient = errors(aspect, settings(implementation, monkeypatch))
    assert kick < ORDINARY
    assert gradient < PANCAKE  # slopes are differences of the kick's differences


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("nodes", [32, 64])
def test_float32_kicks_of_flat_pancakes_are_coarser(nodes, implementation, monkeypatch):
    kick, _ = errors(FLAT, settings(implementation, monkeypatch, nodes))
    assert kick < PANCAKE


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("aspect", [FLAT, 1.0])
@pytest.mark.parametrize("shape", ["cic", "tsc"])
def test_field_in_float64_leaves_rounding_only(aspect, implementation, shape, monkeypatch):
    chosen = settings(implementation, monkeypatch, shape=shape, field_dtype=torch.float64)
    kick, gradient = errors(aspect, chosen)
    assert kick < ROUNDED
    assert gradient < ROUNDED


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_zero_charge_changes_nothing_with_the_field_in_float64(implementation, monkeypatch):
    chosen = settings(implementation, monkeypatch, field_dtype=torch.float64)
    bunch = gaussian_bunch(weight=0.0, dtype=torch.float32)
    assert torch.equal(space_charge_kick(bunch, 1.0, chosen).coordinates, bunch.coordinates)


def test_float64_bunch_does_not_care_about_the_dtype_of_the_field():
    bunch = gaussian_bunch()
    with_option, without = (
        space_charge_kick(bunch, 1.0, SpaceCharge(GRID, field_dtype=dtype)).coordinates
        for dtype in (torch.float64, None)
    )
    assert torch.equal(with_option, without)


@pytest.mark.parametrize("transform", ["none", "ballistic"])
def test_solved_field_in_float64_serves_a_float32_bunch_again(transform):
    bunch = gaussian_bunch(sigma=(4e-3, 3e-3, 1e-4), dtype=torch.float32)
    chosen = SpaceCharge(GRID, transform=transform, field_dtype=torch.float64)
    field = space_charge_field(bunch, chosen)
    assert field.potential.dtype == torch.float64
    coordinates = bunch.coordinates.clone().requires_grad_()
    bunch = bunch.replace(coordinates=coordinates)
    results = []
    for known in (None, field):
        out = space_charge_kick(bunch, 1.0, chosen, field=known).coordinates
        results.append((out, *torch.autograd.grad(out.square().sum(), coordinates)))
    for first, again in zip(*results, strict=True):
        assert torch.equal(first, again)


def test_lost_particles_stay_lost_with_the_field_in_float64():
    bunch = gaussian_bunch(dtype=torch.float32)
    alive = torch.arange(bunch.n_particles) < 300
    coordinates = torch.where(alive, bunch.coordinates, torch.nan).requires_grad_()
    some = Bunch(coordinates, bunch.reference, bunch.weight, alive)
    out = space_charge_kick(some, 1.0, SpaceCharge(GRID, field_dtype=torch.float64)).coordinates
    few = Bunch(bunch.coordinates[:, :300], bunch.reference, 1e8)
    expected = space_charge_kick(few, 1.0, SpaceCharge(GRID, field_dtype=torch.float64))
    assert (out[:, :300] - expected.coordinates).abs().max() < ROUNDED * 1e-3
    (gradient,) = torch.autograd.grad(out[:, :300].square().sum(), coordinates)
    assert torch.isfinite(gradient).all()


def test_second_derivatives_and_weights_go_through_the_conversion():
    def derivatives(kind: Literal["fused", "plain"]) -> tuple[Tensor, ...]:
        bunch = gaussian_bunch(20, dtype=torch.float32, weight=1e12)
        inputs = bunch.coordinates.clone().requires_grad_(), bunch.weight.clone().requires_grad_()
        chosen = SpaceCharge((8, 8, 8), implementation=kind, field_dtype=torch.float64)
        changed = Bunch(inputs[0], bunch.reference, inputs[1])
        out = space_charge_kick(changed, 1.0, chosen).coordinates
        first = torch.autograd.grad(out.square().sum(), inputs, create_graph=True)
        second = torch.autograd.grad(first[0].square().sum(), inputs[0])
        return *first, *second

    for ours, plain in zip(derivatives("fused"), derivatives("plain"), strict=True):
        assert ours.dtype == torch.float32
        assert ((ours - plain).abs() <= ROUNDED * plain.abs().amax()).all()


def test_backward_keeps_the_state_in_float32_and_one_double_a_cell():
    def kept(n: int, grid: int) -> int:
        bunch = gaussian_bunch(n, dtype=torch.float32)
        bunch = bunch.replace(coordinates=bunch.coordinates.requires_grad_())
        storages: dict[int, int] = {}

        def pack(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
            return tensor

        chosen = SpaceCharge((grid, grid, grid), field_dtype=torch.float64)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            space_charge_kick(bunch, 1.0, chosen)
        return sum(storages.values())

    few, many, fine = kept(1000, 16), kept(3000, 16), kept(1000, 24)
    assert (many - few) / 2000 <= 24
    assert (fine - few) / (24**3 - 16**3) <= 8


@pytest.mark.parametrize("dtype", [torch.float32, "float64", 64])
def test_other_dtypes_of_the_field_are_refused(dtype):
    with pytest.raises(SpaceChargeError, match=r"field_dtype = .* must be torch.float64"):
        SpaceCharge(field_dtype=dtype)
    with pytest.raises(SpaceChargeError, match="field_dtype"):
        SpaceChargeKick(1.0, field_dtype=dtype)
