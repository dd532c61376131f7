"""Taylor maps: a part of a machine as its coefficients of first or second order."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, NoReturn, Unpack

import torch
from torch import Tensor

from .base import Element, Number, State
from .errors import ElementError
from .gpu import beside
from .misalignment import Alignment, Misalignable
from .reference import Reference


class UncutMap(Misalignable):
    """Base of maps of a whole piece of a machine, of which nothing is known inside.

    Validity: with a length they cannot be sliced, so that no space charge acts inside.
    """

    @abstractmethod
    def body(self, state: State, reference: Reference, weight: float) -> State: ...

    def _register_array(self, name: str, value: Any, rank: int) -> None:
        self._register_tensor(name, value, rank)
        shape = tuple(getattr(self, name).shape)
        if len(shape) < rank or shape[len(shape) - rank :] != (6,) * rank:
            wanted = " x ".join("6" * rank)
            raise ElementError(f"{self.label}: {name} of shape {shape}: must be {wanted}")

    def _array(self, name: str, like: Tensor) -> Tensor:
        """Return an array ready for products with particles, in their dtype."""
        return beside(self._aligned(name, like).to(like.dtype), like)

    def _register_length(self, length: Number) -> None:
        self._register(length=length)
        self.isthick = bool(self.length.any())  # pyright: ignore[reportAttributeAccessIssue]

    def slices(self, weights: Sequence[float]) -> list[Element]:
        """Refuse: a map of a whole cannot be cut."""
        if not self.isthick:
            return super().slices(weights)
        raise ElementError(
            f"{self.label}: a map of a whole cannot be sliced: use the elements that it stands "
            "for, or give it the length 0, so that no space charge acts inside"
        )


class FirstOrderTaylorMap(UncutMap):
    """Affine map of (x, px, y, py, tau, ptau): out = m0 + m1 in.

    Parameters
    ----------
    length : float or Tensor, m
    m0 : list or Tensor, (..., 6)
        Zero by default.
    m1 : list or Tensor, (..., 6, 6)
        Identity by default; tau = zeta/beta0 in m, ptau = (E - E0)/(P0 c).

    Raises
    ------
    ElementError
        If a shape does not fit, if it is inverted though `m1` is singular, or if it is sliced.

    Validity: symplectic only if m1 is.
    """

    def __init__(
        self,
        length: Number = 0.0,
        m0: Any = None,
        m1: Any = None,
        **alignment: Unpack[Alignment],
    ) -> None:
        super().__init__(**alignment)
        self._register_length(length)
        self._register_array("m0", [0.0] * 6 if m0 is None else m0, rank=1)
        self._register_array("m1", torch.eye(6) if m1 is None else m1, rank=2)

    def body(self, state: State, reference: Reference, weight: float) -> State:
        constant, matrix = (self._array(name, state.x) for name in ("m0", "m1"))
        beta0 = reference.beta0
        columns = (*state[:4], state.zeta / beta0, state.pzeta * beta0)
        vectors = torch.stack(torch.broadcast_tensors(*columns), dim=-1)  # (..., n, 6)
        out = (
            _apply(matrix, vectors) + constant
            if weight > 0
            else _apply(inverted(self.label, "m1", matrix), vectors - constant)
        )
        x, px, y, py, tau, ptau = out.unbind(-1)
        return State(x, px, y, py, tau * beta0, ptau / beta0)

    def coasting_body(self, state: State, reference: Reference, weight: float) -> State:
        return self.body(state, reference, weight)


def _apply(matrix: Tensor, vectors: Tensor) -> Tensor:
    """Multiply vectors in the last axis by a matrix (..., [1,] 6, 6)."""
    if matrix.dim() == 2:
        return vectors @ matrix.mT
    return (matrix @ vectors.unsqueeze(-1)).squeeze(-1)


def inverted(label: str, name: str, matrix: Tensor) -> Tensor:
    """Return the inverse of the matrix that the field `name` holds.

    Raises
    ------
    ElementError
        If there is none.
    """
    inverse, failure = torch.linalg.inv_ex(matrix)
    if bool(failure.any()):
        raise ElementError(f"{label}: has no inverse: {name} is singular")
    return inverse


class SecondOrderTaylorMap(UncutMap):
    """Quadratic map of the coordinates: out_i = k_i + R_ij in_j + T_ijk in_j in_k.

    Parameters
    ----------
    length : float or Tensor, m
    k : list or Tensor, (..., 6)
    R : list or Tensor, (..., 6, 6)
        Identity by default.
    T : list or Tensor, (..., 6, 6, 6)

    Raises
    ------
    ElementError
        If a shape does not fit, or if it is inverted or sliced.

    Validity: not symplectic beyond first order. Cost: 252 products a particle.
    """

    def __init__(
        self,
        length: Number = 0.0,
        k: Any = None,
        R: Any = None,
        T: Any = None,
        **alignment: Unpack[Alignment],
    ) -> None:
        super().__init__(**alignment)
        self._register_length(length)
        self._register_array("k", [0.0] * 6 if k is None else k, rank=1)
        self._register_array("R", torch.eye(6) if R is None else R, rank=2)
        self._register_array("T", torch.zeros(6, 6, 6) if T is None else T, rank=3)

    def body(self, state: State, reference: Reference, weight: float) -> State:
        if weight < 0:
            self._refuse_inverse()
        constant, first, second = (self._array(name, state.x) for name in ("k", "R", "T"))
        vectors = torch.stack(torch.broadcast_tensors(*state), dim=-1)  # (..., n, 6)
        # R + T z, a matrix for each particle
        slopes = first + (second * vectors[..., None, None, :]).sum(-1)
        out = constant + (slopes * vectors[..., None, :]).sum(-1)
        return State(*out.unbind(-1))

    def inverse(self) -> Element:
        """Refuse: a quadratic map has no inverse in closed form."""
        self._refuse_inverse()

    def _refuse_inverse(self) -> NoReturn:
        raise ElementError(
            f"{self.label}: has no exact inverse: use another strategy than Reversible, or the "
            "elements that it stands for"
        )
