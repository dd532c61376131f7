"""What tests of several readers share: the corpus, matrices of one element, damaged files."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from torch import Tensor

import sc_bridge as scb
from sc_bridge.elements import Reference
from sc_bridge.errors import ScBridgeError
from sc_bridge.lattice import Lattice, ReferenceFields
from sc_bridge.readers import read_lattice

LATTICES = Path(__file__).parents[1] / os.environ.get("SC_BRIDGE_LATTICES", "../shared/lattices")
LENGTH = 1e-6  # m, to which lengths agree with the oracles
MATRIX = 1e-6  # of the largest entry of an oracle's matrix
ELECTRON = 510998.95  # eV
# For files without a particle: energy does not change 4D optics.
PROTON = ReferenceFields(938272088.16, 1.0, 570830143.8632222)

# A file is damaged and read so often; seconds for one format.
MUTATIONS = settings(
    max_examples=150,
    deadline=5000,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
FUZZ = settings(MUTATIONS, max_examples=25)


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


_SNIPPETS = st.sampled_from(
    ["(", ")", "[", "]", "{", "}", ",", "=", "/", "-", "1e400", "nan", "\n", "\\", "*", "'", '"',
     "0", "-1", "9" * 30, "2**9**9**9", "\0", "!", "#", "None", "true", "d", "é"]
)  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn, text: str) -> str:
    """Draw a text with a few places cut, doubled, replaced or filled."""
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        stop = min(len(text), start + draw(st.integers(0, 40)))
        what = draw(st.sampled_from(["cut", "double", "replace", "fill"]))
        middle = {"cut": "", "double": text[start:stop] * 2, "fill": text[start:stop]}.get(what)
        text = text[:start] + (middle or draw(_SNIPPETS)) + text[stop:]
    return text


def mutate(draw: st.DrawFn, text: str, snippets: Sequence[str]) -> str:
    """Put snippets, or pieces of the text itself, into a few places of a text."""
    for _ in range(draw(st.integers(1, 6))):
        begin = draw(st.integers(0, len(text)))
        end = min(len(text), begin + draw(st.sampled_from([0, 0, 1, 3, 40])))
        other = draw(st.integers(0, len(text)))
        piece = draw(st.one_of(st.sampled_from(snippets), st.just(text[other : other + 30])))
        text = text[:begin] + piece + text[end:]
    return text


def read_damaged(path: Path, text: str, **options: Any) -> None:
    """Check that a text is a lattice or an error of ours."""
    path.write_text(text)
    lattice = None
    with contextlib.suppress(ScBridgeError):
        lattice = read_lattice(path, **options)
    assert lattice is None or math.isfinite(lattice.length)
