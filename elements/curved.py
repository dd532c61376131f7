"""Curved magnets: the frame bends with the reference orbit, the faces may be at an angle."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, Literal, Unpack

from torch import Tensor

from .base import Number
from .edges import FACE_MAPS
from .errors import ElementError
from .magnet import KickFields, MagnetBase
from .scalars import ratio_or_zero

CURVED_MODELS = (
    "rot-kick-rot",
    "rot-kick-rot-low-order",
    "rot-kick-rot-high-order",
    "bend-kick-bend",
    "mat-kick-mat",
    "drift-kick-drift-exact",
    "drift-kick-drift-expanded",
    "full",
    "expanded",
)


class FaceFields(KickFields, total=False):
    """Fields of magnets with faces at an angle."""

    edge_entry_active: bool
    edge_exit_active: bool
    edge_entry_model: str
    edge_exit_model: str
    edge_entry_angle: Number
    edge_exit_angle: Number
    edge_entry_angle_fdown: Number
    edge_exit_angle_fdown: Number
    edge_entry_fint: Number
    edge_exit_fint: Number
    edge_entry_hgap: Number
    edge_exit_hgap: Number


class _FromCurvature:
    """k0 = h, Xsuite's `k0_from_h`."""

    def __init__(self, magnet: CurvedMagnet) -> None:
        self.magnet = magnet

    @property
    def knobs(self) -> tuple[str, ...]:
        return self.magnet._curvature_fields

    def __call__(self, free: Tensor | None = None) -> Tensor:
        return self.magnet.h


class CurvedMagnet(MagnetBase):
    """Base of magnets whose frame bends with the reference orbit, and with faces at an angle."""

    _models = CURVED_MODELS
    _default_model = "rot-kick-rot"
    _default_integrator = "yoshida-6"
    _curvature_fields: ClassVar[tuple[str, ...]] = ("angle", "length")

    @property
    @abstractmethod
    def h(self) -> Tensor:
        """Curvature of the reference orbit, 1/m."""

    def _register_k0(self, k0: Number | Literal["from_h"] | None) -> None:
        """Register k0, which follows the curvature where it is None or "from_h"."""
        if k0 is None or (isinstance(k0, str) and k0 == "from_h"):
            self._register(k0=0.0)
            self.drive("k0", _FromCurvature(self))
        else:
            self._register(k0=k0)

    def _register_faces(
        self,
        edge_entry_model: str = "linear",
        edge_exit_model: str = "linear",
        edge_entry_angle: Number = 0.0,
        edge_exit_angle: Number = 0.0,
        edge_entry_angle_fdown: Number = 0.0,
        edge_exit_angle_fdown: Number = 0.0,
        edge_entry_fint: Number = 0.0,
        edge_exit_fint: Number = 0.0,
        edge_entry_hgap: Number = 0.0,
        edge_exit_hgap: Number = 0.0,
        edge_entry_active: bool = True,
        edge_exit_active: bool = True,
        **fields: Unpack[KickFields],
    ) -> None:
        self._register_kicks(**fields)
        self.edge_entry_active = bool(edge_entry_active)
        self.edge_exit_active = bool(edge_exit_active)
        self._check_choice("edge_entry_model", edge_entry_model, *FACE_MAPS)
        self._check_choice("edge_exit_model", edge_exit_model, *FACE_MAPS)
        self.edge_entry_model, self.edge_exit_model = edge_entry_model, edge_exit_model
        self._register(
            edge_entry_angle=edge_entry_angle,
            edge_exit_angle=edge_exit_angle,
            edge_entry_angle_fdown=edge_entry_angle_fdown,
            edge_exit_angle_fdown=edge_exit_angle_fdown,
            edge_entry_fint=edge_entry_fint,
            edge_exit_fint=edge_exit_fint,
            edge_entry_hgap=edge_entry_hgap,
            edge_exit_hgap=edge_exit_hgap,
        )

    def _face_model(self, side: str) -> str:
        return getattr(self, f"edge_{side}_model")

    def _geometry(self, like: Tensor) -> tuple[Number, Number]:
        length, angle = self._number("length", like), self._number("angle", like)
        return length, ratio_or_zero(angle, length)

    def _main_strength(self, like: Tensor) -> Number:
        return self._number("k0", like) * self._geometry(like)[0]

    def _check_length(self, name: str) -> None:
        """Refuse a bend by an angle over no length."""
        length = getattr(self, name)
        if not bool(((length != 0) | (self.angle == 0)).all()):
            raise ElementError(
                f"{self.label}: {name} = {length.tolist()} m: must not be 0 where the angle is not"
            )
