"""RF bucket: the momentum spread that matches a bunch length."""

from __future__ import annotations

import math

from sc_bridge.elements import Cavity, Reference
from sc_bridge.elements.parts import whole_of

from .errors import BunchError, LatticeError
from .sequence import KickedSequence
from .twiss import Twiss


def matched_sigma_delta(sequence: KickedSequence, twiss: Twiss, sigma_z: float) -> float:
    """Momentum spread on the bucket's contour through (zeta = sigma_z, delta = 0).

    With the smooth Hamiltonian of one turn, slip C delta^2/2 + int F dzeta, where F(zeta) is
    the relative momentum that the cavities give.

    Parameters
    ----------
    sequence : KickedSequence
        Its cavities and reference are used.
    twiss : Twiss
        Gives slip factor and circumference.
    sigma_z : float, m

    Returns
    -------
    float
        Relative, without unit.

    Raises
    ------
    LatticeError
        If there is no cavity, or its phase does not bunch.
    BunchError
        If the bunch is longer than half the bucket.
    """
    wholes = (whole_of(sequence[name]) for name in sequence.lattice.element_names)
    cavities = [
        (cavity, share)
        for cavity, share in wholes
        if isinstance(cavity, Cavity) and share and cavity.voltage.item() != 0.0
    ]
    if not cavities:
        raise LatticeError(
            f"{sequence.lattice.source}: no cavity with voltage, so that no momentum spread "
            "matches the bunch length: give sigma_delta"
        )
    if sigma_z == 0.0:
        return 0.0
    reference = sequence.reference
    work = math.fsum(share * _work(cavity, reference, sigma_z) for cavity, share in cavities)
    square = 2.0 * work / (twiss.slip_factor * twiss.circumference)
    if not square > 0.0:
        raise LatticeError(
            f"{sequence.lattice.source}: the cavities do not bunch (slip factor "
            f"{twiss.slip_factor:.6g}): shift their phase by pi, or give sigma_delta"
        )
    return math.sqrt(square)


def _work(cavity: Cavity, reference: Reference, sigma_z: float) -> float:
    """Integral of the relative momentum kick from zeta = 0 to sigma_z, m."""
    wave = cavity.wave_number(reference).item()
    phase = cavity.phase.item() + math.radians(cavity.lag.item())
    if sigma_z * wave >= math.pi:
        raise BunchError(
            f"bunch: sigma_z = {sigma_z:.6g} m: does not fit the bucket, "
            f"{2.0 * math.pi / wave:.6g} m long"
        )
    kick = (reference.q0.abs() * cavity.voltage / (reference.beta0 * reference.p0c)).item()
    # kick (cos(phase - k sigma) - cos(phase))/k, as a product of sines
    half = 0.5 * wave * sigma_z
    return kick * 2.0 * math.sin(phase - half) * math.sin(half) / wave
