"""The lattice files of real machines and where their oracles have what is to be found in them.

One row a lattice: `tests/bridge/test_acceptance.py` reads each and compares.
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from reader_cases import LATTICES, PROTON

from sc_bridge.lattice import IMPLICIT_DRIFT, Lattice, ReferenceFields
from sc_bridge.readers import read_lattice

ELECTRON = ReferenceFields(510998.95, -1.0, 107314685.38)  # the 107.3 MeV of ARES
FACET = ("CSR", "wake", "space charge", "radiation")
EXPANDED = "expanded_linear_bend_model"
_NAMES = {"drift": "DRIF", "quadrupole": "QUAD", "sbend": "CSBEND", "sextupole": "SEXT"}
_BMAD = {name: name for name in ("drift", "quadrupole", "sbend", "sextupole")}


@dataclass(frozen=True)
class Machine:
    """One row.

    Parameters
    ----------
    folder : str
    files : tuple of str
    options : mapping
        Of `read_lattice`.
    length, counts, tunes, matrix : tuple of str
        Keys of the oracle; empty where it has none.
    renamed : mapping of str to str, optional
        Types of this format by those of the oracle's counts; others are not counted there.
    kinds : bool
        Whether the oracle counts Xsuite's classes.
    bend_model : str
    reference : ReferenceFields
        For files that name no particle.
    slow : bool
        Whether the optics take longer than some seconds.
    """

    folder: str
    files: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    length: tuple[str, ...] = ()
    counts: tuple[str, ...] = ()
    tunes: tuple[str, ...] = ()
    matrix: tuple[str, ...] = ()
    renamed: Mapping[str, str] | None = None
    kinds: bool = False
    bend_model: str | None = "expanded"
    reference: ReferenceFields = PROTON
    slow: bool = False

    def read(self) -> Lattice:
        """Read the files, and add a particle where they have none."""
        lattice = read_lattice([LATTICES / self.folder / f for f in self.files], **self.options)
        return dataclasses.replace(lattice, reference=lattice.reference or self.reference)

    def oracle(self, *keys: str) -> Any:
        """Return an entry of the oracle."""
        found = oracle_of(self.folder)
        for key in keys:
            found = found[key]
        return found

    def expected_counts(self) -> dict[str, int]:
        """Counts of the oracle by the types of this format."""
        found = self.oracle(*self.counts)
        if self.renamed is None:
            return found
        return {self.renamed[key]: n for key, n in found.items() if key in self.renamed}

    def found_counts(self, lattice: Lattice) -> dict[str, int]:
        """Counts of a lattice as the oracle makes them."""
        if self.kinds:
            return dict(Counter(record.kind for record in lattice.records))
        counts = dict(lattice.source_counts)
        gaps = counts.pop(IMPLICIT_DRIFT, 0)
        # MAD-X counts the drifts that it puts in as drifts.
        return counts | ({"drift": counts.get("drift", 0) + gaps} if gaps else {})


@cache
def oracle_of(folder: str) -> dict[str, Any]:
    """Numbers of other codes for one machine."""
    return json.loads((LATTICES / folder / "oracle.json").read_text())


def _madx(folder: str, files: tuple[str, ...], line: str | None = None, **more: Any) -> Machine:
    """A MAD-X deck whose optics xtrack computed with MAD's bends."""
    at = () if line is None else (line,)
    optics = (*at, "xtrack", EXPANDED)
    values: dict[str, Any] = {
        "options": {} if line is None else {"sequence": line},
        "length": (*at, "madx", "length"), "counts": (*at, "madx", "element_counts"),
        "tunes": optics, "matrix": (*optics, "one_turn_matrix_4x4"),
    }  # fmt: skip
    return Machine(folder, files, **(values | more))


def _psr(file: str, ring: str, sequence: str | None, **more: Any) -> Machine:
    optics = (ring, "xtrack", EXPANDED)
    values: dict[str, Any] = {
        "options": {} if sequence is None else {"sequence": sequence},
        "length": (ring, "madx", "length"), "counts": (ring, "madx", "element_counts"),
        "tunes": optics, "matrix": (*optics, "one_turn_matrix_4x4"),
    }  # fmt: skip
    return Machine("los_alamos_psr", (file,), **(values | more))


_PSB = ("psb.seq", "psb_fb_lhc.str")
_MADX_PSR = "los-alamos-proton-storage-ring.madx"
_SPS = ("no_spacecharge", EXPANDED)

MACHINES: dict[str, Machine] = {
    "psb1": _madx("psb", _PSB, "psb1"),
    "psb3": _madx("psb", _PSB, "psb3"),
    "booster": _madx("fermilab_booster", ("sbbooster-cooked-rfon.madx",), slow=True),
    "sis18": _madx("sis18", ("sis18.lat",), tunes=("madx",), matrix=()),
    "psr ring1": _psr(_MADX_PSR, "ring1", "ring1"),
    "psr ring2": _psr(_MADX_PSR, "ring2", "ring2"),
    "psr elegant": _psr("psr_extracted.lte", "ring1", "RING1", renamed=_NAMES),
    "psr elegant ring2": _psr("psr_extracted.lte", "ring2", "RING2", renamed=_NAMES),
    "psr bmad": _psr("Dragt_PSR_small_ring.bmad", "ring2", None, renamed=_BMAD,
                     tunes=("bmad_file",), matrix=()),
    # written by hand from the Bmad file, which has one drift less: no oracle counts it
    "psr pals": _psr("psr_generated.pals.yaml", "ring1", None, counts=()),
    "psr environment": _psr("psr_environment_generated.json", "ring1", "ring1", kinds=True,
                            counts=("ring1", "xtrack", "element_counts")),
    "psr line": _psr("psr_line_generated.json", "ring2", None, kinds=True,
                     counts=("ring2", "xtrack", "element_counts")),
    "sps": Machine(
        "sps", ("line_no_spacecharge_and_particle.json",), length=(*_SPS, "length"),
        counts=("no_spacecharge", "element_counts"), tunes=_SPS,
        matrix=(*_SPS, "one_turn_matrix_4x4"), kinds=True, slow=True,
    ),
    "sps with space charge": Machine(
        "sps", ("line_with_spacecharge_and_particle.json",), length=(*_SPS, "length"),
        tunes=("with_frozen_spacecharge",), kinds=True, slow=True,
    ),
    "sps madx": Machine(
        "sps", ("sps_thin.seq",), length=("madx_twin_sps_thin", "length"),
        counts=("madx_twin_sps_thin", "element_counts"), tunes=("madx_twin_sps_thin",), slow=True,
    ),
    "hllhc": Machine(
        "hllhc", ("fort.2", "fort.3"), {"allow": ("beam-beam",)},
        length=("xtrack_without_beambeam", "length"), counts=("structure_types",), slow=True,
        tunes=("xtrack_without_beambeam",),
    ),
    "iota": Machine(
        "iota", ("input_iotalattice.in",), length=("bare", "length"), counts=("bare", "counts"),
        tunes=("bare",), matrix=("bare", "R"), bend_model=None,
    ),
    "iota nonlinear": Machine(
        "iota", ("input_iotalattice_sdep.in",), length=("nonlinear_insert", "length"),
        counts=("nonlinear_insert", "counts"), tunes=("nonlinear_insert",),
        matrix=("nonlinear_insert", "R"), bend_model=None,
    ),
    "ares cheetah": Machine(
        "ares", ("ARESlatticeStage3v1_9.json",), length=("length_cheetah_float32",),
        counts=("counts",), matrix=("R4_full_cheetah",), reference=ELECTRON,
    ),
    "ares ocelot": Machine(
        "ares", ("ares_ocelot.py",), length=("length_ocelot",), counts=("counts_ocelot",),
        matrix=("R4_full_ocelot",), reference=ELECTRON,
    ),
    "facet2": Machine(
        "facet2", ("FACET2e.ele",), {"allow": FACET}, length=("length",), counts=("counts",),
    ),
    "impactz": Machine(
        "impactz_linac", ("ImpactZ.in",), {"allow": ("wake", "laser heater")},
        length=("total_length",), counts=("element_type_codes",), matrix=("R_6x6_to_first_rf",),
    ),
    "dtl": Machine("impactz_linac", ("dtl_324MHz/ImpactZ.in",), {"allow": ("field map",)}),
    "spear3": Machine(
        "spear3", ("spear3_jutrack.jl",), length=("from_jl_via_pyAT", "length"),
        counts=("counts",), tunes=("from_jl_via_pyAT",), bend_model=None,
    ),
    "spear3 madx": Machine("spear3", ("spear3.madx",)),
    "impactt": Machine(
        "facet2", ("impactt/ImpactT.in",), {"allow": ("field map", "overlap", "wake")}
    ),
}  # fmt: skip
