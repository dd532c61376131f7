"""First derivatives of every element, by coordinates and by fields, against xtrack's own."""

from __future__ import annotations

from functools import partial

import madng_tpsa
import numpy as np
import pytest
import torch
import xtrack as xt
from rf_cases import OWN_ORACLE
from xsuite.prebuild_kernels import PrebuiltKernelNotFoundError

from cases import ELEMENT_CASES, random_bunch
from oracles import (
    DIFFERENCE,
    ROUNDOFF,
    central_difference,
    track_xtrack,
    xtrack_element,
    xtrack_matrix,
    xtrack_tpsa,
)
from sc_bridge import elements

TOLERANCE = ROUNDOFF[torch.float64]
# First derivatives by two codes; entries up to 20, and xtrack's own cancellations in 1/K.
DERIVATIVE = 1e-10
# Of fields about zero, where xtrack's maps divide by them: 1 / m and rad / m.
STEP = 3e-3
SCALARS = "its C code takes plain numbers"
NO_KERNEL = "Xsuite comes without a kernel of it; to compile one takes half a minute"
# Classes of which `xt.tpsa` has no Taylor maps: differences of xtrack's maps stand in.
NO_TPSA = {
    elements.DipoleEdge: SCALARS,
    elements.VariableSolenoid: SCALARS,
    elements.Solenoid: SCALARS,
    elements.LimitEllipse: SCALARS,
    elements.LimitRect: SCALARS,
    elements.LimitRacetrack: SCALARS,
    elements.LimitPolygon: SCALARS,
    elements.LongitudinalLimitRect: SCALARS,
    elements.ZetaShift: NO_KERNEL,
    elements.TimeDelay: NO_KERNEL,
    elements.FirstOrderTaylorMap: SCALARS,
    elements.SecondOrderTaylorMap: SCALARS,
    elements.LineSegmentMap: SCALARS,
    elements.NonLinearLens: SCALARS,
    elements.Wire: SCALARS,
    elements.Elens: SCALARS,
}
# Classes whose Taylor maps leave out what the element is for, as a comment in track_rf.h says.
WITHOUT_KICKS = {
    elements.CrabCavity: "its Taylor map has no transverse kicks",
    elements.RFMultipole: "its Taylor map has no transverse kicks",
}
# Fields that our closed form of a pure dipole does not have.
BEYOND_DIPOLE = {"k1", "k2"}
UNSUPPORTED = {**NO_TPSA, **WITHOUT_KICKS, **OWN_ORACLE}
SUPPORTED = [kind for kind in ELEMENT_CASES if kind not in UNSUPPORTED]


def rows_of(kinds, slow_after=None):
    """Cases of the classes; those of a class from number `slow_after` on are slow."""
    rows = []
    for kind in kinds:
        for index, (name, kwargs) in enumerate(ELEMENT_CASES[kind].items()):
            slow = slow_after is not None and index >= slow_after
            marks = [pytest.mark.slow] if slow else []
            rows.append(pytest.param(kind, kwargs, id=f"{kind.__name__}-{name}", marks=marks))
    return rows


def by_delta(bunch):
    """d pzeta / d delta: xtrack's Taylor maps are of delta."""
    beta0 = bunch.reference.beta0
    return (1.0 + bunch.delta) / (1.0 + beta0**2 * bunch.pzeta)


def outgoing_with_delta(element, bunch):
    out = element.track(bunch)
    return torch.cat([out.coordinates[:5, 0], out.delta])


def constants_of(taylor):
    return np.array([coordinate.const_part for coordinate in taylor.coords])


@pytest.mark.parametrize(("kind", "kwargs"), rows_of(SUPPORTED))
@pytest.mark.parametrize("amplitude", [0.0, 3e-3], ids=["on the reference", "off it"])
def test_the_transfer_matrix_equals_the_taylor_map_of_xtrack(kind, kwargs, amplitude):
    bunch = random_bunch(1, amplitude=amplitude)
    taylor = xtrack_tpsa(bunch)
    xtrack_element(kind.__name__, kwargs).track(taylor)
    element = kind(**kwargs)
    orbit = () if amplitude == 0.0 else (bunch.coordinates[:, 0],)
    matrix = element.transfer_matrix(bunch.reference, *orbit).detach().clone()
    matrix[:, 5] *= by_delta(bunch)
    matrix[5] /= by_delta(element.track(bunch))
    assert abs(matrix.numpy() - taylor.jacobian()).max() < DERIVATIVE
    found = outgoing_with_delta(element, bunch).detach().numpy()
    assert abs(found - constants_of(taylor)).max() < TOLERANCE


def fields_of(kind, kwargs):
    """Fields of which xtrack knows derivatives."""
    fields = getattr(xt, kind.__name__)._float_or_tpsa_fields
    exact = kwargs.get("model") == "exact"
    return [name for name in fields if not (exact and name in BEYOND_DIPOLE)]


def body_of(kind, kwargs):
    """The case without its edges: to those, xtrack's Taylor maps give strengths as numbers."""
    element = kind(**kwargs)
    edges = ("edge_entry_active", "edge_exit_active")
    return kwargs | {name: False for name in edges if hasattr(element, name)}


def value_of(element, field):
    value = getattr(element, field)
    return element.h if value == "from_h" else float(value)


def rows_with_fields():
    return rows_of((kind for kind in SUPPORTED if fields_of(kind, {})), slow_after=8)


def is_drift_of_xtrack(kind, kwargs):
    """Whether xtrack takes the body for a drift, by its field's number, without derivatives."""
    if kind is elements.UniformSolenoid:
        return kwargs["ks"] == 0.0
    return kwargs.get("model") == "exact" and kwargs["k0"] == 0.0


def by_fields(element, names, bunch):
    """Our derivatives (6, fields) of what goes out, its momentum as delta."""
    wanted = [getattr(element, name).requires_grad_() for name in names]
    rows = [
        torch.autograd.grad(number, wanted, retain_graph=True, materialize_grads=True)
        for number in outgoing_with_delta(element, bunch)
    ]
    return torch.stack([torch.stack(row) for row in rows]).numpy()


def by_fields_of_xtrack(kind, kwargs, values, bunch):
    theirs = xtrack_element(kind.__name__, kwargs)
    descriptor = madng_tpsa.Descriptor(6, 1, num_params=len(values), param_order=1)
    for index, (name, value) in enumerate(values.items()):
        setattr(theirs, name, descriptor.param(index + 1, value))
    taylor = xtrack_tpsa(bunch, descriptor)
    theirs.track(taylor)
    return taylor.param_jacobian()


def differences_by_fields(kind, kwargs, values, bunch):
    def outgoing(name, value):
        changed = xtrack_element(kind.__name__, {**kwargs, name: value})
        return torch.from_numpy(track_xtrack(changed, bunch)[:, 0])

    columns = [
        central_difference(partial(outgoing, name), value, STEP) for name, value in values.items()
    ]
    return torch.stack(columns, dim=1).numpy()


@pytest.mark.parametrize(("kind", "kwargs"), rows_with_fields())
def test_derivatives_by_fields_equal_those_of_xtrack(kind, kwargs):
    kwargs, bunch = body_of(kind, kwargs), random_bunch(1, amplitude=3e-3)
    theirs = xtrack_element(kind.__name__, kwargs)
    values = {name: value_of(theirs, name) for name in fields_of(kind, kwargs)}
    ours = by_fields(kind(**{**kwargs, **values}), values, bunch)
    if is_drift_of_xtrack(kind, kwargs | values):
        expected, tolerance = differences_by_fields(kind, kwargs, values, bunch), DIFFERENCE
    else:
        expected, tolerance = by_fields_of_xtrack(kind, kwargs, values, bunch), DERIVATIVE
    assert abs(ours - expected).max() < tolerance


IN_XTRACK = [*NO_TPSA, *WITHOUT_KICKS]


@pytest.mark.parametrize(
    ("kind", "kwargs"),
    rows_of(IN_XTRACK, slow_after=1) + rows_of(SUPPORTED, slow_after=0),
)
@pytest.mark.parametrize("amplitude", [0.0, 2e-3], ids=["on the reference", "off it"])
def test_the_transfer_matrix_equals_that_of_a_line_of_xtrack(kind, kwargs, amplitude):
    bunch = random_bunch(1, amplitude=amplitude)
    expected = xtrack_matrix(kind.__name__, kwargs, bunch)
    orbit = () if amplitude == 0.0 else (bunch.coordinates[:, 0],)
    matrix = kind(**kwargs).transfer_matrix(bunch.reference, *orbit)
    assert abs(matrix.detach().numpy() - expected).max() < DIFFERENCE


def test_no_class_is_both_left_out_and_an_exception_to_it():
    assert len(UNSUPPORTED) == len(NO_TPSA) + len(WITHOUT_KICKS) + len(OWN_ORACLE)
    assert {*UNSUPPORTED} < {*ELEMENT_CASES}


@pytest.mark.parametrize("kind", NO_TPSA, ids=lambda kind: kind.__name__)
def test_xtrack_has_no_taylor_maps_of_the_classes_left_out(kind):
    kwargs = next(iter(ELEMENT_CASES[kind].values()))
    with pytest.raises(PrebuiltKernelNotFoundError, match="no cached kernel"):
        xtrack_element(kind.__name__, kwargs).track(xtrack_tpsa(random_bunch(1)))


@pytest.mark.parametrize(("kind", "kwargs"), rows_of(WITHOUT_KICKS))
def test_taylor_maps_of_xtrack_lack_transverse_kicks(kind, kwargs):
    bunch = random_bunch(1, amplitude=3e-3)
    taylor, theirs = xtrack_tpsa(bunch), xtrack_element(kind.__name__, kwargs)
    theirs.track(taylor)
    assert abs(constants_of(taylor) - track_xtrack(theirs, bunch)[:, 0])[[1, 3]].max() > 1e-7
