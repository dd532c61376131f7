"""The SPS with its 540 frozen space-charge kicks: read, built and tracked as xtrack does."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
import xtrack as xt

import sc_bridge as scb

ROOT = Path(__file__).resolve().parents[2]
FILE = (
    ROOT
    / os.environ.get("SC_BRIDGE_LATTICES", "../shared/lattices")
    / "sps"
    / "line_with_spacecharge_and_particle.json"
)
# 6.9 km of thin elements; both codes add rounding of 1e-16 in each of them.
AGREEMENT = 1e-10


@pytest.fixture(scope="module")
def lattice():
    if not FILE.exists() and not os.environ.get("CI"):
        pytest.skip(f"{FILE} is not there: set SC_BRIDGE_LATTICES")
    return scb.read_lattice(FILE)


def test_every_kick_is_built_and_its_length_adds_up(lattice):
    sequence = scb.KickedSequence(lattice)
    kicks = [sequence[n] for n in lattice.element_names if sequence[n].kind == KIND]
    assert len(kicks) == 540
    assert sum(kick.length.item() for kick in kicks) == pytest.approx(lattice.length, rel=1e-6)
    assert sequence.audit().length == pytest.approx(lattice.length)


KIND = "SpaceChargeBiGaussian"


def test_one_turn_equals_xtrack(lattice):
    sequence = scb.KickedSequence(lattice)
    generator = torch.Generator().manual_seed(3)
    scale = torch.tensor([2e-3, 2e-5, 1e-3, 2e-5, 0.1, 1e-4], dtype=torch.float64)
    start = torch.randn(6, 30, generator=generator, dtype=torch.float64) * scale[:, None]
    ours = scb.track(sequence, scb.Bunch(start, sequence.reference, 1e9), adjoint=scb.RecordAll())
    theirs = tracked_by_xtrack(start.numpy(), sequence.reference)
    assert bool(ours.alive.all())
    assert abs(ours.coordinates.detach().numpy() - theirs).max() < AGREEMENT


def tracked_by_xtrack(start, reference):
    line = xt.Line.from_json(FILE)
    particles = xt.Particles(
        mass0=reference.mass0.item(),
        q0=reference.q0.item(),
        p0c=reference.p0c.item(),
        **dict(zip(("x", "px", "y", "py", "zeta", "pzeta"), start, strict=True)),
    )
    line.track(particles)
    assert (particles.state > 0).all()
    order = np.argsort(particles.particle_id)
    rows = [particles.x, particles.px, particles.y, particles.py, particles.zeta, particles.pzeta]
    return np.array(rows)[:, order]
