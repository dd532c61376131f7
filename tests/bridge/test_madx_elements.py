"""MAD-X elements to Xsuite's: fields by table, maps against xtrack's own import of MAD-X."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xtrack as xt
from xtrack.mad_parser.loader import load_madx_lattice

from sc_bridge.errors import ExpressionError, LatticeError
from sc_bridge.lattice import Lattice, Record
from sc_bridge.readers import read_lattice
from sc_bridge.readers.madx.attributes import TYPES
from sc_bridge.readers.madx.mapping import BUILDERS

ROUNDING = 1e-13  # m, rad: the same element of xtrack with the same numbers
BEAM = "beam, particle=proton, energy=1.5;"
ReadElement = Callable[..., Lattice]

# The element, and the class and fields of Xsuite that it becomes.
MAPPINGS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "drift": ("drift, l=2", "Drift", {"length": 2.0}),
    "monitor": ("hmonitor, l=0.5", "Device", {"length": 0.5}),
    "instrument": ("instrument", "Device", {}),
    "marker": ("marker, l=3", "Marker", {}),
    "quadrupole": (
        "quadrupole, l=1, k1=0.3, k1s=0.1, tilt=0.2", "Quadrupole",
        {"length": 1.0, "k1": 0.3, "k1s": 0.1, "rot_s_rad": 0.2},
    ),
    "sextupole": ("sextupole, l=1, k2=3, k2s=1", "Sextupole", {"length": 1.0, "k2": 3, "k2s": 1}),
    "octupole": ("octupole, l=1, k3=3, k3s=1", "Octupole", {"length": 1.0, "k3": 3, "k3s": 1}),
    "sbend": (
        "sbend, l=2, angle=0.1, k1=0.05, k2=0.3, e1=0.02, e2=0.03, fint=0.4, hgap=0.03, tilt=0.1",
        "Bend",
        {
            "length": 2.0, "angle": 0.1, "k1": 0.05, "k2": 0.3, "edge_entry_angle": 0.02,
            "edge_exit_angle": 0.03, "edge_entry_fint": 0.4, "edge_exit_fint": 0.4,
            "edge_entry_hgap": 0.03, "edge_exit_hgap": 0.03, "rot_s_rad": 0.1,
        },
    ),
    "an exit of its own": (
        "sbend, l=2, angle=0.1, fint=0.4, fintx=0.2, hgap=0.03", "Bend",
        {
            "length": 2.0, "angle": 0.1, "edge_entry_fint": 0.4, "edge_exit_fint": 0.2,
            "edge_entry_hgap": 0.03, "edge_exit_hgap": 0.03,
        },
    ),
    "a field of its own": (
        "sbend, l=2, angle=0.1, k0=0.06, e1=0.05", "Bend",
        {
            "length": 2.0, "angle": 0.1, "k0": 0.06, "edge_entry_angle": 0.05,
            "edge_entry_angle_fdown": 0.01, "edge_exit_angle_fdown": 0.01,
        },
    ),
    "rbend": (
        "rbend, l=2, angle=0.1, e1=0.02, k1=0.1", "RBend",
        {"length_straight": 2.0, "angle": 0.1, "edge_entry_angle": 0.02, "k1": 0.1},
    ),
    "multipole": (
        "multipole, lrad=0.3, knl={0.01, 0.1, 2}, ksl={0, 0.2}, tilt=0.1", "Multipole",
        {"length": 0.3, "knl": [0.01, 0.1, 2.0], "ksl": [0.0, 0.2], "hxl": 0.01, "rot_s_rad": 0.1},
    ),
    "a bend of its own": (
        "multipole, knl={0.01}, angle=0.02", "Multipole", {"knl": [0.01], "hxl": 0.02},
    ),
    "hkicker": ("hkicker, kick=1e-3, lrad=0.2", "Multipole", {"length": 0.2, "knl": [-1e-3]}),
    "vkicker": ("vkicker, kick=1e-3", "Multipole", {"ksl": [1e-3]}),
    "kicker": (
        "kicker, hkick=1e-3, vkick=2e-3, tilt=0.1", "Multipole",
        {"knl": [-1e-3], "ksl": [2e-3], "rot_s_rad": 0.1},
    ),
    "a thick kicker": (
        "tkicker, l=0.5, hkick=1e-3", "Multipole",
        {"length": 0.5, "knl": [-1e-3], "ksl": [0.0], "isthick": True},
    ),
    "solenoid": ("solenoid, l=1, ks=0.3", "UniformSolenoid", {"length": 1.0, "ks": 0.3}),
    "rfcavity": (
        "rfcavity, l=1, volt=2, freq=200, lag=0.25", "Cavity",
        {"length": 1.0, "voltage": 2e6, "frequency": 2e8, "phase": math.pi / 2},
    ),
    "harmonic": ("rfcavity, volt=2, harmon=7", "Cavity", {"voltage": 2e6, "harmonic": 7.0}),
    "crabcavity": (
        "crabcavity, volt=2, freq=200, lag=0.25", "CrabCavity",
        {"crab_voltage": 2e6, "frequency": 2e8, "phase": math.pi / 2},
    ),
    "dipedge": ("dipedge, h=0.1, e1=0.2", "DipoleEdge", {"k": 0.1, "e1": 0.2}),
    "a dipedge with a gap": (
        "dipedge, h=0.1, e1=0.2, fint=0.5, hgap=0.03", "DipoleEdge",
        {"k": 0.1, "e1": 0.2, "fint": 0.5, "hgap": 0.03},
    ),
    "srotation": ("srotation, angle=0.1", "Rotation", {"rot_s_rad": 0.1}),
    "xrotation": ("xrotation, angle=0.1", "Rotation", {"rot_x_rad": 0.1}),
    "yrotation": ("yrotation, angle=0.1", "Rotation", {"rot_y_rad": 0.1}),
    "translation": (
        "translation, dx=1e-3, dy=2e-3, ds=3e-3", "Translation",
        {"shift_x": 1e-3, "shift_y": 2e-3, "shift_s": 3e-3},
    ),
}  # fmt: skip
NO_NATIVE = {
    "a bend of its own",  # xtrack: UnboundLocalError where angle and knl come together
    "a dipedge with a gap",  # xtrack drops its fint
    "harmonic",  # needs a line to know its revolution
}


@pytest.fixture
def element(tmp_path, monkeypatch) -> ReadElement:
    """Read a deck of one element `e`."""
    monkeypatch.chdir(tmp_path)

    def read(text: str, before: str = "", **options: Any) -> Lattice:
        Path("e.madx").write_text(f"{BEAM}{before}\ne: {text};\ns: line = (e);")
        return read_lattice("e.madx", **options)

    return read


def record(lattice: Lattice, name: str = "e") -> Record:
    return lattice.elements[name]


@pytest.mark.parametrize("title", MAPPINGS)
def test_elements_become_the_classes_and_fields_of_xsuite(element, title):
    text, kind, fields = MAPPINGS[title]
    found = record(element(text))
    assert (found.kind, found.line, found.file) == (kind, 2, "e.madx")
    assert found.source_type == text.split(",")[0]
    assert found.fields.keys() == fields.keys()
    for key, value in fields.items():
        assert found.fields[key] == pytest.approx(value), key


def track(thing: Any) -> np.ndarray:
    particles = xt.Particles(
        mass0=938272088.16, q0=1, p0c=1.17e9, x=[1e-3, -2e-3], px=[2e-4, 1e-4], y=[-1e-3, 3e-3],
        py=[3e-4, -2e-4], zeta=[0.1, -0.2], delta=[1e-3, -2e-3],
    )  # fmt: skip
    thing.track(particles)
    return np.array([getattr(particles, c) for c in ("x", "px", "y", "py", "zeta", "delta", "s")])


@pytest.mark.parametrize("title", sorted(MAPPINGS.keys() - NO_NATIVE))
def test_records_track_as_the_import_of_xtrack_does(element, title):
    text = MAPPINGS[title][0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        line = load_madx_lattice(string=f"e: {text}; s: line = (e);")["s"]
        found = record(element(text))
        ours = getattr(xt, found.kind)(**found.fields)
        theirs = line._element_dict["e"]
        assert type(theirs) is type(ours)
        np.testing.assert_allclose(track(ours), track(theirs), atol=ROUNDING, rtol=0)


def test_every_type_has_a_builder():
    assert set(TYPES) == set(BUILDERS)


# ---- what stays live -----------------------------------------------------------------------


def test_live_attributes_drive_fields_in_their_units(element):
    before = "k = 0.3; v = 2; "
    cases = {
        "quadrupole, l=1, k1:=k": {("k1", None): "k"},
        "rfcavity, volt:=v, freq=200": {("voltage", None): "v * 1000000"},
        "hkicker, kick:=k/100": {("knl", 0): "-(k / 100)"},
        "multipole, knl:={0, k, 2*k}": {("knl", 1): "k", ("knl", 2): "2 * k"},
        "multipole, knl:={k/10}": {("knl", 0): "k / 10", ("hxl", None): "k / 10"},
        "sbend, l=2, angle=0.1, k1:=k, k1s:=k": {("k1", None): "k", ("ksl", 1): "k * 2"},
        "sbend, l=2, angle:=k/3": {("angle", None): "k / 3"},
    }
    for text, expected in cases.items():
        lattice = element(text, before)
        driven = {(f, i): str(tree) for (_, f, i), tree in lattice.field_expressions.items()}
        assert driven == expected, text
        assert lattice.variables["k"] == 0.3


def test_a_field_of_zero_follows_the_angle_with_a_warning(element):
    lattice = element("sbend, l=2, angle=0.1, k0:=k", "k = 0;")
    assert "k0" not in record(lattice).fields
    assert lattice.warnings == ("e.madx:2: e: k0 = k is 0 now: the field follows the angle",)
    assert record(element("sbend, l=2, angle=0.1, k0:=k", "k=0.06;")).fields["k0"] == 0.06


def test_what_a_live_expression_refers_to_is_a_knob_of_its_own(element):
    before = "q: quadrupole, l=1, k1=0.3; p: quadrupole, l=1, k1:=2*q->k1;"
    lattice = element("quadrupole, l=1, k1:=p->k1 + k", before + "k = 1;")
    assert lattice.variables["q->k1"] == 0.3
    assert str(lattice.expressions["p->k1"]) == "2 * q->k1"
    assert str(lattice.field_expressions["e", "k1", None]) == "p->k1 + k"
    assert record(lattice).fields["k1"] == pytest.approx(1.6)
    line = "m: line = (q, p, e); use, sequence=m;"
    both = element("quadrupole, l=1, k1:=p->k1 + k", before + "k = 1;" + line)
    assert str(both.field_expressions["q", "k1", None]) == "q->k1"
    assert str(both.field_expressions["p", "k1", None]) == "p->k1"


def test_the_frequency_goes_before_the_harmonic(element):
    fields = record(element("rfcavity, volt=1, freq=100, harmon=7")).fields
    assert fields == {"voltage": 1e6, "frequency": 1e8}


def test_the_voltage_is_that_of_the_whole_charge(element):
    before = "beam, particle=ion, mass=193.7, charge=54, energy=1000;"
    assert record(element("rfcavity, volt=54, freq=1", before)).fields["voltage"] == 1e6


def test_the_chord_of_an_rbend_may_be_its_arc(element):
    fields = record(element("rbend, l=2, angle=0.1", "option, rbarc=false;")).fields
    assert fields["length_straight"] == pytest.approx(2 * math.sin(0.05) / 0.05)


def test_edges_that_are_killed_are_switched_off(element):
    fields = record(element("sbend, l=1, angle=.1, kill_ent_fringe, kill_exi_fringe=true")).fields
    assert (fields["edge_entry_active"], fields["edge_exit_active"]) == (False, False)
    assert "edge_entry_active" not in record(element("sbend, l=1, -kill_ent_fringe")).fields


def test_strengths_of_a_bend_that_xsuite_has_as_kicks_are_integrated(element):
    fields = record(element("sbend, l=2, angle=.1, k1s=.1, k2s=.2, k3=.3, knl={1,2}")).fields
    assert fields["knl"] == pytest.approx([1.0, 2.0, 0.0, 0.6])
    assert fields["ksl"] == pytest.approx([0.0, 0.2, 0.4])


def test_a_matrix_is_in_the_coordinates_of_xsuite(element):
    fields = record(element("matrix, l=1, rm12=2, rm56=3, rm16=4, kick1=1e-3, kick5=1e-3")).fields
    beta = math.sqrt(1 - (0.93827208816 / 1.5) ** 2)
    expected = np.eye(6)
    # t = zeta/beta and pt = beta pzeta
    expected[0, 1], expected[4, 5], expected[0, 5] = 2.0, 3 * beta**2, 4 * beta
    np.testing.assert_allclose(fields["m1"], expected, rtol=1e-14)
    np.testing.assert_allclose(fields["m0"], [1e-3, 0, 0, 0, 1e-3 * beta, 0], rtol=1e-14)


def test_a_transverse_matrix_needs_no_beam(tmp_path):
    path = tmp_path / "m.madx"
    path.write_text("e: matrix, rm12=2; s: line = (e);")
    assert read_lattice(path).elements["e"].fields["m1"][0][1] == 2.0
    path.write_text("e: matrix, rm56=2; s: line = (e);")
    with pytest.raises(LatticeError, match="e: needs the beam's beta: add a beam command"):
        read_lattice(path)


def test_an_rf_multipole_has_its_phases_in_degrees(element):
    found = record(element("rfmultipole, volt=1, freq=400, knl={0, 0.1}, pnl={0, 0.25}"))
    assert found.kind == "RFMultipole"
    assert found.fields["pn"] == [0.0, 90.0]


def test_a_nonlinear_lens_keeps_its_names(element):
    found = record(element("nllens, knll=1e-6, cnll=0.01"))
    assert (found.kind, found.fields) == ("NonLinearLens", {"knll": 1e-6, "cnll": 0.01})


def test_the_exit_of_a_dipole_edge_is_marked(element):
    assert record(element("dipedge, h=0.1, e1=0.2, entrance=false")).fields["side"] == "exit"


# ---- apertures -----------------------------------------------------------------------------

APERTURES = {
    "circle": ("aperture={0.03}", "LimitEllipse", {"a": 0.03, "b": 0.03}),
    "ellipse": ("aperture={0.03, 0.02}", "LimitEllipse", {"a": 0.03, "b": 0.02}),
    "rectangle": (
        "aperture={0.03, 0.02}", "LimitRect",
        {"min_x": -0.03, "max_x": 0.03, "min_y": -0.02, "max_y": 0.02},
    ),
    "rectellipse": (
        "aperture={0.03, 0.02, 0.04, 0.05}", "LimitRectEllipse",
        {"max_x": 0.03, "max_y": 0.02, "a": 0.04, "b": 0.05},
    ),
    "racetrack": (
        "aperture={0.03, 0.02, 0.01, 0.005}", "LimitRacetrack",
        {"min_x": -0.03, "max_x": 0.03, "min_y": -0.02, "max_y": 0.02, "a": 0.01, "b": 0.005},
    ),
    "octagon": ("aperture={0.03, 0.02, 0.3, 1.2}", "LimitPolygon", None),
}  # fmt: skip


@pytest.mark.parametrize("shape", APERTURES)
def test_apertures_are_those_that_xtrack_imports(element, shape):
    text, kind, fields = APERTURES[shape]
    deck = f"collimator, l=1, apertype={shape}, {text}, aper_offset={{1e-3, 2e-3}}, aper_tilt=0.1"
    lattice = element(deck)
    found = record(lattice, "e_aper")
    assert lattice.element_names == ("s$start", "e_aper", "e", "s$end")
    assert lattice.source_counts == {"marker": 2, "collimator": 1}
    assert found.kind == kind
    shift = {"shift_x": 1e-3, "shift_y": 2e-3, "rot_s_rad": 0.1}
    assert fields is None or found.fields == pytest.approx(fields | shift)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = load_madx_lattice(string=f"e: {deck}; s: line = (e);")["s"]["e_aper"]
        ours = getattr(xt, kind)(**found.fields)
    grid = np.linspace(-0.05, 0.05, 41)
    x, y = (axis.ravel() for axis in np.meshgrid(grid, grid))
    lost = []
    for aperture in (ours, theirs):
        particles = xt.Particles(p0c=1e9, x=x, y=y)
        aperture.track(particles)
        lost.append(set(particles.particle_id[particles.state <= 0]))
    assert lost[0] == lost[1]
    assert 0 < len(lost[0]) < len(x)


def test_other_apertures_and_old_collimators(element):
    assert record(element("marker, apertype=rectcircle, aperture={1, 2, 3}"), "e_aper").fields == {
        "max_x": 1.0, "max_y": 2.0, "a": 3.0, "b": 3.0,
    }  # fmt: skip
    polygon = record(element("marker, aper_vx={1, -1, 0}, aper_vy={0, 0, 1}"), "e_aper")
    assert polygon.fields == {"x_vertices": [1.0, -1.0, 0.0], "y_vertices": [0.0, 0.0, 1.0]}
    old = record(element("rcollimator, l=1, xsize=0.1, ysize=0.2"), "e_aper")
    assert (old.kind, old.fields["max_y"]) == ("LimitRect", 0.2)
    assert record(element("ecollimator, xsize=0.1, ysize=0.2"), "e_aper").kind == "LimitEllipse"
    assert "e_aper" not in element("marker, apertype=circle, aperture={0}").elements


def test_apertures_may_be_left_out(element):
    lattice = element("marker, apertype=circle, aperture={1}", allow=["aperture"])
    assert "e_aper" not in lattice.elements
    assert [str(entry) for entry in lattice.left_out] == ["e.madx:2: e: the aperture (aperture)"]
    with pytest.raises(LatticeError, match=r"the aperture of type 'screen\.dat' would be lost"):
        element("marker, apertype='screen.dat', aperture={1}")
    with pytest.raises(LatticeError, match=r"aperture = \[1.0, 1.0, 0.0, 0.0\] is no octagon"):
        element("marker, apertype=octagon, aperture={1, 1}")


# ---- losses --------------------------------------------------------------------------------

LOSSES = {
    "beambeam, sigx=1": ("beam-beam", "the beam-beam kick"),
    "wire, current=1": ("wire", "the kick of the wire"),
    "twcavity, volt=1": ("twcavity", "the travelling wave"),
    "changeref": ("changeref", "the change of the reference frame"),
    "changerefp0": ("energy", "the change of the reference energy"),
    "hacdipole, volt=1": ("ac dipole", "the oscillating kick"),
    "vacdipole, volt=1": ("ac dipole", "the oscillating kick"),
    "sbend, l=1, angle=0.1, h1=0.3": ("h1", "h1 = 0.3"),
    "sbend, l=1, angle=0.1, ktap=0.3": ("ktap", "ktap = 0.3"),
    "quadrupole, l=1, foo=2": ("foo", "foo = 2.*, which is not known of a quadrupole,"),
    "multipole, l=1": ("l", "l = 1"),
    "solenoid, ksi=0.1": ("ksi", "ksi = 0.1"),
    "hkicker, hkick=0.1": ("hkick", "hkick = 0.1"),
    "elseparator, l=1, ex=0.1": ("ex", "ex = 0.1"),
    "matrix, tm111=1": ("tm111", "tm111 = 1"),
    "multipole, ksl={0.1}": (r"ksl\[0\]", "the vertical bend of its reference orbit"),
    "quadrupole, l=1, tilt=0.1, bogus={0, 1}": ("bogus", "bogus = .*, which is not known"),
}


@pytest.mark.parametrize(("text", "loss"), LOSSES.items(), ids=LOSSES)
def test_what_would_be_lost_is_refused_unless_it_is_allowed(element, text, loss):
    word, what = loss
    with pytest.raises(LatticeError, match=rf"e.madx:2: e: {what}.* lost: allow = \['{word}'\]"):
        element(text)
    for accepted in (word.replace("\\", "").upper(), text.split(",")[0]):
        (entry,) = element(text, allow=[accepted]).left_out
        assert (entry.name, entry.place) == ("e", "e.madx:2")


def test_zero_and_layout_are_no_loss(element):
    text = "quadrupole, l=1, ktap=0, slot_id=12345, assembly_id=3, mech_sep=0.1, type=abc, v_pos=0"
    assert element(text).left_out == ()


def test_a_vertical_bend_that_is_zero_now_is_warned_of(element):
    lattice = element("multipole, ksl:={k, 0.1}", "k = 0;")
    assert record(lattice).fields["ksl"] == [0.0, 0.1]
    assert "ksl[0] = k is 0 now and stays so" in lattice.warnings[0]


def test_lists_are_lists_of_numbers_and_numbers_are_no_lists(element):
    with pytest.raises(LatticeError, match=r"e\.knl must be a list of numbers"):
        element('multipole, knl="abc"')
    with pytest.raises(LatticeError, match=r"e\.knl has 101 components, more than 100"):
        element("multipole, knl={" + "1," * 101 + "}")
    with pytest.raises(ExpressionError, match=r"e\.k1: .*k1 = .* must be a number"):
        element("quadrupole, l=1, k1={1, 2}")
