"""Nonlinear lens, wire, electron lens: special cases and refusals."""

from __future__ import annotations

import mpmath
import pytest
import torch

from cases import make_reference, random_bunch
from oracles import track_xtrack, xtrack_element
from sc_bridge.elements import Bunch, Elens, NonLinearLens, Wire
from sc_bridge.elements.errors import ElementError

ROUNDING = 1e-12


def test_a_strong_lens_equals_xtrack_off_the_axis():
    bunch = random_bunch(amplitude=1e-2)
    expected = track_xtrack(xtrack_element("NonLinearLens", {"knll": 1e-3, "cnll": 0.05}), bunch)
    ours = NonLinearLens(knll=1e-3, cnll=0.05).track(bunch).coordinates.numpy()
    assert abs(ours - expected).max() < ROUNDING


def test_a_lens_keeps_its_digits_near_the_axis():
    coordinates = torch.zeros(6, 3, dtype=torch.float64)
    coordinates[0] = torch.tensor([0.0, 1e-9, -3e-6])
    coordinates[2] = torch.tensor([0.0, 2e-9, 1e-6])
    out = NonLinearLens(knll=1e-3, cnll=0.05).track(Bunch(coordinates, make_reference()))
    with mpmath.workdps(40):
        for n in range(3):
            z = mpmath.mpc(coordinates[0, n].item(), coordinates[2, n].item()) / mpmath.mpf(0.05)
            slope = z / (1 - z**2) + mpmath.asin(z) / (1 - z**2) ** 1.5
            kick = -slope * mpmath.mpf(1e-3) / mpmath.mpf(0.05)
            assert out.px[n].item() == pytest.approx(float(kick.real), rel=1e-14, abs=1e-30)
            assert out.py[n].item() == pytest.approx(-float(kick.imag), rel=1e-14, abs=1e-30)


def test_a_lens_needs_its_distance():
    with pytest.raises(ElementError, match=r"cnll = 0\.0 m: must be positive"):
        NonLinearLens(knll=1.0, cnll=0.0)


def test_a_long_wire_is_that_of_biot_and_savart():
    coordinates = torch.zeros(6, 1, dtype=torch.float64)
    reference = make_reference()
    wire = Wire(L_phy=1.0, L_int=1e6, current=100.0, xma=0.01)
    kick = wire.track(Bunch(coordinates, reference)).px.item()
    rigidity = reference.p0c.item() / 299792458.0
    # B l = mu0 I l/(2 pi r); parallel currents attract
    assert kick == pytest.approx(2e-7 * 100.0 * 1.0 / 0.01 / rigidity, rel=1e-9)


def test_the_axis_of_an_electron_lens_is_smooth():
    coordinates = torch.zeros(6, 1, dtype=torch.float64, requires_grad=True)
    full = Elens(inner_radius=0.0, outer_radius=4e-3, current=5.0, elens_length=3.0, voltage=1e4)
    out = full.track(Bunch(coordinates, make_reference())).coordinates
    (gradient,) = torch.autograd.grad(out.sum(), coordinates)
    assert bool(out.isfinite().all()) and bool(gradient.isfinite().all())


def test_electrons_need_a_voltage_and_room():
    with pytest.raises(ElementError, match=r"voltage = 0\.0 V: must be positive"):
        Elens(current=1.0)
    with pytest.raises(ElementError, match="must be larger than inner_radius"):
        Elens(current=1.0, voltage=1e3, inner_radius=2.0)
