"""Benchmark 8: a cold bunch in a FODO cell with RF is stationary.

ImpactX's example fodo_rf_SC, after Ryne et al., "A test suite of space-charge problems for code
benchmarking", EPAC 2004: 250 MeV protons, 143 pC, 700 MHz, uniform in an ellipsoid and without
momentum spread, matched by the envelope equations.

A cavity is a metre of field E(z) cos(omega t + phase) on its axis. `Cavity` is the
longitudinal kick; it leaves px and py alone, so the transverse force of the same field, which
Maxwell's equations give, is a thin kick of this test.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import scipy.constants
import torch

from sc_bridge.elements import Bunch, Cavity, Drift, Quadrupole, Reference
from sc_bridge.elements.space_charge import SpaceCharge, space_charge_kick
from space_charge.bunches import PROTON_MASS, uniform_ball
from space_charge.published import bunch_of, with_exact_moments
from space_charge.test_benchmarks import SINGLE_PRECISION, assert_near, sizes

SIZES = (9.84722273e-4, 6.96967278e-4, 4.486799242214e-3)  # rms x, y, t
STATIONARY = 0.036  # ImpactX's, for as many particles
COLD = 4e-8  # m, ImpactX's for the emittances
N = 10_000
CHARGE = 1.42857142857142865e-10  # C
FREQUENCY = 7e8  # Hz
PEAK = 0.042631556991578  # field over rest energy, 1/m
K1 = 2.4669749766168163
STEPS = 6  # thin kicks in a slice of a quarter of a metre; with 24 the sizes move by 3e-5
Map = Callable[[Bunch], Bunch]
Slice = tuple[Map, Map, float]  # before the kick, after it, length [m]


def field(z: float) -> float:
    """Field on the axis, over its peak, `z` metres from the middle of a cavity."""
    return math.exp(-((4 * z) ** 4)) * math.cos(2.5 * math.pi * math.tanh(5 * z))


def slope(z: float, step: float = 1e-5) -> float:
    return (field(z + step) - field(z - step)) / (2 * step)


def gap(ref: Reference, s: float, z: float, phase: float, length: float) -> Map:
    """The field from z - length/2 to z + length/2 as one kick, at `s` along the line."""
    beta0, wave = ref.beta0.item(), 2 * math.pi * FREQUENCY / scipy.constants.c
    angle = wave * s / beta0 + math.radians(phase)  # of the reference, which passes s = 0 at t = 0
    volts = PEAK * PROTON_MASS * length
    cavity = Cavity(voltage=volts * field(z), frequency=FREQUENCY, phase=angle + 0.5 * math.pi)

    def kick(bunch: Bunch) -> Bunch:
        bunch = cavity.track(bunch)
        rows = bunch.coordinates.clone()
        own = angle - wave * bunch.zeta / beta0
        # over the particle's own speed: E' 1/v is of the order of E^2, as all the focusing is
        radial = slope(z) * torch.cos(own) / (beta0 * bunch.rvv) - wave * field(z) * torch.sin(own)
        strength = -0.5 * volts * radial / ref.p0c
        rows[1] += strength * bunch.x
        rows[3] += strength * bunch.y
        return bunch.replace(coordinates=rows)

    return kick


def cavity_slices(ref: Reference, start: float, phase: float) -> list[Slice]:
    """Four slices of a metre of field, each as two halves with the kick between them."""
    step = 0.25 / STEPS
    short, long = Drift(0.5 * step).track, Drift(step).track

    def half(first: int) -> Map:
        middles = [(first + k + 0.5) * step for k in range(STEPS // 2)]
        gaps = [gap(ref, start + z, z - 0.5, phase, step) for z in middles]

        def track(bunch: Bunch) -> Bunch:
            bunch = gaps[0](short(bunch))
            for kick in gaps[1:]:
                bunch = kick(long(bunch))
            return short(bunch)

        return track

    return [(half(k * STEPS), half(k * STEPS + STEPS // 2), 0.25) for k in range(4)]


def plain_slices(make: Any, length: float, slices: int) -> list[Slice]:
    half = make(0.5 * length / slices).track
    return [(half, half, length / slices)] * slices


def cell(ref: Reference) -> list[Slice]:
    """F/2, cavity, D, cavity, F/2, with drifts of 0.1 m between them; the example's slices.

    The first cavity gives 1 % of momentum and the second takes it back. ImpactX's k is over the
    momentum at the quadrupole, ours over the reference's.
    """
    drift = plain_slices(Drift, 0.1, 4)
    focusing = plain_slices(lambda length: Quadrupole(length, k1=K1), 0.15, 6)
    first, second = cavity_slices(ref, 0.25, 45.0), cavity_slices(ref, 1.75, -1.0)
    centre = Bunch(torch.zeros(6, 1, dtype=torch.float64), ref, 1.0)
    gain = track(centre, first, None).delta.item()
    k1 = -K1 * (1.0 + gain)
    defocusing = plain_slices(lambda length: Quadrupole(length, k1=k1), 0.3, 12)
    pieces = (focusing, first, defocusing, second, focusing)
    return [part for piece in pieces for part in (*piece, *drift)][: -len(drift)]


def track(bunch: Bunch, slices: list[Slice], settings: SpaceCharge | None) -> Bunch:
    for before, after, length in slices:
        bunch = before(bunch)
        if settings is not None:
            bunch = space_charge_kick(bunch, length, settings)
        bunch = after(bunch)
    return bunch


def cold_bunch() -> Bunch:
    ref = Reference.from_kinetic_energy(PROTON_MASS, 1.0, 250e6)
    ball = with_exact_moments(uniform_ball(N))
    return bunch_of({2 * k: ball[k] * SIZES[k] for k in range(3)}, ref, CHARGE)


@pytest.fixture(scope="module")
def cold() -> Bunch:
    return cold_bunch()


def test_cold_bunch_in_a_fodo_cell_with_rf_is_stationary(cold: Bunch):
    out = track(cold, cell(cold.reference), SpaceCharge(grid=(32, 32, 32)))
    assert_near(sizes(out), SIZES, STATIONARY)
    for emittance in (out.gemitt_x, out.gemitt_y, out.gemitt_zeta):
        assert emittance < COLD
    single = cold.to(torch.float32)
    single = track(single, cell(cold.reference), SpaceCharge(grid=(32, 32, 32)))
    assert single.coordinates.dtype == torch.float32
    assert_near(sizes(single), sizes(out), SINGLE_PRECISION)


def test_without_charge_the_same_bunch_is_not_stationary(cold: Bunch):
    """So the benchmark measures the space charge: the lattice alone makes the bunch smaller."""
    out = track(cold, cell(cold.reference), None)
    ratios = [float(size) / start for size, start in zip(sizes(out), SIZES, strict=True)]
    assert all(1.0 - ratio > 1.5 * STATIONARY for ratio in ratios), ratios
