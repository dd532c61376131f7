"""What one kick keeps for the backward pass: of the paper's scheme by steps, of Cheetah, of ours.

All by the same method: bytes of the storages that autograd holds, each counted once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.util import find_spec

import torch

import sc_bridge as scb
from sc_bridge.adjoint.protocol import Adjoint
from sc_bridge.memory import Law, fit
from sc_bridge.memory.footprint import SavedBytes

from . import case
from .scheme import recorded_kick

WHOLE = "whole kick"
# Steps of the paper's Fig. 3 in Cheetah: method -> step, and what is called within it.
CHEETAH_STEPS = {
    "_array_rho": ("charge deposition", None),
    "_integrated_green_function": ("Green function", None),
    "_compute_forces": ("field gather", "_E_plus_vB_field"),
}

STRATEGIES: dict[str, Adjoint] = {
    "RecordAll()": scb.RecordAll(),
    "StoreStates()": scb.StoreStates(),
    "Checkpoint(every=4)": scb.Checkpoint(every=4),
    "Reversible()": scb.Reversible(),
}


@dataclass(frozen=True)
class Growth:
    """Bytes kept by one kick, or by one of its steps."""

    n_particles: int
    n_cells: int
    kept: int
    n_kicks: int = 1


def measure_scheme(size: case.Size, dtype: torch.dtype) -> dict[str, list[Growth]]:
    """The paper's scheme, by step."""
    return _scan(size, lambda n, nodes: _steps_of_scheme(n, nodes, dtype))


def measure_ours(size: case.Size, dtype: torch.dtype) -> dict[str, list[Growth]]:
    """`StoreStates`: what a third kick adds to two."""

    def steps(n: int, nodes: int) -> dict[str, int]:
        few, more = (_kept(scb.StoreStates(), n, nodes, kicks, dtype) for kicks in (2, 3))
        return {WHOLE: more - few}

    return _scan(size, steps)


def measure_cheetah(size: case.Size, dtype: torch.dtype) -> dict[str, list[Growth]] | None:
    """Cheetah's kick, by step; None where Cheetah is not installed."""
    if find_spec("cheetah") is None:
        return None
    return _scan(size, lambda n, nodes: _steps_of_cheetah(n, nodes, dtype))


def fit_steps(found: dict[str, list[Growth]]) -> dict[str, Law]:
    """The memory law of each step."""
    return {step: fit(growths) for step, growths in found.items()}


def fit_strategy(adjoint: Adjoint, dtype: torch.dtype, size: case.Size) -> Law:
    """The memory law of a strategy, from runs with several numbers of kicks."""
    (few, many), (coarse, fine) = size.particles[:2], size.nodes[:2]
    plan = [(n, m, k) for n, m in ((few, coarse), (many, coarse), (few, fine)) for k in (4, 8)]
    return fit([Growth(n, m**3, _kept(adjoint, n, m, k, dtype), k) for n, m, k in plan])


def _kept(adjoint: Adjoint, n: int, nodes: int, n_kicks: int, dtype: torch.dtype) -> int:
    """Bytes that a run keeps, as `sc_bridge.memory.measure` counts them."""
    bunch = case.make_bunch(case.make_inputs(False), n, dtype)
    bunch.coordinates.requires_grad_()
    sequence = case.make_sequence(n_kicks, nodes)
    with SavedBytes((bunch.coordinates, bunch.weight)) as saved:
        out = scb.track(sequence, bunch, adjoint=adjoint)
    del out
    return saved.count


def _scan(size: case.Size, steps: Callable[[int, int], dict[str, int]]) -> dict[str, list[Growth]]:
    found: dict[str, list[Growth]] = {}
    for n in size.particles:
        for nodes in size.nodes:
            for step, kept in steps(n, nodes).items():
                found.setdefault(step, []).append(Growth(n, nodes**3, kept))
    return found


def _steps_of_scheme(n: int, nodes: int, dtype: torch.dtype) -> dict[str, int]:
    inputs = case.make_inputs()
    bunch = case.make_bunch(inputs, n, dtype)
    saved = SavedBytes((bunch.coordinates, bunch.weight))
    kept: dict[str, int] = {}
    before = 0

    def done(step: str) -> None:
        nonlocal before
        kept[step] = kept.get(step, 0) + saved.count - before
        before = saved.count

    with saved:
        kicked = recorded_kick(bunch, case.DRIFT / case.KICKS, nodes, done)
    del kicked
    return {**kept, WHOLE: saved.count}


def _steps_of_cheetah(n: int, nodes: int, dtype: torch.dtype) -> dict[str, int]:
    import cheetah

    bunch = case.make_bunch(case.make_inputs(False), n, dtype)
    table = torch.ones(n, 7, dtype=dtype)
    table[:, :6] = bunch.coordinates.T
    # Cheetah's coordinates: tau = -zeta/beta0, and a spread that is not zero
    table[:, 4] *= -1.0
    table.requires_grad_()
    energy = torch.tensor(case.VALUES["energy"], dtype=dtype, requires_grad=True)
    charges = torch.full((n,), case.VALUES["charge"] / n, dtype=dtype, requires_grad=True)
    length = torch.tensor(case.DRIFT / case.KICKS, dtype=dtype)
    kick = cheetah.SpaceChargeKick(length, grid_shape=(nodes, nodes, nodes), dtype=dtype)
    saved = SavedBytes((table, energy, charges))
    spans = {name: _watched(kick, name, saved) for name in _methods()}
    with saved:
        beam = cheetah.ParticleBeam(table, energy=energy, particle_charges=charges)
        kicked = kick.track(beam)
    del kicked
    return {
        **{
            step: spans[name][0] - (spans[inner][0] if inner else 0)
            for name, (step, inner) in CHEETAH_STEPS.items()
        },
        WHOLE: saved.count,
    }


def _methods() -> Iterable[str]:
    inner = [within for _, within in CHEETAH_STEPS.values() if within]
    return [*CHEETAH_STEPS, *inner]


def _watched(kick: object, name: str, saved: SavedBytes) -> list[int]:
    """Let a method of `kick` note how much was kept while it ran."""
    span: list[int] = []
    original = getattr(kick, name)

    def call(*arguments: object) -> object:
        before = saved.count
        result = original(*arguments)
        span.append(saved.count - before)
        return result

    object.__setattr__(kick, name, call)
    return span
