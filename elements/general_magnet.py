"""Magnet: every strength up to the octupole, in a straight or curved frame."""

from __future__ import annotations

from typing import Literal, Unpack

from torch import Tensor

from .base import Number
from .curved import CurvedMagnet, FaceFields
from .scalars import ratio_or_zero


class Magnet(CurvedMagnet):
    """Magnet with all normal and skew strengths up to the octupole.

    Parameters
    ----------
    length : float or Tensor, m
        Arc length of the reference orbit.
    angle : float or Tensor, rad
    k0 : float or Tensor, 1/m, optional
        angle/length by default ("from_h"), and then follows them.
    k1, k2, k3, k0s, k1s, k2s, k3s : float or Tensor, m^-(n+1)
    **fields
        knl, ksl, model, integrator, edges: as in `Bend`.

    Cost and validity: as `Bend`.

    Raises
    ------
    ElementError
        If a choice is unknown or the length of a bend with an angle is 0.
    """

    _normal = ("k0", "k1", "k2", "k3")
    _skew = ("k0s", "k1s", "k2s", "k3s")

    def __init__(
        self,
        length: Number = 0.0,
        angle: Number = 0.0,
        k0: Number | Literal["from_h"] | None = None,
        k1: Number = 0.0,
        k2: Number = 0.0,
        k3: Number = 0.0,
        k0s: Number = 0.0,
        k1s: Number = 0.0,
        k2s: Number = 0.0,
        k3s: Number = 0.0,
        **fields: Unpack[FaceFields],
    ) -> None:
        super().__init__()
        self._register(length=length, angle=angle)
        self._register_k0(k0)
        self._register(k1=k1, k2=k2, k3=k3, k0s=k0s, k1s=k1s, k2s=k2s, k3s=k3s)
        self._register_faces(**fields)
        self._check_length("length")

    @property
    def h(self) -> Tensor:
        return ratio_or_zero(self.angle, self.length)  # pyright: ignore[reportReturnType]
