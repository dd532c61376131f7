"""Splitting: how kicks and maps alternate within a slice.

A splitting turns n equal slices of an element into kicks of given weights. Between them sit
maps of half the weights on either side, so that every kick is in the middle of the length
whose effect it carries.

References
----------
Yoshida, Phys. Lett. A 150, 262 (1990), eq. 2.11 (order 4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from sc_bridge.elements.integrators import YOSHIDA_4


class Splitting(Protocol):
    """A symmetric composition of maps and kicks."""

    @property
    def scheme(self) -> tuple[float, ...]:
        """Weights of the kicks in one slice; they add up to 1."""
        ...


@dataclass(frozen=True)
class Strang:
    """Half a slice, kick, half a slice.

    Cost: one kick a slice.
    Validity: second order in the length of the slices.
    """

    @property
    def scheme(self) -> tuple[float, ...]:
        return (1.0,)


@dataclass(frozen=True)
class Yoshida:
    """Three Strang steps, the one in the middle backwards.

    Cost: three kicks a slice, of 1.35, -1.70 and 1.35 times its length.
    Validity: fourth order in the length of the slices, as far as the field is smooth.
    """

    @property
    def scheme(self) -> tuple[float, ...]:
        return YOSHIDA_4


def kick_weights(splitting: Splitting, slices: int) -> list[float]:
    """Fractions of the element's length that its kicks carry."""
    return [weight / slices for _ in range(slices) for weight in splitting.scheme]


def map_weights(kicks: list[float]) -> list[float]:
    """Fractions of the element's length before, between and after kicks of these weights."""
    return [0.5 * (a + b) for a, b in zip([0.0, *kicks], [*kicks, 0.0], strict=True)]
