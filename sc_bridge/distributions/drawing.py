"""Drawing: a sample of unit covariance becomes a bunch, by optics and emittances or by sizes."""

from __future__ import annotations

import math
from typing import Any, TypedDict

import torch
from torch import Tensor

from sc_bridge.elements import Bunch, Reference
from sc_bridge.elements.bunch import pzeta_of
from sc_bridge.elements.reference import as_scalar
from sc_bridge.elements.special import sqrt_or_zero

from ..bucket import matched_sigma_delta
from ..counts import whole_number
from ..errors import BunchError
from ..sequence import KickedSequence
from ..species import checked_reference
from ..twiss import Twiss, periodic_twiss
from ..units import to_si
from .samples import Sample

# Transverse sizes that take the place of emittances and optics, with their units.
SIZES = {"sigma_x": "m", "sigma_px": "", "sigma_y": "m", "sigma_py": ""}
_EMITTANCES = {"nemitt_x": "m", "nemitt_y": "m"}


class Shape(TypedDict, total=False):
    """Keywords of every distribution but the cold sphere; `gaussian` tells what they are."""

    nemitt_x: Any
    nemitt_y: Any
    sigma_x: Any
    sigma_px: Any
    sigma_y: Any
    sigma_py: Any
    sigma_z: Any
    sigma_delta: Any
    seed: int
    twiss: Twiss | None
    reference: Reference | None
    dtype: torch.dtype


def draw(
    sample: Sample,
    sequence: KickedSequence | None,
    n_particles: int,
    intensity: Any,
    *,
    sigma_z: Any = None,
    sigma_delta: Any = None,
    seed: int = 0,
    twiss: Twiss | None = None,
    reference: Reference | None = None,
    dtype: torch.dtype = torch.float64,
    **transverse: Any,
) -> Bunch:
    """Draw a bunch of any sample; parameters and refusals are those of `gaussian`."""
    reference = reference_of(sequence, reference)
    if twiss is not None and not isinstance(twiss, Twiss):
        raise BunchError(f"bunch: twiss = {twiss!r}: must be a Twiss, such as Twiss(betx=...)")
    given = {name: value for name, value in transverse.items() if value is not None}
    by_size = _is_by_size(given, twiss)
    if sigma_z is None:
        raise BunchError("bunch: sigma_z is missing: give the rms length")
    units = SIZES if by_size else _EMITTANCES
    values = {"intensity": scalar(intensity, "", "intensity")}
    values |= {name: scalar(given[name], unit, name) for name, unit in units.items()}
    values["sigma_z"] = scalar(sigma_z, "m", "sigma_z")
    if sigma_delta is None:
        twiss = twiss or _periodic(sequence)
        sigma_delta = _matched_spread(sequence, twiss, values["sigma_z"].item())
    values["sigma_delta"] = scalar(sigma_delta, "", "sigma_delta")
    optics = None if by_size else twiss or _periodic(sequence)
    points = sample(checked_number(n_particles), seeded(seed))
    rows = _scale(points, values, optics, reference)
    return bunch_of(rows, values["intensity"], reference, dtype)


def reference_of(sequence: KickedSequence | None, reference: Reference | None) -> Reference:
    """Return the given reference, or the sequence's."""
    if sequence is not None and not isinstance(sequence, KickedSequence):
        raise BunchError(f"bunch: sequence = {sequence!r}: must be a KickedSequence, or None")
    given = checked_reference(reference)
    if given is not None:
        return given
    if sequence is None:
        raise BunchError("bunch: neither a sequence nor a reference: give one of them")
    return sequence.reference


def checked_number(n_particles: Any) -> int:
    """Return a number of macroparticles, or refuse it."""
    return whole_number("bunch: n_particles", n_particles, BunchError)


def seeded(seed: int) -> torch.Generator:
    """Return the source of random numbers, on the CPU so that all devices get the same."""
    return torch.Generator().manual_seed(seed)


def scalar(value: Any, unit: str, name: str) -> Tensor:
    """Return a quantity as a tensor that is finite and not negative."""
    tensor = as_scalar(to_si(value, unit, name))
    if tensor.dim():
        raise BunchError(f"bunch: {name} = {tensor.tolist()}: must be one number")
    if not bool(torch.isfinite(tensor.detach()) & (tensor.detach() >= 0)):
        raise BunchError(f"bunch: {name} = {tensor.item():.6g}: must be finite, not negative")
    return tensor


def bunch_of(
    rows: list[Tensor], intensity: Tensor, reference: Reference, dtype: torch.dtype
) -> Bunch:
    """Return the bunch of x, px, y, py, zeta, pzeta, all particles of the same weight."""
    coordinates = torch.stack(rows)
    weight = intensity / coordinates.shape[-1]
    return Bunch(coordinates.to(dtype), reference, weight.to(dtype))


def _is_by_size(given: dict[str, Any], twiss: Twiss | None) -> bool:
    """Whether sizes are given rather than emittances; exactly one kind must be, completely."""
    for units in (_EMITTANCES, SIZES):
        if given and given.keys() <= units.keys():
            missing = ", ".join(name for name in units if name not in given)
            if missing:
                raise BunchError(f"bunch: {missing} missing: give all of {', '.join(units)}")
            if units is SIZES and twiss is not None:
                raise BunchError(
                    "bunch: twiss and sizes given: optics go with nemitt_x and nemitt_y"
                )
            return units is SIZES
    raise BunchError(
        f"bunch: {', '.join(given) or 'no transverse size'} given: give {', '.join(_EMITTANCES)}, "
        f"which the optics turn into sizes, or {', '.join(SIZES)}"
    )


def _periodic(sequence: KickedSequence | None) -> Twiss:
    if sequence is None:
        raise BunchError("bunch: no sequence to match to: give twiss and sigma_delta, or sizes")
    return periodic_twiss(sequence)


def _matched_spread(sequence: KickedSequence | None, twiss: Twiss, sigma_z: float) -> float:
    if sequence is None or math.isnan(twiss.slip_factor):
        raise BunchError(
            "bunch: sigma_delta is missing: only periodic optics of a sequence tell what the "
            "bucket matches"
        )
    return matched_sigma_delta(sequence, twiss, sigma_z)


def _scale(
    points: Tensor, values: dict[str, Tensor], optics: Twiss | None, ref: Reference
) -> list[Tensor]:
    """Rows of coordinates from points of unit covariance; without optics by size."""
    delta = values["sigma_delta"] * points[5]
    if optics is None:
        rows = [values[name] * row for name, row in zip(SIZES, points[:4], strict=True)]
    else:
        gemitt_x = values["nemitt_x"] / ref.beta0_gamma0
        gemitt_y = values["nemitt_y"] / ref.beta0_gamma0
        rows = [
            *_betatron(points[0:2], gemitt_x, optics.betx, optics.alfx),
            *_betatron(points[2:4], gemitt_y, optics.bety, optics.alfy),
        ]
        dispersion = (optics.dx, optics.dpx, optics.dy, optics.dpy)
        rows = [row + d * delta for row, d in zip(rows, dispersion, strict=True)]
    return [*rows, values["sigma_z"] * points[4], pzeta_of(delta, ref)]


def _betatron(points: Tensor, gemitt: Tensor, beta: float, alpha: float) -> tuple[Tensor, Tensor]:
    position = sqrt_or_zero(gemitt * beta) * points[0]
    slope = sqrt_or_zero(gemitt / beta) * (points[1] - alpha * points[0])
    return position, slope
