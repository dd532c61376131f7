"""Units: what is read, what is refused, and what the message says."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import sc_bridge as scb
from sc_bridge.species import SPECIES
from sc_bridge.units import derivative_unit, parse_quantity, registry, to_si

READ = [
    ("160 MeV", "eV", 160e6),
    ("160MeV", "eV", 160e6),
    ("1.602176634e-19 J", "eV", 1.0),
    ("2 mm mrad", "m", 2e-6),
    ("2 mm*mrad", "m", 2e-6),
    ("2 um", "m", 2e-6),
    ("2 \N{MICRO SIGN}m", "m", 2e-6),
    ("2 \N{GREEK SMALL LETTER MU}m", "m", 2e-6),
    ("-1.5e-3 m", "m", -1.5e-3),
    (".5 m", "m", 0.5),
    ("1_000 m", "m", 1000.0),
    ("1.6e12", "", 1.6e12),
    ("0.1 %", "", 1e-3),
    ("30 \N{DEGREE SIGN}", "deg", 30.0),
    ("90 deg", "rad", math.pi / 2),
    ("1 GeV/c", "eV/c", 1e9),
    ("938.272 MeV/c^2", "eV/c^2", 938.272e6),
    ("1 e", "e", 1.0),
    ("1 nC", "e", 1e-9 / 1.602176634e-19),
    ("8 kV", "V", 8e3),
    ("1.3 GHz", "Hz", 1.3e9),
    ("2 1/m^2", "1/m^2", 2.0),
    ("2 m²", "m^2", 2.0),
]
REFUSED = [
    ("2", "m", "unit is missing: write a length"),
    ("2 s", "m", "has the unit 's'"),
    ("160 MeV", "m", "has the unit 'MeV'"),
    ("160 Mev", "eV", "unknown unit 'Mev'.*did you mean 'meV' or 'MeV'"),
    ("8 KB", "B", "unknown unit 'KB'.*did you mean 'kB'"),
    ("8 gib", "B", "unknown unit 'gib'.*did you mean 'GiB'"),
    ("2 furlongers", "m", "unknown unit 'furlongers'"),
    ("2 pi mm mrad", "m", "unknown unit 'pi'"),
    ("5 rad", "", "has the unit 'rad'"),
    ("5 m", "", "has the unit 'm'"),
    ("5 m/m", "rad", "has the unit 'm/m'"),
    ("nan m", "m", "no number with a unit"),
    ("inf m", "m", "no number with a unit"),
    ("1e999 m", "m", "must be finite"),
    ("", "m", "no number with a unit"),
    ("m", "m", "no number with a unit"),
    ("9**9**9 m", "m", "no number with a unit"),
    ("2*3 m", "m", "no number with a unit"),
    ("2 m; 3", "m", "no number with a unit"),
    ("2 m**99999", "m", "no number with a unit"),
    ("__import__('os').getcwd()", "m", "no number with a unit"),
    ("2 " + "m" * 500, "m", "no number with a unit"),
    ("1,5 m", "m", "no number with a unit"),
    ("2 degC m", "m", "has the unit|unknown unit"),
]


@pytest.mark.parametrize(("text", "unit", "value"), READ, ids=[row[0] for row in READ])
def test_text_with_a_unit_is_read(text, unit, value):
    # eight digits of the constants of CODATA in pint
    assert to_si(text, unit, "key") == pytest.approx(value, rel=1e-8)


@pytest.mark.parametrize(("text", "unit", "message"), REFUSED)
def test_anything_else_is_refused_naming_key_and_value(text, unit, message):
    with pytest.raises(scb.UnitError, match=message) as refusal:
        parse_quantity(text, unit, "bunch.nemitt_x")
    assert str(refusal.value).startswith("bunch.nemitt_x = ")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("value", [True, None, [1.0], {}, 1j, object()])
def test_values_that_are_no_numbers_are_refused(value):
    with pytest.raises(scb.UnitError, match=r"sigma_z = .*write a length"):
        to_si(value, "m", "sigma_z")


@pytest.mark.parametrize("value", [math.nan, math.inf, 10**400, torch.tensor([1.0, math.nan])])
def test_numbers_that_are_not_finite_are_refused(value):
    with pytest.raises(scb.UnitError, match=r"sigma_z = .*must be finite"):
        to_si(value, "m", "sigma_z")


def test_numbers_are_taken_as_they_are():
    assert to_si(2, "m", "key") == 2.0
    assert to_si(torch.tensor(2.0).numpy(), "m", "key") == 2.0


def test_a_tensor_keeps_its_graph():
    value = torch.tensor(2.0, requires_grad=True)
    assert to_si(value, "m", "key") is value


def test_quantities_of_any_registry_are_converted():
    import pint

    assert to_si(registry().Quantity(2, "mm"), "m", "key") == 2e-3
    assert to_si(pint.UnitRegistry().Quantity(2, "mm"), "m", "key") == 2e-3
    with pytest.raises(scb.UnitError, match="key = '2 second': has the unit 'second'"):
        to_si(registry().Quantity(2, "s"), "m", "key")


@given(st.text(max_size=120))
def test_no_text_raises_anything_but_a_unit_error(text):
    try:
        value = parse_quantity(text, "m", "key")
    except scb.UnitError:
        return
    assert math.isfinite(value)


@pytest.mark.parametrize(
    ("numerator", "denominator", "unit"),
    [
        ("m", "1/m^2", "m^3"),
        ("m", "1", "m"),
        ("m", "eV", "m/eV"),
        ("m", "m", "1"),
        ("1", "m", "1/m"),
    ],
)
def test_units_of_derivatives_are_simplified(numerator, denominator, unit):
    assert derivative_unit(numerator, denominator) == unit


# ---- species ---------------------------------------------------------------------------


def test_masses_are_those_of_xtrack():
    from xtrack.particles import masses

    names = {"electron": "ELECTRON", "muon": "MUON", "proton": "PROTON", "deuteron": "DEUTERON"}
    names |= {"triton": "TRITON", "helion": "He3", "alpha": "He4"}
    for name, constant in names.items():
        assert SPECIES[name].mass0 == getattr(masses, f"{constant}_MASS_EV")


def test_the_three_energies_agree():
    kinetic = scb.reference("proton", kinetic_energy="160 MeV")
    total = scb.reference("proton", total_energy=kinetic.energy0.item())
    momentum = scb.reference("proton", momentum=f"{kinetic.p0c.item():.17g} eV/c")
    for other in (total, momentum):
        assert other.p0c.item() == pytest.approx(kinetic.p0c.item(), rel=1e-15)


@pytest.mark.parametrize("many", [torch.ones(2).numpy(), torch.ones(2).numpy() * registry().um])
def test_several_numbers_are_refused_where_one_is_wanted(many):
    with pytest.raises(scb.UnitError, match=r"nemitt_x = .*: write a length.*an array is not one"):
        to_si(many, "m", "nemitt_x")


def test_a_particle_may_be_given_by_mass_and_charge():
    by_name = scb.reference("proton", kinetic_energy="160 MeV")
    by_mass = scb.reference(mass="938272089.43 eV/c^2", charge="1 e", kinetic_energy="160 MeV")
    in_u = scb.reference(mass="1 u", charge=1.0, kinetic_energy=1e6)
    quantity = registry()("938.27208943 MeV/c^2")
    by_quantity = scb.reference(mass=quantity, charge=1.0, kinetic_energy="160 MeV")
    assert by_quantity.p0c.item() == pytest.approx(by_name.p0c.item(), rel=1e-12)
    assert by_mass.p0c.item() == pytest.approx(by_name.p0c.item(), rel=1e-12)
    assert in_u.mass0.item() == pytest.approx(931494103.7, rel=1e-9)  # CODATA 2022


def test_gradients_flow_to_every_energy():
    for name in ("kinetic_energy", "total_energy", "momentum"):
        energy = torch.tensor(1.2e9, dtype=torch.float64, requires_grad=True)
        ref = scb.reference("proton", **{name: energy})
        (slope,) = torch.autograd.grad(ref.p0c, energy)
        # dp0c/dE = 1/beta0, dp0c/dp = 1
        expected = 1.0 if name == "momentum" else 1.0 / ref.beta0.item()
        assert slope.item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"species": "protons", "kinetic_energy": 1e6}, "unknown species 'protons': known are"),
        ({"species": "proton"}, "no energy given: give exactly one"),
        (
            {"species": "proton", "kinetic_energy": 1e6, "momentum": 1e6},
            "kinetic_energy and momentum given: give exactly one",
        ),
        ({"species": "proton", "mass": 1e9, "momentum": 1e6}, "mass or charge given"),
        ({"mass": 1e9, "momentum": 1e6}, "no particle given"),
        ({"species": "proton", "kinetic_energy": 0.0}, "kinetic_energy = 0.0 eV: must be positive"),
        ({"species": "proton", "total_energy": "1 MeV"}, "must exceed the rest energy"),
        ({"species": "proton", "momentum": "-1 eV/c"}, "must be positive"),
    ],
)
def test_contradictory_references_are_refused(options, message):
    with pytest.raises(scb.StudyError, match=message):
        scb.reference(**options)


def test_a_momentum_in_units_of_energy_is_refused():
    with pytest.raises(scb.UnitError, match=r"reference\.momentum = '1 GeV'.*1\.4 GeV/c"):
        scb.reference("proton", momentum="1 GeV")
