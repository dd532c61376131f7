"""PALS files: the PSR as MAD-X has it, and every form of the standard."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from pals_decks import OLD_PSR, PSR

import sc_bridge as scb
from sc_bridge.errors import ScBridgeError
from sc_bridge.lattice import Lattice
from sc_bridge.readers import read_lattice
from sc_bridge.readers.pals.mapping import BUILDERS

ROOT = Path(__file__).parents[2]
LATTICES = Path(os.environ.get("SC_BRIDGE_LATTICES", ROOT / ".." / "shared" / "lattices"))
TUNE = 1e-9  # of MAD-X's file and the Xsuite oracle, ten digits
ROUNDING = 1e-12  # relative: the same arithmetic in another order
C = 299792458.0
RIGIDITY = 1e9 / C

Read = Callable[..., Lattice]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Read the text of a file."""

    def read_it(text: str, name: str = "ring.pals.yaml", **options: Any) -> Lattice:
        path = tmp_path / name
        path.write_text(text)
        return read_lattice(path, **options)

    return read_it


# ---- the PSR -------------------------------------------------------------------------------


def tunes_of(lattice: Lattice) -> tuple[float, float]:
    reference = scb.reference("proton", momentum="1.4597908 GeV/c")
    sequence = scb.KickedSequence(
        lattice, bend_model="expanded", **({} if lattice.reference else {"reference": reference})
    )
    twiss = scb.periodic_twiss(sequence)
    return twiss.qx, twiss.qy


@pytest.mark.parametrize("form", ["yaml", "json", "one line of json", "old list"])
def test_the_psr_has_the_tunes_of_its_oracle(read, form):
    data = yaml.safe_load(PSR)
    text, name = {
        "yaml": (PSR, "psr.pals.yaml"),
        "json": (json.dumps(data, indent="\t"), "psr.pals.json"),
        "one line of json": (json.dumps(data), "psr.json"),
        "old list": (OLD_PSR, "psr.yml"),
    }[form]
    lattice = read(text, name)
    oracle = json.loads((LATTICES / "los_alamos_psr" / "oracle.json").read_text())
    expected = oracle["ring1"]["xtrack"]["expanded_linear_bend_model"]
    assert lattice.format == "pals"
    assert lattice.length == pytest.approx(expected["length"], abs=1e-9)
    counts = lattice.source_counts
    assert (counts["Drift"], counts["Quadrupole"], counts["SBend"]) == (40, 20, 10)
    assert lattice.warnings == ()
    assert tunes_of(lattice) == pytest.approx((expected["qx"], expected["qy"]), abs=TUNE)


# ---- elements ------------------------------------------------------------------------------

MAPPINGS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "drift": ("kind: Drift, length: 2", "Drift", {"length": 2.0}),
    "marker": ("kind: Marker, MetaP: {alias: m}", "Marker", {}),
    "instrument": ("kind: Instrument, length: 0.1", "Device", {"length": 0.1}),
    "quadrupole": (
        "kind: Quadrupole, length: 1, MagneticMultipoleP: {Kn1: 0.3, Ks1: 0.1}, "
        "BodyShiftP: {x_offset: 1e-3, z_rot: 0.1}", "Quadrupole",
        {"length": 1.0, "k1": 0.3, "k1s": 0.1, "shift_x": 1e-3, "rot_s_rad": 0.1},
    ),
    "field and integrated": (
        "kind: Quadrupole, length: 2, MagneticMultipoleP: {Bn1L: 2, Bs2: 3, Kn3L: 4}",
        "Quadrupole",
        {"length": 2.0, "k1": 1 / RIGIDITY, "ksl": [0, 0, 6 / RIGIDITY], "knl": [0, 0, 0, 4.0]},
    ),
    "tilted component": (
        "kind: Quadrupole, length: 1, MagneticMultipoleP: {Kn1: 0.3, tilt1: pi/4}", "Quadrupole",
        {"length": 1.0, "k1": 0.0, "k1s": -0.3},
    ),
    "sextupole": (
        "kind: Sextupole, length: 1, MagneticMultipoleP: {Kn2: 3}", "Sextupole",
        {"length": 1.0, "k2": 3.0},
    ),
    "octupole": (
        "kind: Octupole, length: 1, MagneticMultipoleP: {Kn3: 3}", "Octupole",
        {"length": 1.0, "k3": 3.0},
    ),
    "thin multipole": (
        "kind: Multipole, MagneticMultipoleP: {Kn0L: 1e-3, Kn2L: 3}", "Multipole",
        {"knl": [1e-3, 0.0, 3.0]},
    ),
    "kicker": (
        "kind: Kicker, length: 0.2, MagneticMultipoleP: {Ks0L: 1e-3}", "Multipole",
        {"length": 0.2, "ksl": [1e-3], "isthick": True},
    ),
    "bend": (
        "kind: Bend, length: 2, BendP: {angle_ref: 0.1, e1: 0.02, e2_rect: 0.01, "
        "edge1_int: 0.0145, tilt_ref: 0.3}, MagneticMultipoleP: {Kn1: 0.2, Kn0: 0.01}", "Bend",
        {
            "length": 2.0, "angle": 0.1, "k1": 0.2, "k0": 0.06, "edge_entry_angle": 0.02,
            "edge_exit_angle": 0.06, "edge_entry_fint": 1.0, "edge_entry_hgap": 0.0145,
            "rot_s_rad": 0.3,
        },
    ),
    "bend by angle and radius": (
        "kind: Bend, BendP: {angle_ref: 0.1, radius_ref: 20}", "Bend",
        {"length": 2.0, "angle": 0.1},
    ),
    "bend by curvature": (
        "kind: SBend, length: 2, BendP: {g_ref: 0.05}", "Bend", {"length": 2.0, "angle": 0.1},
    ),
    "bend by field": (
        "kind: SBend, length: 2, BendP: {bend_field_ref: 0.1}", "Bend",
        {"length": 2.0, "angle": 0.2 / RIGIDITY},
    ),
    "bend by chord": (
        "kind: Bend, BendP: {angle_ref: 0.1, L_chord: 2}", "Bend",
        {"length": 2 * 0.05 / math.sin(0.05), "angle": 0.1},
    ),
    "rectangular bend": (
        "kind: RBend, length: 2, BendP: {angle_ref: 0.1}", "Bend",
        {"length": 2.0, "angle": 0.1, "edge_entry_angle": 0.05, "edge_exit_angle": 0.05},
    ),
    "solenoid": (
        "kind: Solenoid, length: 1, SolenoidP: {Bsol: 0.2}", "UniformSolenoid",
        {"length": 1.0, "ks": 0.2 / RIGIDITY},
    ),
    "cavity": (
        "kind: RFCavity, length: 1, RFP: {voltage: 1e6, frequency: 5e8, phase: 0.1}", "Cavity",
        {"length": 1.0, "voltage": 1e6, "frequency": 5e8, "phase": 0.7 * math.pi},
    ),
    "cavity of a ring": (
        "kind: RFCavity, length: 2, RFP: {gradient: 1e6, harmon: 4, "
        "zero_phase: ABOVE_TRANSITION}", "Cavity",
        {"length": 2.0, "voltage": 2e6, "harmonic": 4.0, "phase": math.pi},
    ),
    "cavity of a linac": (
        "kind: RFCavity, length: 1, RFP: {voltage: 1e6, frequency: 5e8}, "
        "ReferenceChangeP: {dE_ref: 1e6}", "LinacCavity",
        {"length": 1.0, "voltage": 1e6, "frequency": 5e8, "structure": "standing"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("title", MAPPINGS)
def test_an_element_becomes_that_of_xsuite(read, title):
    text, kind, fields = MAPPINGS[title]
    lattice = read(
        "- b: {kind: BeginningEle, ReferenceP: {species_ref: proton, pc_ref: 1e9}}\n"
        f"- x: {{{text}}}\n- ring: {{kind: BeamLine, line: [b, x]}}\n"
    )
    record = lattice.elements["x"]
    assert record.kind == kind
    assert record.fields.keys() == fields.keys()
    for key, value in fields.items():
        expected = (
            value if isinstance(value, str) else pytest.approx(value, rel=ROUNDING, abs=1e-15)
        )
        assert record.fields[key] == expected, key
    scb.KickedSequence(lattice)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x_limits: [-0.01, 0.02], y_limits: [null, 0.03]",
         [("x_aper", {"min_x": -0.01, "max_x": 0.02, "max_y": 0.03})]),
        ("shape: ELLIPTICAL, x_limits: [-0.01, 0.03], y_limits: [-0.02, 0.02], "
         "location: EXIT_END", [("x_aper_exit", {"a": 0.02, "b": 0.02, "shift_x": 0.01})]),
        ("x_min: -0.01, x_max: 0.01, location: BOTH_ENDS",
         [("x_aper", {"min_x": -0.01, "max_x": 0.01}),
          ("x_aper_exit", {"min_x": -0.01, "max_x": 0.01})]),
        ("shape: VERTICES, vertices: {list: [point: [1, 0], point: [0, 1], point: [-1, -1]]}",
         [("x_aper", {"x_vertices": [1.0, 0.0, -1.0], "y_vertices": [0.0, 1.0, -1.0]})]),
        ("x_limits: [-0.01, 0.02], aperture_active: false", []),
        ("x_limits: [-0.01, 0.02], location: NOWHERE", []),
    ],
)  # fmt: skip
def test_apertures_stand_beside_the_element(read, text, expected):
    lattice = read(
        f"- x: {{kind: Drift, length: 1, ApertureP: {{{text}}}}}\n"
        "- ring: {kind: BeamLine, line: [x]}\n"
    )
    found = [(r.name, r.fields) for r in lattice.records if r.name != "x"]
    assert [name for name, _ in found] == [name for name, _ in expected]
    for (_, fields), (_, values) in zip(found, expected, strict=True):
        assert fields == {key: pytest.approx(value) for key, value in values.items()}


# ---- lines ---------------------------------------------------------------------------------

ELEMENTS = (
    "- a: {kind: Marker}\n- b: {kind: Marker}\n- c: {kind: Marker}\n- d: {kind: Drift, length: 1}\n"
    "- m: {kind: Bend, length: 1, BendP: {angle_ref: 0.1, e1: 0.1, e2: 0.2}}\n"
)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("- r: {line: [a, b, c], kind: BeamLine}", "a b c"),
        ("- r: {line: [a: {repeat: 2}, b]}", "a a b"),
        ("- l: {line: [a, b]}\n- r: {line: [l: {repeat: -2}, c]}", "b a b a c"),
        ("- l: {line: [a, b]}\n- k: {line: [l, c]}\n- r: {line: [k: {repeat: -1}]}", "c b a"),
        ("- l: {line: [a, b]}\n- r: {line: [l: {direction: -1}]}", "b a"),
        ("- l: {line: [a, m]}\n- r: {line: [l, l: {direction: -1}]}", "a m m_2 a_2"),
        ("- r: {line: [e: {kind: Drift, length: 3}, a]}", "e a"),
        ("- r: {line: [d, d: {length: 3}, d]}", "d d#2 d"),
        ("- r: {line: [e: {inherit: d, length: 3}, e]}", "e e"),
        ("- r: {line: [q: {line: [a, b]}, c]}", "a b c"),
        ("- r: {line: [a]}\n- s: {line: [b]}\n- x: {kind: Lattice, branches: [s]}", "b"),
        ("- r: {line: [a]}\n- x: {kind: Lattice, branches: [z: {inherit: r}]}", "a"),
        ("- x: {kind: Lattice, branches: [z: {kind: BeamLine, line: [c, a]}]}", "c a"),
        ("- r: {line: [a]}\n- Lattice: {name: x, branches: [Branch: r]}", "a"),
        ("- r: {line: [a]}\n- s: {line: [b]}\n- use: r", "a"),
    ],
)
def test_lines(read, lines, expected):
    assert list(read(ELEMENTS + lines).element_names) == expected.split()


def test_an_element_turned_round_has_its_faces_exchanged(read):
    lattice = read(ELEMENTS + "- r: {line: [m, m: {direction: -1}]}")
    straight, turned = (record.fields for record in lattice.records)
    assert (straight["edge_entry_angle"], straight["edge_exit_angle"]) == (0.1, 0.2)
    assert (turned["edge_entry_angle"], turned["edge_exit_angle"]) == (0.2, 0.1)
    assert "turned round" in lattice.warnings[0]


def test_a_further_beginning_is_dropped_and_the_branch_may_be_chosen(read):
    text = (
        "- b: {kind: BeginningEle}\n- l: {line: [b, d]}\n- r: {line: [b, l, l]}\n"
        "- x: {kind: Lattice, branches: [r, l]}"
    )
    assert read(ELEMENTS + text, sequence="r").element_names == ("b", "d", "d")
    with pytest.raises(ScBridgeError, match=r"holds 2 sequences \(r, l\)"):
        read(ELEMENTS + text)


# ---- expressions, sets, controllers, files -------------------------------------------------


def test_variables_sets_and_controllers_are_live(read):
    lattice = read(
        "PALS:\n  facility:\n"
        "    - constants: {c0: 2 * c_light / c_light}\n"
        "    - variables: [k: 0.1, {name: kk, value: c0 * k}]\n"
        "    - b: {kind: BeginningEle, ReferenceP: {species_ref: electron, E_tot_ref: 1e9}}\n"
        "    - qa1: {kind: Quadrupole, length: 0.5, MagneticMultipoleP: {Kn1: kk}}\n"
        "    - qa2: {kind: Quadrupole, length: 0.5}\n"
        "    - qb: {kind: Quadrupole, length: 1, MagneticMultipoleP: "
        "{Kn1: -qa1>MagneticMultipoleP.Kn1}}\n"
        "    - sets: [qa2>length: 2 * 1.5, 'qa.>BodyShiftP.x_offset': 1e-3]\n"
        "    - ps: {kind: Controller, variables: {cur: 0.4}, controls: "
        "[{parameter: qa2>MagneticMultipoleP.Kn1L, expression: 3 * cur}]}\n"
        "    - r: {kind: BeamLine, line: [b, qa1, qa2, qb]}\n"
        "    - use: r\n"
    )
    fields = {name: record.fields for name, record in lattice.elements.items()}
    assert fields["qa1"] == {"length": 0.5, "k1": 0.2, "shift_x": 1e-3}
    assert fields["qa2"] == pytest.approx({"length": 3.0, "k1": 0.4, "shift_x": 1e-3})
    assert fields["qb"]["k1"] == -0.2
    assert {key[:2] for key in lattice.field_expressions} == {
        ("qa1", "k1"), ("qa2", "k1"), ("qb", "k1"),
    }  # fmt: skip
    assert {"k", "ps>cur"} <= set(scb.KickedSequence(lattice).knobs)


def test_files_are_included_and_loaded_from_their_folder_only(read, tmp_path):
    (tmp_path / "parts.yaml").write_text("- d: {kind: Drift, length: 2}\n")
    (tmp_path / "other.pals.yaml").write_text("PALS: {facility: [e: {kind: Drift, length: 1}]}")
    text = (
        "PALS:\n  load: [other.pals.yaml]\n  facility:\n    - include: parts.yaml\n"
        "    - r: {kind: BeamLine, line: [d, e]}\n"
    )
    assert read(text).length == 3.0
    with pytest.raises(ScBridgeError, match="outside the folders of the given files"):
        read(text.replace("parts.yaml", "/etc/hostname"))
    with pytest.raises(ScBridgeError, match="call each other in a circle"):
        read(text.replace("parts.yaml", "ring.pals.yaml"))


def test_every_kind_has_a_builder():
    import pals.kinds as kinds

    names = {name.lower() for name in vars(kinds) if name[0].isupper()}
    assert names - {"beamline", "lattice", "placeholdername"} <= BUILDERS.keys()


def test_a_line_without_a_name_is_read(read):
    lattice = read("- d: {kind: Drift, length: 0.25}\n- line: [d, d]\n")
    assert lattice.element_names == ("d", "d")
