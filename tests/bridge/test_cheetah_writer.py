"""A lattice as Cheetah's LatticeJSON: read back it has the same maps, and Cheetah agrees."""

from __future__ import annotations

import dataclasses
import json
import math
import warnings
from functools import cache
from typing import Any

import pytest
import torch
from reader_cases import LATTICES, PROTON, deviation, electron, map_of

from sc_bridge.cli import main
from sc_bridge.elements import Reference
from sc_bridge.errors import LatticeError
from sc_bridge.expressions import Variable
from sc_bridge.lattice import Lattice, Record, ReferenceFields
from sc_bridge.readers import read_lattice
from sc_bridge.writers import write_lattice
from sc_bridge.writers.cheetah import write_cheetah

SAME = 1e-12  # of the largest entry of a map
# Cheetah's own maps in float64, with a rest energy of the electron of other digits.
CHEETAH = 1e-9
# of a whole line: our bends are integrated, Cheetah's are matrices
LINE = 1e-8
ENERGY = 107.315902e6  # eV
FACET = ("CSR", "wake", "space charge", "radiation")
FILES: dict[str, tuple[list[str], dict[str, Any]]] = {
    "psb": (["psb/psb.seq", "psb/psb_fb_lhc.str"], {"sequence": "psb3"}),
    "psr": (["los_alamos_psr/Dragt_PSR_small_ring.bmad"], {}),
    "sis18": (["sis18/sis18.lat"], {}),
    "ares": (["ares/ARESlatticeStage3v1_9.json"], {}),
    "ares of ocelot": (["ares/ares_ocelot.py"], {}),
    "facet2": (["facet2/FACET2e.ele"], {"allow": FACET}),
}


SLOW = {"facet2"}
TITLES = [pytest.param(t, marks=[pytest.mark.slow] if t in SLOW else []) for t in FILES]


@cache
def lattice_of(title: str) -> Lattice:
    files, options = FILES[title]
    lattice = read_lattice([LATTICES / file for file in files], **options)
    return dataclasses.replace(lattice, reference=lattice.reference or PROTON)


def reference_of(lattice: Lattice) -> Reference:
    assert lattice.reference is not None
    return Reference(*dataclasses.astuple(lattice.reference))


@pytest.mark.parametrize("title", TITLES)
def test_what_is_written_has_the_same_maps(title, tmp_path):
    first, path = lattice_of(title), tmp_path / "out.cheetah.json"
    lost = write_lattice(first, path, allow=["knobs"])
    assert [entry.word for entry in lost] == (["knobs"] if first.field_expressions else [])
    again = read_lattice(path)
    assert again.format == "cheetah"
    assert again.length == pytest.approx(first.length, abs=1e-12)
    assert len(again.element_names) == len(first.element_names)
    expected = map_of(first, None, "exact")
    assert deviation(map_of(again, reference_of(first), "exact"), expected) < SAME


def one(kind: str, fields: dict[str, Any], **more: Any) -> Lattice:
    elements = {"e": Record("e", kind, fields, 7), "d": Record("d", "Drift", {"length": 0.5})}
    return Lattice("ring.json", "xsuite-json", "ring", elements, ("d", "e", "d"), **more)


_MATRIX = [[float(i == j) for j in range(6)] for i in range(6)]
_MATRIX[0][1], _MATRIX[4][5] = 2.0, -0.5
WRITTEN: list[tuple[str, dict[str, Any]]] = [
    ("Drift", {"length": 0.7}),
    ("Device", {"length": 0.7}),
    ("Marker", {}),
    ("Quadrupole", {"length": 0.3, "k1": 4.0, "shift_x": 1e-3, "rot_s_rad": 0.2}),
    ("Sextupole", {"length": 0.3, "k2": 4.0, "rot_s_rad": 0.2}),
    ("Bend", {"length": 0.5, "angle": 0.3, "k1": 0.5, "edge_entry_angle": 0.1,
              "edge_exit_angle": -0.05, "edge_entry_fint": 0.5, "edge_entry_hgap": 0.03,
              "edge_exit_fint": 0.4, "edge_exit_hgap": 0.02, "rot_s_rad": 0.1}),
    ("Bend", {"length": 0.5, "angle": 0.3, "edge_exit_angle": 0.05, "edge_exit_fint": 0.4,
              "edge_exit_hgap": 0.02}),
    ("Bend", {"length": 0.5, "angle": 0.3, "edge_entry_angle": 0.1, "edge_entry_active": False,
              "edge_exit_model": "suppressed", "edge_exit_angle": 0.2}),
    ("Bend", {"length": 0.5, "angle": 0.3, "k0": 0.6}),
    ("RBend", {"length_straight": 0.5, "angle": 0.3, "edge_entry_angle": 0.02}),
    ("RBend", {"length_straight": 0.5, "angle": 0.3, "edge_entry_active": False}),
    ("Multipole", {"length": 0.1, "isthick": True, "knl": [1e-3], "ksl": [2e-3]}),
    ("Multipole", {"ksl": [2e-3]}),
    ("Multipole", {}),
    ("UniformSolenoid", {"length": 0.4, "ks": 0.7, "shift_x": 1e-5}),
    ("Cavity", {"length": 0.4, "frequency": 1e9}),
    ("LinacCavity", {"length": 1.0, "voltage": 2e7, "frequency": 3e9, "phase": 0.3}),
    ("LinacCavity", {"length": 1.0, "voltage": 2e7, "frequency": 3e9, "structure": "travelling"}),
    ("CrabCavity", {"length": 0.5, "crab_voltage": 1e6, "frequency": 3e9, "phase": 0.3,
                    "lag": 10.0, "rot_s_rad": 0.1}),
    ("FirstOrderTaylorMap", {"length": 0.3, "m1": _MATRIX, "m0": [0.0, 1e-3, 0, 0, 2e-3, 0]}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "fields"), WRITTEN, ids=lambda value: str(value)[:40])
def test_every_class_reads_back_with_its_map(kind, fields, tmp_path):
    first = one(kind, fields)
    write_lattice(first, tmp_path / "out.cheetah.json")
    again = read_lattice(tmp_path / "out.cheetah.json")
    expected = map_of(first, electron(ENERGY))
    assert deviation(map_of(again, electron(ENERGY)), expected) < SAME
    record = again.elements["e"]
    for key in ("shift_x", "shift_y", "knl", "ksl", "m0"):
        assert record.fields.get(key) == fields.get(key), key


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("LimitRect", {"min_x": -0.1, "max_x": 0.1}),
        ("LimitRect", {"min_x": -0.1, "max_x": 0.1, "min_y": -0.2, "max_y": 0.2}),
        ("LimitEllipse", {"a": 0.2, "b": 0.1}),
    ],
)
def test_apertures_read_back(kind, fields, tmp_path):
    write_lattice(one(kind, fields), tmp_path / "out.cheetah.json")
    record = read_lattice(tmp_path / "out.cheetah.json").elements["e"]
    assert (record.kind, record.fields) == (kind, fields)


def cheetah_segment(path: Any) -> Any:
    cheetah = pytest.importorskip("cheetah", exc_type=ImportError)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return cheetah.Segment.from_lattice_json(str(path), dtype=torch.float64)


def cheetah_map(segment: Any) -> torch.Tensor:
    """Product of Cheetah's own linear maps; apertures have none."""
    import cheetah

    energy = torch.tensor(ENERGY, dtype=torch.float64)
    whole = torch.eye(7, dtype=torch.float64)
    for element in segment.elements:
        if isinstance(element, cheetah.Sextupole):
            element.tracking_method = "linear"
        if not isinstance(element, cheetah.Aperture):
            found = element.first_order_transfer_map(energy, cheetah.Species("electron"))
            whole = found.to(torch.float64) @ whole  # those of monitors are float32
    return whole


@pytest.mark.slow
@pytest.mark.parametrize("title", ["psr", "sis18", "ares"])
def test_cheetah_loads_it_and_finds_the_same_map(title, tmp_path):
    first, path = lattice_of(title), tmp_path / "out.cheetah.json"
    write_lattice(first, path, allow=["knobs"])
    segment = cheetah_segment(path)
    found = cheetah_map(segment)
    expected = map_of(first, electron(ENERGY), "exact")
    assert segment.length.item() == pytest.approx(first.length, abs=1e-9)
    assert deviation(found[:4, :4], expected[:4, :4]) < LINE


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "fields"), WRITTEN, ids=lambda value: str(value)[:40])
def test_cheetah_finds_the_map_of_every_class(kind, fields, tmp_path):
    if kind in ("LinacCavity", "CrabCavity"):
        pytest.skip("Cheetah's cavities are ultra-relativistic, its deflector has no linear map")
    first = one(kind, fields)
    write_lattice(first, tmp_path / "out.cheetah.json")
    found = cheetah_map(cheetah_segment(tmp_path / "out.cheetah.json"))
    assert deviation(found[:4, :4], map_of(first, electron(ENERGY))[:4, :4]) < CHEETAH


def test_names_become_identifiers_and_the_reference_is_told(tmp_path):
    names = ("b.1", "b_1", "training", "standing_wave", "1x")
    elements = {name: Record(name, "Marker", {}) for name in names}
    lattice = Lattice("x", "y", "b.1", elements, names, reference=ReferenceFields(1e9, -1.0, 2e9))
    write_lattice(lattice, tmp_path / "out.json", format="cheetah")
    again = read_lattice(tmp_path / "out.json")
    assert again.element_names == ("b_1", "b_1_", "training_", "standing_wave_", "x1x")
    assert again.name == "b_1__"
    info = json.loads((tmp_path / "out.json").read_text())["info"]
    assert info == "mass = 1000000000.0 eV, charge = -1.0, momentum = 2000000000.0 eV/c"
    assert main(["audit", str(tmp_path / "out.json"), "--reference", info]) == 0


LOSSES: dict[str, tuple[str, dict[str, Any], str]] = {
    "a class": ("Octupole", {"length": 1.0}, "ring.json:7: e: Cheetah has nothing for a Octupole"),
    "a skew strength": ("Quadrupole", {"k1s": 1.0}, "Quadrupole.k1s = 1.0 would be lost: a Cheet"),
    "a gradient": ("Multipole", {"knl": [0.0, 1.0]}, r"Multipole.knl = \[0.0, 1.0\] would be lost"),
    "a length": ("Multipole", {"length": 1.0, "knl": [0.1]}, "allow = .'length'. accepts that"),
    "a curvature": ("Multipole", {"hxl": 0.1}, "Multipole.hxl = 0.1 would be lost"),
    "a ring's cavity": ("Cavity", {"voltage": 1e5}, "Cavity.voltage = 100000.0 would be lost"),
    "another field": ("Bend", {"length": 1.0, "angle": 0.1, "k0": 0.2}, "Bend.k0 = 0.2 would be"),
    "a sextupole in a bend": ("Bend", {"length": 1.0, "k2": 0.2}, "Bend.k2 = 0.2 would be lost"),
    "a structure": ("LinacCavity", {"exit_focusing": False}, "exit_focusing = False would be"),
    "half an aperture": ("LimitRect", {"max_x": 0.1}, "LimitRect.min_x = None would be lost"),
    "a shifted aperture": ("LimitEllipse", {"a": 0.1, "b": 0.1, "shift_x": 0.1}, "LimitEllipse.sh"),
    "a turned solenoid": ("UniformSolenoid", {"ks": 0.1, "rot_s_rad": 0.1}, "rot_s_rad = 0.1"),
}


@pytest.mark.parametrize(("kind", "fields", "message"), LOSSES.values(), ids=LOSSES)
def test_what_cheetah_cannot_say_is_refused(kind, fields, message):
    with pytest.raises(LatticeError, match=message):
        write_cheetah(one(kind, fields))


def test_knobs_are_lost_only_where_that_is_allowed(tmp_path, capsys):
    driven = {("e", "k1", None): Variable("a")}
    lattice = one("Quadrupole", {"length": 1.0, "k1": math.pi}, variables={"a": math.pi},
                  field_expressions=driven)  # fmt: skip
    message = (
        r"ring\.json: ring: knobs that drive 1 fields \(a\) would be lost: allow = \['knobs'\]"
    )
    with pytest.raises(LatticeError, match=message):
        write_cheetah(lattice)
    write_lattice(lattice, tmp_path / "in.json")
    arguments = [
        "convert",
        str(tmp_path / "in.json"),
        "--output",
        str(tmp_path / "out.cheetah.json"),
    ]
    assert main(arguments) == 2
    assert "knobs" in capsys.readouterr().err
    assert main([*arguments, "--allow", "knobs"]) == 0
    assert "left out: " in capsys.readouterr().out
    assert read_lattice(tmp_path / "out.cheetah.json").elements["e"].fields["k1"] == math.pi
