"""Taylor maps and line segments: keywords, refusals, and what has no inverse."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import xtrack as xt

from cases import make_reference, random_bunch
from oracles import track_xtrack
from sc_bridge.elements import FirstOrderTaylorMap, LineSegmentMap, SecondOrderTaylorMap
from sc_bridge.elements.errors import ElementError

ROUNDING = 1e-12
KEYWORDS: dict[str, dict[str, Any]] = {
    "chromaticity": {"qx": 0.31, "qy": 0.2, "dqx": 2.0, "ddqx": 10.0, "dqy": -1.0},
    "second order alone": {"qx": 0.31, "ddqx": 10.0},
    "rates": {"qx": 0.31, "damping_rate_x": 1e-3, "damping_rate_pzeta": 1e-4},
    "one rf": {
        "voltage_rf": 1e5,
        "frequency_rf": 1e6,
        "momentum_compaction_factor": 0.01,
        "slippage_length": 20.0,
    },
    "linear rf": {
        "longitudinal_mode": "linear_fixed_rf",
        "voltage_rf": 1e5,
        "frequency_rf": 1e6,
        "phase_rf": 3.1,
        "momentum_compaction_factor": 0.01,
    },
}


@pytest.mark.parametrize("name", KEYWORDS)
def test_keywords_mean_what_they_mean_in_xtrack(name):
    bunch = random_bunch(amplitude=1e-2)
    expected = track_xtrack(xt.LineSegmentMap(length=10.0, **KEYWORDS[name]), bunch)
    ours = LineSegmentMap(length=10.0, **KEYWORDS[name]).track(bunch).coordinates.numpy()
    assert abs(ours - expected).max() < ROUNDING


@pytest.mark.parametrize("name", KEYWORDS)
def test_a_segment_is_read_from_what_xtrack_writes(name):
    written = xt.LineSegmentMap(length=10.0, **KEYWORDS[name]).to_dict()
    fields = {
        key: value.tolist() if hasattr(value, "tolist") else value
        for key, value in written.items()
        if key != "__class__"
    }
    bunch = random_bunch()
    direct = LineSegmentMap(length=10.0, **KEYWORDS[name]).track(bunch).coordinates
    read = LineSegmentMap(**fields).track(bunch).coordinates
    assert (read - direct).abs().max() < ROUNDING


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"gauss_noise_ampl_x": 1e-3}, "gauss_noise_ampl_x: random noise has no gradient"),
        ({"gauss_noise_matrix": [[1.0] * 6] * 6}, "gauss_noise_matrix: random noise"),
        ({"betx": [1.0, 2.0, 3.0]}, "betx = .*: must be one value, or two"),
        ({"qx": 0.1, "dnqx": [0.1, 2.0]}, "dnqx holds the tune and all chromaticities"),
        ({"damping_rate_x": -1.0}, "must not be negative"),
        ({"damping_rate_x": 1.0, "damping_matrix": [[0.0] * 6] * 6}, "give one of them"),
        ({"voltage_rf": [1.0, 2.0], "frequency_rf": [1.0]}, "frequency_rf has 1 entries"),
        ({"longitudinal_mode": "bunched"}, "longitudinal_mode 'bunched'"),
        ({"longitudinal_mode_flag": 7}, "longitudinal_mode_flag = 7"),
        ({"colour": 1.0}, "has no field 'colour'"),
    ],
)
def test_fields_that_do_not_fit_are_refused(fields, message):
    with pytest.raises(ElementError, match=message):
        LineSegmentMap(length=1.0, **fields)


def test_coefficients_of_another_shape_are_refused():
    with pytest.raises(ElementError, match=r"m1 of shape \(2, 2\): must be 6 x 6"):
        FirstOrderTaylorMap(m1=[[1.0, 0.0], [0.0, 1.0]])
    with pytest.raises(ElementError, match=r"m0 of shape \(3,\): must be 6"):
        FirstOrderTaylorMap(m0=[0.0, 0.0, 0.0])


def test_singular_maps_have_no_inverse():
    singular = FirstOrderTaylorMap(m1=torch.zeros(6, 6))
    with pytest.raises(ElementError, match="has no inverse: m1 is singular"):
        singular.inverse().track(random_bunch())
    total_loss = LineSegmentMap(damping_rate_x=1.0)
    with pytest.raises(ElementError, match="damping_factors is singular"):
        total_loss.inverse().track(random_bunch())
    with pytest.raises(ElementError, match="has no exact inverse"):
        SecondOrderTaylorMap().undo_track(random_bunch())


def test_maps_of_a_whole_cannot_be_cut():
    with pytest.raises(ElementError, match="cannot be sliced: use the elements"):
        FirstOrderTaylorMap(length=1.0).slices([1.0])
    with pytest.raises(ElementError, match="no length to slice"):
        LineSegmentMap().slices([1.0])


def test_the_inverse_of_an_accelerating_segment_brings_the_reference_back():
    segment = LineSegmentMap(length=5.0, qx=0.2, energy_ref_increment=1e6, energy_increment=2e5)
    bunch = random_bunch()
    there = segment.track(bunch)
    back = segment.inverse().track(there)
    assert back.reference.p0c.item() == pytest.approx(make_reference().p0c.item(), rel=1e-14)
    assert (back.coordinates - bunch.coordinates).abs().max() < ROUNDING
