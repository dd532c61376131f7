"""Figures of `plot`: they show the values, and refuse what they cannot draw."""

from __future__ import annotations

import dataclasses

import matplotlib as mpl
import numpy as np
import pytest
import torch

import sc_bridge as scb
from channels import fodo_channel

mpl.use("agg")


@pytest.fixture(scope="module")
def channel():
    sequence, bunch = fodo_channel(cells=1, n_particles=300, nodes=8)
    monitors = {"kicks": scb.MomentsMonitor(every_kick=True), "end": scb.BunchMonitor(at="1 m")}
    return sequence, bunch, scb.track(sequence, bunch, monitors=monitors)


@pytest.fixture(autouse=True)
def _closed():
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


def test_envelopes_are_the_moments(channel):
    sequence, _, result = channel
    record = result["kicks"]
    for what in (result, record):
        above, below = scb.plot(what, sequence).axes
        x, y = above.lines
        assert np.allclose(x.get_xdata(), record.s.tolist())
        assert np.allclose(x.get_ydata(), 1e3 * record.sigma_x.numpy())
        assert np.allclose(y.get_ydata(), 1e3 * record.sigma_y.numpy())
        assert below.get_xlabel() == "s [m]"
    assert len(scb.plot(record).axes) == 1


def test_a_sequence_shows_its_magnets_and_kicks(channel):
    (axes,) = scb.plot(channel[0]).axes
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["focusing quadrupole", "defocusing quadrupole", "4 kicks"]


@pytest.mark.parametrize("n_particles", [1, 300])
def test_phase_space_is_that_of_the_living(channel, n_particles):
    bunch = channel[1]
    alive = torch.arange(300) < n_particles
    figure = scb.plot(bunch.replace(alive=alive))
    assert [axes.get_xlabel() for axes in figure.axes] == ["x [mm]", "y [mm]", "zeta [m]"]
    (dots,) = figure.axes[2].lines
    assert np.allclose(dots.get_xdata(), bunch.zeta[alive].numpy())
    assert np.allclose(dots.get_ydata(), 1e3 * bunch.delta[alive].numpy())


def test_many_particles_are_drawn_as_a_density():
    _, bunch = fodo_channel(cells=1, n_particles=3000, nodes=8)
    assert len(scb.plot(bunch).axes[0].lines) == 0


def test_what_cannot_be_drawn_is_refused(channel):
    _, bunch, result = channel
    with pytest.raises(scb.ScBridgeError, match="plot: str: give a Bunch"):
        scb.plot("bunch.h5")
    with pytest.raises(scb.ScBridgeError, match=r"a batch of shape \(2,\): draw one bunch"):
        scb.plot(scb.Bunch(torch.zeros(2, 6, 3), bunch.reference))
    without = dataclasses.replace(result, records={"end": result["end"]})
    with pytest.raises(scb.ScBridgeError, match="the result has no moments"):
        scb.plot(without)
