"""The distributions that a user chooses from: each a function that draws a bunch.

Cost: six float64 numbers a particle, drawn on the CPU.
"""

from __future__ import annotations

from typing import Any, Unpack

import torch

from sc_bridge.elements import Bunch, Reference
from sc_bridge.elements.bunch import pzeta_of

from ..sequence import KickedSequence
from . import samples
from .drawing import Shape, bunch_of, checked_number, draw, reference_of, scalar, seeded


def gaussian(
    sequence: KickedSequence | None,
    n_particles: int,
    intensity: Any,
    **shape: Unpack[Shape],
) -> Bunch:
    """Draw a Gaussian bunch in all six dimensions, matched to the sequence.

    Optics and momentum spread are constants of the derivatives: emittances, sizes, intensity
    and reference act through the scaling of the same random numbers.

    Parameters
    ----------
    sequence : KickedSequence or None
        What to match to; None where optics (or sizes), `sigma_delta` and reference are given.
    n_particles : int
        Macroparticles.
    intensity : float or Tensor
        Real particles.
    nemitt_x, nemitt_y : str, quantity, float or Tensor, m
        Normalised rms emittances.
    sigma_x, sigma_y : str, quantity, float or Tensor, m
        Rms sizes, together with sigma_px and sigma_py instead of emittances: upright, without
        dispersion.
    sigma_px, sigma_py : float or Tensor
        Rms of Px/P0 and Py/P0.
    sigma_z : str, quantity, float or Tensor, m
        rms of zeta.
    sigma_delta : str, quantity, float or Tensor, optional
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
        If a number is missing or out of range.
    UnitError
        If a quantity has the wrong dimension.
    LatticeError
        If nothing matches: no periodic optics, no bucket.
    """
    return draw(samples.normal, sequence, n_particles, intensity, **shape)


def waterbag(
    sequence: KickedSequence | None, n_particles: int, intensity: Any, **shape: Unpack[Shape]
) -> Bunch:
    """Draw a waterbag: uniform in a six-dimensional ellipsoid.

    It ends at sqrt(8) = 2.83 rms sizes in every direction.

    Parameters are those of `gaussian`, and so is what it raises.

    References
    ----------
    Lapostolle, IEEE Trans. Nucl. Sci. 18, 1101 (1971); ImpactX `Waterbag`.
    """
    return draw(samples.ball, sequence, n_particles, intensity, **shape)


def kv(
    sequence: KickedSequence | None, n_particles: int, intensity: Any, **shape: Unpack[Shape]
) -> Bunch:
    """Draw a Kapchinskij-Vladimirskij beam: a shell in (x, px, y, py).

    Every projection on two of these is a uniform ellipse, of half axes 2 rms; its own field is
    linear. Uniform in zeta over sqrt(12) sigma_z, Gaussian in delta.

    Parameters are those of `gaussian`, and so is what it raises.

    References
    ----------
    Kapchinskij & Vladimirskij, Int. Conf. on High Energy Accelerators, CERN, 274 (1959);
    ImpactX `KVdist`.
    """
    return draw(samples.sphere_and_line, sequence, n_particles, intensity, **shape)


def kurth(
    sequence: KickedSequence | None, n_particles: int, intensity: Any, **shape: Unpack[Shape]
) -> Bunch:
    """Draw a Kurth bunch: a uniform ellipsoid in space that focusing of all planes keeps so.

    Its own field is linear, and it is stationary in linear focusing of the same phase advance
    in x, y and zeta. It ends at sqrt(5) rms sizes.

    Parameters are those of `gaussian`, and so is what it raises.

    References
    ----------
    Kurth, Q. Appl. Math. 36, 325 (1978); Mitchell, Hwang & Ryne, IPAC2021, WEPAB248; ImpactX
    `Kurth6D`.
    """
    return draw(samples.kurth, sequence, n_particles, intensity, **shape)


def uniform_ellipsoid(
    sequence: KickedSequence | None, n_particles: int, intensity: Any, **shape: Unpack[Shape]
) -> Bunch:
    """Draw a bunch that is a uniform ellipsoid in (x, y, zeta), with Gaussian momenta.

    The half axes are sqrt(5) rms sizes. With momenta of zero it is cold, and its own field
    is linear.

    Parameters are those of `gaussian`, and so is what it raises.

    References
    ----------
    Lapostolle, IEEE Trans. Nucl. Sci. 18, 1101 (1971): field of a uniform ellipsoid.
    """
    return draw(samples.uniform_ball, sequence, n_particles, intensity, **shape)


def semi_gaussian(
    sequence: KickedSequence | None, n_particles: int, intensity: Any, **shape: Unpack[Shape]
) -> Bunch:
    """Draw a semi-Gaussian beam: a uniform elliptic cylinder in space, Gaussian momenta.

    Half axes are 2 rms sizes in x and y, and sqrt(3) in zeta: a beam as a hot cathode makes it.

    Parameters are those of `gaussian`, and so is what it raises.

    References
    ----------
    Reiser, Theory and Design of Charged Particle Beams (2008); ImpactX `Semigaussian`.
    """
    return draw(samples.cylinder, sequence, n_particles, intensity, **shape)


def cold_sphere(
    sequence: KickedSequence | None,
    n_particles: int,
    intensity: Any,
    radius: Any,
    seed: int = 0,
    reference: Reference | None = None,
    dtype: torch.dtype = torch.float64,
) -> Bunch:
    """Draw a sphere of uniform density at rest: what expands by its own charge alone.

    It is a sphere in the rest frame of the reference: in the laboratory it is shorter by
    gamma0, so that its half length in zeta is radius/gamma0.

    Parameters
    ----------
    sequence : KickedSequence or None
        Where the reference comes from if it is not given.
    n_particles : int
        Macroparticles.
    intensity : float or Tensor
        Real particles.
    radius : str, quantity, float or Tensor, m
        Of the sphere; the rms size in x is radius/sqrt(5).
    seed : int
    reference : Reference, optional
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
    """
    reference = reference_of(sequence, reference)
    number = scalar(intensity, "", "intensity")
    size = scalar(radius, "m", "radius") / 5.0**0.5
    points = samples.uniform_ball(checked_number(n_particles), seeded(seed))
    still = torch.zeros_like(points[0])
    rows = [
        *(size * points[0], still, size * points[2], still),
        *(size / reference.gamma0 * points[4], pzeta_of(still, reference)),
    ]
    return bunch_of(rows, number, reference, dtype)
