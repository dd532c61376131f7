"""Slicing by wavelength: so many kicks that none spans more than a fraction of an oscillation.

Both rules walk once along the line with first-order maps on the axis, without space charge.
Thick elements are looked at in `PIECES` equal pieces, so that a waist inside a long drift
counts, and in more where they focus so strongly that phases turn by more than a radian in one.
The shortest wavelength of an element in all its occurrences sets its kicks, and stays what it
was when the sequence was built.

References
----------
Betatron: Courant & Snyder, Ann. Phys. 3, 1 (1958): phase advance = integral of ds/beta.
Plasma: Reiser, Theory and Design of Charged Particle Beams (2008), ch. 4: a beam's own plasma
frequency omega_p, omega_p^2 = q^2 n/(eps0 gamma^3 m), n in the laboratory.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import scipy.constants
import torch
from torch import Tensor

from sc_bridge.elements import Bunch, Element, Reference
from sc_bridge.elements.bunch import COORDINATES
from sc_bridge.elements.passing import transfer_matrix
from sc_bridge.elements.rows import row_transport

from .errors import LatticeError
from .sequence import KickedSequence
from .slicing import Slicing, kicks_at, length_of
from .twiss import Twiss, periodic_twiss, phase_advance, propagate
from .units import to_si

# Pieces of a thick element in which a wavelength is taken to be constant.
PIECES = 8
_MOST_PIECES = 4096  # of one element
_THIN = 1e-4  # of an element's length: its map is that of a lens
_POSITIONS = [0, 2, 4]  # x, y, zeta among the coordinates
_CHARGE_OVER_FIELD = scipy.constants.e / scipy.constants.epsilon_0  # V m


@dataclass(frozen=True)
class BetatronFraction:
    """Kicks at most a fraction of the local betatron wavelength 2 pi beta apart, in both planes.

    Parameters
    ----------
    fraction : str or float
        Such as 0.02: fifty kicks in an oscillation.
    twiss : Twiss, optional
        Beta and alpha at the start of the line; by default the periodic ones.

    Cost: about tune/fraction kicks a turn, plus up to one per element; once, `PIECES`
    first-order maps of each element and one more.
    Validity: optics without space charge, on the axis; what an element exchanges between the
    planes is left out.

    Raises
    ------
    LatticeError
        If the fraction is not positive; when it sees the line, if there are no periodic optics
        or beta leaves the range of numbers.
    """

    fraction: Any
    twiss: Twiss | None = None

    def __post_init__(self) -> None:
        _check_fraction(self)

    def for_sequence(self, sequence: KickedSequence) -> Slicing:
        start = self.twiss or periodic_twiss(sequence)
        optics = {0: (start.betx, start.alfx), 2: (start.bety, start.alfy)}
        largest = LargestWaveNumbers(self)
        for piece in _pieces(sequence, sequence.reference, coasting=True):
            for corner in optics:
                block = piece.matrix[corner : corner + 2, corner : corner + 2].tolist()
                if piece.length:
                    advance = phase_advance(block, *optics[corner])
                    largest.add(piece, _unwrap(advance, piece.length) / abs(piece.length))
                optics[corner] = propagate(block, *optics[corner])
                if not 0.0 < optics[corner][0] < math.inf:
                    raise LatticeError(
                        f"BetatronFraction: beta is {optics[corner][0]:.3g} m in "
                        f"{piece.element.label}: check the strengths, or use MaxSpacing"
                    )
        return largest


@dataclass(frozen=True)
class PlasmaFraction:
    """Kicks at most a fraction of the local plasma wavelength apart.

    The bunch's covariances are transported along the line; its density is that in the middle
    of a Gaussian bunch of these covariances, three times that of a uniform ellipsoid.

    Parameters
    ----------
    fraction : str or float
        Such as 0.05: twenty kicks in an oscillation.
    bunch : Bunch
        At the start of the line.

    Cost: the length of the line over fraction times wavelength, plus up to one per element;
    once, `PIECES` first-order maps of each element.
    Validity: sizes without space charge, on the axis; a bunch that its charge blows up is
    thinner than that.

    Raises
    ------
    LatticeError
        If the fraction is not positive; when it sees the line, if the bunch has no volume.
    """

    fraction: Any
    bunch: Bunch

    def __post_init__(self) -> None:
        _check_fraction(self)
        if not isinstance(self.bunch, Bunch):
            raise LatticeError(f"slicing: PlasmaFraction: bunch = {self.bunch!r}: must be a Bunch")

    def for_sequence(self, sequence: KickedSequence) -> Slicing:
        bunch = self.bunch.detach()
        covariance = _covariance(bunch)
        largest = LargestWaveNumbers(self)
        for piece in _pieces(sequence, bunch.reference):
            for matrix in (torch.eye(6, dtype=torch.float64), piece.matrix):
                covariance = matrix @ covariance @ matrix.mT
                if piece.length:
                    largest.add(piece, _plasma_wave_number(covariance, bunch.intensity, piece))
        return largest


@dataclass(frozen=True)
class LargestWaveNumbers:
    """Kicks a fraction of the shortest wavelength of each element apart.

    `found` holds the largest wave numbers, 1/m, by name.

    Cost: that of the rule that found them.
    """

    rule: BetatronFraction | PlasmaFraction
    found: dict[str, float] = field(default_factory=dict, repr=False)

    def add(self, piece: _Piece, wave_number: float) -> None:
        name = str(piece.element.name)
        self.found[name] = max(wave_number, self.found.get(name, 0.0))

    def kicks(self, element: Element) -> int:
        wave_number = self.found.get(str(element.name), 0.0)
        wavelength = 2.0 * math.pi / wave_number if wave_number else math.inf
        return kicks_at(element, self.rule.fraction * wavelength, "fraction")


@dataclass(frozen=True)
class _Piece:
    """A face, thin element or equal piece of a thick one, with its first-order map, (6, 6)."""

    element: Element
    length: float  # m
    matrix: Tensor
    reference: Reference  # that enters


def _pieces(
    sequence: KickedSequence, reference: Reference, coasting: bool = False
) -> Iterator[_Piece]:
    """Give the pieces along the line; those of one element at one energy are made once."""
    made: dict[str, list[_Piece]] = {}
    for name in sequence.lattice.element_names:
        element = sequence[name]
        if name not in made:
            made[name] = list(_cut(element, reference, coasting))
        yield from made[name]
        if not coasting and (behind := element.outgoing(reference)) is not reference:
            reference, made = behind, {}


def _cut(element: Element, reference: Reference, coasting: bool) -> Iterator[_Piece]:
    cut = length_of(element) != 0.0
    number = _number_of_pieces(element, reference) if cut else 1
    for part in element.slices([1.0 / number] * number) if cut else [element]:
        matrix = _first_order(part, reference, coasting)
        yield _Piece(element, length_of(part) if cut else 0.0, matrix, reference)
        reference = reference if coasting else part.outgoing(reference)


def _number_of_pieces(element: Element, reference: Reference) -> int:
    """So many that focusing turns phases by a radian in each at the most."""
    _, lens, *_ = element.slices([_THIN, 1.0 - _THIN])
    matrix = _first_order(lens, reference, coasting=True)
    focusing = max(abs(matrix[..., row + 1, row]).max().item() for row in (0, 2))
    turned = math.sqrt(focusing * abs(length_of(element)) / _THIN)
    return max(PIECES, math.ceil(min(turned, _MOST_PIECES)))


def _first_order(part: Element, reference: Reference, coasting: bool) -> Tensor:
    with torch.no_grad():
        row = row_transport([part], reference, coasting)
        return transfer_matrix(row, reference).detach()


def _unwrap(advance: float, length: float) -> float:
    """Size of a phase advance that is known up to whole turns, from 0 to 2 pi."""
    # a piece of negative length takes phase back
    return math.copysign(advance, advance * length) % (2.0 * math.pi)


def _plasma_wave_number(covariance: Tensor, intensity: Tensor, piece: _Piece) -> float:
    """omega_p/(beta0 c) in the middle of a Gaussian bunch, 1/m; the largest of a batch."""
    reference = piece.reference
    volume = (2.0 * math.pi) ** 1.5 * covariance[..., _POSITIONS, :][..., _POSITIONS].det().sqrt()
    if not bool((volume > 0.0).all()):
        raise LatticeError(
            f"PlasmaFraction: the bunch has no volume in {piece.element.label} (smallest "
            f"{volume.min().item():.3g} m^3): use MaxSpacing"
        )
    stiffness = reference.mass0 * reference.beta0**2 * reference.gamma0**3
    square = _CHARGE_OVER_FIELD * reference.q0**2 * intensity / volume / stiffness
    return square.sqrt().max().item()


def _covariance(bunch: Bunch) -> Tensor:
    """Covariances of all coordinates, (..., 6, 6)."""
    double = bunch.to(torch.float64)
    rows = [torch.stack([double.covariance(a, b) for b in COORDINATES], -1) for a in COORDINATES]
    return torch.stack(rows, -2)


def _check_fraction(rule: BetatronFraction | PlasmaFraction) -> None:
    number = float(to_si(rule.fraction, "", "fraction"))
    if not number > 0.0:
        raise LatticeError(f"slicing: fraction = {rule.fraction!r}: must be positive")
    object.__setattr__(rule, "fraction", number)
