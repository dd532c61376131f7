"""Rows of elements as one map of a few particles: kernels beside operations, element by element."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cases import CASE_IDS, CASES, make_reference, random_bunch
from sc_bridge import elements
from sc_bridge.elements import Element, Reference, State, kernels, program
from sc_bridge.elements.passing import transfer_matrix
from sc_bridge.elements.rows import row_transport, states_behind

ROUNDOFF = 1e-14
# Of first-order maps of bends in some hundred moves.
MATRIX = 1e-12


def made_of_moves() -> list[Element]:
    return [
        elements.Drift(length=0.7),
        elements.Bend(length=1.6, angle=0.1, edge_entry_angle=0.05),
        elements.Quadrupole(length=0.4, k1=0.9, shift_x=1e-3),
        elements.Bend(length=1.6, angle=0.1, k1=0.2, rot_s_rad=0.1),
    ]


def accelerating() -> list[Element]:
    cavity = elements.LinacCavity(length=1.0, voltage=2e7, frequency=1.3e9)
    return [*made_of_moves(), cavity, *made_of_moves()]


def start() -> State:
    return State(*random_bunch(7).coordinates.unbind(-2))


@pytest.fixture
def programs(monkeypatch):
    """How many programs have run."""
    run, runs = program.run, []
    monkeypatch.setattr(program, "run", lambda *given: runs.append(given) or run(*given))
    return runs


def stacked(state: State) -> Tensor:
    return torch.stack(torch.broadcast_tensors(*state), dim=-2)


def one_by_one(parts: list[Element], coasting: bool) -> list[Tensor]:
    state, reference, found = start(), make_reference(), []
    for part in parts:
        apply = part.coast if coasting else part.transport
        state = apply(state, reference.over_particles(state.x))
        reference = reference if coasting else part.outgoing(reference)
        found.append(stacked(state))
    return found


@pytest.mark.parametrize("coasting", [False, True])
def test_particles_go_through_kernels_as_through_each_element(programs, coasting):
    parts = accelerating()
    found = [stacked(s) for s in states_behind(parts, start(), make_reference(), coasting)]
    assert len(programs) == len(parts) - 1  # the cavity is no row of moves
    for got, expected in zip(found, one_by_one(parts, coasting), strict=True):
        assert (got - expected).abs().max() < ROUNDOFF


def test_the_map_of_a_row_takes_one_program_between_cavities(programs):
    parts = accelerating()
    state = row_transport(parts, make_reference())(start(), make_reference())
    assert len(programs) == 2
    expected = one_by_one(parts, coasting=False)[-1]
    assert (stacked(state) - expected).abs().max() < ROUNDOFF


def test_first_order_maps_are_those_of_operations_with_their_gradients(monkeypatch, programs):
    parts, reference = made_of_moves(), make_reference()
    k1 = parts[2].k1.requires_grad_()

    def matrix_and_slope() -> tuple[Tensor, Tensor]:
        matrix = transfer_matrix(row_transport(parts, reference), reference)
        (slope,) = torch.autograd.grad(matrix[0, 1], k1)
        return matrix.detach(), slope

    found = matrix_and_slope()
    assert programs
    monkeypatch.setattr(program, "serves", lambda reference: False)
    for got, expected in zip(found, matrix_and_slope(), strict=True):
        assert (got - expected).abs().max() < MATRIX * expected.abs().max()


def test_a_first_order_map_keeps_no_graph_where_gradients_are_off():
    parts, reference = made_of_moves(), make_reference()
    parts[2].k1.requires_grad_()
    with torch.no_grad():
        matrix = transfer_matrix(row_transport(parts, reference), reference)
    assert not matrix.requires_grad


@pytest.mark.parametrize(("kind", "kwargs"), [c[::2] for c in CASES], ids=CASE_IDS)
def test_what_is_made_of_moves_coasts_as_it_is(kind, kwargs):
    part, state = kind(**kwargs), start()
    if part.moves(state.x) is None:
        return
    reference = make_reference().over_particles(state.x)
    coasted, moved = part.coast(state, reference), part.transport(state, reference)
    assert torch.equal(stacked(coasted), stacked(moved))


def test_few_moves_load_no_kernels(monkeypatch):
    monkeypatch.setattr(kernels, "load", lambda: pytest.fail("kernels for a few moves"))
    parts = [elements.Drift(length=1.0), elements.Quadrupole(length=0.3, k1=0.5)]
    row_transport(parts, make_reference())(start(), make_reference())


def test_without_kernels_operations_take_their_place(monkeypatch, programs):
    monkeypatch.setattr(kernels, "load", lambda: None)
    parts = made_of_moves()
    state = row_transport(parts, make_reference())(start(), make_reference())
    assert not programs
    assert torch.equal(stacked(state), one_by_one(parts, coasting=False)[-1])


def test_batches_of_references_and_of_fields_are_left_to_operations(programs):
    slower = Reference(938e6, 1.0, torch.tensor([5e8, 6e8], dtype=torch.float64))
    state = row_transport(made_of_moves(), slower)(start(), slower)
    assert state.x.shape == (2, 7) and not programs
    parts = [*made_of_moves(), elements.Quadrupole(length=0.4, k1=torch.tensor([0.7, -0.7]))]
    assert row_transport(parts, make_reference())(start(), make_reference()).x.shape == (2, 7)
