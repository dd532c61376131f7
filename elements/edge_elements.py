"""Faces of magnets as elements of their own."""

from __future__ import annotations

from typing import Literal, Unpack

from torch import Tensor

from .base import Number, Numbers, State
from .edges import FACE_MAPS, FACE_MOVES, Face
from .energy import Energy
from .fringes import multipole_fringe
from .misalignment import Alignment, Misalignable
from .moves import Moves
from .reference import Reference
from .scalars import components, plain

# Xsuite's names of the models of a DipoleEdge.
_DIPOLE_EDGES = {"linear": "linear", "full": "dipole-only", "suppressed": "suppressed"}


class DipoleEdge(Misalignable):
    """Face of a dipole, thin.

    Parameters
    ----------
    k : float or Tensor, 1/m
        Curvature of the field behind the face.
    e1 : float or Tensor, rad
        Angle of the face.
    e1_fd : float or Tensor, rad
        What it changes by towards the exit of the fringe; "linear" only, vertical plane only.
    hgap, fint : float or Tensor, m and 1
        Half gap and fringe integral.
    model : {"linear", "full", "suppressed"}
        "full" is the fringe field of the dipole, at the angle of the face.
    side : {"entry", "exit"}
        Matters to "full" only.
    **alignment
        As in `Misalignable`.

    Validity: "linear" to first order; "full" as `dipole_fringe`.

    Raises
    ------
    ElementError
        If a choice is unknown.
    """

    def __init__(
        self,
        k: Number = 0.0,
        e1: Number = 0.0,
        e1_fd: Number = 0.0,
        hgap: Number = 0.0,
        fint: Number = 0.0,
        model: Literal["linear", "full", "suppressed"] = "linear",
        side: Literal["entry", "exit"] = "entry",
        **alignment: Unpack[Alignment],
    ) -> None:
        super().__init__(**alignment)
        self._check_choice("model", model, *_DIPOLE_EDGES)
        self._check_choice("side", side, "entry", "exit")
        self.model, self.side = model, side
        self._register(k=k, e1=e1, e1_fd=e1_fd, hgap=hgap, fint=fint)

    def body(self, state: State, reference: Reference, weight: float) -> State:
        face, energy = self._face(state.x), Energy.of(state.pzeta, reference)
        return FACE_MAPS[_DIPOLE_EDGES[self.model]](state, energy, face, 1 if weight > 0 else -1)

    def body_moves(self, like: Tensor, weight: float) -> Moves | None:
        return FACE_MOVES[_DIPOLE_EDGES[self.model]](self._face(like), 1 if weight > 0 else -1)

    def _face(self, like: Tensor) -> Face:
        k, e1, e1_fd, hgap, fint = (
            plain(self._aligned(name, like)) for name in ("k", "e1", "e1_fd", "hgap", "fint")
        )
        return Face(
            self.side == "exit", field=k, k0=k, angle=e1, angle_fdown=e1_fd, fint=fint, hgap=hgap
        )


class MultipoleEdge(Misalignable):
    """Hard-edge fringe field of a multipole's face, thin.

    Parameters
    ----------
    kn, ks : list of float or Tensor, (..., order + 1), m^-(n+1)
        Normal and skew strengths behind the face; the normal dipole has no part in it.
    is_exit : bool
    **alignment
        As in `Misalignable`.

    Validity: to the order n + 2 of each multipole; symplectic.
    """

    def __init__(
        self,
        kn: Numbers = (),
        ks: Numbers = (),
        is_exit: bool = False,
        **alignment: Unpack[Alignment],
    ) -> None:
        super().__init__(**alignment)
        self._register_multipoles(kn=kn, ks=ks)
        self.is_exit = bool(is_exit)

    def body(self, state: State, reference: Reference, weight: float) -> State:
        kn, ks = (components(self._aligned(name, state.x)) for name in ("kn", "ks"))
        energy = Energy.of(state.pzeta, reference)
        return multipole_fringe(state, energy, kn, ks, self.is_exit, 1 if weight > 0 else -1)
