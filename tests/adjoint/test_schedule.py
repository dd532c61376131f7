"""The binomial schedule repeats as few stages as any schedule can."""

from __future__ import annotations

import math
from functools import cache

import pytest

import sc_bridge as scb
from channels import fodo_channel
from sc_bridge.adjoint.checkpoint import (
    advance_by,
    binomial_positions,
    bunches_besides,
    slots_within,
)
from sc_bridge.memory import measure


@cache
def fewest(n_stages: int, slots: int) -> int:
    """Stages run again by the best schedule, by dynamic programming over all splits."""
    if n_stages <= 1:
        return 0
    if slots == 0:
        return n_stages * (n_stages - 1) // 2
    return min(
        middle + fewest(n_stages - middle, slots - 1) + fewest(middle, slots)
        for middle in range(1, n_stages)
    )


def ours(n_stages: int, slots: int) -> int:
    if n_stages <= 1:
        return 0
    if slots == 0:
        return n_stages * (n_stages - 1) // 2
    middle = advance_by(n_stages, slots)
    return middle + ours(n_stages - middle, slots - 1) + ours(middle, slots)


@pytest.mark.parametrize("slots", [1, 2, 3, 5])
def test_schedule_is_optimal(slots):
    for n_stages in range(1, 40):
        assert ours(n_stages, slots) == fewest(n_stages, slots)


def test_first_pass_keeps_as_many_bunches_as_there_are_slots():
    positions = binomial_positions(100, 4)
    assert positions[0] == 0
    assert len(positions) == 5
    assert positions == sorted(set(positions))
    assert binomial_positions(3, 10) == [0, 1, 2]


@pytest.mark.parametrize("n_stages", [1, 2, 5, 30, 100])
@pytest.mark.parametrize("bunches", [1, 2, 3, 7, 40, 500])
def test_as_many_slots_are_used_as_fit(n_stages, bunches):
    slots = slots_within(n_stages, bunches)
    assert 0 <= slots <= n_stages - 1
    assert bunches_besides(n_stages, slots) <= bunches
    if slots < n_stages - 1:
        assert 2 * slots + 2 >= bunches - 1


def test_the_memory_given_is_what_the_bunches_take():
    """Counted by the storages that are alive, in the backward pass too."""
    sequence, bunch = fodo_channel(4, n_particles=2000, nodes=8)
    sequence["qf"].k1.requires_grad_()
    one = 48 * 2000
    peaks = {}
    for bunches in (3, 9):
        adjoint = scb.Checkpoint(memory=bunches * one)
        peaks[bunches] = measure(sequence, bunch, adjoint, warm_up=False).peak
    assert peaks[9] - peaks[3] <= 6 * one * 1.01


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "give one of every= and memory="),
        ({"every": 2, "memory": "1 GB"}, "give one of every= and memory="),
        ({"every": 0}, "every = 0: must be a whole number from 1"),
        ({"every": 1.5}, "every = 1.5"),
        ({"every": True}, "every = True: must be a whole number from 1"),
        ({"memory": -5}, "memory = -5 bytes: must be positive"),
    ],
)
def test_contradictory_checkpoints_are_refused(arguments, message):
    with pytest.raises(scb.ScBridgeError, match=message):
        scb.Checkpoint(**arguments)


def test_memory_needs_a_unit():
    with pytest.raises(scb.UnitError, match="memory"):
        scb.Checkpoint(memory="4")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"anchors": -1}, "anchors = -1: must be a whole number from 0"),
        ({"anchors": 1.5}, "anchors = 1.5"),
        ({"anchors": True}, "anchors = True: must be a whole number from 0"),
        ({"tolerance": 0.0}, "tolerance = 0.0: must be a positive, finite number"),
        ({"tolerance": math.inf}, "tolerance = inf: must be a positive, finite number"),
        ({"tolerance": "1e-8"}, "tolerance = '1e-8': must be a positive, finite number"),
        ({"tolerance": [1]}, r"tolerance = \[1\]: must be a positive, finite number"),
        ({"tolerance": True}, "tolerance = True: must be a positive, finite number"),
    ],
)
def test_reversible_numbers_out_of_range_are_refused(arguments, message):
    with pytest.raises(scb.ScBridgeError, match=message):
        scb.Reversible(**arguments)
