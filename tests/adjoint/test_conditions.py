"""What changes between the forward and the backward pass is noticed, or put back."""

from __future__ import annotations

import pytest
import torch

import sc_bridge as scb
from cases import ADJOINT_CASES
from channels import fodo_channel
from sc_bridge.elements.space_charge import SpaceChargeKick
from sc_bridge.lattice import Lattice, Record, ReferenceFields

AGREEMENT = 1e-10  # the same operations in another order
STRATEGIES = pytest.mark.parametrize("adjoint", ADJOINT_CASES.values(), ids=ADJOINT_CASES)
FEW = pytest.mark.parametrize("adjoint", [scb.StoreStates(), scb.Reversible()], ids=str)


def slope(out, parameter):
    return torch.autograd.grad(out.sigma_x, parameter)[0].item()


def bent_line():
    """Line of quadrupoles and bends."""
    records = {
        "qf": Record("qf", "Quadrupole", {"length": 0.2, "k1": 4.0}),
        "bend": Record("bend", "Bend", {"length": 0.5, "angle": 0.05}),
        "d": Record("d", "Drift", {"length": 0.3}),
    }
    reference = ReferenceFields(mass0=938272089.43, q0=1.0, p0c=571e6)
    return Lattice("line", "xsuite-json", "", records, ("qf", "d", "bend") * 2, reference=reference)


def set_shift(sequence, bunch):
    sequence["qd"].shift_x = 1e-3


def set_own_field(sequence, bunch):
    sequence["qf"].k1 = 4.1


def lose_particles(sequence, bunch):
    bunch.alive[:100] = False


CHANGES = {
    "a field without gradient": (set_shift, "shift_x of Quadrupole 'qd'"),
    "the field itself": (set_own_field, "k1 of Quadrupole 'qf'"),
    "living particles": (lose_particles, "alive of the incoming bunch"),
}


@FEW
@pytest.mark.parametrize(("change", "name"), CHANGES.values(), ids=CHANGES)
def test_a_change_in_place_before_the_backward_pass_is_refused(adjoint, change, name):
    sequence, bunch = fodo_channel(1, nodes=8)
    parameter = sequence["qf"].k1.requires_grad_()
    out = scb.track(sequence, bunch, adjoint=adjoint)
    change(sequence, bunch)
    with pytest.raises(scb.ScBridgeError, match=f"{name} was changed between the forward"):
        out.sigma_x.backward()
    assert parameter.grad is None


@pytest.mark.parametrize("adjoint", [*ADJOINT_CASES.values(), scb.RecordAll()], ids=str)
@pytest.mark.parametrize("watched", [False, True], ids=["bunch", "monitor"])
def test_living_particles_changed_in_place_are_refused_by_every_strategy(adjoint, watched):
    """Whether all were alive before or not, and also where the result is made of coordinates."""
    sequence, bunch = fodo_channel(1, nodes=8)
    sequence["qf"].k1.requires_grad_()
    for lost in (0, 3):
        alive = torch.ones(500, dtype=torch.bool)
        alive[:lost] = False
        start = bunch.replace(alive=alive)
        monitors = {"screen": scb.BunchMonitor(at="qd")}
        out = scb.track(sequence, start, adjoint=adjoint, monitors=monitors)
        seen = out["screen"][0].coordinates if watched else out.bunch.coordinates
        lose_particles(sequence, start)
        with pytest.raises(scb.ScBridgeError, match=r"alive of the incoming bunch was changed"):
            seen.square().sum().backward()


def test_a_kick_alone_notices_that_living_particles_were_changed():
    _, bunch = fodo_channel(1, nodes=8)
    alive = torch.ones(500, dtype=torch.bool)
    alive[0] = False
    start = bunch.replace(alive=alive, coordinates=bunch.coordinates.clone().requires_grad_())
    kick = SpaceChargeKick(length=0.1, grid=(8, 8, 8))
    out = kick.track(start)
    alive[1] = False
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.px.sum().backward()


def test_a_line_that_gives_back_its_bunch_leaves_the_tensors_of_the_caller_alone():
    record = {"m": Record("m", "Marker", {})}
    reference = ReferenceFields(mass0=938272089.43, q0=1.0, p0c=571e6)
    lattice = Lattice("line", "xsuite-json", "", record, ("m",), reference=reference)
    bunch = fodo_channel(1)[1]
    factor = torch.ones((), dtype=torch.float64, requires_grad=True)
    start = bunch.replace(coordinates=factor * bunch.coordinates)
    scb.track(scb.KickedSequence(lattice), start, adjoint=scb.RecordAll())
    lose_particles(None, start)
    start.coordinates.sum().backward()
    assert factor.grad is not None


@FEW
def test_another_model_before_the_backward_pass_is_refused(adjoint):
    sequence = scb.KickedSequence(bent_line())
    sequence["qf"].k1.requires_grad_()
    _, bunch = fodo_channel(1)
    out = scb.track(sequence, bunch, adjoint=adjoint)
    sequence["bend"].model = "rot-kick-rot"
    with pytest.raises(scb.ScBridgeError, match=r"model of Bend 'bend' was changed between"):
        out.sigma_x.backward()


@FEW
def test_a_batch_given_to_a_knob_before_the_backward_pass_is_refused(adjoint, tmp_path):
    file = tmp_path / "line.madx"
    file.write_text(
        "beam, particle=proton, energy=1.1; k = 2; a = 1e-3;\n"
        "q: quadrupole, l=0.2, k1:=k; c: hkicker, kick:=a;\n"
        "s: sequence, l=1; q, at=0.2; c, at=0.8; endsequence; use, sequence=s;\n"
    )
    sequence = scb.KickedSequence(scb.read_lattice(file))
    knob = sequence.knobs["k"].requires_grad_()
    _, bunch = fodo_channel(1)
    out = scb.track(sequence, bunch, adjoint=adjoint)
    sequence.knobs["a"] = torch.tensor([1e-3, 2e-3])
    with pytest.raises(scb.ScBridgeError, match=r"knob 'a' was changed between the forward"):
        slope(out, knob)


@STRATEGIES
def test_grids_frozen_before_the_backward_pass_do_not_enter_it(adjoint):
    sequence, bunch = fodo_channel(1, nodes=8)
    parameter = sequence["qf"].k1.requires_grad_()
    expected = slope(scb.track(sequence, bunch, adjoint=adjoint), parameter)
    out = scb.track(sequence, bunch, adjoint=adjoint)
    sequence.freeze_grids(bunch.replace(coordinates=3.0 * bunch.coordinates))
    frozen = sequence._cell_sizes
    assert slope(out, parameter) == pytest.approx(expected, rel=AGREEMENT)
    assert sequence._cell_sizes is frozen


@STRATEGIES
def test_exchanged_fields_are_those_of_the_forward_pass_in_every_strategy(adjoint):
    """One that asks for a gradient and one that does not, exchanged for one call."""
    sequence, bunch = fodo_channel(1, nodes=8)
    names = {id(p): name for name, p in sequence.named_parameters()}
    value = torch.tensor(4.5, dtype=torch.float64, requires_grad=True)
    exchanged = {
        names[id(sequence["qf"].k1)]: value,
        names[id(sequence["qd"].k1)]: torch.tensor(-4.5, dtype=torch.float64),
    }

    class Tracked(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.line = sequence

        def forward(self, strategy):
            return scb.track(self.line, bunch, adjoint=strategy)

    tracked = Tracked()
    exchanged = {f"line.{name}": tensor for name, tensor in exchanged.items()}
    found = [
        slope(torch.func.functional_call(tracked, exchanged, (strategy,)), value)
        for strategy in (scb.RecordAll(), adjoint)
    ]
    assert found[1] == pytest.approx(found[0], rel=AGREEMENT)
    assert sequence["qd"].k1.item() == -4.0


@STRATEGIES
def test_two_graphs_of_one_sequence_keep_their_own_bunches(adjoint):
    sequence, bunch = fodo_channel(1, nodes=8)
    other = bunch.replace(coordinates=0.5 * bunch.coordinates)
    parameter = sequence["qf"].k1.requires_grad_()
    alone = [slope(scb.track(sequence, b, adjoint=adjoint), parameter) for b in (bunch, other)]
    first, second = (scb.track(sequence, b, adjoint=adjoint) for b in (bunch, other))
    assert slope(first, parameter) == pytest.approx(alone[0], rel=AGREEMENT)
    assert slope(second, parameter) == pytest.approx(alone[1], rel=AGREEMENT)
