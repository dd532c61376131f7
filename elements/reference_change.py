"""Changes of the reference: particles stay as they are, their coordinates are renamed."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from .base import Element, Number, State
from .bunch import Bunch
from .errors import ElementError
from .reference import Reference
from .shapes import broadcast_shape

Fields = Callable[[str], Tensor]


def with_p0c(reference: Reference, p0c: Tensor) -> Reference:
    """Return the reference with another momentum, unchecked, for use inside of maps."""
    return Reference._unchecked(mass0=reference.mass0, q0=reference.q0, p0c=p0c)


def accelerated_p0c(reference: Reference, gain: Tensor) -> Tensor:
    """Momentum after an energy gain, eV; not a number where the reference would stop."""
    square = reference.p0c**2 + gain * (2.0 * reference.energy0 + gain)
    return torch.where(reference.energy0 + gain > reference.mass0, square, torch.nan).sqrt()


def rename_coordinates(state: State, before: Reference, after: Reference) -> State:
    """Express the same particles by another reference, as Xsuite does: zeta/beta0 is kept.

    The difference of the two energies is formed from the momenta, free of cancellation.
    """
    gain = (after.p0c - before.p0c) * (after.p0c + before.p0c) / (after.energy0 + before.energy0)
    energy = state.pzeta * (before.beta0 * before.p0c) - gain
    ratio = before.p0c / after.p0c
    return state._replace(
        px=state.px * ratio,
        py=state.py * ratio,
        zeta=state.zeta * (after.beta0 / before.beta0),
        pzeta=energy / (after.beta0 * after.p0c),
    )


class ChangesReference(Element):
    """Base of the elements behind which the reference has another momentum.

    Validity: symplectic in momenta that are not divided by the reference's; with px and pzeta
    as they are, areas of phase space shrink by the ratio of the reference momenta.
    """

    is_map = False

    @abstractmethod
    def _p0c_behind(self, reference: Reference, fields: Fields, weight: float) -> Tensor:
        """Momentum behind a fraction `weight`, eV; `fields` gives a field by name."""

    @abstractmethod
    def _p0c_in_front(self, reference: Reference, fields: Fields, weight: float) -> Tensor:
        """Momentum in front of a fraction `weight`, eV."""

    def outgoing(self, reference: Reference, weight: float = 1.0) -> Reference:
        return reference.replace(p0c=self._p0c_behind(reference, self._field, weight))

    def incoming(self, reference: Reference, weight: float = 1.0) -> Reference:
        return reference.replace(p0c=self._p0c_in_front(reference, self._field, weight))

    def behind(self, reference: Reference, like: Tensor, weight: float = 1.0) -> Reference:
        return with_p0c(reference, self._p0c_behind(reference, self._fields_for(like), weight))

    def in_front(self, reference: Reference, like: Tensor, weight: float = 1.0) -> Reference:
        return with_p0c(reference, self._p0c_in_front(reference, self._fields_for(like), weight))

    def coasting_body(self, state: State, reference: Reference, weight: float) -> State:
        return state

    def _field(self, name: str) -> Tensor:
        return getattr(self, name)

    def _fields_for(self, like: Tensor) -> Fields:
        return lambda name: self._aligned(name, like)


class ReferenceEnergyIncrease(ChangesReference):
    """Increase of the reference momentum; no particle is accelerated.

    Parameters
    ----------
    Delta_p0c : float or Tensor, eV
        Added to p0c, as in Xsuite.

    Raises
    ------
    BunchError
        If no positive momentum is left.

    Validity: exact; areas of phase space shrink with the momentum.
    """

    def __init__(self, Delta_p0c: Number = 0.0) -> None:
        super().__init__()
        self._register(Delta_p0c=Delta_p0c)

    def body(self, state: State, reference: Reference, weight: float) -> State:
        return rename_coordinates(state, reference, self.behind(reference, state.x, weight))

    def _p0c_behind(self, reference: Reference, fields: Fields, weight: float) -> Tensor:
        return reference.p0c + fields("Delta_p0c") * weight

    def _p0c_in_front(self, reference: Reference, fields: Fields, weight: float) -> Tensor:
        return reference.p0c - fields("Delta_p0c") * weight


class ReferenceEnergyChange(ChangesReference):
    """Change of the reference momentum to a given one; no particle is accelerated.

    Parameters
    ----------
    p0c : float or Tensor, eV

    Raises
    ------
    ElementError
        If the momentum is not positive, or the element is inverted: nobody knows the momentum
        in front of it. `ReferenceEnergyIncrease` has an inverse.

    Validity: exact; areas of phase space shrink with the momentum.
    """

    def __init__(self, p0c: Number) -> None:
        super().__init__()
        self._register(p0c=p0c)
        if not bool((self.p0c > 0).all()):
            raise ElementError(f"{self.label}: p0c = {self.p0c.tolist()} eV: must be positive")

    def body(self, state: State, reference: Reference, weight: float) -> State:
        return rename_coordinates(state, reference, self.behind(reference, state.x, weight))

    def inverse(self) -> Element:
        raise self._no_inverse()

    def undo_track(self, bunch: Bunch) -> Bunch:
        raise self._no_inverse()

    def _p0c_behind(self, reference: Reference, fields: Fields, weight: float) -> Tensor:
        shape = broadcast_shape((reference.p0c.shape, fields("p0c").shape))
        return fields("p0c").expand(shape)

    def _p0c_in_front(self, reference: Reference, fields: Fields, weight: float) -> Tensor:
        raise self._no_inverse()

    def _no_inverse(self) -> ElementError:
        return ElementError(
            f"{self.label}: has no inverse: the momentum in front of it is unknown: "
            "use ReferenceEnergyIncrease"
        )
