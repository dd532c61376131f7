"""Twiss: periodic optics of a sequence without kicks, RF frozen (Xsuite's `twiss4d`)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sc_bridge.elements import Reference, State
from sc_bridge.elements.base import Transport
from sc_bridge.elements.passing import transfer_matrix
from sc_bridge.elements.rows import states_behind

from .errors import LatticeError
from .sequence import KickedSequence
from .units import to_si

# A closed orbit is found when one turn moves it by less than this, in m and rad.
_CLOSED = 1e-12
_NEWTON_STEPS = 20
# Coupling above this fraction of the largest entry makes uncoupled Twiss functions meaningless;
# below it they are right to its square. Tunes are those of the normal modes.
_UNCOUPLED = 1e-2
# Displacements by which maps are differentiated where a few digits do, m and rad.
_STEP = 1e-6
# What is given at the start of a line, with its units.
_OPTICS = {
    **{"betx": "m", "alfx": "", "bety": "m", "alfy": ""},
    **{"dx": "m", "dpx": "", "dy": "m", "dpy": ""},
}


@dataclass(frozen=True)
class Twiss:
    """Optics at the start of a line; lengths in m, dispersion with respect to delta.

    `betx` to `dpy` may be text or quantities with a unit; tensors keep their graph.
    `slip_factor` is that of Xsuite, negative below transition:
    zeta changes by -slip_factor * circumference * delta in a turn.
    """

    betx: Any
    alfx: Any
    bety: Any
    alfy: Any
    dx: Any = 0.0
    dpx: Any = 0.0
    dy: Any = 0.0
    dpy: Any = 0.0
    qx: float = math.nan
    qy: float = math.nan
    slip_factor: float = math.nan
    circumference: float = math.nan

    def __post_init__(self) -> None:
        for name, unit in _OPTICS.items():
            value = to_si(getattr(self, name), unit, f"twiss.{name}")
            if name in ("betx", "bety") and not bool(torch.as_tensor(value > 0.0).all()):
                raise LatticeError(f"Twiss: {name} = {value} m: must be positive")
            object.__setattr__(self, name, value)


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
        whole = _phase_advances(sequence, orbit, (betx, alfx, bety, alfy))
        # the turn's matrix has the exact fraction, the advance along the line the integer
        qx, qy = (
            round(advance - fraction) + fraction
            for advance, fraction in zip(whole, _mode_tunes(matrix[:4, :4]), strict=True)
        )
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
        matrix = _differences(turn, orbit, sequence.reference)
        if not bool(matrix.isfinite().all()):
            break
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


def _displaced(orbit: Tensor) -> Tensor:
    """Orbit and its displacements by plus and minus a step in x, px, y, py, (6, 8)."""
    steps = _STEP * torch.eye(6, dtype=torch.float64)[:, :4]
    return orbit.unsqueeze(-1) + torch.cat([steps, -steps], dim=-1)


def _slopes(coordinates: Tensor) -> Tensor:
    """Transverse map, (4, 4), from where displaced particles have come, (6, 8)."""
    return (coordinates[:4, :4] - coordinates[:4, 4:]) / (2.0 * _STEP)


def _differences(transport: Transport, orbit: Tensor, reference: Reference) -> Tensor:
    """Transverse map around an orbit by central differences, (4, 4)."""
    state = transport(State(*_displaced(orbit).unbind(0)), reference)
    return _slopes(torch.stack(torch.broadcast_tensors(*state)))


def _mode_tunes(matrix: Tensor) -> tuple[float, float]:
    """Fractional tunes of the normal modes of a 4x4 one-turn matrix, x-like and y-like.

    Of each pair of eigenvectors the one with positive v^H S v/i turns by +2 pi Q.
    """
    values, vectors = torch.linalg.eig(matrix)
    form = torch.zeros(4, 4, dtype=vectors.dtype)
    form[0, 1] = form[2, 3] = 1.0
    form[1, 0] = form[3, 2] = -1.0
    tunes = {}
    for value, vector in zip(values, vectors.T, strict=True):
        if (vector.conj() @ form @ vector).imag.item() <= 0:
            continue
        planes = vector.abs().square()
        plane = "x" if planes[:2].sum() > planes[2:].sum() else "y"
        tunes[plane] = math.atan2(value.imag.item(), value.real.item()) / (2.0 * math.pi) % 1.0
    return tunes.get("x", math.nan), tunes.get("y", math.nan)


def _phase_advances(
    sequence: KickedSequence, orbit: Tensor, start: tuple[float, float, float, float]
) -> tuple[float, float]:
    """Tunes with their integer part to a few digits, by following particles along the line."""
    start_state = State(*_displaced(orbit).unbind(0))
    elements = [sequence[name] for name in sequence.lattice.element_names]
    phase, last = [0.0, 0.0], [0.0, 0.0]
    for state in states_behind(elements, start_state, sequence.reference, coasting=True):
        slopes = _slopes(torch.stack(torch.broadcast_tensors(*state)))
        for plane in (0, 1):
            block = slopes[2 * plane : 2 * plane + 2, 2 * plane : 2 * plane + 2].tolist()
            here = phase_advance(block, *start[2 * plane : 2 * plane + 2])
            phase[plane] += math.remainder(here - last[plane], 2.0 * math.pi)
            last[plane] = here
    return phase[0] / (2.0 * math.pi), phase[1] / (2.0 * math.pi)


def phase_advance(block: list[list[float]], beta: float, alpha: float) -> float:
    """Phase advance of a 2x2 map, rad, in (-pi, pi]."""
    return math.atan2(block[0][1], block[0][0] * beta - block[0][1] * alpha)


def propagate(block: list[list[float]], beta: float, alpha: float) -> tuple[float, float]:
    """Beta and alpha behind a 2x2 map."""
    (a, b), (c, d) = block
    gamma = (1.0 + alpha * alpha) / beta
    return (
        a * a * beta - 2.0 * a * b * alpha + b * b * gamma,
        -a * c * beta + (a * d + b * c) * alpha - b * d * gamma,
    )
