"""Cavities and RF multipoles: what is special to them."""

from __future__ import annotations

import pytest

from cases import make_reference, random_bunch
from oracles import track_xtrack, xtrack_element
from sc_bridge.elements import Cavity, CrabCavity, RFMultipole
from sc_bridge.elements.errors import ElementError
from sc_bridge.elements.rf import DRIFTS

ROUNDING = 1e-12


@pytest.mark.parametrize("integrator", ["teapot", "uniform", "yoshida-4", "yoshida-6", "yoshida-8"])
@pytest.mark.parametrize("model", DRIFTS)
@pytest.mark.parametrize("kicks", [0, 5])
def test_every_model_and_integrator_equals_xtrack(model, integrator, kicks):
    fields = {
        "voltage": 1e5,
        "frequency": 1e8,
        "length": 0.8,
        "num_kicks": kicks,
        "model": model,
        "integrator": integrator,
    }
    bunch = random_bunch(amplitude=1e-2)
    expected = track_xtrack(xtrack_element("Cavity", fields), bunch)
    ours = Cavity(**fields).track(bunch).coordinates.numpy()
    assert abs(ours - expected).max() < ROUNDING


@pytest.mark.parametrize("kind", [Cavity, CrabCavity, RFMultipole])
def test_no_element_kicks_when_the_rf_is_frozen(kind):
    fields = {"knl": [1e-2]} if kind is RFMultipole else {"length": 0.5}
    bunch = random_bunch()
    reference = make_reference().over_particles(bunch.coordinates)
    element = kind(frequency=1e6, **fields)
    from sc_bridge.elements import State

    out = element.coast(State(*bunch.coordinates), reference)
    assert (out.pzeta - bunch.pzeta).abs().max() == 0.0
    assert (out.px - bunch.px).abs().max() == 0.0


def test_the_time_of_day_is_refused():
    with pytest.raises(ElementError, match="absolute_time = True: a bunch has no time of day"):
        Cavity(voltage=1.0, frequency=1.0, absolute_time=True)
    with pytest.raises(ElementError, match="CrabCavity: absolute_time"):
        CrabCavity(absolute_time=True)


def test_every_phase_needs_its_strength():
    with pytest.raises(ElementError, match="phase_n has 2 entries and knl has 1"):
        RFMultipole(knl=[1.0], phase_n=[0.0, 0.5])
    RFMultipole(knl=[1.0], phase_n=[0.5, 0.0])


def test_unknown_integrators_are_refused():
    with pytest.raises(ElementError, match="integrator 'euler'"):
        Cavity(integrator="euler")
