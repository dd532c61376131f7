"""Gradients by every field of every element, in front of and behind kicks, under all strategies."""

from __future__ import annotations

import pytest
import torch

import sc_bridge as scb
from cases import CASE_IDS, CASES
from sc_bridge.elements.errors import ElementError
from sc_bridge.lattice import Lattice, Record, ReferenceFields

PROTON = ReferenceFields(mass0=938272089.43, q0=1.0, p0c=571e6)
SIGMAS = torch.tensor([2e-3, 1e-3, 2e-3, 1e-3, 0.5, 1e-3], dtype=torch.float64)
AGREEMENT = 1e-10
# of a gradient that almost cancels, of moments in units of their first values
ROUNDING = 1e-11
STRATEGIES = (scb.StoreStates(), scb.Checkpoint(every=2), scb.Reversible(anchors=1))
# maps of a whole line have no length that a kick could carry
WHOLES = ("FirstOrderTaylorMap", "SecondOrderTaylorMap", "LineSegmentMap")
# the map of a pure dipole, which says so where their gradient is asked
NOT_OF_A_DIPOLE = ("k1", "k2", "knl", "ksl", "knl_rel", "ksl_rel")
IRREVERSIBLE = ("ReferenceEnergyChange", "SecondOrderTaylorMap")
NAMES = ("x", "px", "y", "py", "zeta", "pzeta")


def line_with(kind, fields):
    """A drift, the element and a drift, with a kick in each that has a length."""
    fields = {k: v.tolist() if isinstance(v, torch.Tensor) else v for k, v in fields.items()}
    if kind.__name__ in WHOLES:
        fields["length"] = 0.0
    records = {
        "d": Record("d", "Drift", {"length": 0.3}),
        "it": Record("it", kind.__name__, fields),
    }
    lattice = Lattice("line", "xsuite-json", "", records, ("d", "it", "d"), reference=PROTON)
    return scb.KickedSequence(
        lattice, slicing=scb.KicksPerElement(1), space_charge=scb.SpaceCharge(grid=(8, 8, 8))
    )


def gradients(sequence, adjoint):
    """Of moments, with respect to every field, the bunch, the intensity and the reference."""
    it = sequence["it"]
    without = NOT_OF_A_DIPOLE if getattr(it, "model", "") == "exact" else ()
    fields = [field for name, field in it.named_parameters() if name not in without]
    for field in fields:
        field.requires_grad_()
    generator = torch.Generator().manual_seed(4)
    normal = torch.randn(6, 40, generator=generator, dtype=torch.float64)
    start = (normal * SIGMAS[:, None]).requires_grad_()
    intensity = torch.tensor(1e11, dtype=torch.float64, requires_grad=True)
    energy = torch.tensor(160e6, dtype=torch.float64, requires_grad=True)
    reference = scb.reference("proton", kinetic_energy=energy)
    out = scb.track(sequence, scb.Bunch(start, reference, intensity / 40), adjoint=adjoint)
    moments = (
        sum(out.sigma(name) / sigma.item() for name, sigma in zip(NAMES, SIGMAS, strict=True))
        + sum(out.mean(name) / sigma.item() for name, sigma in zip(NAMES, SIGMAS, strict=True))
        + out.covariance("x", "py") / 1e-6
    )
    return torch.autograd.grad(moments, [*fields, start, intensity, energy], allow_unused=True)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "name", "fields"), CASES, ids=CASE_IDS)
def test_every_strategy_gives_the_gradient_of_every_field(kind, name, fields):
    sequence = line_with(kind, fields)
    expected = gradients(sequence, scb.RecordAll())
    for adjoint in STRATEGIES:
        if isinstance(adjoint, scb.Reversible) and kind.__name__ in IRREVERSIBLE:
            with pytest.raises(ElementError, match=rf"{kind.__name__} 'it': has no .*inverse"):
                gradients(sequence, adjoint)
            continue
        found = gradients(sequence, adjoint)
        for ours, plain in zip(found, expected, strict=True):
            assert (ours is None) == (plain is None)
            if plain is not None:
                assert torch.isfinite(plain).all()
                assert (ours - plain).abs().max() <= AGREEMENT * plain.abs().max() + ROUNDING
