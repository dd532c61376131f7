"""Misalignment: parity for every class, slices in place, gradients, and no cost where aligned."""

from __future__ import annotations

import pytest
import torch
import xtrack as xt

from cases import CASES, ELEMENT_CASES, make_reference, random_bunch
from frame_cases import MISALIGNED
from oracles import ROUNDOFF, track_xtrack, xtrack_element
from sc_bridge import elements
from sc_bridge.elements import Bend, Bunch, LimitRect, Misalignable, Quadrupole, RBend
from sc_bridge.elements.errors import ElementError
from sc_bridge.elements.misalignment import ALIGNMENT
from sc_bridge.elements.parts import whole_of
from sc_bridge.xsuite import particles_from

TOLERANCE = ROUNDOFF[torch.float64]
# Central differences of order four with steps of 1e-4.
DIFFERENCE = 1e-8
# classes of xtrack that stand where the reference orbit is
ALIGNED_IN_XTRACK = {
    "Drift",
    "DriftExact",
    "Marker",
    "ReferenceEnergyChange",
    "ReferenceEnergyIncrease",
    "Rotation",
    "SRotation",
    "TimeDelay",
    "Translation",
    "XRotation",
    "XYShift",
    "YRotation",
    "ZetaShift",
}
MISALIGNED_CASES = [
    (kind, {**kwargs, **MISALIGNED})
    for kind, _, kwargs in CASES
    if issubclass(kind, Misalignable) and hasattr(xt, kind.__name__)
]
CASE_NAMES = [
    f"{kind.__name__}-{name}"
    for kind, name, _ in CASES
    if issubclass(kind, Misalignable) and hasattr(xt, kind.__name__)
]
BEND = {
    "length": 1.2,
    "angle": 0.3,
    "k1": 0.2,
    "edge_entry_angle": 0.1,
    "model": "mat-kick-mat",
    "integrator": "uniform",
    "num_multipole_kicks": 1,
}


def aligned_copies(element, bunch, weights):
    """Track through the slices of an element one by one."""
    for part in element.slices(weights):
        bunch = part.track(bunch)
    return bunch


@pytest.mark.parametrize("kind", ELEMENT_CASES)
def test_every_class_that_xtrack_misaligns_can_be_misaligned(kind):
    if hasattr(xt, kind.__name__):
        assert issubclass(kind, Misalignable) == (kind.__name__ not in ALIGNED_IN_XTRACK)


@pytest.mark.parametrize(("kind", "kwargs"), MISALIGNED_CASES, ids=CASE_NAMES)
def test_misaligned_map_equals_xtrack_and_is_undone(kind, kwargs):
    bunch, element = random_bunch(), kind(**kwargs)
    out = element.track(bunch)
    passed = out.alive.numpy()
    expected = track_xtrack(xtrack_element(kind.__name__, kwargs), bunch, may_lose=True)
    assert abs(out.coordinates.numpy() - expected)[:, passed].max() < TOLERANCE
    if not issubclass(kind, (elements.Aperture, elements.SecondOrderTaylorMap)):
        back = element.inverse().track(out)
        assert (back.coordinates - bunch.coordinates).abs().max() < TOLERANCE


@pytest.mark.parametrize("field", ALIGNMENT[:-1])
@pytest.mark.parametrize(
    ("kind", "kwargs"), [(Quadrupole, {"length": 0.7, "k1": 1.0}), (Bend, BEND)]
)
def test_each_shift_and_turn_alone_equals_xtrack(kind, kwargs, field):
    kwargs = {**kwargs, field: 0.02, "rot_shift_anchor": 0.3}
    bunch = random_bunch(amplitude=1e-2)
    expected = track_xtrack(xtrack_element(kind.__name__, kwargs), bunch)
    assert abs(kind(**kwargs).track(bunch).coordinates.numpy() - expected).max() < TOLERANCE


@pytest.mark.parametrize(
    ("kind", "kwargs"),
    [
        (Quadrupole, {"length": 0.7, "k1": 1.0}),
        (Bend, {"length": 1.2, "angle": 0.3, "model": "exact"}),
        (RBend, {"length_straight": 1.2, "angle": 0.3, "model": "bend-kick-bend"}),
    ],
)
def test_slices_of_a_misaligned_element_stand_where_it_stands(kind, kwargs):
    element, bunch = kind(**kwargs, **MISALIGNED), random_bunch()
    whole = element.track(bunch).coordinates
    sliced = aligned_copies(element, bunch, [0.2, 0.5, 0.3])
    assert (sliced.coordinates - whole).abs().max() < TOLERANCE
    first, front, back, last = element.slices([0.2, 0.8])
    cut_again = bunch
    for part in (first, *front.slices([0.25, 0.75]), *back.slices([0.5, 0.5]), last):
        cut_again = part.track(cut_again)
    assert (cut_again.coordinates - whole).abs().max() < TOLERANCE
    for part in reversed(element.slices([0.2, 0.5, 0.3])):
        sliced = part.inverse().track(sliced)
    assert (sliced.coordinates - bunch.coordinates).abs().max() < TOLERANCE


def test_between_slices_particles_are_where_the_reference_orbit_sees_them():
    length = 0.6
    element = elements.Device(length=length, model="exact", **MISALIGNED)
    bunch = random_bunch()
    _, first, *_ = element.slices([0.4, 0.6])
    expected = elements.Drift(length=0.4 * length, model="exact").track(bunch)
    assert (first.track(bunch).coordinates - expected.coordinates).abs().max() < TOLERANCE


@pytest.mark.parametrize("fields", [{}, MISALIGNED], ids=["at zero", "displaced"])
@pytest.mark.parametrize(
    ("kind", "kwargs"), [(Quadrupole, {"length": 0.7, "k1": 1.0}), (Bend, BEND)]
)
def test_gradients_of_the_alignment_are_exact(kind, kwargs, fields):
    element, bunch = kind(**kwargs, **fields), random_bunch(2)
    values = [getattr(element, name).detach().clone().requires_grad_() for name in ALIGNMENT]

    def outgoing(*values):
        swapped = dict(zip(ALIGNMENT, values, strict=True))
        return torch.func.functional_call(element, swapped, (bunch,)).coordinates

    torch.autograd.gradcheck(outgoing, values, eps=1e-6, atol=1e-7)
    torch.autograd.gradgradcheck(outgoing, values, atol=1e-6, fast_mode=True)


def test_gradient_of_the_angle_of_a_misaligned_bend_is_smooth_where_it_is_straight():
    kwargs = {**BEND, **MISALIGNED}
    bunch = random_bunch()

    def outgoing(angle):
        return Bend(**{**kwargs, "angle": angle}).track(bunch).coordinates

    angle = torch.tensor(0.0, dtype=torch.float64, requires_grad=True)
    element = Bend(**kwargs)
    out = torch.func.functional_call(element, {"angle": angle}, (bunch,)).coordinates
    gradient = torch.autograd.grad(out.sum(), angle)[0].item()
    step = 1e-4
    near = (outgoing(step) - outgoing(-step)).sum().item()
    far = (outgoing(2 * step) - outgoing(-2 * step)).sum().item()
    assert gradient == pytest.approx((8 * near - far) / (12 * step), abs=DIFFERENCE, rel=DIFFERENCE)


@pytest.fixture
def no_change_of_frame(monkeypatch):
    def fail(*arguments):
        raise RuntimeError("a change of frame")

    monkeypatch.setattr("sc_bridge.elements.misalignment.change_frame", fail)


@pytest.mark.usefixtures("no_change_of_frame")
def test_an_aligned_element_takes_no_step_out_of_its_way():
    Quadrupole(length=0.5, k1=0.7, rot_shift_anchor=0.1).track(random_bunch())


@pytest.mark.usefixtures("no_change_of_frame")
@pytest.mark.parametrize(
    "disturb",
    [
        lambda quadrupole: setattr(quadrupole, "shift_x", 1e-3),
        lambda quadrupole: quadrupole.rot_s_rad.requires_grad_(),
        lambda quadrupole: quadrupole.shift_y.data.fill_(1e-3),
        lambda quadrupole: quadrupole.drive("shift_s", Bend(length=1.0).drivers["k0"]),
    ],
    ids=["set", "asked for a gradient", "written to", "driven"],
)
def test_an_element_that_may_move_does(disturb):
    quadrupole, bunch = Quadrupole(length=0.5, k1=0.7), random_bunch()
    quadrupole.track(bunch)
    disturb(quadrupole)
    with pytest.raises(RuntimeError, match="a change of frame"):
        quadrupole.track(bunch)


@pytest.mark.usefixtures("no_change_of_frame")
def test_an_element_whose_shift_is_exchanged_moves():
    zero = {"shift_x": torch.zeros((), dtype=torch.float64)}
    with pytest.raises(RuntimeError, match="a change of frame"):
        torch.func.functional_call(Quadrupole(length=0.5), zero, (random_bunch(),))


def test_a_shift_that_comes_and_goes_counts_at_every_call():
    quadrupole, bunch = Quadrupole(length=0.5, k1=0.7), random_bunch()
    straight = quadrupole.track(bunch).coordinates
    quadrupole.shift_x = 1e-3
    assert not torch.equal(quadrupole.track(bunch).coordinates, straight)
    quadrupole.shift_x = 0.0
    assert torch.equal(quadrupole.track(bunch).coordinates, straight)


def test_a_zero_on_a_device_is_asked_for_once_until_it_is_written_to(monkeypatch):
    quadrupole = Quadrupole(length=0.5)
    shift = quadrupole.shift_x
    assert quadrupole._was_zero("shift_x", shift)
    with monkeypatch.context() as patch:
        patch.setattr(torch.Tensor, "any", None)
        assert quadrupole._was_zero("shift_x", shift)
    quadrupole.shift_x = 1e-3
    assert not quadrupole._was_zero("shift_x", shift)
    quadrupole.shift_x = 0.0
    assert quadrupole._was_zero("shift_x", shift)
    assert not quadrupole._was_zero("shift_x", torch.ones(()))


def test_batched_shifts_equal_a_loop():
    shifts = torch.tensor([0.0, 1e-3, -2e-3], dtype=torch.float64)
    bunch = random_bunch()
    batch = Quadrupole(length=0.5, k1=0.7, shift_x=shifts, rot_x_rad=shifts).track(bunch)
    for index, shift in enumerate(shifts.tolist()):
        alone = Quadrupole(length=0.5, k1=0.7, shift_x=shift, rot_x_rad=shift).track(bunch)
        assert (batch.coordinates[index] - alone.coordinates).abs().max() < TOLERANCE


def test_a_misaligned_aperture_cuts_where_xtrack_cuts():
    limits = {"min_x": -4.5e-3, "max_x": -3e-3, "min_y": 4.5e-3, "max_y": 7e-3}
    kwargs = {**limits, **MISALIGNED}
    bunch = random_bunch(200)
    particles = particles_from(bunch)
    xt.LimitRect(**kwargs).track(particles)
    particles.sort(interleave_lost_particles=True)
    passed = torch.as_tensor(particles.state > 0)
    assert 20 < int(passed.sum()) < 180
    assert torch.equal(LimitRect(**kwargs).track(bunch).alive, passed)


def test_state_dict_carries_the_alignment():
    displaced, straight = Quadrupole(length=0.5, **MISALIGNED), Quadrupole(length=0.5)
    straight.load_state_dict(displaced.state_dict())
    bunch = random_bunch()
    assert torch.equal(straight.track(bunch).coordinates, displaced.track(bunch).coordinates)


def test_a_misaligned_element_coasts_through_its_own_frame():
    quadrupole = Quadrupole(length=0.5, k1=0.7, **MISALIGNED)
    reference, state = make_reference(), elements.State(*random_bunch().coordinates)
    out = quadrupole.coast(state, reference)
    assert torch.equal(torch.stack(out), torch.stack(quadrupole.transport(state, reference)))
    for back in (quadrupole.undo_coast(out, reference), quadrupole.inverse().coast(out, reference)):
        assert (torch.stack(back) - torch.stack(state)).abs().max() < TOLERANCE
    cavity = elements.Cavity(length=0.5, voltage=1e5, frequency=1e6, phase=0.3, **MISALIGNED)
    there = cavity.coast(state, reference)
    assert torch.equal(there.pzeta, state.pzeta)
    back = cavity.inverse().inverse().undo_coast(there, reference)
    assert (torch.stack(back) - torch.stack(state)).abs().max() < TOLERANCE


def test_a_part_tells_what_it_is_of():
    quadrupole = Quadrupole(length=0.5)
    _, first, last, face = quadrupole.slices([0.25, 0.75])
    assert whole_of(first) == (quadrupole, 0.25)
    assert whole_of(last.slices([0.5, 0.5])[1]) == (quadrupole, 0.375)
    assert whole_of(face) == (quadrupole, 0.0)
    assert (first.kind, face.kind) == ("ThickSliceQuadrupole", "ThinSliceQuadrupoleExit")


def test_an_unknown_argument_is_refused():
    with pytest.raises(TypeError, match="unexpected argument 'shift_z'"):
        Quadrupole(length=0.5, shift_z=1.0)


def test_thin_slices_of_what_is_no_drift_and_kick_are_refused():
    with pytest.raises(ElementError, match="UniformSolenoid: has no thin slices"):
        elements.ThinSlice(elements.UniformSolenoid(length=1.0), 1.0)
    state = elements.State(*random_bunch().coordinates)
    with pytest.raises(ElementError, match="has no thin slices: its map is not drifts and kicks"):
        elements.UniformSolenoid(length=1.0).kick(state, make_reference(), 1.0)


def test_a_thin_slice_of_a_bend_turned_out_of_its_plane_is_refused():
    part = elements.ThinSlice(Bend(length=1.0, angle=0.1, rot_x_rad=0.01), 0.5)
    with pytest.raises(ElementError, match="thin slice of a bend cannot have rot_x_rad"):
        part.track(random_bunch())


def test_a_thin_slice_of_a_cavity_coasts_without_its_kick():
    cavity = elements.Cavity(length=0.5, voltage=1e5, frequency=1e6, phase=0.3)
    part, bunch = elements.ThinSlice(cavity, 0.5), random_bunch()
    state = elements.State(*bunch.coordinates)
    assert torch.equal(part.coast(state, bunch.reference).pzeta, state.pzeta)
    assert not torch.equal(part.transport(state, bunch.reference).pzeta, state.pzeta)


def test_a_rotation_names_every_axis_once():
    with pytest.raises(ElementError, match="seq = 'xxs': must be 'x', 'y' and 's'"):
        elements.Rotation(seq="xxs")


def test_solenoids_refuse_what_they_cannot_be():
    with pytest.raises(ElementError, match=r"ks_profile = \[1.0\]: must be two numbers"):
        elements.VariableSolenoid(length=1.0, ks_profile=[1.0])
    with pytest.raises(ElementError, match="integrator 'leapfrog'"):
        elements.UniformSolenoid(length=1.0, integrator="leapfrog")


def test_float32_keeps_its_dtype_when_misaligned():
    element, bunch = Quadrupole(length=0.5, k1=0.7, **MISALIGNED), random_bunch()
    single = element.track(bunch.to(torch.float32)).coordinates
    assert single.dtype == torch.float32
    assert (single.double() - element.track(bunch).coordinates).abs().max() < ROUNDOFF[
        torch.float32
    ]


def test_a_bunch_stays_a_bunch_under_a_batch_of_tilts():
    tilts = torch.linspace(0.0, 0.5, 4, dtype=torch.float64)
    out = elements.Rotation(rot_s_rad=tilts).track(random_bunch())
    assert isinstance(out, Bunch) and out.coordinates.shape == (4, 6, 20)
