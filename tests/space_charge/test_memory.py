"""Resident memory of kicks that are kept for the backward pass."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("two_threads")

ROOT = Path(__file__).resolve().parents[2]
PARTICLES, NODES, KICKS = 300_000, 48, 20
# Pages, small tensors and the work space of torch; a kick that kept one more row of numbers a
# particle would be 16 % higher.
TOLERANCE = 0.10

# In a process of its own, since memory that earlier tests freed would be used first; and with
# glibc's threshold fixed, so that holes which temporary rows leave in its heap do not count.
ENVIRONMENT = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "1000000"}
SCRIPT = f"""
import os
import torch
from sc_bridge.elements import Bunch, Reference
from sc_bridge.elements.space_charge import SpaceCharge, space_charge_kick


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


generator = torch.Generator().manual_seed(1)
coordinates = 1e-3 * torch.randn(6, {PARTICLES}, generator=generator)
bunch = Bunch(coordinates.requires_grad_(), Reference(938272088.16, 1.0, 5e8), 1e3)
settings = SpaceCharge(({NODES},) * 3, field_dtype=FIELD_DTYPE)
for _ in range(2):  # work space and the Green function are there from now on
    kicked = space_charge_kick(bunch, 1.0, settings)
    kicked.coordinates.sum().backward()
before = resident()
for _ in range({KICKS}):
    bunch = space_charge_kick(bunch, 1.0, settings)
print(resident() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize(("field_dtype", "per_node"), [("None", 4), ("torch.float64", 8)])
def test_kept_kicks_grow_resident_memory_by_the_state_and_one_number_a_node(field_dtype, per_node):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.replace("FIELD_DTYPE", field_dtype)],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    expected = KICKS * (24 * PARTICLES + per_node * NODES**3)
    assert float(done.stdout) / expected == pytest.approx(1.0, abs=TOLERANCE)
