"""Axes of the report: ticks, units, numbers as people write them."""

from __future__ import annotations

import numpy as np
import pytest

from sc_bridge.report.scales import Scale, limits, path, shown, suited_unit, tick_texts, ticks


@pytest.mark.parametrize("low", [-3.0, 0.0, 1e-7, 99.0])
@pytest.mark.parametrize("size", [1e-3, 0.7, 12.0, 5e8])
def test_ticks_are_round_inside_and_told_apart(low, size):
    places = ticks(low, low + size, 5)
    assert 2 <= len(places) <= 6
    assert all(low - 1e-9 * size <= place <= low + size * (1 + 1e-9) for place in places)
    assert len(set(tick_texts(places))) == len(places)


def test_units_suit_the_largest_value():
    assert suited_unit([0.0, 3e-3], "m") == (1e3, "mm")
    assert suited_unit([0.0], "m") == (1.0, "m")
    assert suited_unit([2e-6], "1") == (1e6, "10⁻⁶")
    assert suited_unit([2.0], "eV") == (1.0, "eV")


def test_numbers_are_written_as_people_do():
    assert shown(1.6e12) == "1.6×10¹²"
    assert shown(-2.5e-7) == "−2.5×10⁻⁷"
    assert shown(0.25) == "0.25"
    assert shown(float("nan")) == "not finite"


def test_many_points_keep_their_extremes():
    x = np.linspace(0.0, 1.0, 5000)
    y = np.sin(400.0 * x)
    y[1234] = 3.0
    low, high = limits(y.tolist())
    up = Scale(low, high, 100.0, 0.0)
    line = path(Scale(0.0, 1.0, 0.0, 300.0), up, x.tolist(), y.tolist())
    heights = [float(pair.split()[1]) for pair in line[1:].split("L")]
    assert len(heights) <= 4 * 301
    assert min(heights) == pytest.approx(up(3.0), abs=0.01)
    assert max(heights) == pytest.approx(up(y.min()), abs=0.01)
