"""Lines that Xsuite has sliced: read, audited, tracked as xtrack tracks them, differentiated."""

from __future__ import annotations

import json

import pytest
import torch
import xtrack as xt

import sc_bridge as scb
from cases import ADJOINT_CASES, random_bunch
from frame_cases import MISALIGNED
from oracles import central_difference, track_xtrack
from sc_bridge.elements import Bend, DriftSlice, Edge, Quadrupole, Slice, ThinSlice
from sc_bridge.lattice import Lattice, Record, ReferenceFields

# Rounding of one turn through a few hundred maps of coordinates of a millimetre.
ONE_TURN = 1e-12
# Of a fourth-order central difference with a step of 1e-4.
DIFFERENCE = 1e-8
# Slices cut once more take shorter steps of their integrators.
CUT_AGAIN = 1e-5
PROTON = ReferenceFields(mass0=938272089.43, q0=1.0, p0c=571e6)
TRANSVERSE = {
    name: value
    for name, value in MISALIGNED.items()
    if name.startswith(("shift", "rot_s_rad")) and name != "rot_s_rad_no_frame"
}
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


def sps_like_cell(names=None):
    """A cell of rectangular bends, with every thick class that Xsuite slices."""
    env = xt.Environment()
    env["kqf"] = 0.0116
    env.new("qf", "Quadrupole", length=3.085, k1="kqf", edge_entry_active=True, **MISALIGNED)
    env.new("qd", "Quadrupole", length=3.085, k1="-kqf", k1s=1e-4, knl=[1e-6, 0, 1e-3])
    env.new("mba", "RBend", length_straight=6.26, angle=0.00844, rot_s_rad=0.1)
    env.new("mbs", "RBend", length_straight=6.26, angle=0.00844, rbend_model="straight-body")
    env.new(
        "mbb", "Bend", length=6.26, angle=0.00844, k1=1e-3, edge_entry_angle=0.004, **TRANSVERSE
    )
    env.new("lsf", "Sextupole", length=0.42, k2=0.1, **MISALIGNED)
    env.new("lof", "Octupole", length=0.74, k3=1.0, rot_s_rad=0.2)
    env.new("ks", "UniformSolenoid", length=0.5, ks=0.01, **MISALIGNED)
    env.new("mul", "Multipole", length=0.5, knl=[0, 0, 0.1], isthick=True, shift_x=1e-3)
    env.new("acta", "Cavity", length=2.0, voltage=3e6, frequency=200e6, shift_y=1e-3)
    env.new("d", "Drift", length=0.4)
    every = ["qf", "lsf", "d", "mba", "d", "mbb", "d", "lof", "ks", "qd", "d", "mbs", "mul"]
    line = env.new_line(components=names or [*every, "acta", "d", "qf"])
    line.particle_ref = xt.Particles(mass0=xt.PROTON_MASS_EV, p0c=26e9)
    return line


def psb_ring(root):
    return xt.Line.from_json(str(root / "examples" / "psb" / "psb.json"))


SCHEMES = {
    "thin": [
        xt.Strategy(xt.Teapot(3)),
        xt.Strategy(xt.Uniform(2, mode="thick"), element_type=xt.UniformSolenoid),
        xt.Strategy(xt.Uniform(2), element_type=xt.Drift),
    ],
    "thick": [xt.Strategy(xt.Teapot(3, mode="thick"))],
}


def sliced(line, scheme, tmp_path):
    """Slice a line, and return it as xtrack tracks it and as we read its file."""
    line.slice_thick_elements(SCHEMES[scheme])
    path = tmp_path / "sliced.json"
    line.to_json(path)
    return line, scb.KickedSequence(scb.read_lattice(path))


def assert_one_turn_agrees(line, sequence, bunch):
    expected = track_xtrack(line, bunch)
    assert abs(sequence(bunch).coordinates.numpy() - expected).max() < ONE_TURN
    sequence.audit()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_sliced_cell_of_every_class_tracks_as_in_xtrack(scheme, tmp_path):
    line, sequence = sliced(sps_like_cell(), scheme, tmp_path)
    bunch = random_bunch(reference=sequence.reference)
    assert_one_turn_agrees(line, sequence, bunch)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_sliced_booster_tracks_as_in_xtrack(scheme, tmp_path, root):
    line, sequence = sliced(psb_ring(root), scheme, tmp_path)
    bunch = random_bunch(reference=sequence.reference)
    assert_one_turn_agrees(line, sequence, bunch)


def test_the_gradient_of_a_parent_sums_over_its_slices(tmp_path):
    _, sequence = sliced(sps_like_cell(), "thin", tmp_path)
    bunch = random_bunch(reference=sequence.reference)
    gradient = sequence["lsf"].k2.requires_grad_()
    knob = sequence.knobs["kqf"].requires_grad_()
    sequence(bunch).mean("px").backward()
    for parameter in (gradient, knob):
        found, at = parameter.grad.item(), parameter.item()

        def mean_px(value, parameter=parameter):
            with torch.no_grad():
                parameter.fill_(value)
                return sequence(bunch).mean("px")

        assert found == pytest.approx(
            central_difference(mean_px, at, 1e-4).item(), abs=DIFFERENCE, rel=DIFFERENCE
        )
        mean_px(at)


def test_slices_of_one_element_share_its_fields_and_are_no_parameters(tmp_path):
    _, sequence = sliced(sps_like_cell(), "thin", tmp_path)
    first, second = sequence["lsf..0"], sequence["lsf..1"]
    assert isinstance(first, ThinSlice) and first.parent is second.parent is sequence["lsf"]
    assert isinstance(sequence["mbb..entry_map"], Edge)
    assert isinstance(sequence["drift_mbb..1"], DriftSlice)
    assert isinstance(sequence["ks..0"], Slice)
    named = [id(parameter) for _, parameter in sequence.named_parameters(remove_duplicate=False)]
    assert len(named) == len(set(named))


def test_kicks_fall_into_the_slices_of_a_file(tmp_path):
    line, _ = sliced(sps_like_cell(["qf", "d", "lsf", "ks", "d"]), "thick", tmp_path)
    sequence = scb.KickedSequence(
        scb.read_lattice(tmp_path / "sliced.json"),
        slicing=scb.KicksPerElement(1),
        space_charge=scb.SpaceCharge(grid=(8, 8, 8)),
    )
    audit = sequence.audit()
    assert audit.kick_length == pytest.approx(line.get_length(), rel=1e-12)
    empty = random_bunch(reference=sequence.reference)  # no charge: the kicks do nothing
    out = scb.track(sequence, empty)
    bunch = getattr(out, "bunch", out)
    assert abs(bunch.coordinates.numpy() - track_xtrack(line, empty)).max() < CUT_AGAIN


@pytest.mark.parametrize("strategy", ADJOINT_CASES)
def test_every_strategy_agrees_on_the_gradient_of_a_shift(strategy, tmp_path):
    sliced(sps_like_cell(["qf", "d", "ks"]), "thick", tmp_path)
    sequence = scb.KickedSequence(
        scb.read_lattice(tmp_path / "sliced.json"),
        slicing=scb.KicksPerElement(1),
        space_charge=scb.SpaceCharge(grid=(8, 8, 8)),
    )
    bunch = random_bunch(50, reference=sequence.reference).replace(weight=torch.tensor(1e9))
    fields = [sequence["qf"].shift_x.requires_grad_(), sequence["ks"].rot_y_rad.requires_grad_()]
    expected, found = (
        torch.autograd.grad(scb.track(sequence, bunch, adjoint=adjoint).sigma("x"), fields)
        for adjoint in (scb.RecordAll(), ADJOINT_CASES[strategy])
    )
    assert torch.stack(expected).all()
    assert torch.allclose(torch.stack(found), torch.stack(expected), rtol=1e-9, atol=0.0)


def lattice_of(kind, fields, parent_kind="Bend", parent=None):
    parent = {"length": 1.0, "angle": 0.1} if parent is None else parent
    records = {
        "b..0": Record("b..0", kind, {"parent_name": "b", **fields}, line=3),
        "b": Record("b", parent_kind, parent),
    }
    return Lattice("ring.json", "xsuite-json", "", records, ("b..0",), reference=PROTON)


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        (
            "ThinSliceQuadrupole",
            {"weight": 0.5},
            r"ring.json:3: b..0: a ThinSliceQuadrupole of Bend",
        ),
        ("ThickSliceBend", {"weight": "half"}, "ThickSliceBend.weight = 'half': must be a number"),
        ("ThickSliceBend", {"weight": 0.5, "delta_taper": 0.1}, "delta_taper = 0.1 has no counter"),
        (
            "ThickSliceBend",
            {"weight": 0.5, "radiation_flag": 1},
            "radiation_flag = 1 has no counter",
        ),
    ],
)
def test_what_is_no_slice_of_its_parent_is_named(kind, fields, message):
    with pytest.raises(scb.LatticeError, match=message):
        scb.KickedSequence(lattice_of(kind, fields))


def test_a_thin_slice_of_what_is_not_cut_thinly_is_named():
    lattice = lattice_of("ThinSliceUniformSolenoid", {"weight": 1.0}, "UniformSolenoid", {})
    with pytest.raises(
        scb.LatticeError, match=r"ring.json:3: b..0: UniformSolenoid 'b': has no thin"
    ):
        scb.KickedSequence(lattice)


def test_the_bend_angle_of_slices_is_audited():
    sequence = scb.KickedSequence(lattice_of("ThickSliceBend", {"weight": 0.25}))
    assert sequence.audit().angle == pytest.approx(0.025)


def test_a_cavity_in_slices_makes_the_same_bucket(tmp_path):
    def spread(line):
        path = tmp_path / "ring.json"
        line.to_json(path)
        sequence = scb.KickedSequence(scb.read_lattice(path), bend_model="exact")
        return scb.gaussian(
            sequence, n_particles=1000, intensity=1e10, nemitt_x="1 um", nemitt_y="1 um",
            sigma_z="5 cm", seed=1,
        ).sigma_delta.item()  # fmt: skip

    def ring():
        env = xt.Environment()
        env.new("qf", "Quadrupole", length=0.5, k1=0.5)
        env.new("qd", "Quadrupole", length=0.5, k1=-0.5)
        env.new("b", "Bend", length=2.0, angle=torch.pi / 8, k0_from_h=True)
        env.new("d", "Drift", length=0.5)
        env.new("rf", "Cavity", length=0.4, voltage=1e5, frequency=2e7)
        cell = ["qf", "d", "b", "d", "qd", "d", "b", "d"]
        line = env.new_line(components=[*cell * 8, "rf"])
        line.particle_ref = xt.Particles(mass0=xt.PROTON_MASS_EV, p0c=1e9)
        return line

    whole, cut = ring(), ring()
    cut.slice_thick_elements(
        [xt.Strategy(None), xt.Strategy(xt.Uniform(2), element_type=xt.Cavity)]
    )
    assert spread(cut) == pytest.approx(spread(whole), rel=1e-3)


# ---- older names -------------------------------------------------------------------------


def read(tmp_path, elements, name="a"):
    path = tmp_path / "old.json"
    reference = {"mass0": 938272089.43, "q0": 1.0, "p0c": [571e6]}
    line = {"elements": elements, "element_names": [name], "particle_ref": reference}
    path.write_text(json.dumps({"__class__": "Line", **line}))
    return scb.KickedSequence(scb.read_lattice(path))


def test_a_rotation_stated_by_sine_and_cosine_reads(tmp_path):
    tilted = {"__class__": "Quadrupole", "length": 1.0, "_sin_rot_s": 0.6, "_cos_rot_s": 0.8}
    quadrupole = read(tmp_path, {"a": {**tilted, "_shift_x": 1e-3}})["a"]
    assert isinstance(quadrupole, Quadrupole)
    assert quadrupole.rot_s_rad.item() == pytest.approx(0.6435011087932844, rel=1e-15)
    assert quadrupole.shift_x.item() == 1e-3
    rotation = read(tmp_path, {"a": {"__class__": "SRotation", "sin_z": 0.6, "cos_z": 0.8}})["a"]
    assert rotation.angle.item() == pytest.approx(36.86989764584402, rel=1e-15)
    pitch = {"__class__": "XRotation", "sin_angle": 0.6, "cos_angle": 0.8, "tan_angle": 0.75}
    assert read(tmp_path, {"a": pitch})["a"].angle.item() == pytest.approx(36.86989764584402)


def test_simple_thin_magnets_read_as_multipoles(tmp_path):
    thin = {"__class__": "SimpleThinQuadrupole", "knl": [5.0, 0.1]}
    assert read(tmp_path, {"a": thin})["a"].knl.tolist() == [0.0, 0.1]
    bend = {"__class__": "SimpleThinBend", "knl": [0.1], "hxl": 0.1, "length": 2.0}
    sequence = read(tmp_path, {"a": bend})
    bunch = random_bunch(reference=sequence.reference)
    expected = track_xtrack(xt.SimpleThinBend(knl=[0.1], hxl=0.1, length=2.0), bunch)
    assert abs(sequence(bunch).coordinates.numpy() - expected).max() < ONE_TURN


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"_sin_rot_s": 0.6, "_cos_rot_s": 0.6}, "must be sine and cosine of one angle"),
        ({"_sin_rot_s": "a", "_cos_rot_s": 0.6}, "must be sine and cosine of one angle"),
        (
            {"_sin_rot_s": 0.6, "_cos_rot_s": 0.8, "rot_s_rad": 0.1},
            "rot_s_rad = 0.1, but _sin_rot_s",
        ),
    ],
)
def test_angles_that_contradict_themselves_are_refused(tmp_path, fields, message):
    with pytest.raises(scb.LatticeError, match=message):
        read(tmp_path, {"a": {"__class__": "Quadrupole", "length": 1.0, **fields}})


def test_a_misaligned_element_whose_shift_is_driven_by_a_knob(tmp_path):
    env = xt.Environment()
    env["dx"] = 1e-3
    env.new("b", "Bend", length=1.0, angle=0.1, shift_x="2 * dx")
    line = env.new_line(components=["b"])
    line.particle_ref = xt.Particles(mass0=xt.PROTON_MASS_EV, p0c=1e9)
    path = tmp_path / "line.json"
    line.to_json(path)
    sequence = scb.KickedSequence(scb.read_lattice(path))
    assert isinstance(sequence["b"], Bend)
    bunch = random_bunch(reference=sequence.reference)
    knob = sequence.knobs["dx"].requires_grad_()
    assert (
        abs(sequence(bunch).coordinates.detach().numpy() - track_xtrack(line, bunch)).max()
        < ONE_TURN
    )
    sequence(bunch).mean("px").backward()
    assert knob.grad.item() != 0.0
