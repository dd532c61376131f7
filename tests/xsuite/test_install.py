"""What `install_space_charge` and `to_line` refuse, each with the way out."""

from __future__ import annotations

import pytest
import xfields as xf
import xtrack as xt
from live_lines import transfer_line

import sc_bridge as scb
from sc_bridge.errors import LatticeError, SpaceChargeError
from sc_bridge.xsuite import (
    install_space_charge,
    to_line,
)

GRID = (16, 16, 16)


def test_what_is_no_line_is_refused():
    with pytest.raises(LatticeError, match=r"Environment: must be an xtrack\.Line, such as envir"):
        install_space_charge(xt.Environment(), 1.0)


def test_a_line_that_is_being_composed_is_refused():
    line = xt.Environment().new_line(compose=True)
    line.new("d", "Drift", length=1.0)
    with pytest.raises(LatticeError, match=r"is being composed: call line\.end_compose\(\) first"):
        install_space_charge(line, 1.0)


def test_a_line_without_length_is_refused():
    with pytest.raises(LatticeError, match="no element has a length that a kick could carry"):
        install_space_charge(xt.Line(elements=[xt.Marker()]), 1.0)


def test_a_line_with_kicks_of_xfields_is_refused():
    kick = xf.SpaceChargeBiGaussian(
        length=1.0,
        longitudinal_profile=xf.LongitudinalProfileQGaussian(number_of_particles=1e10, sigma_z=1.0),
        sigma_x=1e-3,
        sigma_y=1e-3,
    )
    line = xt.Line(elements=[xt.Drift(length=1.0), kick], element_names=["d", "frozen"])
    with pytest.raises(LatticeError, match=r"'frozen' of class SpaceChargeBiGaussian already"):
        install_space_charge(line, 1.0)


def test_settings_of_kicks_are_checked_before_a_line_is_changed():
    line = transfer_line()
    before = list(line.element_names)
    with pytest.raises(SpaceChargeError, match="no setting 'shap': there are length, cell_size"):
        install_space_charge(line, 1.0, shap="tsc")
    assert list(line.element_names) == before


def test_what_xtrack_cannot_cut_is_refused_or_skipped():
    line = xt.Line(
        elements=[xt.Drift(length=1.0), xt.VariableSolenoid(length=1.0), xt.Drift(length=1.0)],
        element_names=["d1", "coil", "d2"],
    )
    with pytest.raises(LatticeError, match=r"'coil' cannot be cut by xtrack: skip=\['coil'\] leav"):
        install_space_charge(line, 1.0)
    with pytest.raises(LatticeError, match="skip = 'coal': no element of that name"):
        install_space_charge(line, 1.0, skip=["coal"])
    assert len(install_space_charge(line, 1.0, skip=["coil"])) == 2


def test_a_multipole_whose_slices_xtrack_bends_too_much_is_refused_or_skipped():
    bend = xt.Multipole(length=0.5, knl=[0.01], hxl=0.01, isthick=True)
    line = xt.Line(elements=[xt.Drift(length=1.0), bend], element_names=["d", "m"])
    line.particle_ref = xt.Particles("proton", kinetic_energy0=160e6)
    sliced = line.copy()
    sliced.slice_thick_elements([xt.Strategy(xt.Teapot(2, mode="thick"))])
    ends = [each.build_particles(x=1e-3) for each in (line, sliced)]
    for each, particle in zip((line, sliced), ends, strict=True):
        each.track(particle)
    assert abs(ends[1].px[0] - ends[0].px[0] - 0.01) < 1e-5  # twice the bend
    with pytest.raises(LatticeError, match=r"'m' has hxl = 0\.01, and xtrack .* skip=\['m'\]"):
        install_space_charge(line, 1.0)
    rule = scb.PerElement({"Multipole": 1}, otherwise="1 m")
    sequence = scb.KickedSequence.from_line(line, rule, space_charge=scb.SpaceCharge(grid=GRID))
    with pytest.raises(LatticeError, match="Multipole 'm' has hxl, and xtrack gives every"):
        to_line(sequence, kicks=True)
    assert install_space_charge(line, 1.0, skip="m") == ["space_charge_0"]


def test_a_negative_drift_is_refused():
    line = xt.Line(elements=[xt.Drift(length=1.0), xt.Drift(length=-0.1)])
    with pytest.raises(LatticeError, match=r"has length -0\.1 m: xtrack cannot cut beside it"):
        install_space_charge(line, 1.0)


def test_a_spacing_that_makes_millions_of_kicks_is_refused():
    line = xt.Line(elements=[xt.Drift(length=1.0)], element_names=["d"])
    with pytest.raises(LatticeError, match="more than 50000 kicks: choose a larger spacing"):
        install_space_charge(line, "1 nm")
