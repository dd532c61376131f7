"""What tests of several readers share: the corpus, matrices of one element, damaged files."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import sc_bridge as scb
from sc_bridge.elements import Reference
from sc_bridge.lattice import Lattice, ReferenceFields

LATTICES = Path(__file__).parents[1] / os.environ.get("SC_BRIDGE_LATTICES", "../shared/lattices")
LENGTH = 1e-6  # m, to which lengths agree with the oracles
MATRIX = 1e-6  # of the largest entry of an oracle's matrix
ELECTRON = 510998.95  # eV
# For files without a particle: energy does not change 4D optics.
PROTON = ReferenceFields(938272088.16, 1.0, 570830143.8632222)


def oracle(folder: str) -> dict[str, Any]:
    """Numbers of the corpus that were computed by other codes."""
    return json.loads((LATTICES / folder / "oracle.json").read_text())


def electron(total_energy: float) -> Reference:
    """Reference electron of a total energy, eV."""
    return Reference(ELECTRON, -1.0, math.sqrt(total_energy**2 - ELECTRON**2))


def map_of(
    lattice: Lattice, reference: Reference | None = None, bend_model: str | None = None
) -> Tensor:
    """6x6 map of a lattice; where bends have no gradient, the exact model is the quick one."""
    sequence = scb.KickedSequence(lattice, reference=reference, bend_model=bend_model)
    return sequence.transfer_matrix().detach()


def deviation(found: Any, expected: Any) -> float:
    """Largest difference of two matrices, relative to the largest entry of the second."""
    wanted = torch.as_tensor(expected, dtype=torch.float64)
    return ((torch.as_tensor(found) - wanted).abs().max() / wanted.abs().max()).item()
