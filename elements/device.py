"""Device: an object that takes length and does nothing, such as an instrument."""

from __future__ import annotations

from typing import Literal, Unpack

from torch import Tensor

from .base import Number, State
from .drift import drift_move, exact_drift, expanded_drift
from .misalignment import Alignment, Misalignable
from .moves import Moves
from .reference import Reference
from .scalars import plain


class Device(Misalignable):
    """Field-free space in an object that may be misaligned.

    Parameters
    ----------
    length : float or Tensor, m
    model : {"adaptive", "expanded", "exact"}
        "adaptive" is "expanded", as in Xsuite.
    **alignment
        As in `Misalignable`.

    Cost: that of a drift.
    Validity: "expanded" drops fourth order in px, py; both are exact in energy.

    Raises
    ------
    ElementError
        If the model is unknown.
    """

    isthick = True

    def __init__(
        self,
        length: Number = 0.0,
        model: Literal["adaptive", "expanded", "exact"] = "adaptive",
        **alignment: Unpack[Alignment],
    ) -> None:
        super().__init__(**alignment)
        self._check_choice("model", model, "adaptive", "expanded", "exact")
        self.model = model
        self._register(length=length)

    def body(self, state: State, reference: Reference, weight: float) -> State:
        drift = exact_drift if self.model == "exact" else expanded_drift
        return drift(state, reference, plain(self._aligned("length", state.x)) * weight)

    def body_moves(self, like: Tensor, weight: float) -> Moves | None:
        length = plain(self._aligned("length", like)) * weight
        return (drift_move(length, self.model == "exact"),)
