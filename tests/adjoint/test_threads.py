"""Threads that go through one sequence get the results and gradients of one alone."""

from __future__ import annotations

import copy
import threading

import pytest
import torch

import sc_bridge as scb
from cases import ADJOINT_CASES
from channels import fodo_channel

THREADS, REPEATS = 3, 2


def gradients(sequence, field, bunch, adjoint):
    """Of the final size, by a field and by the incoming coordinates; None if it is not there."""
    start = bunch.coordinates.clone().requires_grad_()
    out = scb.track(sequence, bunch.replace(coordinates=start), adjoint=adjoint)
    return torch.autograd.grad(out.sigma_x, [field, start], allow_unused=True)


@pytest.mark.parametrize("adjoint", [scb.RecordAll(), *ADJOINT_CASES.values()], ids=repr)
def test_threads_take_turns_on_one_sequence(adjoint):
    sequence, bunch = fodo_channel(2, n_particles=50, nodes=8)
    field = sequence["qf"].k1.requires_grad_()
    alone, found = gradients(sequence, field, bunch, adjoint), []

    def work():
        found.extend(gradients(sequence, field, bunch, adjoint) for _ in range(REPEATS))

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sequence["qf"].k1 is field
    assert len(found) == THREADS * REPEATS
    for by_field, by_start in found:
        assert by_field is not None
        assert torch.equal(by_field, alone[0])
        assert torch.equal(by_start, alone[1])


def test_a_deep_copy_of_a_sequence_has_a_lock_of_its_own():
    sequence, bunch = fodo_channel(1, n_particles=20, nodes=8)
    copied, shared = copy.deepcopy(sequence), copy.copy(sequence)
    assert shared.one_at_a_time is sequence.one_at_a_time
    assert copied.one_at_a_time is not sequence.one_at_a_time
    with sequence.one_at_a_time:
        waiting = threading.Thread(target=scb.track, args=(copied, bunch))
        waiting.start()
        waiting.join(timeout=60.0)
        assert not waiting.is_alive()
