"""Cheetah's LatticeJSON: the maps of Cheetah itself, and what is refused."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import torch
from reader_cases import LATTICES, MATRIX, deviation, electron, oracle

import sc_bridge as scb
from sc_bridge.errors import LatticeError
from sc_bridge.readers import read_lattice
from sc_bridge.readers.cheetah import BUILDERS

ARES = LATTICES / "ares" / "ARESlatticeStage3v1_9.json"
STORED = 1e-7  # m: the file's numbers are float32, 195 of them
# Cheetah's own maps, in float64 but with a rest energy of the electron of other digits.
SAME = 1e-9
ENERGY = 107.315902e6  # eV
ALLOWED = ("space charge", "Undulator", "Superimposed")


@pytest.fixture
def read(tmp_path):
    def read_it(elements: dict[str, Any], line: list[str] | None = None, **options: Any):
        content = {"root": "r", "elements": elements, "lattices": {"r": line or list(elements)}}
        path = tmp_path / "r.json"
        path.write_text(json.dumps(content, indent=1))
        return read_lattice(path, **options)

    return read_it


def test_ares_has_the_length_the_elements_and_the_optics_of_its_oracle():
    lattice, expected = read_lattice(ARES), oracle("ares")
    assert lattice.format == "cheetah"
    assert lattice.source_counts == expected["counts"]
    assert lattice.length == pytest.approx(expected["length_cheetah_float32"], abs=STORED)
    sequence = scb.KickedSequence(lattice, reference=electron(ENERGY))
    with torch.no_grad():
        for name, strength in expected["settings"].items():
            sequence[name].k1.fill_(strength)
    matrix = sequence.transfer_matrix().detach()[:4, :4]
    assert deviation(matrix, expected["R4_full_cheetah"]) < MATRIX


CASES = [
    ("Drift", {"length": 0.7}),
    ("Quadrupole", {"length": 0.3, "k1": 4.0, "tilt": 0.2}),
    ("Solenoid", {"length": 0.3, "k": 1.5}),
    ("HorizontalCorrector", {"length": 0.1, "angle": 1e-3}),
    ("VerticalCorrector", {"length": 0.1, "angle": 1e-3}),
    ("CombinedCorrector", {"length": 0.1, "horizontal_angle": 1e-3, "vertical_angle": 2e-3}),
    ("Dipole", {"length": 0.5, "angle": 0.3, "k1": 0.5, "dipole_e1": 0.1, "dipole_e2": -0.05,
                "gap": 0.03, "fringe_integral": 0.5,
                "fringe_integral_exit": 0.4, "tilt": 0.1}),
    ("RBend", {"length": 0.5, "angle": 0.3, "rbend_e1": 0.02}),
    ("Cavity", {"length": 1.0, "voltage": 2e7, "phase": 20.0, "frequency": 2.998e9}),
    ("Cavity", {"length": 1.0, "voltage": 2e7, "phase": 20.0, "frequency": 2.998e9,
                "cavity_type": "traveling_wave"}),
]  # fmt: skip
# Cheetah's cavity is ultra-relativistic, its standing wave that of the reference's phase alone.
ULTRARELATIVISTIC = 1e-4


@pytest.mark.parametrize(("kind", "parameters"), CASES, ids=lambda value: str(value)[:30])
def test_elements_have_the_maps_of_cheetah(read, kind, parameters):
    cheetah = pytest.importorskip("cheetah")
    tensors = {
        key: torch.tensor(value, dtype=torch.float64) if isinstance(value, float) else value
        for key, value in parameters.items()
    }
    element = getattr(cheetah, kind)(**tensors, dtype=torch.float64)
    energy = torch.tensor(ENERGY, dtype=torch.float64)
    expected = element.first_order_transfer_map(energy, cheetah.Species("electron"))
    sequence = scb.KickedSequence(read({"x": [kind, parameters]}), reference=electron(ENERGY))
    found = sequence.transfer_matrix().detach()
    tolerance = ULTRARELATIVISTIC if kind == "Cavity" else SAME
    assert deviation(found[:4, :4], expected[:4, :4]) < tolerance


def test_the_exit_of_a_bend_has_its_own_gap(read):
    # Cheetah 0.8.4 stores it, and tracks with that of the entry
    fields = read({"x": ["Dipole", {"length": 1.0, "gap": 0.03, "gap_exit": 0.02}]}).elements["x"]
    assert fields.fields == {"length": 1.0, "edge_entry_hgap": 0.015, "edge_exit_hgap": 0.01}


def test_the_faces_of_a_bend_are_switched_off_one_by_one(read):
    fields = read({"x": ["Dipole", {"length": 1.0, "fringe_at": "entrance"}]}).elements["x"].fields
    assert fields == {"length": 1.0, "edge_exit_active": False}


def test_a_kick_has_the_sign_of_cheetah(read):
    lattice = read({
        "h": ["HorizontalCorrector", {"length": 0.1, "angle": 1e-3}],
        "v": ["VerticalCorrector", {"length": 0.1, "angle": 2e-3}],
    })  # fmt: skip
    assert lattice.elements["h"].fields == {"length": 0.1, "knl": [-1e-3], "isthick": True}
    assert lattice.elements["v"].fields == {"length": 0.1, "ksl": [2e-3], "isthick": True}
    assert lattice.length == 0.2


def test_lines_are_nested_and_an_element_stands_as_often_as_it_is_named(tmp_path):
    path = tmp_path / "nested.json"
    path.write_text(json.dumps({
        "root": "ring",
        "elements": {"d": ["Drift", {"length": 1.0}], "m": ["Marker", {}]},
        "lattices": {"cell": ["d", "m"], "ring": ["cell", "d", "cell"], "other": ["d"]},
    }))  # fmt: skip
    lattice = read_lattice(path)
    assert (lattice.name, lattice.element_names) == ("ring", ("d", "m", "d", "d", "m"))
    assert read_lattice(path, sequence="other").length == 1.0


def test_apertures_are_limits_where_they_are_finite_and_active(read):
    lattice = read({
        "none": ["Aperture", {"x_max": math.inf, "y_max": math.inf}],
        "off": ["Aperture", {"x_max": 0.1, "y_max": 0.1, "is_active": False}],
        "flat": ["Aperture", {"x_max": math.inf, "y_max": 0.1}],
        "round": ["Aperture", {"x_max": 0.2, "y_max": 0.1, "shape": "elliptical"}],
    })  # fmt: skip
    assert [record.kind for record in lattice.records] == [
        "Marker", "Marker", "LimitRect", "LimitEllipse",
    ]  # fmt: skip
    assert lattice.elements["flat"].fields == {"min_y": -0.1, "max_y": 0.1}
    assert lattice.elements["round"].fields == {"a": 0.2, "b": 0.1}
    allowed = read({"x": ["Aperture", {"x_max": 0.1}]}, allow=["aperture"])
    assert [entry.word for entry in allowed.left_out] == ["aperture"]


def test_a_map_of_its_own_keeps_its_offset_and_turns_the_time(read):
    rows = [[float(i == j) for j in range(7)] for i in range(7)]
    rows[0][1], rows[4][5], rows[1][6] = 2.0, 0.5, 1e-3
    fields = read({"x": ["CustomTransferMap", {"length": 1.0, "predefined_transfer_map": rows}]})
    record = fields.elements["x"]
    assert record.fields["m1"][0][1] == 2.0
    assert record.fields["m1"][4][5] == -0.5
    assert record.fields["m0"][1] == 1e-3


REFUSED = [
    ("Undulator", {"length": 1.0}, r"r\.json:\d+: x: the Undulator would be lost: allow"),
    ("SpaceChargeKick", {"effect_length": 1.0}, r"allow = \['space charge'\] accepts that"),
    ("Drift", {"length": "1"}, r"x\.length = '1': must be a number"),
    ("Drift", {"length": math.inf}, r"x\.length = inf: must be finite"),
    ("Drift", {"length": 1.0, "wiggle": 2.0}, r"wiggle = 2.0 would be lost"),
    ("Cavity", {"cavity_type": "warm"}, r"'warm': must be standing_wave or traveling_wave"),
    ("Quadrupole", {"misalignment": [1.0]}, r"misalignment = \[1.0\]: must be two numbers"),
    ("Aperture", {"is_active": "yes"}, r"is_active = 'yes': must be true or false"),
    ("Screen", {"is_blocking": True}, r"the end of the beam on the screen would be lost"),
    ("CustomTransferMap", {}, r"predefined_transfer_map = None: must be 7 x 7 numbers"),
    ("CustomTransferMap", {"predefined_transfer_map": [[0.0] * 7] * 7}, r"must be 0, 0, 0, 0, 0"),
]


@pytest.mark.parametrize(("kind", "parameters", "message"), REFUSED)
def test_what_has_no_counterpart_is_refused_with_its_place(read, kind, parameters, message):
    with pytest.raises(LatticeError, match=message):
        read({"x": [kind, parameters]})


def test_what_is_left_out_by_leave_keeps_its_length(read):
    lattice = read({"u": ["Undulator", {"length": 2.0, "kx": 1.0}]}, allow=["Undulator"])
    assert lattice.length == 2.0
    assert [entry.name for entry in lattice.left_out] == ["u"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"elements": {}}, "no object 'lattices'"),
        ({"elements": {"a": ["Drift"]}, "lattices": {"r": ["a"]}}, r"a: must be \[type"),
        ({"elements": {}, "lattices": {"r": "a"}}, "r: must be a list of names"),
        ({"elements": {}, "lattices": {"r": ["a"]}}, "r: element 'a' is not defined"),
        ({"elements": {}, "lattices": {"r": ["r"]}}, "contains itself|0 sequences"),
    ],
)
def test_what_is_no_lattice_is_refused(tmp_path, content, message):
    path = tmp_path / "r.json"
    path.write_text(json.dumps(content))
    with pytest.raises(LatticeError, match=message):
        read_lattice(path, format="cheetah")


def test_every_class_of_cheetah_is_read_or_refused_by_name():
    cheetah = pytest.importorskip("cheetah")
    classes = {
        name
        for name, value in vars(cheetah).items()
        if isinstance(value, type) and issubclass(value, cheetah.Element)
    }
    unread = {"Element", "Segment", "SpaceChargeKick", "Superimposed", "Undulator"}
    assert classes - unread == set(BUILDERS)
