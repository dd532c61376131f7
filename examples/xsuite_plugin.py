# %% [markdown]
# # Space charge and its gradients for a line of Xsuite
#
# The ring of the CERN PS Booster at injection with its own space charge: tracked in xtrack,
# tracked and differentiated in sc_bridge, and retuned against the tune shift of space charge.
# Run it cell by cell, or whole: `python examples/xsuite_plugin.py` takes a minute or two.

# %%
from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
import xtrack as xt
from scipy.optimize import least_squares

import sc_bridge as scb
from sc_bridge.xsuite import (
    Problem,
    bunch_from,
    gradient,
    install_space_charge,
    particles_from,
    to_line,
)

parser = argparse.ArgumentParser(description="Space charge and its gradients for a line of Xsuite.")
parser.add_argument("--particles", type=int, default=2000)
parser.add_argument("--grid", type=int, default=24, help="nodes in each direction")
parser.add_argument("--spacing", default="3 m", help="at most this between kicks")
options, _ = parser.parse_known_args()  # a notebook has arguments of its own
grid = (options.grid,) * 3

line = xt.load(Path(__file__).parent / "psb" / "psb.json")
# One exact map for each bend in place of Xsuite's default of 160 steps: they agree to 1e-11 m.
line["bend"].model, line["bend"].integrator = "bend-kick-bend", "uniform"
bare = line.twiss4d()
print(f"tunes without space charge: {bare.qx:.4f}, {bare.qy:.4f}")

# %% [markdown]
# ## A line of Xsuite as a sequence of torch modules
# Variables of the line are knobs of the sequence; `pull` brings in later changes.

# %%
sequence = scb.KickedSequence.from_line(
    line, scb.MaxSpacing(options.spacing), space_charge=scb.SpaceCharge(grid=grid)
)
bunch = scb.gaussian(
    sequence,
    n_particles=options.particles,
    intensity=1.6e12,
    nemitt_x="2 um",
    nemitt_y="2 um",
    sigma_z="15 m",
    seed=1,
)
line["kbrqf"] *= 1.001
sequence.pull(line)
print(
    f"{sequence.n_kicks} kicks; knob kbrqf = {sequence.knobs['kbrqf'].item():.7f}, as in the line"
)
line["kbrqf"] /= 1.001
sequence.pull(line)

# %% [markdown]
# ## Our kicks inside the line, tracked by xtrack
# A kick in the centre of each slice; nothing is compiled. xtrack and the sequence agree.

# %%
kicked = line.copy()
names = install_space_charge(kicked, options.spacing, grid=grid)
particles = particles_from(bunch)
kicked.track(particles, num_turns=2)
with torch.no_grad():
    out = scb.track(sequence, bunch, turns=2)
difference = (bunch_from(particles).coordinates - out.coordinates).abs().amax(-1)
relative = (difference / out.coordinates.abs().amax(-1)).max().item()
print(f"{len(names)} kicks in xtrack, two turns: relative difference {relative:.1e}")

# %% [markdown]
# ## Derivatives with respect to variables of the line
# From one backward pass through every magnet and every kick.

# %%
derivatives = gradient(
    kicked, particles_from(bunch), lambda bunch: bunch.sigma_x, ["kbrqf", "kbrqd"]
)
print("d sigma_x / d knob after one turn:", {k: f"{v:.6f}" for k, v in derivatives.items()})

# %% [markdown]
# ## Retuning against the tune shift of space charge
# The tune that particles have on average, from the linear map that fits one turn best; space charge
# takes more than a tenth from it. Two knobs bring it back to what it was without.


# %%
def fractional_tune(out: scb.Bunch, plane: int) -> torch.Tensor:
    """Tune of the map of (x, px) or (y, py) that fits one turn of the bunch best."""
    rows = slice(2 * plane, 2 * plane + 2)
    start = torch.cat([bunch.coordinates[rows], bunch.delta[None]])
    start = start - start.mean(-1, keepdim=True)
    end = out.coordinates[rows] - out.coordinates[rows].mean(-1, keepdim=True)
    fit = end @ start.T @ torch.linalg.inv(start @ start.T)
    phase = torch.acos(fit[:, :2].trace() / (2 * torch.linalg.det(fit[:, :2]).sqrt()))
    return torch.where(fit[0, 1] > 0, phase, 2 * torch.pi - phase) / (2 * torch.pi)


def tunes(out: scb.Bunch) -> dict[str, torch.Tensor]:
    return {"qx": fractional_tune(out, 0), "qy": fractional_tune(out, 1)}


wanted = np.array([bare.qx % 1, bare.qy % 1])
knobs = ["kbrqf", "kbrqd"]
problem = Problem(kicked, bunch, tunes, knobs)
start = problem.x0
print("tunes with space charge:", problem(start).round(4), "wanted:", wanted.round(4))


def retune(jacobian):
    problem.evaluations = problem.backward_passes = 0
    found = least_squares(
        lambda x: problem(x) - wanted, start, jac=jacobian, x_scale=0.01, xtol=1e-9
    )
    return found, problem.evaluations, problem.backward_passes


exact, evaluations, backward_passes = retune(problem.jacobian)
differences, more_evaluations, _ = retune("2-point")
print(f"exact Jacobian:     {evaluations} evaluations, {backward_passes} backward passes,", end=" ")
print(f"error {np.abs(exact.fun).max():.1e}, knobs {exact.x.round(6)}")
print(f"finite differences: {more_evaluations} evaluations,", end=" ")
print(f"error {np.abs(differences.fun).max():.1e}, knobs {differences.x.round(6)}")

# %% [markdown]
# The optimiser of xdeps takes the same Jacobian, and sets the variables of the line.

# %%
problem.apply(start)
problem.evaluations = 0
optimizer = problem.optimizer(
    dict(zip(("qx", "qy"), wanted.tolist(), strict=True)), tol=1e-7, show_call_counter=False
)
optimizer.solve(verbose=False)
print(f"xdeps: {problem.evaluations} evaluations; kbrqf in the line is {kicked['kbrqf']:.6f}")

# %% [markdown]
# ## Back to Xsuite
# The sequence as a line of its own, with its present values; expressions stay.

# %%
for name in knobs:
    sequence.knobs[name] = problem.sequence.knobs[name].item()
retuned = to_line(sequence).twiss4d()
print(f"tunes of the retuned line without space charge: {retuned.qx:.4f}, {retuned.qy:.4f}")
