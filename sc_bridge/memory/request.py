"""Request: what a caller asks a plan for, checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from sc_bridge.elements import Bunch
from sc_bridge.elements.space_charge import SpaceCharge

from ..adjoint.protocol import Adjoint
from ..counts import whole_number
from ..errors import ScBridgeError
from ..sequence import KickedSequence
from ..units import to_si
from .pattern import Grid3, Size
from .predict import PREDICTIONS


def size_of(
    sequence: KickedSequence, bunch: Bunch | None, n_particles: int | None, grid: Grid3 | None
) -> Size:
    """Particles of the bunch, or those that are given instead; nodes likewise."""
    if not isinstance(sequence, KickedSequence):
        raise ScBridgeError(f"plan: needs a KickedSequence, got {type(sequence).__name__}")
    if bunch is not None and not isinstance(bunch, Bunch):
        raise ScBridgeError(f"plan: bunch = {bunch!r}: must be a Bunch, or give n_particles=")
    if bunch is None and n_particles is None:
        raise ScBridgeError("plan: give a bunch or n_particles=")
    settings = sequence.space_charge
    if grid is not None:
        settings = SpaceCharge(grid=grid)  # which refuses what no kick can have
    nodes = settings.grid if settings is not None else (0, 0, 0)
    if bunch is not None and n_particles is None:
        total = bunch.coordinates.numel() // 6
        return Size(total, nodes, total // bunch.n_particles)
    return Size(whole_number("plan: n_particles", n_particles, ScBridgeError), nodes)


def check_choices(adjoint: Adjoint | None, loss: Callable[[Bunch], Tensor] | None) -> None:
    """Refuse a strategy whose peak is not known, and a loss that is no function."""
    if adjoint is not None and type(adjoint) not in PREDICTIONS:
        known = ", ".join(f"{kind.__name__}(...)" for kind in PREDICTIONS)
        raise ScBridgeError(f"plan: adjoint = {adjoint!r}: must be one of {known}")
    if loss is not None and not callable(loss):
        raise ScBridgeError(
            f"plan: loss = {loss!r}: must be a function of the outgoing bunch, such as "
            "lambda bunch: bunch.sigma_x"
        )


def device_of(device: torch.device | str) -> torch.device:
    """Return a device on which there can be tensors."""
    try:
        return torch.zeros(0, device=device).device
    except (RuntimeError, AssertionError) as error:
        first = str(error).partition("\n")[0]
        raise ScBridgeError(f"plan: device = {str(device)!r}: {first}") from None


def positive_bytes(budget: Any) -> float:
    """Return a budget in bytes."""
    limit = float(to_si(budget, "B", "budget"))
    if not limit > 0:
        raise ScBridgeError(f"plan: budget = {budget!r}: must be positive")
    return limit
