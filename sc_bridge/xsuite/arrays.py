"""Arrays of `xt.Particles` as tensors over the same memory, on the CPU and on CuPy."""

from __future__ import annotations

import importlib
from itertools import pairwise
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sc_bridge.elements.bunch import COORDINATES
from sc_bridge.errors import BunchError, ScBridgeError

_ITEM = 8  # bytes of a float64
# How far xtrack rounds 1 in chi and charge_ratio.
_ONE = 1e-12


def tensor_of(particles: Any, name: str) -> Tensor:
    """Return one array of particles, what is hidden left out, without copying it."""
    array = getattr(particles, name)
    module = array_module(particles._context)
    if module is np:
        return torch.from_numpy(np.asarray(array))
    plain = array._as_cupy() if hasattr(array, "_as_cupy") else array
    return torch.from_dlpack(plain)


def shared_coordinates(particles: Any) -> Tensor | None:
    """Return x, px, y, py, zeta, pzeta as one tensor (6, n) over the memory of particles.

    None if their arrays do not follow each other at one distance; those that
    `particles_from` made do, those that xtrack made do not.
    """
    rows = [tensor_of(particles, name) for name in COORDINATES]
    steps = {second.data_ptr() - first.data_ptr() for first, second in pairwise(rows)}
    step = steps.pop()
    if steps or step <= 0 or step % _ITEM:
        return None
    module = array_module(particles._context)
    first = particles.x if module is np else getattr(particles.x, "_as_cupy", lambda: particles.x)()
    view = module.lib.stride_tricks.as_strided(first, (6, rows[0].numel()), (step, _ITEM))
    return torch.from_numpy(view) if module is np else torch.from_dlpack(view)


def array_module(context: Any) -> ModuleType:
    """Return NumPy for a CPU context of xobjects, CuPy for one on a GPU.

    Raises
    ------
    ScBridgeError
        If it is another context, or CuPy is not installed.
    """
    kind = type(context).__name__
    if kind == "ContextCpu":
        return np
    if kind != "ContextCupy":
        raise ScBridgeError(
            f"particles in a {kind}: must be in a ContextCpu or a ContextCupy: "
            "particles.copy(_context=xobjects.ContextCpu()) moves them"
        )
    try:
        return importlib.import_module("cupy")
    except ImportError:
        raise ScBridgeError(
            "particles in a ContextCupy need CuPy, which is not installed: pip install "
            "cupy-cuda12x, or particles.copy(_context=xobjects.ContextCpu()) moves them"
        ) from None


def check_species(particles: Any, places: Any = slice(None)) -> None:
    """Refuse particles of several species: chi or charge_ratio other than 1.

    Raises
    ------
    BunchError
    """
    for name in ("chi", "charge_ratio"):
        ratio = tensor_of(particles, name)[places]
        others = ratio[(ratio - 1.0).abs() > _ONE]
        if others.numel():
            raise BunchError(
                f"{others.numel()} of {ratio.numel()} particles are of another species "
                f"({name} = {others[0].item()!r}, not 1): pass one species at a time, e.g. "
                f"particles.filter(particles.{name} == 1)"
            )


def reference_momentum(particles: Any, places: Any = slice(None)) -> float:
    """Return the p0c that all particles have, eV.

    Raises
    ------
    BunchError
        If they have several.
    """
    p0c = tensor_of(particles, "p0c")[places]
    low, high = p0c.aminmax()
    if bool(low != high):
        raise BunchError(
            f"reference momenta from {low.item()!r} to {high.item()!r} eV: a bunch has one p0c"
        )
    return low.item()


def living(particles: Any) -> Tensor:
    """Whether each particle is alive, (n,), bool."""
    return tensor_of(particles, "state") > 0


def set_pzeta(particles: Any, pzeta: Tensor) -> None:
    """Set pzeta of living particles; xtrack updates delta, rvv and rpp with it."""
    module = array_module(particles._context)
    particles.pzeta[:] = pzeta.numpy() if module is np else module.from_dlpack(pzeta)
