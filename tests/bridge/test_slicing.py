"""Slicing rules: how many kicks, where, and what is refused."""

from __future__ import annotations

import pytest

import sc_bridge as scb
from sc_bridge.elements import Cavity, Drift
from sc_bridge.slicing import length_of


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
            scb.KicksPerElement(number)
