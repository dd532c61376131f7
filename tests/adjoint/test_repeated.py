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


def test_a_place_takes_a_byte():
    tracemalloc.start()
    found = filled(100_000)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found) == 100_000
    assert taken < 1.25 * 100_000  # the array has some room to grow


def test_many_different_values_are_told_apart():
    found = Repeated()
    numbers = [*range(70_000), 0, 255, 256, 257, 65_535, 65_536, 69_999]
    for number in numbers:
        found.append(number, str(number))
    assert [found[index] for index in range(len(found))] == [str(number) for number in numbers]
