"""What every stage notes takes a few bytes where values come again."""

from __future__ import annotations

import tracemalloc

from sc_bridge.adjoint.repeated import Repeated


def filled(n):
    found = Repeated()
    for index in range(n):
        found.append(index % 7, [index % 7])
    return found


def test_it_gives_what_was_put_in():
    found = filled(20)
    assert len(found) == 20
    assert [found[index] for index in range(20)] == [[index % 7] for index in range(20)]


def test_a_value_that_comes_again_is_the_very_one_that_came_first():
    found = filled(20)
    assert found[15] is found[1]
    assert found.different == [[n] for n in range(7)]


def test_a_place_takes_four_bytes():
    tracemalloc.start()
    found = filled(100_000)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found) == 100_000
    assert taken < 5 * 100_000  # the array has some room to grow
