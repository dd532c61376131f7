"""Coverage: every class of element in the lattice files of real machines has a map here."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import sc_bridge as scb
from sc_bridge.kinds import KINDS
from sc_bridge.lattice import is_slice
from sc_bridge.readers.formats import FORMATS

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / os.environ.get("SC_BRIDGE_LATTICES", "../shared/lattices")
# what tells one file's line from its others, and files that belong to another one
CHOICES: dict[str, dict[str, Any]] = {
    "facet2/FACET2e.ele": {"allow": ["CSR", "wake", "space charge", "radiation"]},
    "facet2/FACET2e.lte": {"allow": ["CSR", "wake", "space charge", "radiation"]},
    "hllhc/fort.3": {"allow": ["beam-beam"]},
    "los_alamos_psr/psr_extracted.lte": {"sequence": "RING1"},
    "los_alamos_psr/psr_environment_generated.json": {"sequence": "ring1"},
    "psb/psb.seq": {"sequence": "psb1"},
}
# files of strengths, tables and fields, which hold no line, and those read with another one
PARTS = {"psb/psb_fb_lhc.str", "hllhc/fort.2"}
LARGE = ("sps/",)


def lattice_files() -> list[Any]:
    """Every file that some reader knows by its name, large ones marked as slow."""
    found = []
    for path in sorted(FOLDER.rglob("*")):
        name = path.relative_to(FOLDER).as_posix()
        aside = path.name in ("oracle.json", "index.json") or name in PARTS
        if path.is_file() and not aside and any(row.named(path) for row in FORMATS.values()):
            slow = [pytest.mark.slow] if name.startswith(LARGE) else []
            found.append(pytest.param(path, id=name, marks=slow))
    return found


@pytest.mark.parametrize("path", lattice_files())
def test_every_class_of_a_real_machine_is_covered(path: Path):
    name = path.relative_to(FOLDER).as_posix()
    try:
        lattice = scb.read_lattice(path, **CHOICES.get(name, {}))
    except scb.LatticeError as refusal:
        if not name.endswith("_generated.json") and not name.startswith(("psb/", "sps/")):
            pytest.skip(f"not read: {refusal}")
        raise
    used = [lattice.elements[element] for element in dict.fromkeys(lattice.element_names)]
    kinds = {record.kind for record in used if not is_slice(record)}
    print(f"{name}: {', '.join(sorted(kinds))}")
    assert kinds - set(KINDS) == set()
