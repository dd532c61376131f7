"""Bend: a sector bend, by Xsuite's models or the exact map of a pure dipole in closed form."""

from __future__ import annotations

from typing import Literal, Unpack

from torch import Tensor

from .base import Number, Numbers, State
from .curved import CURVED_MODELS, CurvedMagnet, FaceFields
from .errors import ElementError
from .moves import Moves
from .reference import Reference
from .scalars import is_inactive, ratio_or_zero


class Bend(CurvedMagnet):
    """Sector bend.

    Parameters
    ----------
    length : float or Tensor, m
        Arc length of the reference orbit.
    angle : float or Tensor, rad
    k0 : float or Tensor, 1/m, optional
        Curvature of the field; angle/length by default ("from_h"), and then follows them.
    k1, k2 : float or Tensor, 1/m^2, 1/m^3
    knl_rel, ksl_rel : list of float or Tensor, (..., order + 1), m^-n
        Integrated multipole errors over k0 length; added to knl and ksl.
    **fields
        knl, ksl : list of float or Tensor, (..., order + 1), m^-n
            Integrated multipole errors, as kicks.
        model : str
            "adaptive" is "rot-kick-rot": kicks between Yoshida-4 polar drifts, as Xsuite does by
            default; "rot-kick-rot-low-order", "rot-kick-rot-high-order", "bend-kick-bend",
            "mat-kick-mat", "drift-kick-drift-exact", "drift-kick-drift-expanded". "exact" is
            the closed form alone, for a pure dipole only.
        integrator : {"adaptive", "uniform", "teapot", "yoshida-4", "yoshida-6", "yoshida-8"}
            "adaptive" is "yoshida-6".
        num_multipole_kicks : int
            0 takes Xsuite's automatic number.
        edge_entry_active, edge_exit_active : bool
        edge_entry_model, edge_exit_model : {"linear", "full", "dipole-only", "suppressed"}
        edge_entry_angle, edge_exit_angle, ..._angle_fdown : float or Tensor, rad
        edge_entry_fint, edge_exit_fint : float or Tensor
        edge_entry_hgap, edge_exit_hgap : float or Tensor, m

    Cost: "rot-kick-rot" at 0.1 rad makes 160 polar drifts; "exact", and "bend-kick-bend" of a
    pure dipole, are one map.
    Validity: for a pure dipole these agree to about 1e-11 m at 0.1 rad.

    Raises
    ------
    ElementError
        If a choice is unknown, the length of a bend with an angle is 0, or "exact"
        is asked of a bend with other multipoles.
    """

    _models = (*CURVED_MODELS, "exact")
    _normal = ("k0", "k1", "k2")

    def __init__(
        self,
        length: Number = 0.0,
        angle: Number = 0.0,
        k0: Number | Literal["from_h"] | None = None,
        k1: Number = 0.0,
        k2: Number = 0.0,
        knl_rel: Numbers = (),
        ksl_rel: Numbers = (),
        **fields: Unpack[FaceFields],
    ) -> None:
        super().__init__()
        self._register(length=length, angle=angle)
        self._register_k0(k0)
        self._register(k1=k1, k2=k2)
        self._register_faces(**fields)
        self._register_multipoles(knl_rel=knl_rel, ksl_rel=ksl_rel)
        self._check_length("length")

    @property
    def h(self) -> Tensor:
        return ratio_or_zero(self.angle, self.length)  # pyright: ignore[reportReturnType]

    def body(self, state: State, reference: Reference, weight: float) -> State:
        if self.model == "exact":
            self._refuse_multipoles()
        return super().body(state, reference, weight)

    def body_moves(self, like: Tensor, weight: float) -> Moves | None:
        if self.model == "exact":
            self._refuse_multipoles()
        return super().body_moves(like, weight)

    def _refuse_multipoles(self) -> None:
        if not is_inactive(self.k1, self.k2, self.knl, self.ksl, self.knl_rel, self.ksl_rel):
            raise ElementError(
                f"{self.label}: model 'exact' is the map of a pure dipole, but k1, k2, knl, ksl or "
                "their relatives are set or ask for a gradient: use model 'rot-kick-rot'"
            )
