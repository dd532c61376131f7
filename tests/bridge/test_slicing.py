"""Slicing rules: how many kicks, where, and what is refused."""

from __future__ import annotations

import dataclasses
import math
import re
from dataclasses import dataclass

import numpy as np
import pytest
import scipy.constants
import torch
import xtrack as xt

import sc_bridge as scb
from cases import SLICING_CASES, random_bunch
from sc_bridge.elements import Bunch, Cavity, Drift
from sc_bridge.lattice import Record, ReferenceFields
from sc_bridge.slicing import length_of
from sc_bridge.wavelengths import PIECES

PROTON = ReferenceFields(mass0=938272089.43, q0=1.0, p0c=571e6)
DRIFT = Record("d", "Drift", {"length": 2.0})


def line(records, names=None):
    """A lattice of these records, in their order or in that of `names`."""
    names = tuple(names or records)
    return scb.Lattice("a line", "xsuite-json", "", records, names, reference=PROTON)


@pytest.mark.parametrize(
    ("length", "kicks"), [(0.3, 1), (1.0, 1), (1.0000001, 2), (2.0, 2), (2.654001, 3)]
)
def test_spacing_is_never_exceeded(length, kicks):
    assert scb.MaxSpacing("1 m").kicks(Drift(length=length)) == kicks
    assert scb.MaxSpacing(1.0).kicks(Drift(length=length)) == kicks
    assert scb.MaxSpacing("100 cm").kicks(Drift(length=length)) == kicks


def test_rounding_does_not_earn_a_kick():
    assert scb.MaxSpacing(0.1).kicks(Drift(length=0.1 * 3)) == 3


def test_a_fixed_number_of_kicks_is_the_same_for_all():
    assert scb.KicksPerElement(4).kicks(Drift(length=0.1)) == 4


def test_thin_elements_have_no_length():
    assert length_of(Cavity(voltage=1.0)) == 0.0
    assert length_of(Drift(length=0.2)) == 0.2


@pytest.mark.parametrize("spacing", ["0 m", "-1 m", 0.0])
def test_a_spacing_that_is_not_positive_is_refused(spacing):
    with pytest.raises(scb.LatticeError, match="must be positive"):
        scb.MaxSpacing(spacing)


@pytest.mark.parametrize("spacing", ["1", "1 kg", "one metre"])
def test_a_spacing_that_is_no_length_is_refused(spacing):
    with pytest.raises(scb.UnitError, match="spacing"):
        scb.MaxSpacing(spacing)


def test_less_than_one_kick_is_refused():
    for number in (0, 1.5):
        with pytest.raises(scb.LatticeError, match="must be a whole number from 1"):
            scb.KicksPerElement(number)  # pyright: ignore[reportArgumentType]


# ---- every rule, on the ring of the examples -----------------------------------------------


@pytest.fixture(scope="module")
def period(psb_lattice) -> scb.Lattice:
    """One of the sixteen equal periods of the ring."""
    return dataclasses.replace(psb_lattice, element_names=psb_lattice.element_names[:10], labels=())


def kicked(lattice, slicing, splitting=None):
    return scb.KickedSequence(
        lattice, slicing, scb.SpaceCharge(), bend_model="exact", splitting=splitting
    )


@pytest.mark.parametrize("splitting", [scb.Strang(), scb.Yoshida()])
@pytest.mark.parametrize("name", SLICING_CASES)
def test_kicks_planned_audited_and_built_are_the_same_number(period, name, splitting):
    sequence = kicked(period, SLICING_CASES[name], splitting)
    elements = [sequence[name] for name in period.element_names]
    assert sequence.slicing is not None
    planned = sum(map(sequence.slicing.kicks, elements)) * len(splitting.scheme)
    audit = sequence.audit()
    built = sum(stage.kick is not None for stage in sequence.stages)
    assert planned == audit.kicks == built == sequence.n_kicks == len(sequence.kick_lengths)
    assert audit.kick_length == pytest.approx(period.length, abs=1e-9)
    assert bool((sequence.kick_lengths != 0).all())


# ---- per name or class -----------------------------------------------------------------------


def kicks_by_name(sequence):
    names = dict.fromkeys(sequence.lattice.element_names)
    return {name: sequence.slicing.kicks(sequence[name]) for name in names}


def test_the_last_rule_that_fits_holds(period):
    rules = {"Quadrupole": 4, "d*": 3, "q[d]": 7, "d2": "0.1 m"}
    number = kicks_by_name(kicked(period, scb.PerElement(rules, otherwise=scb.MaxSpacing(0.5))))
    assert (number["qf"], number["qd"]) == (4, 7)
    assert (number["d1"], number["d3"]) == (3, 3)
    assert number["d2"] == scb.MaxSpacing(0.1).kicks(kicked(period, scb.MaxSpacing(1))["d2"])
    assert number["bend"] == 4  # 1.617696 m


def test_other_elements_have_one_kick_by_default(period):
    assert kicks_by_name(kicked(period, scb.PerElement({"bend": 5})))["qf"] == 1


@pytest.mark.parametrize("rule", [0.5, True, None, scb.MaxSpacing])
def test_a_rule_that_is_none_is_refused(rule):
    with pytest.raises(scb.LatticeError, match=r"'qf'.*must be a number of kicks, a spacing"):
        scb.PerElement({"qf": rule})
    with pytest.raises(scb.LatticeError, match=r"otherwise.*must be a number of kicks, a spacing"):
        scb.PerElement({}, otherwise=rule)


def test_a_pattern_that_fits_nothing_is_refused(psb_lattice):
    with pytest.raises(scb.LatticeError, match=r"'mb\.\*' fits no name and no class in .*psb.json"):
        kicked(psb_lattice, scb.PerElement({"Quadrupole": 2, "mb.*": 2}))


@pytest.mark.parametrize("key", ["rf", "Cavity", "r?"])
def test_a_kick_in_an_element_of_length_zero_is_refused(key):
    lattice = line({"d": DRIFT, "rf": Record("rf", "Cavity", {"voltage": 1.0})})
    message = f"{re.escape(repr(key))} fits only .* length zero .*'rf'"
    with pytest.raises(scb.LatticeError, match=message):
        kicked(lattice, scb.PerElement({key: 2}))


# ---- by wavelength ---------------------------------------------------------------------------


def test_betatron_wavelengths_are_those_of_xtrack(psb_file, period, psb_lattice):
    ring = xt.load(psb_file)
    ring = next(iter(ring.lines.values())) if isinstance(ring, xt.Environment) else ring
    number = kicks_by_name(kicked(psb_lattice, scb.BetatronFraction(1e-4)))
    length = {name: psb_lattice.length_of(name) for name in period.element_names}
    cut = xt.Uniform(PIECES, mode="thick")
    ring.slice_thick_elements([xt.Strategy(cut), xt.Strategy(cut, element_type=xt.Drift)])
    optics = ring.twiss4d()
    largest = dict.fromkeys(length, 0.0)
    for s, step, qx, qy, full in zip(
        optics.s, np.diff(optics.s), np.diff(optics.mux), np.diff(optics.muy), optics.name,
        strict=False,
    ):  # fmt: skip
        name = full.split("..")[0].split("::")[0]
        if step > 1e-6 and s < period.length - 1e-6:
            largest[name] = max(largest[name], qx / step, qy / step)
    for name, per_metre in largest.items():
        assert number[name] == pytest.approx(length[name] * per_metre / 1e-4, abs=1.1), name


def test_a_waist_inside_a_drift_counts():
    # beta = 0.01 m in the middle of 10 m: the pieces at the waist advance by almost pi/2 each
    waist, half = 0.01, 5.0
    at_start = scb.Twiss(waist + half**2 / waist, half / waist, 1e6, 0.0)
    lattice = line({"d": Record("d", "Drift", {"length": 2 * half})})
    rule = scb.BetatronFraction(0.05, at_start)
    steepest = math.atan(2 * half / PIECES / waist) * PIECES / (2 * half)
    expected = math.ceil(2 * half * steepest / (2 * math.pi * 0.05))
    assert kicks_by_name(kicked(lattice, rule))["d"] == expected


@pytest.mark.parametrize("length", [0.1, 1.0, 3.0])
def test_whole_oscillations_inside_an_element_count(length):
    # matched in x, where it focuses: phase turns by 1/beta, 32 radians a metre
    strength = 1000.0
    lattice = line({"q": Record("q", "Quadrupole", {"length": length, "k1": strength})})
    rule = scb.BetatronFraction(0.02, scb.Twiss(strength**-0.5, 0.0, 1e3, 0.0))
    expected = math.ceil(strength**0.5 * length / (2 * math.pi * 0.02))
    assert kicks_by_name(kicked(lattice, rule))["q"] == expected


def test_optics_that_leave_the_range_of_numbers_are_refused():
    lattice = line({"q": Record("q", "Quadrupole", {"length": 1.0, "k1": -1e6})})
    rule = scb.BetatronFraction(0.02, scb.Twiss(1.0, 0.0, 1.0, 0.0))
    with pytest.raises(scb.LatticeError, match=r"beta is \S+ m in Quadrupole 'q': check"):
        kicked(lattice, rule)


def test_numbers_of_numpy_are_whole_numbers():
    two = scb.PerElement({"d": np.int64(2)}, otherwise=Gives(np.int32(3)))
    lattice = line({"d": DRIFT, "e": dataclasses.replace(DRIFT, name="e")})
    assert kicks_by_name(kicked(lattice, two)) == {"d": 2, "e": 3}
    assert scb.KicksPerElement(np.int64(4)) == scb.KicksPerElement(4)
    assert scb.SpaceCharge(tuple(np.array([8, 9, 10]))) == scb.SpaceCharge((8, 9, 10))


def test_the_shortest_wavelength_of_all_occurrences_rules():
    converging = scb.BetatronFraction(1e-3, scb.Twiss(50.0, 10.0, 50.0, 10.0))
    once = kicks_by_name(kicked(line({"d": DRIFT}), converging))["d"]
    names = {"d": DRIFT, "e": dataclasses.replace(DRIFT, name="e")}
    apart = kicks_by_name(kicked(line(names), converging))
    twice = kicks_by_name(kicked(line({"d": DRIFT}, ("d", "d")), converging))["d"]
    assert apart["d"] == once < apart["e"] == twice


def test_phase_is_counted_backwards_in_a_drift_of_negative_length():
    records = {"d": DRIFT, "back": Record("back", "Drift", {"length": -1.0})}
    rule = scb.BetatronFraction(1e-3, scb.Twiss(2.0, 0.0, 2.0, 0.0))
    number = kicks_by_name(kicked(line(records), rule))
    # both pass the steepest place behind the second metre, at beta = 2 + s^2/2 > 2
    assert number["d"] == pytest.approx(2.0 / 2.0 / (2e-3 * math.pi), rel=0.02)
    assert number["back"] == pytest.approx(1.0 / (2.0 + 0.6) / (2e-3 * math.pi), rel=0.1)


def test_plasma_wavelength_of_a_cold_ball():
    # Reiser (2008): r'' = N r_c/(beta gamma r)^2 at the rim, so that k^2 = 3 r''/r inside
    radius, charge = 1e-3, 10e-9
    lattice = line({"d": Record("d", "Drift", {"length": 5.5})})
    lattice = dataclasses.replace(lattice, reference=ReferenceFields(510998.95069, -1.0, 250e6))
    reference = kicked(lattice, scb.MaxSpacing(1)).reference
    generator = torch.Generator().manual_seed(3)
    unit = torch.randn(3, 4000, generator=generator, dtype=torch.float64)
    unit = torch.linalg.qr((unit - unit.mean(1, keepdim=True)).T)[0].T * math.sqrt(4000)
    coordinates = torch.zeros(6, 4000, dtype=torch.float64)
    coordinates[::2] = unit * radius / math.sqrt(5)
    coordinates[4] /= reference.gamma0
    number = charge / scipy.constants.e
    bunch = Bunch(coordinates, reference, number / 4000)
    r_c = scipy.constants.physical_constants["classical electron radius"][0]
    square = 3 * number * r_c / (reference.beta0_gamma0.item() ** 2 * radius**3)
    # a Gaussian of the same covariances is this much denser in its middle
    square *= 4 / 3 * math.pi * 5**1.5 / (2 * math.pi) ** 1.5
    found = kicks_by_name(kicked(lattice, scb.PlasmaFraction(1e-3, bunch)))["d"]
    assert found == math.ceil(5.5 * math.sqrt(square) / (2e-3 * math.pi))


def test_a_bunch_without_charge_needs_one_kick(period):
    rule = scb.PlasmaFraction(1e-3, random_bunch(100))
    assert set(kicks_by_name(kicked(period, rule)).values()) == {1}


@pytest.mark.parametrize("fraction", [0.0, -0.1, "0 %"])
@pytest.mark.parametrize(
    "rule", [scb.BetatronFraction, lambda f: scb.PlasmaFraction(f, random_bunch())]
)
def test_a_fraction_that_is_not_positive_is_refused(rule, fraction):
    with pytest.raises(scb.LatticeError, match=r"fraction = .*must be positive"):
        rule(fraction)


def test_a_fraction_with_a_unit_is_refused():
    with pytest.raises(scb.UnitError, match="fraction = '1 m'"):
        scb.BetatronFraction("1 m")


def test_what_is_no_bunch_is_refused():
    with pytest.raises(scb.LatticeError, match="bunch = 'gauss': must be a Bunch"):
        scb.PlasmaFraction(0.1, "gauss")  # pyright: ignore[reportArgumentType]


def test_a_bunch_without_volume_is_refused():
    bunch = random_bunch().replace(weight=torch.ones(20, dtype=torch.float64))
    flat = bunch.replace(coordinates=bunch.coordinates * torch.eye(6, dtype=torch.float64)[:, :1])
    with pytest.raises(scb.LatticeError, match="no volume in Drift 'd'"):
        kicked(line({"d": DRIFT}), scb.PlasmaFraction(0.1, flat))


def test_a_line_without_periodic_optics_needs_given_ones():
    with pytest.raises(scb.LatticeError, match=r"unstable.*twiss=Twiss"):
        kicked(line({"d": DRIFT}), scb.BetatronFraction(0.1))


# ---- what no rule may do ---------------------------------------------------------------------


@dataclass(frozen=True)
class Gives:
    """A rule of a user's own."""

    number: object

    def kicks(self, element):
        return self.number


@dataclass(frozen=True)
class Lazy:
    """A splitting with a kick that does nothing."""

    scheme = (0.5, 0.0, 0.5)


@pytest.mark.parametrize("number", [0, -1, 2.0, True, None])
def test_a_rule_of_the_user_that_gives_no_number_of_kicks_is_refused(number):
    with pytest.raises(scb.LatticeError, match=r"Gives.*Drift 'd' .* kicks: must be"):
        kicked(line({"d": DRIFT}), Gives(number))


def test_a_kick_of_length_zero_is_refused_by_name():
    with pytest.raises(scb.LatticeError, match=r"Drift 'd': Lazy.* a kick of length zero"):
        kicked(line({"d": DRIFT}), scb.MaxSpacing(1), Lazy())


def test_more_than_fifty_thousand_kicks_in_an_element_are_refused():
    for spacing in ("1 nm", 1e-320):
        with pytest.raises(scb.LatticeError, match=r"Drift 'd', 2 m long.*50000 kicks"):
            kicked(line({"d": DRIFT}), scb.MaxSpacing(spacing))
    optics = scb.Twiss(2.0, 0.0, 2.0, 0.0)
    with pytest.raises(scb.LatticeError, match="50000 kicks: choose a larger fraction"):
        kicked(line({"d": DRIFT}), scb.BetatronFraction(1e-9, optics))


def test_a_rule_not_made_yet_is_refused(period):
    with pytest.raises(scb.LatticeError, match=r"slicing = .*must be a rule"):
        kicked(period, scb.MaxSpacing)
