"""Linac cavity: against Cheetah, and Rosenzweig and Serafini in closed form."""

from __future__ import annotations

import math

import cheetah
import pytest
import torch

from cases import random_bunch
from sc_bridge.elements import Bunch, Cavity, Drift, LinacCavity, Reference, ReferenceEnergyIncrease
from sc_bridge.elements.errors import BunchError, ElementError

ELECTRON = 510998.95069  # eV
S_BAND = 2.856e9  # Hz
LENGTH, VOLTAGE, PHASE = 3.0, 20e6, -0.35
# Cheetah's and the paper's transverse maps hold for beta = 1, ours for any: their difference
# goes with 1/gamma^2; the factor was found at 5 MeV.
NOT_ULTRARELATIVISTIC = 0.5
ROUNDING = 1e-12


def electrons(energy: float) -> Reference:
    return Reference(ELECTRON, -1.0, math.sqrt(energy**2 - ELECTRON**2))


def cheetah_matrix(energy: float, kind: str) -> torch.Tensor:
    """First-order map in Cheetah's (x, px, y, py, tau, p), tau positive for late."""
    numbers = {"length": LENGTH, "voltage": VOLTAGE, "frequency": S_BAND}
    fields = {key: torch.tensor(value, dtype=torch.float64) for key, value in numbers.items()}
    fields["phase"] = torch.tensor(math.degrees(-PHASE), dtype=torch.float64)
    cavity = cheetah.Cavity(**fields, cavity_type=kind, dtype=torch.float64)
    species = cheetah.Species("electron", dtype=torch.float64)
    matrix = cavity.first_order_transfer_map(torch.tensor(energy, dtype=torch.float64), species)
    return matrix[:6, :6]


def in_cheetah_coordinates(cavity: LinacCavity, reference: Reference) -> torch.Tensor:
    def scales(at: Reference) -> torch.Tensor:
        return torch.stack([*torch.ones(4).double(), -1.0 / at.beta0, at.beta0])

    matrix = cavity.transfer_matrix(reference)
    return scales(cavity.outgoing(reference)).diag() @ matrix / scales(reference)


@pytest.mark.parametrize("energy", [5e6, 50e6, 5e9])
@pytest.mark.parametrize(
    ("structure", "theirs"), [("standing", "standing_wave"), ("travelling", "traveling_wave")]
)
def test_transverse_matrix_equals_cheetah(structure, theirs, energy):
    reference = electrons(energy)
    cavity = LinacCavity(LENGTH, VOLTAGE, PHASE, S_BAND, structure)
    ours = in_cheetah_coordinates(cavity, reference)[:4, :4]
    difference = (ours - cheetah_matrix(energy, theirs)[:4, :4]).abs().max().item()
    assert difference < NOT_ULTRARELATIVISTIC / reference.gamma0.item() ** 2


@pytest.mark.parametrize("energy", [50e6, 5e9])
def test_longitudinal_matrix_equals_cheetah(energy):
    reference = electrons(energy)
    cavity = LinacCavity(LENGTH, VOLTAGE, PHASE, S_BAND, num_kicks=32)
    ours = in_cheetah_coordinates(cavity, reference)[4:, 4:]
    theirs = cheetah_matrix(energy, "standing_wave")[4:, 4:]
    # theirs drops the momentum's slip within the cavity from R65 and R66
    slip = 20.0 / reference.gamma0.item() ** 2
    assert (ours - theirs).abs().max().item() < slip


def test_energy_gain_equals_cheetah_far_from_the_axis_of_time():
    energy, reference = 100e6, electrons(100e6)
    zeta = torch.linspace(-5e-3, 5e-3, 11, dtype=torch.float64)
    coordinates = torch.zeros(6, 11, dtype=torch.float64)
    coordinates[4] = zeta
    out = LinacCavity(LENGTH, VOLTAGE, PHASE, S_BAND).track(Bunch(coordinates, reference))
    gained = out.pzeta * out.reference.beta0 * out.reference.p0c + out.reference.energy0 - energy
    late = -zeta / reference.beta0
    # Cheetah: cos(-tau beta0 k + phi) with phi = -PHASE
    expected = VOLTAGE * torch.cos(-late * (2 * math.pi * S_BAND / 299792458.0) - PHASE)
    assert (gained - expected).abs().max() < 1e-6 * VOLTAGE  # slips 1e-5 m before the kick


@pytest.mark.parametrize("energy", [5e6, 500e6])
def test_matrix_is_that_of_rosenzweig_and_serafini(energy):
    """Eq. 13 with the rapidity in the place of the logarithm of gamma, at any beta."""
    reference = electrons(energy)
    cavity = LinacCavity(LENGTH, VOLTAGE, PHASE, S_BAND)
    after = cavity.outgoing(reference)
    rapidity = math.asinh(after.beta0_gamma0) - math.asinh(reference.beta0_gamma0)
    alpha = rapidity / (math.sqrt(8.0) * math.cos(PHASE))
    gradient = VOLTAGE * math.cos(PHASE) / LENGTH
    first, last = reference.p0c.item(), after.p0c.item()
    cosine, sine = math.cos(alpha), math.sin(alpha)
    root = math.sqrt(2.0) * math.cos(PHASE)
    expected = torch.tensor(
        [
            [cosine - root * sine, 2.0 * root * first / gradient * sine],
            [
                -gradient / last * (root / 2.0 + 0.5 / root) * sine,
                first / last * (cosine + root * sine),
            ],
        ],
        dtype=torch.float64,
    )
    ours = cavity.transfer_matrix(reference)
    assert (ours[:2, :2] - expected).abs().max() < ROUNDING
    assert (ours[2:4, 2:4] - expected).abs().max() < ROUNDING


def test_transverse_slices_compose_exactly_on_the_reference_orbit():
    reference = electrons(5e6)
    cavity = LinacCavity(LENGTH, VOLTAGE, PHASE, S_BAND)
    whole = cavity.transfer_matrix(reference)[:4, :4]
    here, product = reference, torch.eye(4, dtype=torch.float64)
    for part in cavity.slices([0.2, 0.5, 0.3]):
        product = part.transfer_matrix(here)[:4, :4] @ product
        here = part.outgoing(here)
    assert (product - whole).abs().max() < ROUNDING
    assert here.p0c.item() == pytest.approx(cavity.outgoing(reference).p0c.item(), rel=1e-15)


def test_without_voltage_it_is_a_drift():
    bunch = random_bunch(amplitude=1e-2)
    ours = LinacCavity(length=1.3, frequency=S_BAND).track(bunch).coordinates
    assert (ours - Drift(length=1.3).track(bunch).coordinates).abs().max() < ROUNDING


def test_a_thin_one_is_a_cavity_and_an_increase_of_the_reference():
    reference = electrons(100e6)
    bunch = random_bunch(reference=reference)
    thin = LinacCavity(voltage=VOLTAGE, phase=PHASE, frequency=S_BAND)
    ours = thin.track(bunch)
    increase = (ours.reference.p0c - reference.p0c).item()
    # Xsuite's phase is that of a sine
    cavity = Cavity(voltage=VOLTAGE, phase=PHASE + math.pi / 2, frequency=S_BAND)
    theirs = ReferenceEnergyIncrease(Delta_p0c=increase).track(cavity.track(bunch))
    assert (ours.coordinates - theirs.coordinates).abs().max() < ROUNDING


def test_slices_of_negative_length_go_back():
    bunch = random_bunch(reference=electrons(50e6))
    forth, whole, back = (
        LinacCavity(LENGTH, VOLTAGE, PHASE, S_BAND).slices([1.3, -0.3])[n] for n in (1, 1, 2)
    )
    there = back.track(forth.track(bunch))
    assert there.reference.energy0.item() == pytest.approx(
        50e6 + VOLTAGE * math.cos(PHASE), rel=1e-12
    )
    undone = whole.inverse().track(back.inverse().track(there))
    assert (undone.coordinates - bunch.coordinates).abs().max() < ROUNDING


def test_gradients_flow_through_the_reference_that_goes_out():
    voltage = torch.tensor(VOLTAGE, dtype=torch.float64, requires_grad=True)
    out = LinacCavity(LENGTH, voltage, PHASE, S_BAND)
    reference = out.outgoing(electrons(50e6))
    (slope,) = torch.autograd.grad(reference.energy0, out.voltage)
    assert slope.item() == pytest.approx(math.cos(PHASE), rel=1e-12)


def test_a_cavity_that_stops_the_reference_is_refused():
    with pytest.raises(BunchError, match="must be positive"):
        LinacCavity(1.0, -2e6, 0.0, S_BAND).track(random_bunch(reference=electrons(1.2e6)))


def test_focusing_too_strong_for_one_step_is_refused():
    cavity = LinacCavity(10.0, 5e9, 1.5707, S_BAND)
    with pytest.raises(ElementError, match=r"rad in one step: use more num_kicks"):
        cavity.track(random_bunch(reference=electrons(50e6)))


def test_unknown_structures_are_refused():
    with pytest.raises(ElementError, match="structure 'drift tube'"):
        LinacCavity(structure="drift tube")
