"""ImpactX's inputs and dumps: the maps of ImpactX itself, IOTA, and what is refused."""

from __future__ import annotations

import json
import math
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from reader_cases import (
    LATTICES,
    LENGTH,
    MATRIX,
    deviation,
    map_of,
    oracle,
)

import sc_bridge as scb
from sc_bridge.elements import Reference
from sc_bridge.errors import ExpressionError, LatticeError
from sc_bridge.readers import read_lattice
from sc_bridge.readers.impactx_elements import BUILDERS, TYPES

IOTA = LATTICES / "iota"
TUNE = 1e-6
# Rest energies of another CODATA, and thick kicks of two orders of integration.
SAME = 1e-7
STEPS = 2e-4  # ImpactX's ten steps of second order
BEAM = "beam.particle = proton\nbeam.kin_energy = 2.5\n"


@pytest.fixture
def read(tmp_path):
    def read_it(text: str, **options: Any):
        path = tmp_path / "input.in"
        path.write_text(text)
        return read_lattice(path, **options)

    return read_it


@pytest.fixture
def element(read):
    def read_one(text: str, **options: Any):
        lines = "\n".join(f"x.{part}" for part in text.split("; "))
        return read(f"{BEAM}lattice.elements = x\n{lines}\n", **options)

    return read_one


@pytest.mark.parametrize("key", ["bare", "nonlinear_insert"])
def test_iota_has_the_length_the_elements_and_the_optics_of_its_oracle(key):
    expected = oracle("iota")[key]
    lattice = read_lattice(IOTA / expected["file"])
    assert lattice.source_counts == expected["counts"]
    assert lattice.length == pytest.approx(expected["length"], abs=LENGTH)
    matrix, wanted = map_of(lattice), np.array(expected["R"])
    assert deviation(matrix[:4, :4], wanted[:4, :4]) < MATRIX
    for plane, key in ((0, "qx_frac"), (2, "qy_frac")):
        block = matrix[plane : plane + 2, plane : plane + 2]
        turn = math.acos(0.5 * block.trace().item()) / (2 * math.pi)
        tune = turn if block[0, 1] > 0 else 1.0 - turn
        assert tune == pytest.approx(expected[key], abs=TUNE)


CASES = [
    ("Drift", "drift", {"ds": 0.5}, SAME),
    ("ExactDrift", "drift_exact", {"ds": 0.5}, SAME),
    ("Quad", "quad", {"ds": 0.3, "k": 1.2, "rotation": 20.0}, SAME),
    ("ChrQuad", "quad_chromatic", {"ds": 0.3, "k": 0.2, "units": 1}, SAME),
    ("ExactQuad", "quad_exact", {"ds": 0.3, "k": 1.2}, STEPS),
    ("Sbend", "sbend", {"ds": 0.5, "rc": 2.0}, SAME),
    ("CFbend", "cfbend", {"ds": 0.5, "rc": 2.0, "k": 0.3}, SAME),
    ("ExactSbend", "sbend_exact", {"ds": 0.5, "phi": 10.0}, SAME),
    ("ExactCFbend", "cfbend_exact",
     {"ds": 0.5, "k_normal": [0.5, 0.3], "k_skew": [0.0, 0.0]}, STEPS),
    ("ExactMultipole", "multipole_exact",
     {"ds": 0.5, "k_normal": [0.0, 0.3], "k_skew": [0.0, 0.0]}, STEPS),
    ("DipEdge", "dipedge", {"psi": 0.1, "rc": 2.0, "g": 0.06, "K2": 0.5}, SAME),
    ("Sol", "solenoid", {"ds": 0.3, "ks": 1.2}, SAME),
    ("Multipole", "multipole", {"multipole": 2, "k_normal": 0.2, "k_skew": 0.1}, SAME),
    ("ThinDipole", "thin_dipole", {"theta": 10.0, "rc": 2.0}, SAME),
    ("NonlinearLens", "nonlinear_lens", {"knll": 2e-6, "cnll": 0.01}, SAME),
    ("ShortRF", "shortrf", {"V": 1e-4, "freq": 1e8, "phase": -60.0}, SAME),
    ("Buncher", "buncher", {"V": 0.001, "k": 3.0}, SAME),
    ("ConstF", "constf", {"ds": 0.5, "kx": 0.3, "ky": 0.4, "kt": 0.5}, SAME),
    ("PlaneXYRot", "plane_xyrotation", {"angle": 20.0}, SAME),
]  # fmt: skip
PYTHON = {"units": "unit"}
CAPITALS = {"k_normal": "K_normal", "k_skew": "K_skew"}


@cache
def _amrex() -> Any:
    """AMReX, without which ImpactX's elements do not live."""
    return pytest.importorskip("impactx").ImpactX()


def impactx_map(kind: str, parameters: dict[str, Any], mass0: float) -> tuple[np.ndarray, Any]:
    """Map of an element by ImpactX, in its coordinates, and its reference."""
    impactx = pytest.importorskip("impactx")
    _amrex()
    names = PYTHON | (CAPITALS if kind == "Multipole" else {})
    element = getattr(impactx.elements, kind)(**{names.get(k, k): v for k, v in parameters.items()})
    reference = impactx.RefPart()
    reference.set_charge_qe(1.0).set_mass_MeV(mass0 / 1e6).set_kin_energy_MeV(2.5)
    matrix = impactx.elements.KnownElementsList([element]).transfer_map(reference)
    return np.array([[matrix[i + 1, j + 1] for j in range(6)] for i in range(6)]), reference


def into_ours(matrix: np.ndarray, before: Reference, after: Reference) -> np.ndarray:
    """A map of (x, px, y, py, ct, pt), late and slow positive, in our coordinates."""

    def scale(at: Reference) -> np.ndarray:
        beta = at.beta0.item()
        return np.diag([1.0, 1.0, 1.0, 1.0, -beta, -1.0 / beta])

    return scale(after) @ matrix @ np.linalg.inv(scale(before))


@pytest.mark.parametrize(("kind", "word", "parameters", "tolerance"), CASES)
def test_elements_have_the_maps_of_impactx(element, kind, word, parameters, tolerance):
    shown = {
        key: " ".join(map(str, value)) if isinstance(value, list) else value
        for key, value in parameters.items()
    }
    lattice = element("; ".join([f"type = {word}", *(f"{k} = {v}" for k, v in shown.items())]))
    assert lattice.source_counts == {kind: 1}
    sequence = scb.KickedSequence(lattice)
    after = sequence[lattice.element_names[0]].outgoing(sequence.reference)
    expected, _ = impactx_map(kind, parameters, sequence.reference.mass0.item())
    expected = into_ours(expected, sequence.reference, after)
    found = sequence.transfer_matrix().detach()
    # the longitudinal block of a thick element is large: transverse first
    assert deviation(found[:4, :4], expected[:4, :4]) < tolerance
    assert deviation(found, expected) < tolerance


def test_an_element_of_a_dump_is_that_of_the_inputs(tmp_path, element):
    elements = pytest.importorskip("impactx").elements
    _amrex()
    dumped = elements.KnownElementsList([
        elements.Quad(name="x", ds=0.3, k=1.2, rotation=3.0, aperture_x=0.1, aperture_y=0.2),
        elements.Multipole(multipole=3, K_normal=0.2, K_skew=0.0),
        elements.ExactSbend(ds=0.5, phi=10.0),
        elements.Empty(),
    ]).to_dicts()  # fmt: skip
    path = tmp_path / "dump.json"
    path.write_text(json.dumps(dumped))
    lattice = read_lattice(path)
    assert lattice.format == "impactx"
    assert lattice.source_counts == {"Quad": 1, "Multipole": 1, "ExactSbend": 1, "None": 1}
    text = "type = quad; ds = 0.3; k = 1.2; rotation = 3; aperture_x = 0.1; aperture_y = 0.2"
    same = element(text)
    assert lattice.elements["x"].fields == same.elements["x"].fields
    assert same.elements["x_aper"].fields == lattice.elements["x_aper"].fields == {
        "a": 0.1, "b": 0.2,
    }  # fmt: skip
    assert lattice.elements["multipole_2"].fields["knl"] == [0.0, 0.0, 0.2]
    assert lattice.elements["exactsbend_3"].fields["angle"] == pytest.approx(math.radians(10))


# ---- inputs --------------------------------------------------------------------------------


def test_values_run_over_lines_and_reversal_is_of_the_order_alone(read):
    lattice = read(
        "lattice.elements = = a cell \\\n  back  # comment\n  a\n"
        "cell.type = line\ncell.elements = a b\ncell.repeat = 2\n"
        "back.type = line\nback.elements = cell c\nback.reverse = true\n"
        'a.type = "drift"\na.ds = 1 + \n 1\nb.type = drift\nb.ds = 1\nb.ds = 3\n'
        "c.type = marker\nlattice.periods = 5\nlattice.nslice = 10\n"
    )
    assert "".join(lattice.element_names) == "aabab" + "c" + "abab" + "a"
    assert lattice.elements["a"].fields == {"length": 2.0}
    assert lattice.elements["b"].fields == {"length": 3.0}
    assert lattice.elements["c"].line == 16
    assert read(
        "lattice.elements = a b\nlattice.reverse = 1\na.type = marker\nb.type = marker\n"
    ).element_names == ("b", "a")


def test_constants_are_knobs_whose_gradient_is_exact(read):
    lattice = read(
        BEAM + "my_constants.k = 1.5\nmy_constants.kd = -2*k^2\nlattice.elements = f o d o\n"
        "f.type = quad\nf.ds = 0.3\nf.k = k\nd.type = quad\nd.ds = 0.3\nd.k = kd/2\n"
        "o.type = drift\no.ds = 1.\n"
    )
    assert lattice.variables == {"k": 1.5, "kd": -4.5}
    assert lattice.elements["d"].fields["k1"] == -2.25
    sequence = scb.KickedSequence(lattice)
    knob = sequence.knobs["k"].requires_grad_()

    def trace() -> torch.Tensor:
        return sequence.transfer_matrix()[:2, :2].trace()

    (slope,) = torch.autograd.grad(trace(), knob)
    step, values = 1e-5, []
    with torch.no_grad():
        for value in (1.5 + step, 1.5 - step):
            sequence.knobs["k"] = value
            values.append(trace().item())
    assert slope.item() == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-6)


def test_particles_and_fields_in_tesla_are_of_the_beam(element, read):
    text = "beam.particle = {}\nbeam.kin_energy = 1e3\nlattice.elements = k\nk.type = kicker\n"
    kick = text + "k.xkick = 1e-3\nk.ykick = 2e-3\nk.units = T-m\n"
    lattice = read(kick.format("proton"))
    assert lattice.reference is not None
    rigidity = lattice.reference.p0c / 299792458.0
    assert lattice.elements["k"].fields["knl"] == [pytest.approx(-1e-3 / rigidity)]
    assert lattice.elements["k"].fields["ksl"] == [pytest.approx(2e-3 / rigidity)]
    assert read(kick.format("Hminus")).reference.q0 == -1.0
    with pytest.raises(LatticeError, match=r"beam\.particle = 'neutron': must be electron"):
        read(kick.format("neutron"))
    with pytest.raises(LatticeError, match="kin_energy = 0 MeV: must be positive"):
        read(kick.format("proton").replace("1e3", "0"))
    with pytest.raises(LatticeError, match="a kick in T m needs the reference momentum"):
        read(kick.format("proton").replace("beam.kin_energy = 1e3\n", ""))


def test_apertures_are_limits(element):
    record = element("type = aperture; aperture_x = 0.1; aperture_y = 0.2; dx = 1e-3").records[0]
    assert (record.kind, record.fields["min_x"], record.fields["shift_x"]) == (
        "LimitRect", -0.1, 1e-3,
    )  # fmt: skip
    record = element("type = aperture; xmax = 0.1; ymax = 0.2; shape = elliptical").records[0]
    assert (record.kind, record.fields) == ("LimitEllipse", {"a": 0.1, "b": 0.2})
    text = "type = polygon_aperture; vertices_x = 0 1 0 0; vertices_y = 0 0 1 0"
    assert element(text).records[0].fields["x_vertices"] == [0.0, 1.0, 0.0]
    text = "type = drift; ds = 1; aperture_x = 0.1; aperture_y = 0.1"
    assert [record.kind for record in element(text).records] == ["Drift", "LimitEllipse"]
    allowed = element(text, allow=["aperture"])
    assert [record.kind for record in allowed.records] == ["Drift"]
    allowed = element("type = aperture; aperture_x = 1; aperture_y = 1", allow=["aperture"])
    assert [entry.word for entry in allowed.left_out] == ["aperture"]


def test_a_thick_multipole_is_the_magnet_of_its_lowest_order(element):
    record = element("type = multipole_exact; ds = 0.5; k_normal = 0 0 3 4; k_skew = 0 0 1 0")
    assert record.records[0].kind == "Sextupole"
    assert record.records[0].fields == {
        "length": 0.5, "k2": 3.0, "k2s": 1.0, "knl": [0.0, 0.0, 0.0, 2.0],
    }  # fmt: skip


def test_a_linear_map_turns_time_and_energy(element):
    fields = element("type = linear_map; ds = 1; R12 = 2; R51 = 0.5; R56 = 3").records[0].fields
    assert fields["m1"][0][:2] == [1.0, 2.0]
    assert fields["m1"][4] == [-0.5, 0.0, 0.0, 0.0, 1.0, 3.0]


REFUSED = [
    ("type = quads", r"input\.in:4: x\.type = 'quads': no such type"),
    ("type = rfcavity; ds = 1", r"the RFCavity would be lost: allow = \['field map'\]"),
    ("type = tapered_plasma_lens; k = 1", r"allow = \['TaperedPL'\] accepts that"),
    ("type = drift; ds = 1; wiggle = 2", r"wiggle = 2 would be lost"),
    ("type = sbend; ds = 1", r"rc = 0: must not be 0"),
    ("type = dipedge; psi = 0", r"rc = 0\.0: must not be 0"),
    ("type = dipedge; rc = 1; K5 = 2", r"K5 of the fringe would be lost"),
    ("type = dipedge; rc = 1; model = nonlinear", r"the nonlinear fringe would be lost"),
    ("type = dipedge; rc = 1; modify_ref_part = 1", r"the turn of the reference would be lost"),
    ("type = sbend_exact; phi = 1; B = 1", r"a field that does not follow the angle would"),
    ("type = cfbend_exact; ds = 1; k_normal = .1; k_skew = .1", r"the curvature by a field"),
    ("type = multipole; multipole = 0", r"multipole = 0\.0: must be a whole number from 1"),
    ("type = aperture; action = absorb", r"an aperture that absorbs"),
    ("type = aperture; repeat_x = 1", r"the repetition of the aperture would be lost"),
    ("type = plane_xyrotation; angle = 1; dx = 1", r"the shift of a rotation would be lost"),
    ("type = kicker; units = T", r"must be dimensionless or t-m"),
    ("type = aperture; shift_odd_x = maybe", r"shift_odd_x = 'maybe': must be true or false"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_what_has_no_counterpart_is_refused_with_its_place(element, text, message):
    with pytest.raises(LatticeError, match=message):
        element(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lattice.elements += a", r"input\.in:1: '\+=' is not supported"),
        ("a b = c", r"input\.in:1: 'a': must be key = value"),
        ("lattice.elements = a", r"input\.in:1: lattice: a\.type is not given"),
        ("lattice.elements = a\na.type = line\na.elements = a", "contains itself"),
        ("lattice.elements = a\na.type = line\na.elements = b\na.repeat = 0", "whole number from"),
        ("lattice.elements = a\na.type = line\na.elements = b\na.repeat = 1e9\nb.type = drift",
         "places, more than"),
        ("lattice.reverse = up\nlattice.elements = a", "must be true or false"),
        ("beam.x = 1", "0 sequences|no sequence"),
    ],
)  # fmt: skip
def test_what_is_no_lattice_is_refused(read, text, message):
    with pytest.raises(LatticeError, match=message):
        read(text, format="impactx")


def test_an_expression_without_a_value_is_refused(read):
    text = "lattice.elements = a\na.type = drift\na.ds = {}\n"
    with pytest.raises(ExpressionError, match=r"input.in:2: a.ds: .*'nil' is not defined"):
        read(text.format("2*nil"))
    with pytest.raises(ExpressionError, match=r"a\.ds"):
        read(text.format("2*"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "must be the list of KnownElementsList.to_dicts"),
        ([1], "element 1: must be an object with a type"),
        ([{"type": "Quark"}], "quark_1: type 'Quark': no such type"),
        ([{"type": "Drift", "ds": "1"}], r"drift_1\.ds = '1': must be a number"),
        ([{"type": "LinearMap", "R": [1.0]}], "R = .*: must be 6 x 6 numbers"),
    ],
)
def test_a_dump_that_is_none_is_refused(tmp_path, content, message):
    path = tmp_path / "dump.json"
    path.write_text(json.dumps(content))
    with pytest.raises(LatticeError, match=message):
        read_lattice(path, format="impactx")


def test_every_element_of_impactx_is_read_or_refused_by_name():
    elements = pytest.importorskip("impactx").elements
    classes = {name for name in dir(elements) if hasattr(getattr(elements, name), "to_dict")}
    assert classes - set(BUILDERS) <= set(TYPES.values())
