"""Gradients and exact Jacobians for variables of a live line."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import xtrack as xt
from scipy.optimize import least_squares, minimize

import sc_bridge as scb
from sc_bridge.errors import LatticeError, ScBridgeError
from sc_bridge.xsuite import Problem, gradient, install_space_charge, particles_from

ROOT = Path(__file__).parents[2]
GRID = (16, 16, 16)
# Central differences of step 1e-4 in knobs of order 1, grids frozen; quadratic clouds.
DIFFERENCE = 2e-3


def make_line() -> xt.Line:
    env = xt.Environment()
    env.particle_ref = xt.Particles("proton", kinetic_energy0=160e6)
    env["kf"], env["dk"] = 0.5, 0.02
    env["kd"] = "-kf - dk"
    env.new("qf", "Quadrupole", length=0.5, k1="kf")
    env.new("qd", "Quadrupole", length=0.5, k1="kd")
    env.new("d", "Drift", length=1.0)
    return env.new_line(name="fodo", components=["qf", "d", "qd", "d", "qf", "d", "qd", "d"])


@pytest.fixture
def line() -> xt.Line:
    return make_line()


@pytest.fixture
def bunch() -> scb.Bunch:
    generator = torch.Generator().manual_seed(8)
    normal = torch.randn(6, 500, generator=generator, dtype=torch.float64)
    scale = torch.tensor([5e-3, 1e-3, 4e-3, 1e-3, 1.0, 1e-3], dtype=torch.float64)
    reference = scb.reference("proton", kinetic_energy="160 MeV")
    return scb.Bunch(normal * scale[:, None], reference, 2e12 / 500)


def sizes(bunch: scb.Bunch) -> dict[str, torch.Tensor]:
    return {"sigma_x": bunch.sigma_x, "sigma_y": bunch.sigma_y}


def kicked(line: xt.Line) -> xt.Line:
    install_space_charge(line, 1.0, grid=GRID, shape="tsc")
    return line


def test_gradient_of_a_line_with_kicks_is_that_of_finite_differences_in_xtrack(line, bunch):
    kicked(line)
    particles = particles_from(bunch)
    knobs = ["kf", "dk", "d.length"]
    found = gradient(line, particles, lambda b: b.sigma_x, knobs)
    assert list(found) == knobs
    for name in ("kf", "dk"):
        value, ends = line[name], []
        for sign in (1, -1):
            line[name] = value + sign * 1e-4
            moved = particles.copy()
            line.track(moved)
            ends.append(moved.x.std())
        line[name] = value
        assert found[name] == pytest.approx((ends[0] - ends[1]) / 2e-4, rel=DIFFERENCE)
    without = gradient(line.env.new_line(components=["qf"] * 2), bunch, sizes_x, ["kf"])
    assert without["kf"] != pytest.approx(found["kf"], rel=0.1)


def sizes_x(bunch: scb.Bunch) -> torch.Tensor:
    return bunch.sigma_x


def test_kicks_may_be_given_by_slicing_instead(line, bunch):
    settings = scb.SpaceCharge(grid=GRID, shape="tsc")
    options = {"slicing": scb.MaxSpacing(1.0), "space_charge": settings}
    given = gradient(line, bunch, sizes_x, ["kf"], **options)
    assert given["kf"] == pytest.approx(gradient(kicked(line), bunch, sizes_x, ["kf"])["kf"])


def test_the_jacobian_is_exact(line, bunch):
    problem = Problem(kicked(line), bunch, sizes, ["kf", "dk"], freeze_grids=True)
    x0 = problem.x0
    assert x0.tolist() == [0.5, 0.02]
    jacobian = problem.jacobian(x0)
    for column, step in enumerate(1e-4 * np.eye(2)):
        expected = (problem(x0 + step) - problem(x0 - step)) / 2e-4
        assert np.allclose(jacobian[:, column], expected, rtol=DIFFERENCE)


def test_values_and_jacobian_at_one_point_track_once(line, bunch):
    problem = Problem(line, bunch, sizes, ["kf", "dk"])
    problem(problem.x0)
    problem.jacobian(problem.x0)
    problem.jacobian(problem.x0)
    assert (problem.evaluations, problem.backward_passes) == (1, 2)
    problem(problem.x0 + 1e-3)
    assert problem.evaluations == 2
    problem.sequence.knobs["kf"] = 0.4  # behind its back
    assert problem([0.5, 0.02])[0] == pytest.approx(Problem(line, bunch, sizes, ["kf"])([0.5])[0])


def test_scipy_minimises_with_the_gradient(line, bunch):
    problem = Problem(
        kicked(line), bunch, lambda b: {"size": (b.sigma_x * 1e3) ** 2}, ["kf"], freeze_grids=True
    )
    start = problem.value_and_gradient(problem.x0)[0]
    found = minimize(
        problem.value_and_gradient, problem.x0, jac=True, bounds=[(0.45, 0.55)], method="L-BFGS-B"
    )
    assert found.fun < start
    assert found.nfev <= problem.evaluations <= found.nfev + 1


@pytest.mark.slow
def test_scipy_and_xdeps_find_the_same_knobs_in_fewer_evaluations(line, bunch):
    kicked(line)
    start = np.array([0.5, 0.02])
    problem = Problem(line, bunch, sizes, ["kf", "dk"])
    wanted = problem(start) * np.array([0.95, 1.03])

    def solve(jacobian):
        problem.evaluations = problem.backward_passes = 0
        return least_squares(
            lambda x: (problem(x) - wanted) * 1e3, start, jac=jacobian, xtol=1e-10
        ), problem.evaluations

    exact, evaluations = solve(lambda x: problem.jacobian(x) * 1e3)
    assert problem.backward_passes > 0
    differences, more = solve("2-point")
    assert evaluations < more / 2
    assert np.allclose(exact.x, differences.x, atol=1e-6)
    problem.apply(start)
    optimizer = problem.optimizer(
        {"sigma_y": wanted[1], "sigma_x": wanted[0]}, tol=1e-9, show_call_counter=False
    )
    problem.evaluations = 0
    optimizer.solve(verbose=False)
    assert problem.evaluations < 2 * evaluations + 2
    assert [line["kf"], line["dk"]] == pytest.approx(exact.x.tolist(), abs=1e-5)
    assert problem.x0 == pytest.approx([line["kf"], line["dk"]], abs=1e-15)


def test_the_jacobian_of_xdeps_is_scaled_as_its_own(line, bunch):
    problem = Problem(line, bunch, sizes, ["kf", "dk"])
    optimizer = problem.optimizer({"sigma_x": 6e-3, "sigma_y": 6e-3}, show_call_counter=False)
    merit = optimizer._err
    optimizer.targets[0].weight, optimizer.vary[1].weight = 10.0, 0.1
    optimizer.vary[0].active = False
    merit.steps_for_jacobian = [1e-6, 1e-6]
    x = merit._get_x()
    ours = merit.get_jacobian(x)
    theirs = type(merit).get_jacobian(merit, x)
    assert np.allclose(ours, theirs, rtol=1e-4, atol=1e-12)
    assert (ours[:, 0] == 0).all()


def test_apply_sets_variables_and_fields_of_the_line(line, bunch):
    problem = Problem(line, bunch, sizes, ["kf", "d.length"])
    problem.apply([0.4, 1.2])
    assert line["qf"].k1 == 0.4
    assert line["d"].length == 1.2
    assert problem.sequence["d"].length.item() == 1.2


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        (["kd"], "variable 'kd' is defined by an expression of kf, dk: set those"),
        (["kfd"], "no variable 'kfd': did you mean"),
        (["qf.k1"], r"knob 'qf\.k1' is driven by kf: name that"),
        (["d.k1"], r"knob 'd\.k1': Drift 'd' has the fields length"),
        (["qf.knl"], r"knob 'qf\.knl' has shape \(\d,\): must be one number"),
        ("kf", "knobs = 'kf': must be a list of names"),
        ([], r"knobs = \[\]: must be a list of names"),
    ],
)
def test_what_is_no_knob_is_refused(line, bunch, knobs, message):
    with pytest.raises(LatticeError, match=message):
        gradient(line, bunch, sizes_x, knobs)


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        (sizes_x, "outputs returned Tensor: must be a dictionary of scalar tensors"),
        (lambda b: {"s": b.sigma_x.item()}, "s is a float: must be a scalar tensor that depends"),
        (lambda b: {"s": b.x}, r"s is a tensor of shape \(500,\): must be a scalar tensor"),
        (lambda b: {"s": b.sigma_x.detach()}, r"shape \(\) without gradient: must be a scalar"),
    ],
)
def test_what_is_no_number_is_refused(line, bunch, outputs, message):
    with pytest.raises(ScBridgeError, match=message):
        Problem(line, bunch, outputs, ["kf"])([0.5])


def test_what_is_no_function_is_refused(line, bunch):
    with pytest.raises(ScBridgeError, match=r"loss = 3: must be a function of the outgoing bunch"):
        gradient(line, bunch, 3, ["kf"])
    with pytest.raises(ScBridgeError, match=r"outputs = 'sigma_x': must be a function .* mapping"):
        Problem(line, bunch, "sigma_x", ["kf"])


def test_points_and_targets_must_fit(line, bunch):
    problem = Problem(line, bunch, sizes, ["kf"])
    with pytest.raises(ScBridgeError, match=r"knob values of shape \(2,\): must be \(1,\)"):
        problem([0.5, 0.1])
    with pytest.raises(ScBridgeError, match=r"there are 2 numbers .* must be one"):
        problem.value_and_gradient([0.5])
    with pytest.raises(ScBridgeError, match=r"targets \['size'\]: must be among sigma_x, sigma_y"):
        problem.optimizer({"size": 1.0})


@pytest.mark.slow
def test_the_example_retunes_the_booster_in_fewer_evaluations():
    command = [sys.executable, "-W", "error", "examples/xsuite_plugin.py"]
    options = ["--particles", "300", "--grid", "12", "--spacing", "10 m"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    numbers = {
        key: float(re.search(pattern, done.stdout)[1])  # pyright: ignore[reportOptionalSubscript]
        for key, pattern in {
            "parity": r"relative difference (\S+)",
            "exact": r"exact Jacobian: +(\d+) evaluations",
            "differences": r"finite differences: (\d+) evaluations",
            "xdeps": r"xdeps: (\d+) evaluations",
        }.items()
    }
    assert numbers["parity"] < 1e-8
    assert max(numbers["exact"], numbers["xdeps"]) < numbers["differences"]
