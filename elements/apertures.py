"""Apertures: particles outside are lost; they stay where they are and have no gradient."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from .base import Element, Number, State
from .bunch import Bunch
from .errors import ElementError
from .reference import Reference


def keep_inside(bunch: Bunch, inside: Tensor) -> Bunch:
    """Return the bunch with every particle lost that is not `inside`, (..., n_particles).

    From here on the coordinates of a lost particle are a constant.
    """
    alive = bunch.alive & inside
    coordinates = torch.where(alive.unsqueeze(-2), bunch.coordinates, bunch.coordinates.detach())
    return bunch.replace(coordinates=coordinates, alive=alive)


class Aperture(Element):
    """Base of all apertures: thin, and the identity for the particles that pass.

    Validity: where an edge of the aperture lies is not differentiable; gradients are those of
    the particles that pass.
    """

    is_map = False

    @abstractmethod
    def inside(self, state: State) -> Tensor:
        """Tell which particles pass, (..., n_particles); a NaN does not."""

    def track(self, bunch: Bunch) -> Bunch:
        return keep_inside(bunch, self.inside(State(*bunch.coordinates.unbind(-2))))

    def body(self, state: State, reference: Reference, weight: float) -> State:
        return state


class LimitEllipse(Aperture):
    """Elliptic aperture: (x/a)^2 + (y/b)^2 <= 1.

    Parameters
    ----------
    a, b : float or Tensor, (...), m
        Half-axes; far beyond any machine by default, as in Xsuite.

    Raises
    ------
    ElementError
        If a half-axis is not positive.

    Validity: first derivatives of the particles that pass; none with respect to `a` and `b`.
    """

    def __init__(self, a: Number = 1e10, b: Number = 1e10) -> None:
        super().__init__()
        self._register(a=a, b=b)
        for name in ("a", "b"):
            value = getattr(self, name).detach()
            if not bool((value > 0).all()):
                raise ElementError(f"{self.label}: {name} = {value.tolist()}: must be positive")

    def inside(self, state: State) -> Tensor:
        a, b = self._aligned("a", state.x), self._aligned("b", state.x)
        return (state.x / a) ** 2 + (state.y / b) ** 2 <= 1.0
