"""Distributions: bunches of random macroparticles, matched to a sequence or to given optics."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sc_bridge.elements import Bunch, Reference
from sc_bridge.elements.bunch import pzeta_of
from sc_bridge.elements.reference import as_scalar
from sc_bridge.elements.special import sqrt_or_zero

from .bucket import matched_sigma_delta
from .errors import BunchError
from .sequence import KickedSequence
from .twiss import Twiss, periodic_twiss
from .units import to_si


def gaussian(
    sequence: KickedSequence,
    n_particles: int,
    intensity: Any,
    nemitt_x: Any,
    nemitt_y: Any,
    sigma_z: Any,
    sigma_delta: Any = None,
    seed: int = 0,
    twiss: Twiss | None = None,
    reference: Reference | None = None,
    dtype: torch.dtype = torch.float64,
) -> Bunch:
    """Draw a Gaussian bunch in all six dimensions, matched to the sequence.

    Optics and momentum spread are constants of the derivatives: emittances, intensity and
    reference act through the scaling of the same random numbers.

    Parameters
    ----------
    sequence : KickedSequence
    n_particles : int
        Macroparticles.
    intensity : float or Tensor
        Real particles.
    nemitt_x, nemitt_y : str, float or Tensor, m
        Normalised rms emittances.
    sigma_z : str, float or Tensor, m
        rms of zeta.
    sigma_delta : str, float or Tensor, optional
        rms of delta; by default on the bucket's contour through sigma_z.
    seed : int
    twiss : Twiss, optional
        By default the periodic optics without space charge.
    reference : Reference, optional
        The sequence's by default.
    dtype : torch.dtype

    Returns
    -------
    Bunch

    Raises
    ------
    BunchError
        If a number is out of range.
    UnitError
        If a quantity has the wrong dimension.
    LatticeError
        If nothing matches: no periodic optics, no bucket.
    """
    reference = reference or sequence.reference
    if not isinstance(n_particles, int) or n_particles < 1:
        raise BunchError(f"bunch: n_particles = {n_particles!r}: must be a whole number from 1")
    values = {
        "intensity": as_scalar(to_si(intensity, "", "intensity")),
        "nemitt_x": as_scalar(to_si(nemitt_x, "m", "nemitt_x")),
        "nemitt_y": as_scalar(to_si(nemitt_y, "m", "nemitt_y")),
        "sigma_z": as_scalar(to_si(sigma_z, "m", "sigma_z")),
    }
    twiss = twiss or periodic_twiss(sequence)
    if sigma_delta is None:
        values["sigma_delta"] = as_scalar(
            matched_sigma_delta(sequence, twiss, values["sigma_z"].item())
        )
    else:
        values["sigma_delta"] = as_scalar(to_si(sigma_delta, "", "sigma_delta"))
    for name, value in values.items():
        if not bool(torch.isfinite(value.detach()) & (value.detach() >= 0)):
            raise BunchError(f"bunch: {name} = {value.item():.6g}: must be finite, not negative")
    coordinates = _scale(_standard_normal(n_particles, seed), values, twiss, reference)
    return Bunch(coordinates.to(dtype), reference, values["intensity"].to(dtype) / n_particles)


def _standard_normal(n_particles: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(6, n_particles, generator=generator, dtype=torch.float64)


def _scale(normal: Tensor, values: dict[str, Tensor], twiss: Twiss, ref: Reference) -> Tensor:
    """From unit normal coordinates to a matched bunch, (6, n_particles)."""
    x, px = _betatron(normal[0:2], values["nemitt_x"] / ref.beta0_gamma0, twiss.betx, twiss.alfx)
    y, py = _betatron(normal[2:4], values["nemitt_y"] / ref.beta0_gamma0, twiss.bety, twiss.alfy)
    zeta = values["sigma_z"] * normal[4]
    delta = values["sigma_delta"] * normal[5]
    return torch.stack(
        [
            x + twiss.dx * delta,
            px + twiss.dpx * delta,
            y + twiss.dy * delta,
            py + twiss.dpy * delta,
            zeta,
            pzeta_of(delta, ref),
        ]
    )


def _betatron(normal: Tensor, gemitt: Tensor, beta: float, alpha: float) -> tuple[Tensor, Tensor]:
    position = sqrt_or_zero(gemitt * beta) * normal[0]
    slope = sqrt_or_zero(gemitt / beta) * (normal[1] - alpha * normal[0])
    return position, slope
