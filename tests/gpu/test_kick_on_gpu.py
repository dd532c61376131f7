"""The kick on a GPU, by kernels and by torch operations, is that of the CPU."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from sc_bridge.elements import Bunch, Reference
from sc_bridge.elements.errors import SpaceChargeError
from sc_bridge.elements.space_charge import (
    SpaceCharge,
    cell_sizes,
    fused,
    space_charge_kick,
    triton_operations,
)

# Of the kick, relative to the largest one: order of sums, and the rounding of functions in the
# Green function, whose corners cancel. In float32 sums of 3e4 products of either sign.
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-4}


@pytest.fixture(params=["kernels", "operations", "plain"])
def way(request, monkeypatch):
    """Settings of the implementation, whose kernels may be switched off."""
    if request.param == "operations":
        monkeypatch.setenv("SC_BRIDGE_KERNELS", "0")
    return "plain" if request.param == "plain" else "fused"


def make_bunch(dtype, batch=(), lost=False, n=5000):
    generator = torch.Generator().manual_seed(3)
    scale = torch.tensor([2e-3, 1e-4, 3e-3, 1e-4, 5e-3, 1e-4], dtype=dtype)[:, None]
    coordinates = torch.randn(*batch, 6, n, generator=generator, dtype=dtype) * scale
    alive = torch.rand(*batch, n, generator=generator) > 0.1 if lost else None
    weight = 1e6 * (1.0 + torch.rand(n, generator=generator, dtype=dtype))
    return Bunch(coordinates, Reference.from_kinetic_energy(938e6, 1.0, 160e6), weight, alive)


def kick_and_gradients(bunch, settings, **more):
    """Kicked coordinates, and gradients of a loss by coordinates, weight, momentum and length."""
    length = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    p0c = bunch.reference.p0c.clone().requires_grad_()
    start = bunch.replace(
        coordinates=bunch.coordinates.clone().requires_grad_(),
        weight=bunch.weight.clone().requires_grad_(),
        reference=bunch.reference.replace(p0c=p0c),
    )
    out = space_charge_kick(start, length, settings, **more).coordinates
    upstream = torch.linspace(-1.0, 1.0, out.numel(), dtype=out.dtype).view(out.shape)
    loss = (out * upstream.to(out.device)).sum()
    wanted = [start.coordinates, start.weight, p0c, length]
    return [(out - start.coordinates).detach(), *torch.autograd.grad(loss, wanted)]


def check(ours, theirs, dtype):
    for own, their in zip(ours, theirs, strict=True):
        off = (own.cpu() - their).abs().amax() / their.abs().amax()
        assert off < TOLERANCE[dtype]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("shape", ["cic", "tsc"])
@pytest.mark.parametrize("lost", [False, True])
@pytest.mark.parametrize("batch", [(), (3,)])
def test_kick_and_its_adjoint_agree(way, dtype, shape, lost, batch, gpu):
    bunch = make_bunch(dtype, batch, lost)
    theirs = kick_and_gradients(bunch, SpaceCharge(grid=(24, 16, 32), shape=shape))
    settings = SpaceCharge(grid=(24, 16, 32), shape=shape, implementation=way)
    check(kick_and_gradients(bunch.to(gpu), settings), theirs, dtype)


def test_kernels_are_used(gpu):
    assert isinstance(fused.backend_for(gpu), triton_operations.OnGpu)


def test_lost_particles_may_hold_anything(way, gpu):
    bunch = make_bunch(torch.float64, lost=True)
    held = torch.where(bunch.alive, bunch.coordinates, torch.nan)
    settings = SpaceCharge(grid=(16, 16, 16), implementation=way)
    ours = space_charge_kick(bunch.replace(coordinates=held).to(gpu), 1.0, settings)
    theirs = space_charge_kick(bunch, 1.0, settings)
    living = bunch.alive
    off = (ours.coordinates.cpu() - theirs.coordinates)[:, living].abs().amax()
    assert off < 1e-15


def test_frozen_and_fixed_grids_agree_and_refuse_what_is_outside(way, gpu):
    bunch = make_bunch(torch.float64)
    settings = SpaceCharge(grid=(16, 16, 16), implementation=way)
    sizes = cell_sizes(bunch, settings)
    assert cell_sizes(bunch.to(gpu), settings) == sizes
    theirs = kick_and_gradients(bunch, settings, cell_size=sizes)
    check(kick_and_gradients(bunch.to(gpu), settings, cell_size=sizes), theirs, torch.float64)
    reach = 0.03
    ranges = {f"{axis}_range": (-reach, reach) for axis in "xyz"}
    fixed = SpaceCharge(grid=(16, 16, 16), implementation=way, **ranges)
    check(kick_and_gradients(bunch.to(gpu), fixed), kick_and_gradients(bunch, fixed), torch.float64)
    wide = bunch.replace(coordinates=3.0 * bunch.coordinates)
    with pytest.raises(SpaceChargeError, match="living particles are outside the grid"):
        space_charge_kick(wide.to(gpu), 1.0, settings, sizes)


def test_pancakes_are_solved_in_float64(gpu):
    bunch = make_bunch(torch.float32)
    flat = bunch.replace(coordinates=bunch.coordinates * torch.tensor([[1.0]] * 4 + [[1e-3]] * 2))
    settings = SpaceCharge(grid=(16, 16, 16))
    ours = space_charge_kick(flat.to(gpu), 1.0, settings).coordinates.cpu()
    theirs = space_charge_kick(flat, 1.0, settings).coordinates
    wide = replace(settings, field_dtype=torch.float64)
    exact = space_charge_kick(flat, 1.0, wide).coordinates
    # as near to the field in float64 as that of the CPU
    assert (ours - exact).abs().amax() < 2.0 * (theirs - exact).abs().amax() + 1e-12


def test_kick_of_negative_length_undoes_it(gpu):
    bunch = make_bunch(torch.float64).to(gpu)
    settings = SpaceCharge(grid=(32, 32, 32))
    there = space_charge_kick(bunch, 1.0, settings)
    back = space_charge_kick(there, -1.0, settings)
    assert (back.coordinates - bunch.coordinates).abs().amax() < 1e-16


def test_second_derivatives_and_many_gradients_at_once(gpu):
    bunch = make_bunch(torch.float64, n=200)
    settings = SpaceCharge(grid=(8, 8, 8))
    found = []
    for device in ("cpu", gpu):
        start = bunch.to(device)
        coordinates = start.coordinates.clone().requires_grad_()
        out = space_charge_kick(start.replace(coordinates=coordinates), 1.0, settings).coordinates
        rows = torch.eye(6, dtype=out.dtype, device=out.device)
        several = torch.autograd.grad(
            out.mean(-1), coordinates, rows, is_grads_batched=True, retain_graph=True
        )[0]
        (first,) = torch.autograd.grad((out**2).sum(), coordinates, create_graph=True)
        (second,) = torch.autograd.grad((first**2).sum(), coordinates)
        found.append([several.cpu(), second.cpu()])
    check(found[1], found[0], torch.float64)


def test_a_kick_waits_for_the_gpu_once_and_its_backward_pass_never(gpu, waits):
    bunch = make_bunch(torch.float32).to(gpu)
    start = bunch.replace(coordinates=bunch.coordinates.requires_grad_())
    settings = SpaceCharge(grid=(32, 32, 32))
    space_charge_kick(start, 1.0, settings).coordinates.sum().backward()  # compiles, fills caches
    out = []
    assert waits(lambda: out.append(space_charge_kick(start, 1.0, settings).coordinates)) == 1
    upstream = torch.ones_like(out[0])
    assert waits(lambda: torch.autograd.grad(out[0], start.coordinates, upstream)) == 0
