"""The PS Booster of the examples, read once."""

from __future__ import annotations

from pathlib import Path

import pytest

import sc_bridge as scb

PSB = Path(__file__).parents[2] / "examples" / "psb" / "psb.json"


@pytest.fixture(scope="session")
def psb_file() -> Path:
    return PSB


@pytest.fixture(scope="session")
def psb_lattice() -> scb.Lattice:
    return scb.read_lattice(PSB)


@pytest.fixture(scope="session")
def psb_sequence(psb_lattice) -> scb.KickedSequence:
    return scb.KickedSequence(
        psb_lattice,
        slicing=scb.MaxSpacing("1 m"),
        space_charge=scb.SpaceCharge(grid=(32, 32, 32)),
        bend_model="exact",
    )
