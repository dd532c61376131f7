"""The memory law is found in numbers that follow it, and weighs small runs as large ones."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pytest

import sc_bridge as scb
from sc_bridge.memory import fit

ROUNDOFF = 1e-9  # of least squares over five orders of magnitude


@dataclass
class Row:
    n_particles: int
    n_cells: int
    n_kicks: int
    kept: float | None
    peak: float | None = None


def rows(law, kicks=(1, 5, 20)):
    sizes = itertools.product((100, 3000, 10**6), (8**3, 64**3), kicks)
    return [Row(n, cells, k, law(n, cells, k)) for n, cells, k in sizes]


def test_coefficients_of_an_exact_law_are_found():
    law = fit(rows(lambda n, cells, k: k * (24.0 * n + 4.0 * cells) + 48.0 * n + 16 * cells + 1e4))
    found = (
        law.bytes_per_particle,
        law.bytes_per_cell,
        law.fixed_per_particle,
        law.fixed_per_cell,
        law.constant,
        law.r2,
    )
    assert found == pytest.approx((24.0, 4.0, 48.0, 16.0, 1e4, 1.0), rel=ROUNDOFF)
    assert law.predict(10**9, 256**3, 100) == pytest.approx(
        100 * (24e9 + 4 * 256**3) + 48e9 + 16 * 256**3 + 1e4, rel=ROUNDOFF
    )


def test_with_one_number_of_kicks_the_law_is_that_of_the_paper():
    law = fit(rows(lambda n, cells, k: 1336.0 * n + 1149.0 * cells, kicks=(1,)))
    assert (law.bytes_per_particle, law.bytes_per_cell) == pytest.approx((1336.0, 1149.0))
    assert law.fixed_per_particle == law.fixed_per_cell == 0


def test_errors_count_relative_to_each_value():
    """As the paper's formula: the rows of the features divided by the values, ones to match."""
    noisy = rows(lambda n, cells, k: (24.0 * n + 4.0 * cells) * (1 + 0.1 * np.sin(n + cells)), (1,))
    features = np.array([[row.n_particles, row.n_cells, 1.0] for row in noisy])
    values = np.array([row.kept for row in noisy])
    scaled = features / values[:, None]
    expected = np.linalg.solve(scaled.T @ scaled, scaled.T @ np.ones(len(noisy)))
    law = fit(noisy)
    found = (law.bytes_per_particle, law.bytes_per_cell, law.constant)
    assert found == pytest.approx(tuple(expected), rel=1e-6)
    assert law.r2 < 1


def test_what_keeps_nothing_has_a_law_of_zeros():
    law = fit(rows(lambda n, cells, k: 0.0))
    assert law.predict(10**9, 10**9, 10**3) == 0
    assert law.r2 == 1


@pytest.mark.parametrize(
    ("measurements", "of", "message"),
    [
        ([Row(1, 1, 1, 1)], "kpet", "of = 'kpet': must be one of kept,"),
        ([Row(1, 1, 1, 1)], "kept", "1 measurements do not tell 3 coefficients apart"),
        ([Row(n, 8, 1, n) for n in range(1, 9)], "kept", "vary particles, cells and kicks"),
        ([Row(1, 1, 1, 0), Row(2, 2, 1, 5)], "kept", "kept is 0 in 1 of 2 measurements"),
        ([Row(1, 1, 1, 1)], "peak", "peak was not measured in every measurement"),
        ([], "kept", "0 measurements do not tell"),
    ],
)
def test_measurements_that_cannot_be_fitted_are_refused(measurements, of, message):
    with pytest.raises(scb.ScBridgeError, match=message):
        fit(measurements, of)
