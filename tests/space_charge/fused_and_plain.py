"""One kick and its gradients, by an implementation of the fused kick and by the plain one."""

from __future__ import annotations

import torch

from sc_bridge.elements import Bunch, Reference
from sc_bridge.elements.space_charge import SpaceCharge, space_charge_kick
from space_charge.bunches import PROTON_MASS, change_of_momenta

GRID = (16, 12, 20)
PLAIN = SpaceCharge(grid=GRID, implementation="plain")
FUSED = SpaceCharge(grid=GRID)
RANGES = {"x_range": (-30e-3, 25e-3), "y_range": (-20e-3, 20e-3), "z_range": (-15e-3, 12e-3)}
# Two implementations of one formula: sums of some hundred terms in another order, relative to
# the largest. float32 loses more in gradients, which are differences of neighbouring nodes.
ROUNDOFF = {torch.float64: 1e-11, torch.float32: 5e-5}


def outcome(settings: SpaceCharge, bunch: Bunch, longitudinal_field: float = 1.0):
    """Kick in numbers of order 1, and its gradient with respect to all that it depends on."""
    dtype = bunch.coordinates.dtype
    inputs = [
        bunch.coordinates.detach().clone().requires_grad_(),
        (bunch.weight / 1e8).detach().clone().requires_grad_(),
        *(
            torch.tensor(v, dtype=torch.float64, requires_grad=True)
            for v in (5e8, PROTON_MASS, 2.0)
        ),
    ]
    reference = Reference(inputs[3], 1.0, inputs[2])
    changed = Bunch(inputs[0], reference, inputs[1] * 1e8, bunch.alive)
    out = space_charge_kick(changed, inputs[4], settings).coordinates
    generator = torch.Generator().manual_seed(7)
    upstream = torch.randn(out.shape, generator=generator, dtype=torch.float64).to(dtype)
    upstream = torch.where(bunch.alive.unsqueeze(-2), upstream, 0.0)
    return out.detach(), torch.autograd.grad((out * upstream).nansum(), inputs)


def compare(bunch: Bunch, **options) -> None:
    tolerance = ROUNDOFF[bunch.coordinates.dtype]
    out, gradients = outcome(SpaceCharge(GRID, implementation="fused", **options), bunch)
    expected, wanted = outcome(SpaceCharge(GRID, implementation="plain", **options), bunch)
    kick = change_of_momenta(bunch.replace(coordinates=expected), bunch).nan_to_num()
    assert kick.abs().max() > 0
    difference = (out - expected).nan_to_num().abs().amax(-1)[..., 1::2]
    assert (difference <= tolerance * (1.0 + kick.abs().amax(-1))).all()
    for ours, plain in zip(gradients, wanted, strict=True):
        assert torch.isfinite(ours).all()
        rows = plain.abs().amax(-1, keepdim=True) if plain.dim() else plain.abs()
        assert ((ours - plain).abs() <= tolerance * (rows + 1e-30)).all()
