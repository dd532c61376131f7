"""All adjoint strategies give the gradients of plain automatic differentiation."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

import sc_bridge as scb
from cases import ADJOINT_CASES
from sc_bridge.memory.footprint import SavedBytes

PSB = Path(__file__).parents[2] / "examples" / "psb" / "psb.json"
# The same operations in another order, over 21 kicks.
AGREEMENT = 1e-10


@pytest.fixture(scope="module")
def sequence():
    lattice = scb.read_lattice(PSB)
    names = (*lattice.element_names[:16], lattice.element_names[-1])
    part = dataclasses.replace(lattice, element_names=names, labels=names)
    return scb.KickedSequence(
        part,
        slicing=scb.MaxSpacing("1 m"),
        space_charge=scb.SpaceCharge(grid=(16, 16, 16)),
        bend_model="exact",
    )


def random_start(n_particles):
    generator = torch.Generator().manual_seed(3)
    scale = torch.tensor([4e-3, 6e-4, 4e-3, 6e-4, 15.0, 1e-3], dtype=torch.float64)
    normal = torch.randn(6, n_particles, generator=generator, dtype=torch.float64)
    return normal * scale[:, None]


def gradients(sequence, adjoint, alive=None, dtype=torch.float64):
    """Of a sum of moments, with respect to knob, fields, bunch and reference."""
    fields = [
        sequence.knobs["kbrqf"],
        sequence["cavity"].voltage,
        sequence["d1"].length,
        sequence["bend"].angle,
        sequence["bend"].edge_exit_fint,
    ]
    for parameter in fields:
        parameter.requires_grad_()
    start = random_start(300).to(dtype).requires_grad_()
    intensity = torch.tensor(1.6e12, dtype=torch.float64, requires_grad=True)
    energy = torch.tensor(160e6, dtype=torch.float64, requires_grad=True)
    bunch = scb.Bunch(start, scb.reference("proton", kinetic_energy=energy), intensity / 300, alive)
    out = scb.track(sequence, bunch, adjoint=adjoint)
    loss = out.sigma_x / 1e-3 + out.nemitt_y / 1e-6 + out.sigma_zeta + out.mean("px") / 1e-3
    inputs = [*fields, start, intensity, energy]
    found = torch.autograd.grad(loss, inputs)
    for parameter in fields:
        parameter.requires_grad_(False)
    return out.detach().coordinates, found


def assert_same(ours, expected, tolerance):
    coordinates, found = ours
    reference, wanted = expected
    assert (coordinates - reference).abs().max() <= tolerance * reference.abs().max()
    for gradient, plain in zip(found, wanted, strict=True):
        assert (gradient - plain).abs().max() <= tolerance * plain.abs().max()


@pytest.mark.parametrize("adjoint", ADJOINT_CASES.values(), ids=ADJOINT_CASES)
def test_strategy_agrees_with_recording_everything(sequence, adjoint):
    expected = gradients(sequence, scb.RecordAll())
    assert_same(gradients(sequence, adjoint), expected, AGREEMENT)


@pytest.mark.parametrize("adjoint", ADJOINT_CASES.values(), ids=ADJOINT_CASES)
def test_strategy_agrees_when_particles_were_lost(sequence, adjoint):
    alive = torch.rand(300, generator=torch.Generator().manual_seed(1)) > 0.2
    expected = gradients(sequence, scb.RecordAll(), alive)
    ours = gradients(sequence, adjoint, alive)
    assert_same(ours, expected, AGREEMENT)
    assert ours[1][5][:, ~alive].abs().max() == 0


@pytest.mark.parametrize("adjoint", ADJOINT_CASES.values(), ids=ADJOINT_CASES)
def test_strategy_maps_over_many_gradients_at_once(sequence, adjoint):
    knob = sequence.knobs["kbrqf"].requires_grad_()
    bunch = scb.Bunch(random_start(50), sequence.reference, 1e9)
    out = scb.track(sequence, bunch, adjoint=adjoint)
    results = torch.stack([out.sigma_x, out.sigma_y, out.nemitt_x])
    (together,) = torch.autograd.grad(
        results, [knob], torch.eye(3).double(), is_grads_batched=True, retain_graph=True
    )
    for result, row in zip(results, together, strict=True):
        (alone,) = torch.autograd.grad(result, [knob], retain_graph=True)
        assert row.item() == pytest.approx(alone.item(), rel=AGREEMENT)
    knob.requires_grad_(False)


@pytest.mark.parametrize("adjoint", ADJOINT_CASES.values(), ids=ADJOINT_CASES)
def test_strategy_refuses_torch_func_by_name(sequence, adjoint):
    def size(coordinates):
        bunch = scb.Bunch(coordinates, sequence.reference, 1e9)
        return scb.track(sequence, bunch, adjoint=adjoint).sigma_x

    with pytest.raises(scb.ScBridgeError, match=r"does not work under torch.func"):
        torch.func.grad(size)(random_start(20))


def test_exchanged_parameters_get_their_gradients(sequence):
    """As `torch.func.functional_call` exchanges them, whatever the module holds afterwards."""
    index = list(sequence.knobs).index("kbrqf")
    value = torch.tensor(0.76, dtype=torch.float64, requires_grad=True)

    class Tracked(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.line = sequence

        def forward(self, adjoint):
            bunch = scb.Bunch(random_start(50), sequence.reference, 1e9)
            return scb.track(self.line, bunch, adjoint=adjoint).sigma_x

    found = []
    for adjoint in (scb.RecordAll(), scb.StoreStates()):
        exchanged = {f"line.knobs.{index}": value}
        size = torch.func.functional_call(Tracked(), exchanged, (adjoint,))
        found.append(torch.autograd.grad(size, value)[0].item())
    assert found[1] == pytest.approx(found[0], rel=AGREEMENT)
    assert found[0] != 0


def test_a_sequence_is_a_module_that_tracks(sequence):
    bunch = scb.Bunch(random_start(20), sequence.reference, 1e9)
    tracked = scb.track(sequence, bunch)
    assert torch.allclose(sequence(bunch).coordinates, tracked.coordinates, rtol=0, atol=1e-15)


def test_second_derivatives_are_refused_by_name(sequence):
    knob = sequence.knobs["kbrqf"].requires_grad_()
    bunch = scb.Bunch(random_start(50), sequence.reference, 1e9)
    out = scb.track(sequence, bunch, adjoint=scb.StoreStates())
    with pytest.raises(scb.ScBridgeError, match=r"StoreStates\(\) gives first derivatives only"):
        torch.autograd.grad(out.sigma_x, [knob], create_graph=True)
    knob.requires_grad_(False)


def test_storing_keeps_six_coordinates_and_the_potential(sequence):
    """48 bytes a particle and 8 a node for each kick, in float64."""
    n_particles, cells, kicks = 1000, 16**3, sequence.n_kicks
    knob = sequence.knobs["kbrqf"].requires_grad_()
    bunch = scb.Bunch(random_start(n_particles), sequence.reference, 1e9)
    with SavedBytes() as saved:
        scb.track(sequence, bunch, adjoint=scb.StoreStates())
    knob.requires_grad_(False)
    expected = kicks * (48 * n_particles + 8 * cells) + 48 * n_particles  # and the start
    assert expected <= saved.count <= 1.01 * expected + 8 * n_particles
