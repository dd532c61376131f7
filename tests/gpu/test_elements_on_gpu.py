"""Every element on a GPU gives what it gives on the CPU, derivatives included."""

from __future__ import annotations

import copy

import pytest
import torch
from rf_cases import NO_INVERSE

from cases import CASE_IDS, CASES, random_bunch
from sc_bridge.elements import Aperture

# Functions of two libraries differ in the last digit; coordinates are of order 1e-3.
ROUNDOFF = 1e-12

every_case = pytest.mark.parametrize(("kind", "name", "kwargs"), CASES, ids=CASE_IDS)


def result_and_gradients(element, bunch, wanted):
    """Outgoing coordinates, and gradients of their sum by coordinates and fields."""
    fields = [getattr(element, name) for name in wanted]
    start = bunch.replace(coordinates=bunch.coordinates.clone().requires_grad_())
    out = element.track(start).coordinates
    inputs = [start.coordinates, *(field.requires_grad_() for field in fields)]
    gradients = torch.autograd.grad(out.sum(), inputs, allow_unused=True)
    return [out.detach(), *gradients]


def same(ours, theirs):
    if ours is None or theirs is None:
        # a branch that a number on the CPU leaves out has the gradient 0
        there = ours if theirs is None else theirs
        return there is None or not there.any()
    scale = theirs.abs().amax().clamp(min=1.0)
    return (ours.cpu() - theirs).abs().amax() <= ROUNDOFF * scale


@every_case
def test_maps_agree(kind, name, kwargs, gpu):
    element, bunch = kind(**kwargs), random_bunch(amplitude=5e-3)
    ours = element.to(gpu).track(bunch.to(gpu))
    theirs = kind(**kwargs).track(bunch)
    assert ours.coordinates.device == gpu
    assert torch.equal(ours.alive.cpu(), theirs.alive)
    assert same(ours.coordinates, theirs.coordinates)


@every_case
def test_gradients_agree(kind, name, kwargs, gpu):
    if kind.__name__ == "NonLinearLens":
        pytest.skip("complex square roots near their cut lose half of the digits on any device")
    wanted = [n for n, p in kind(**kwargs).named_parameters()] if "exact" not in name else []
    element, bunch = kind(**kwargs), random_bunch(amplitude=5e-3)
    theirs = result_and_gradients(copy.deepcopy(element), bunch, wanted)
    ours = result_and_gradients(element.to(gpu), bunch.to(gpu), wanted)
    for index, (own, their) in enumerate(zip(ours, theirs, strict=True)):
        assert same(own, their), (["coordinates", "coordinates", *wanted][index], own, their)


@every_case
def test_inverses_undo(kind, name, kwargs, gpu):
    if kind in NO_INVERSE or issubclass(kind, Aperture):
        pytest.skip("has no inverse that moves particles")
    element, bunch = kind(**kwargs).to(gpu), random_bunch(amplitude=5e-3).to(gpu)
    back = element.undo_track(element.track(bunch))
    # as on the CPU: rounding of coordinates that some maps enlarge
    assert (back.coordinates - bunch.coordinates).abs().amax() < 1e-10


def test_a_batch_of_fields_moves_and_a_number_stays(gpu):
    kind, _, kwargs = next(case for case in CASES if case[0].__name__ == "Quadrupole")
    element = kind(**{**kwargs, "k1": torch.tensor([0.1, 0.2], dtype=torch.float64)}).to(gpu)
    assert element.k1.device == gpu and element.length.device.type == "cpu"
    out = element.track(random_bunch().to(gpu))
    assert out.coordinates.shape[0] == 2 and out.coordinates.device == gpu
