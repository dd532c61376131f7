"""Bmad elements to Xsuite's, by table, and energies along a linac."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import sc_bridge as scb
from sc_bridge.lattice import Lattice
from sc_bridge.readers import read_lattice
from sc_bridge.readers.bmad.mapping import BUILDERS
from sc_bridge.readers.bmad.types import TYPES

ROUNDING = 1e-12  # relative: the same arithmetic in another order
C = 299792458.0

Read = Callable[..., Lattice]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Read the text of a deck."""

    def read_it(text: str, **options: Any) -> Lattice:
        path = tmp_path / "ring.bmad"
        path.write_text(text)
        return read_lattice(path, **options)

    return read_it


# ---- elements ------------------------------------------------------------------------------

PROTON = "parameter[particle] = proton\nparameter[p0c] = 1e9\n"
RIGIDITY = 1e9 / C

# The element, and the class and fields of Xsuite that it becomes.
MAPPINGS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "drift": ("drift, l = 2", "Drift", {"length": 2.0}),
    "pipe": ("pipe, l = 2", "Drift", {"length": 2.0}),
    "a pipe with a kick": (
        "pipe, l = 2, hkick = 1e-3", "Multipole",
        {"length": 2.0, "knl": [-1e-3], "isthick": True},
    ),
    "monitor": ("monitor, l = 0.1, x_offset = 1e-3", "Device", {"length": 0.1}),
    "marker": ("marker", "Marker", {}),
    "quadrupole": (
        "quadrupole, l = 1, k1 = 0.3, tilt = 0.1, x_offset = 1e-3, y_offset = 2e-3, type = 'A'",
        "Quadrupole",
        {"length": 1.0, "k1": 0.3, "rot_s_rad": 0.1, "shift_x": 1e-3, "shift_y": 2e-3},
    ),
    "an abbreviated type and a named tilt": (
        "quad, l = 1, k1 = 0.3, tilt", "Quadrupole",
        {"length": 1.0, "k1": 0.3, "rot_s_rad": math.pi / 4},
    ),
    "a gradient in T/m": (
        "quadrupole, l = 1, b1_gradient = 2", "Quadrupole", {"length": 1.0, "k1": 2 / RIGIDITY},
    ),
    "kicks in a quadrupole": (
        "quadrupole, l = 1, k1 = 0.3, hkick = 1e-3, vkick = 2e-3", "Quadrupole",
        {"length": 1.0, "k1": 0.3, "knl": [-1e-3], "ksl": [2e-3]},
    ),
    "sextupole": ("sextupole, l = 1, k2 = 3", "Sextupole", {"length": 1.0, "k2": 3.0}),
    "octupole": (
        "octupole, l = 1, b3_gradient = 3", "Octupole", {"length": 1.0, "k3": 3 / RIGIDITY},
    ),
    "sbend": (
        "sbend, l = 2, angle = 0.1, k1 = 0.1, e1 = 0.02, e2 = 0.03, fint = 0.4, hgap = 0.03",
        "Bend",
        {
            "length": 2.0, "angle": 0.1, "k1": 0.1, "edge_entry_angle": 0.02,
            "edge_exit_angle": 0.03, "edge_entry_fint": 0.4, "edge_entry_hgap": 0.03,
            "edge_exit_fint": 0.4, "edge_exit_hgap": 0.03,
        },
    ),
    "sbend by its curvature": ("sbend, l = 2, g = 0.05", "Bend", {"length": 2.0, "angle": 0.1}),
    "sbend by its radius": ("sbend, l = 2, rho = 20", "Bend", {"length": 2.0, "angle": 0.1}),
    "sbend by its field": (
        "sbend, l = 2, b_field = 0.1", "Bend", {"length": 2.0, "angle": 0.2 / RIGIDITY},
    ),
    "sbend without length": ("sbend, angle = 0.1, g = 0.05", "Bend", {"length": 2.0, "angle": 0.1}),
    "sbend with more field": (
        "sbend, l = 2, g = 0.05, dg = 0.01", "Bend", {"length": 2.0, "angle": 0.1, "k0": 0.06},
    ),
    "sbend without an edge": (
        "sbend, l = 2, g = 0.05, e1 = 0.02, fringe_at = entrance_end", "Bend",
        {"length": 2.0, "angle": 0.1, "edge_entry_angle": 0.02, "edge_exit_active": False},
    ),
    "vertical bend": (
        "sbend, l = 2, g = 0.05, ref_tilt", "Bend",
        {"length": 2.0, "angle": 0.1, "rot_s_rad": math.pi / 2},
    ),
    "rbend": (
        "rbend, l = 2, angle = 0.1, e1 = 0.02", "RBend",
        {"length_straight": 2.0, "angle": 0.1, "edge_entry_angle": 0.02},
    ),
    "rbend by its curvature": (
        "rbend, l = 2, g = 0.05", "RBend",
        {"length_straight": 2.0, "angle": 2 * math.asin(0.05)},
    ),
    "rbend by its arc": (
        "rbend, l_arc = 2, angle = 0.1", "RBend",
        {"length_straight": 2 * math.sin(0.05) / 0.05, "angle": 0.1},
    ),
    "multipole": (
        "multipole, k0l = 0.01, k1l = 0.2, k2l = 3, t1", "Multipole",
        {"knl": [0.01, 0.0, 3.0], "ksl": [0.0, -0.2], "hxl": 0.01},
    ),
    "ab_multipole": (
        "ab_multipole, b0 = 0.01, b3 = 2, a1 = 0.1", "Multipole",
        {"knl": [0.01, 0.0, 0.0, 12.0], "ksl": [0.0, 0.1]},
    ),
    "hkicker": (
        "hkicker, l = 0.2, kick = 1e-3", "Multipole",
        {"length": 0.2, "knl": [-1e-3], "isthick": True},
    ),
    "vkicker": ("vkicker, bl_kick = 0.01", "Multipole", {"ksl": [0.01 / RIGIDITY]}),
    "kicker": ("kicker, hkick = 1e-3, vkick = 2e-3", "Multipole", {"knl": [-1e-3], "ksl": [2e-3]}),
    "solenoid": ("solenoid, l = 1, ks = 0.2", "UniformSolenoid", {"length": 1.0, "ks": 0.2}),
    "solenoid in tesla": (
        "solenoid, l = 1, bs_field = 0.2", "UniformSolenoid",
        {"length": 1.0, "ks": 0.2 / RIGIDITY},
    ),
    "rfcavity": (
        "rfcavity, l = 1, voltage = 1e6, rf_frequency = 5e8, phi0 = 0.1", "Cavity",
        {"length": 1.0, "voltage": 1e6, "frequency": 5e8, "phase": math.pi * 0.8},
    ),
    "rfcavity by harmonic": (
        "rfcavity, l = 2, gradient = 1e6, harmon = 4, phi0 = 0.5", "Cavity",
        {"length": 2.0, "voltage": 2e6, "harmonic": 4.0},
    ),
    "lcavity": (
        "lcavity, l = 2, gradient = 1e6, rf_frequency = 5e8, phi0 = 0.1", "LinacCavity",
        {
            "length": 2.0, "voltage": 2e6, "frequency": 5e8, "phase": 0.2 * math.pi,
            "structure": "standing",
        },
    ),
    "a patch that moves nothing": ("patch, x_offset = 0", "Marker", {}),
}  # fmt: skip


@pytest.mark.parametrize("title", MAPPINGS)
def test_an_element_becomes_that_of_xsuite(read, title):
    text, kind, fields = MAPPINGS[title]
    lattice = read(f"{PROTON}x: {text}\nring: line = (x)\nuse, ring\n")
    record = lattice.elements["x"]
    assert record.kind == kind
    assert record.source_type in TYPES
    assert record.fields.keys() == fields.keys()
    for key, value in fields.items():
        expected = (
            value if isinstance(value, str) else pytest.approx(value, rel=ROUNDING, abs=1e-15)
        )
        assert record.fields[key] == expected, key
    scb.KickedSequence(lattice)


def test_every_type_is_read_or_refused():
    assert BUILDERS.keys() == TYPES


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x_limit = 0.02, y1_limit = 0.01, aperture_at = entrance_end",
         [("x_aper", "LimitRect", {"min_x": -0.02, "max_x": 0.02, "min_y": -0.01})]),
        ("aperture = 0.03, aperture_type = elliptical",
         [("x_aper_exit", "LimitEllipse", {"a": 0.03, "b": 0.03})]),
        ("x1_limit = 0.01, x2_limit = 0.03, y_limit = 0.02, aperture_type = elliptical",
         [("x_aper_exit", "LimitEllipse", {"a": 0.02, "b": 0.02, "shift_x": 0.01})]),
        ("x_limit = 0.02, aperture_at = both_ends",
         [("x_aper", "LimitRect", {"min_x": -0.02, "max_x": 0.02}),
          ("x_aper_exit", "LimitRect", {"min_x": -0.02, "max_x": 0.02})]),
        ("x_limit = 0.02, aperture_at = no_aperture", []),
    ],
)  # fmt: skip
def test_limits_become_apertures_beside_the_element(read, text, expected):
    lattice = read(f"x: drift, l = 1, {text}\nring: line = (x)\n")
    found = [(r.name, r.kind, r.fields) for r in lattice.records if r.name != "x"]
    assert [entry[:2] for entry in found] == [entry[:2] for entry in expected]
    for (_, _, fields), (_, _, values) in zip(found, expected, strict=True):
        assert fields == pytest.approx(values)
    assert lattice.source_counts == {"drift": 1}


def test_a_linac_raises_the_momentum_that_gradients_are_divided_by(read):
    lattice = read(
        "parameter[particle] = electron\nparameter[p0c] = 1e8\n"
        "q: quadrupole, l = 0.1, b1_gradient = 3\nd: drift, l = 1\n"
        "c: lcavity, l = 1, voltage = 5e7, rf_frequency = 1e9\n"
        "linac: line = (d, q, c, d, q)\nuse, linac\n"
    )
    assert lattice.element_names == ("d", "q", "c", "d", "q_2")
    mass = lattice.reference.mass0
    behind = math.sqrt((math.hypot(1e8, mass) + 5e7) ** 2 - mass**2)
    before, after = (lattice.elements[name].fields["k1"] for name in ("q", "q_2"))
    assert before == pytest.approx(-3 * C / 1e8, rel=ROUNDING)
    assert after / before == pytest.approx(1e8 / behind, rel=ROUNDING)
    sequence = scb.KickedSequence(lattice)
    assert sequence.reference.p0c.item() == 1e8
