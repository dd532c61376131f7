"""Multipole: all orders at one place, or over a length."""

from __future__ import annotations

from typing import Unpack

from torch import Tensor

from .base import Number, Numbers, State
from .errors import ElementError
from .magnet import MagnetBase
from .misalignment import Alignment
from .moves import Moves
from .reference import Reference


class _Integration(Alignment, total=False):
    num_multipole_kicks: int
    model: str
    integrator: str


class Multipole(MagnetBase):
    """Multipole of any orders; thin by default.

    Parameters
    ----------
    knl, ksl : list of float or Tensor, (..., order + 1), m^-n
        Integrated normal and skew strengths.
    hxl : float or Tensor, rad
        Angle by which the reference orbit turns here.
    length : float or Tensor, m
        Where the element is thin: length over which `hxl` is spread, for the coupling of
        curvature and strength.
    isthick : bool
        The element has its length, and kicks between drifts.
    knl_rel, ksl_rel : list of float or Tensor, (..., order + 1), m^-n
        Strengths over the main one; added to knl and ksl.
    main_order : int
    main_is_skew : bool
        Which of knl and ksl is the main strength.
    **fields
        model, integrator, num_multipole_kicks: as in `Quadrupole`, for a thick multipole;
        "adaptive" is "drift-kick-drift-expanded". Misalignment: as in `Misalignable`.

    Validity: a thin kick is exact. Of a thick one, "mat-kick-mat" leaves out the turn of the
    frame by `hxl`, as in Xsuite.

    Raises
    ------
    ElementError
        If a choice is unknown, or there is no component of the main order.
    """

    _default_model = "drift-kick-drift-expanded"

    def __init__(
        self,
        knl: Numbers = (),
        ksl: Numbers = (),
        hxl: Number = 0.0,
        length: Number = 0.0,
        isthick: bool = False,
        knl_rel: Numbers = (),
        ksl_rel: Numbers = (),
        main_order: int = 0,
        main_is_skew: bool = False,
        **fields: Unpack[_Integration],
    ) -> None:
        super().__init__()
        self.isthick = bool(isthick)  # pyright: ignore[reportAttributeAccessIssue]
        self.main_order, self.main_is_skew = main_order, bool(main_is_skew)
        self._check_count("main_order", main_order)
        self._register(hxl=hxl, length=length)
        self._register_kicks(knl, ksl, **fields)
        self._register_multipoles(knl_rel=knl_rel, ksl_rel=ksl_rel)
        related = bool(self.knl_rel.any()) or bool(self.ksl_rel.any())
        if related and self._main.shape[-1] <= main_order:
            raise ElementError(
                f"{self.label}: main_order = {main_order}: {self._main_name} has no such component"
            )

    @property
    def _main_name(self) -> str:
        return "ksl" if self.main_is_skew else "knl"

    @property
    def _main(self) -> Tensor:
        return getattr(self, self._main_name)

    def _main_strength(self, like: Tensor) -> Number:
        strengths = self._list(self._main_name, like)
        return strengths[self.main_order] if self.main_order < len(strengths) else 0.0

    def body(self, state: State, reference: Reference, weight: float) -> State:
        if self.isthick:
            return super().body(state, reference, weight)
        return self.kick(state, reference, weight)

    def body_moves(self, like: Tensor, weight: float) -> Moves | None:
        return super().body_moves(like, weight) if self.isthick else self.kick_moves(like, weight)
