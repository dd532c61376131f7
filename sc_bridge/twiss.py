"""Twiss: periodic optics of a sequence without kicks, RF frozen (Xsuite's `twiss4d`)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sc_bridge.elements import Reference, State
from sc_bridge.elements.base import Transport, transfer_matrix

from .errors import LatticeError
from .sequence import KickedSequence

# A closed orbit is found when one turn moves it by less than this, in m and rad.
_CLOSED = 1e-12
_NEWTON_STEPS = 20
# Coupling above this fraction of the largest entry makes uncoupled Twiss functions meaningless.
_UNCOUPLED = 1e-6


@dataclass(frozen=True)
class Twiss:
    """Optics at the start of a line; lengths in m, dispersion with respect to delta.

    `slip_factor` is that of Xsuite, negative below transition:
    zeta changes by -slip_factor * circumference * delta in a turn.
    """

    betx: float
    alfx: float
    bety: float
    alfy: float
    dx: float = 0.0
    dpx: float = 0.0
    dy: float = 0.0
    dpy: float = 0.0
    qx: float = math.nan
    qy: float = math.nan
    slip_factor: float = math.nan
    circumference: float = math.nan


def periodic_twiss(sequence: KickedSequence) -> Twiss:
    """Compute the periodic Twiss functions around the closed orbit, without kicks.

    Cavities act as drifts, so that the energy of every particle is frozen.

    Raises
    ------
    LatticeError
        If there is no closed orbit, the motion is unstable, or the planes are coupled.
    """
    with torch.no_grad():
        orbit = _closed_orbit(sequence)
        matrix = transfer_matrix(sequence.transport(coasting=True), sequence.reference, orbit)
        source = sequence.lattice.source
        _refuse_coupling(source, matrix)
        betx, alfx = _plane(source, "x", matrix[0:2, 0:2])
        bety, alfy = _plane(source, "y", matrix[2:4, 2:4])
        dispersion = _dispersion(matrix)
        slip = -(matrix[4, 5] + matrix[4, :4] @ dispersion).item() / sequence.length
        qx, qy = _phase_advances(sequence, orbit, (betx, alfx, bety, alfy))
    dx, dpx, dy, dpy = dispersion.tolist()
    return Twiss(betx, alfx, bety, alfy, dx, dpx, dy, dpy, qx, qy, slip, sequence.length)


def _closed_orbit(sequence: KickedSequence) -> Tensor:
    """Closed orbit with pzeta = 0 at the start of the line, (6,), by Newton's method."""
    turn = sequence.transport(coasting=True)
    orbit = torch.zeros(6, dtype=torch.float64)
    for _ in range(_NEWTON_STEPS):
        residual = (_apply(turn, orbit, sequence.reference) - orbit)[:4]
        if bool(residual.abs().max() < _CLOSED):
            return orbit
        if not bool(residual.isfinite().all()):
            break  # a particle turned round: the orbit has left the machine
        matrix = transfer_matrix(turn, sequence.reference, orbit)[:4, :4]
        step = torch.linalg.lstsq(torch.eye(4, dtype=torch.float64) - matrix, residual.unsqueeze(1))
        orbit = orbit + torch.cat([step.solution.squeeze(1), torch.zeros(2, dtype=torch.float64)])
    raise LatticeError(
        f"{sequence.lattice.source}: no closed orbit found: is this a ring? "
        "give the optics as twiss=Twiss(betx=..., alfx=..., bety=..., alfy=...)"
    )


def _apply(transport: Transport, particle: Tensor, reference: Reference) -> Tensor:
    """Map one particle, (6,) -> (6,)."""
    return torch.stack(transport(State(*particle.unsqueeze(-1).unbind(0)), reference)).squeeze(-1)


def _refuse_coupling(source: str, matrix: Tensor) -> None:
    block = matrix[:4, :4].abs()
    coupling = max(block[:2, 2:].max().item(), block[2:, :2].max().item())
    if coupling > _UNCOUPLED * block.max().item():
        raise LatticeError(
            f"{source}: the planes are coupled (entry {coupling:.3g} in the one-turn matrix): "
            "give the optics as twiss=Twiss(betx=..., alfx=..., bety=..., alfy=...)"
        )


def _plane(source: str, plane: str, matrix: Tensor) -> tuple[float, float]:
    """Periodic beta and alpha of one plane from its 2x2 one-turn matrix."""
    half_trace = 0.5 * (matrix[0, 0] + matrix[1, 1]).item()
    if not abs(half_trace) < 1.0:
        raise LatticeError(
            f"{source}: motion in {plane} is unstable (half trace {half_trace:.6g}): "
            "check the strengths, or give the optics as twiss=Twiss(...)"
        )
    sine = math.copysign(math.sqrt(1.0 - half_trace**2), matrix[0, 1].item())
    return matrix[0, 1].item() / sine, 0.5 * (matrix[0, 0] - matrix[1, 1]).item() / sine


def _dispersion(matrix: Tensor) -> Tensor:
    """Periodic dispersion (dx, dpx, dy, dpy) per delta, which is pzeta at first order."""
    eye = torch.eye(4, dtype=matrix.dtype)
    return torch.linalg.solve(eye - matrix[:4, :4], matrix[:4, 5])


def _phase_advances(
    sequence: KickedSequence, orbit: Tensor, start: tuple[float, float, float, float]
) -> tuple[float, float]:
    """Tunes with their integer part, by adding up the phase advance of every element."""
    optics = {"x": start[:2], "y": start[2:]}
    phase = {"x": 0.0, "y": 0.0}
    on_axis = not bool(orbit.any())
    matrices: dict[str, Tensor] = {}
    for name in sequence.lattice.element_names:
        coast = sequence[name].coast
        if name not in matrices or not on_axis:
            matrices[name] = transfer_matrix(coast, sequence.reference, orbit)
        if not on_axis:
            orbit = _apply(coast, orbit, sequence.reference)
        for plane, corner in (("x", 0), ("y", 2)):
            block = matrices[name][corner : corner + 2, corner : corner + 2].tolist()
            phase[plane] += phase_advance(block, *optics[plane])
            optics[plane] = propagate(block, *optics[plane])
    return phase["x"] / (2.0 * math.pi), phase["y"] / (2.0 * math.pi)


def phase_advance(block: list[list[float]], beta: float, alpha: float) -> float:
    """Phase advance of a 2x2 map, rad, in (-pi, pi]."""
    return math.atan2(block[0][1], block[0][0] * beta - block[0][1] * alpha)


def propagate(block: list[list[float]], beta: float, alpha: float) -> tuple[float, float]:
    """Beta and alpha behind a 2x2 map."""
    (a, b), (c, d) = block
    gamma = (1.0 + alpha**2) / beta
    return (
        a * a * beta - 2.0 * a * b * alpha + b * b * gamma,
        -a * c * beta + (a * d + b * c) * alpha - b * d * gamma,
    )
