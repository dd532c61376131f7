"""Properties of every element, over the table of cases; a class without a row fails."""

from __future__ import annotations

import copy

import pytest
import torch
from rf_cases import NO_INVERSE, NO_SLICES, NOT_SYMPLECTIC, OWN_ORACLE, REQUIRED

from cases import CASE_IDS, CASES, ELEMENT_CASES, REFERENCES, make_reference, random_bunch
from oracles import ROUNDOFF, check_gradients, symplectic_form, track_xtrack, xtrack_element
from sc_bridge import elements
from sc_bridge.elements import Bunch, Element
from sc_bridge.elements.errors import ElementError
from sc_bridge.elements.parts import Part

TOLERANCE = ROUNDOFF[torch.float64]
# Determinants and products of a few matrices with entries up to 20.
SYMPLECTIC = 1e-12
# Slices of an integrated bend take other steps than the whole (design, section 3).
SLICING = {
    "Bend-psb": 1e-9,
    "Bend-combined": 1e-6,
    "Bend-falling edge": 1e-9,
    "Bend-straight": 1e-8,
}
# Half the step of a second-order integrator: a quarter of the error, less higher orders.
SECOND_ORDER = 3.5
BEYOND_DIPOLE = {"k1", "k2", "knl", "ksl", "knl_rel", "ksl_rel"}
# The two splits of a bend without an angle agree to the order of their integrators.
STRAIGHT_LIMIT = 1e-3
# Without a length Xsuite takes the turn to have no curvature; with any, it has much.
NOT_SMOOTH = {"Multipole-turn without length": ("length",)}
GEOMETRY = ("angle", "length_straight")
every_case = pytest.mark.parametrize(("kind", "name", "kwargs"), CASES, ids=CASE_IDS)


def lattice_elements(base: type[Element] = Element) -> list[type[Element]]:
    """Every class with a map of its own; parts borrow one, the space-charge kick is no map."""
    found = []
    for kind in base.__subclasses__():
        if not issubclass(kind, Part) and ".space_charge." not in kind.__module__:
            found += [kind, *lattice_elements(kind)]
    return [
        kind
        for kind in found
        if kind.__module__.startswith("sc_bridge.elements.") and not is_abstract(kind)
    ]


def is_abstract(kind: type[Element]) -> bool:
    return any(getattr(value, "__isabstractmethod__", False) for value in vars(kind).values())


def test_every_element_class_has_a_row_of_cases():
    missing = [kind.__name__ for kind in lattice_elements() if kind not in ELEMENT_CASES]
    assert missing == []


@every_case
@pytest.mark.parametrize("amplitude", [1e-8, 1e-5, 1e-2])
@pytest.mark.parametrize("species", REFERENCES)
def test_map_equals_xtrack(kind, name, kwargs, amplitude, species):
    if kind in OWN_ORACLE:
        pytest.skip(f"Xsuite has no such class: its oracle is in {OWN_ORACLE[kind]}")
    bunch = random_bunch(amplitude=amplitude, reference=make_reference(species))
    losing = issubclass(kind, elements.Aperture)
    expected = track_xtrack(xtrack_element(kind.__name__, kwargs), bunch, may_lose=losing)
    ours = kind(**kwargs).track(bunch).coordinates.numpy()
    # another reference may lie far off, and coordinates be large
    assert abs(ours - expected).max() < TOLERANCE * max(1.0, abs(expected).max())


@every_case
def test_inverse_undoes_the_map(kind, name, kwargs):
    element, bunch = kind(**kwargs), random_bunch(amplitude=5e-3)
    if kind in NO_INVERSE:
        with pytest.raises(ElementError, match=NO_INVERSE[kind]):
            element.inverse()
        return
    for first, second in ((element, element.inverse()), (element.inverse(), element)):
        back = second.track(first.track(bunch))
        assert (back.coordinates - bunch.coordinates).abs().max() < TOLERANCE
    assert element.inverse().inverse() is element


@every_case
def test_map_is_symplectic(kind, name, kwargs):
    for reason in (f"{kind.__name__}-{name}", kind.__name__):
        if reason in NOT_SYMPLECTIC:
            pytest.skip(NOT_SYMPLECTIC[reason])
    element, reference = kind(**kwargs), make_reference()
    orbit = random_bunch(1).coordinates[:, 0]
    matrix = element.transfer_matrix(reference, orbit)
    form = symplectic_form()
    # in momenta that no reference divides
    shrinking = element.outgoing(reference).p0c / reference.p0c
    assert (matrix.T @ form @ matrix * shrinking - form).abs().max() < SYMPLECTIC


def track_slices(element, weights, bunch):
    for part in element.slices(weights):
        bunch = part.track(bunch)
    return bunch.coordinates


@every_case
def test_slices_compose_to_the_whole(kind, name, kwargs):
    element, bunch = kind(**kwargs), random_bunch()
    if not element.isthick:
        with pytest.raises(ElementError, match="no length to slice"):
            element.slices([1.0])
        return
    if kind in NO_SLICES:
        with pytest.raises(ElementError, match="cannot be sliced"):
            element.slices([1.0])
        return
    expected = element.track(bunch).coordinates
    tolerance = SLICING.get(f"{kind.__name__}-{name}", TOLERANCE)
    if kind is elements.Cavity and element.length.item() > 0:
        tolerance = 1e-7  # three kicks instead of one: second order in the slice's length
    sliced = track_slices(element, [0.25, 0.5, 0.25], bunch)
    if (sliced - expected).abs().max() < tolerance:
        return
    # kicks per slice are Xsuite's: not the integrator of the whole, but convergent
    four, eight, sixteen = (track_slices(element, [1 / n] * n, bunch) for n in (4, 8, 16))
    coarse, fine = (four - eight).abs().max(), (eight - sixteen).abs().max()
    assert fine < coarse / SECOND_ORDER + TOLERANCE


@every_case
def test_slices_undo_themselves_one_by_one(kind, name, kwargs):
    element, bunch = kind(**kwargs), random_bunch()
    if kind in NO_INVERSE:
        pytest.skip("has no inverse")
    cut = element.isthick and kind not in NO_SLICES
    parts = element.slices([0.3, 0.7]) if cut else [element]
    there = bunch
    for part in parts:
        there = part.track(there)
    for part in reversed(parts):
        there = part.inverse().track(there)
    assert (there.coordinates - bunch.coordinates).abs().max() < TOLERANCE


def outgoing_of(element):
    """Coordinates as a function of those that come in, the energy in 100 MeV, and fields."""

    def outgoing(coordinates, energy, **fields):
        reference = elements.Reference.from_kinetic_energy(938272089.43, 1.0, energy * 1e8)
        bunch = Bunch(coordinates, reference)
        return torch.func.functional_call(element, fields, (bunch,)).coordinates

    return outgoing


def gradient_arguments(element, left_out):
    return {
        "coordinates": random_bunch(2).coordinates,
        "energy": torch.tensor(1.6, dtype=torch.float64),
        **{
            field: parameter.detach().clone()
            for field, parameter in element.named_parameters()
            if field not in left_out
        },
    }


@every_case
def test_gradients_of_every_field_and_of_the_bunch_are_exact(kind, name, kwargs):
    element = kind(**kwargs)
    left_out = {*NOT_SMOOTH.get(f"{kind.__name__}-{name}", ())}
    if kwargs.get("model") == "exact":
        left_out |= BEYOND_DIPOLE
    if changes_model_with_angle(element):
        angle = gradient_arguments(element, {n for n, _ in element.named_parameters()} - {"angle"})
        check_gradients(outgoing_of(element), angle, STRAIGHT_LIMIT)
        left_out |= {"angle"}
    check_gradients(outgoing_of(element), gradient_arguments(element, left_out))


@every_case
def test_gradients_of_the_fields_in_use_are_exact(kind, name, kwargs):
    element = kind(**kwargs)
    left_out = {n for n, _ in element.named_parameters()} - set(kwargs)
    if changes_model_with_angle(element):
        left_out |= {"angle"}
    left_out |= {*NOT_SMOOTH.get(f"{kind.__name__}-{name}", ())}
    check_gradients(outgoing_of(element), gradient_arguments(element, left_out))


def changes_model_with_angle(element):
    """Whether Xsuite splits the field in another way as soon as the frame bends at all."""
    model = getattr(element, "model", "")
    turns = getattr(element, "rbend_model", "") != "straight-body"
    rotates = model == "adaptive" or model.startswith("rot-kick-rot")
    return hasattr(element, "k0") and turns and rotates and not element.angle.any()


@every_case
def test_batch_equals_a_loop(kind, name, kwargs):
    element = kind(**kwargs)
    bunches = [random_bunch(seed=seed) for seed in (1, 2, 3)]
    batch = Bunch(torch.stack([b.coordinates for b in bunches]), bunches[0].reference)
    loop = torch.stack([element.track(b).coordinates for b in bunches])
    assert (element.track(batch).coordinates - loop).abs().max() < TOLERANCE


@every_case
def test_batched_fields_equal_a_loop(kind, name, kwargs):
    # Xsuite's number of steps follows the angle, in a batch the largest one
    fixed = {"length", "harmonic", *(() if "num_multipole_kicks" in kwargs else GEOMETRY)}
    numbers = {
        key: value
        for key, value in kwargs.items()
        if isinstance(value, (float, list)) and key not in fixed
    }
    scales = torch.tensor([1.0, 1.1, 1.2], dtype=torch.float64)
    stacked = {
        key: torch.stack([torch.tensor(value, dtype=torch.float64) * s for s in scales])
        for key, value in numbers.items()
    }
    bunch = random_bunch()
    together = kind(**{**kwargs, **stacked}).track(bunch).coordinates
    for index in range(len(scales)):
        alone = kind(**{**kwargs, **{k: v[index].tolist() for k, v in stacked.items()}})
        difference = together.expand(len(scales), *bunch.coordinates.shape)[index]
        assert (difference - alone.track(bunch).coordinates).abs().max() < TOLERANCE


@every_case
def test_float32_follows_float64(kind, name, kwargs):
    element, bunch = kind(**kwargs), random_bunch()
    single = element.track(bunch.to(torch.float32)).coordinates
    assert single.dtype == torch.float32
    double = element.track(bunch).coordinates
    assert (single.double() - double).abs().max() < ROUNDOFF[torch.float32]


@every_case
def test_state_dict_and_copies_carry_every_field(kind, name, kwargs):
    element = kind(**kwargs)
    fresh = kind(**REQUIRED.get(kind, {}))
    copied = copy.deepcopy(element)
    assert copied.state_dict().keys() == element.state_dict().keys()
    bunch = random_bunch()
    assert torch.equal(copied.track(bunch).coordinates, element.track(bunch).coordinates)
    if all(p.shape == element.state_dict()[k].shape for k, p in fresh.state_dict().items()) and (
        fresh.state_dict().keys() == element.state_dict().keys()
    ):
        fresh.load_state_dict(element.state_dict())
        for field, value in element.state_dict().items():
            assert torch.equal(fresh.state_dict()[field], value)


@every_case
def test_repr_names_the_class_and_its_fields(kind, name, kwargs):
    text = repr(kind(**kwargs))
    assert text.startswith(kind.__name__)
    for key, value in kwargs.items():
        if isinstance(value, float) and value:
            assert f"{key}=" in text


@every_case
def test_lost_particles_stay_where_they_are(kind, name, kwargs):
    bunch = random_bunch()
    alive = torch.ones(bunch.n_particles, dtype=torch.bool)
    alive[3] = False
    out = kind(**kwargs).track(bunch.replace(alive=alive))
    assert torch.equal(out.coordinates[:, 3], bunch.coordinates[:, 3])
    whole = kind(**kwargs).track(bunch)
    assert torch.equal(out.coordinates[:, alive], whole.coordinates[:, alive])
