"""Magnets: the base that their classes share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, Unpack

from torch import Tensor

from .base import Number, Numbers, State
from .body import ALIASES, Field, body_moves, thin_kick, thin_moves, track_body
from .edges import FACE_MAPS, FACE_MOVES, Face
from .energy import Energy
from .errors import ElementError
from .integrators import INTEGRATORS
from .misalignment import Alignment, Misalignable
from .moves import Moves
from .reference import Reference
from .scalars import components, is_active, plain, plus, ratio_or_zero, times

_STRAIGHT_MODELS = (
    "mat-kick-mat",
    "mat-kick-mat-exact",
    "drift-kick-drift-exact",
    "drift-kick-drift-expanded",
    "rot-kick-rot-low-order",
    "rot-kick-rot-high-order",
    "full",
)


class KickFields(Alignment, total=False):
    """Fields of every magnet: multipole errors, and how the body is integrated."""

    knl: Numbers
    ksl: Numbers
    num_multipole_kicks: int
    model: str
    integrator: str


class MagnetBase(Misalignable):
    """Base of magnets: a body with a field, between two faces with fringe fields.

    A class says which of its fields are strengths, by order, and what its defaults are.
    """

    isthick = True
    _models: ClassVar[tuple[str, ...]] = _STRAIGHT_MODELS
    _default_model: ClassVar[str]
    _default_integrator: ClassVar[str] = "uniform"
    # names of the fields that hold k0, k1, ... and k0s, k1s, ...; "" where there is none
    _normal: ClassVar[tuple[str, ...]] = ()
    _skew: ClassVar[tuple[str, ...]] = ()
    edge_entry_active: bool = False
    edge_exit_active: bool = False

    def _register_kicks(
        self,
        knl: Numbers = (),
        ksl: Numbers = (),
        num_multipole_kicks: int = 0,
        model: str = "adaptive",
        integrator: str = "adaptive",
        **alignment: Unpack[Alignment],
    ) -> None:
        self._align(**alignment)
        self._check_choice("model", model, "adaptive", *self._models)
        self._check_choice("integrator", integrator, "adaptive", *INTEGRATORS)
        self._check_count("num_multipole_kicks", num_multipole_kicks)
        self.model, self.integrator = model, integrator
        self.num_multipole_kicks = num_multipole_kicks
        self._register_multipoles(knl=knl, ksl=ksl)

    @abstractmethod
    def _main_strength(self, like: Tensor) -> Number:
        """Return the integrated strength that `knl_rel` and `ksl_rel` refer to."""

    def entry(self, state: State, reference: Reference, sign: int) -> State:
        return self._apply_face(state, reference, "entry", sign)

    def exit(self, state: State, reference: Reference, sign: int) -> State:
        return self._apply_face(state, reference, "exit", sign)

    def body(self, state: State, reference: Reference, weight: float) -> State:
        with self._named():
            field = self._field(state.x)
            return track_body(state, reference, field, weight, *self._scheme)

    def body_moves(self, like: Tensor, weight: float) -> Moves | None:
        with self._named():
            return body_moves(self._field(like), weight, *self._scheme)

    @property
    def _scheme(self) -> tuple[str, str, int]:
        """Model, integrator, and number of kicks."""
        model = self._default_model if self.model == "adaptive" else self.model
        integrator = self._default_integrator if self.integrator == "adaptive" else self.integrator
        return ALIASES.get(model, model), integrator, self.num_multipole_kicks

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Add the name of the element to what its body refuses."""
        try:
            yield
        except ElementError as error:
            raise ElementError(f"{self.label}: {error}") from None

    def kick(self, state: State, reference: Reference, weight: float) -> State:
        return thin_kick(state, reference, self._field(state.x), weight)

    def kick_moves(self, like: Tensor, weight: float) -> Moves | None:
        return thin_moves(self._field(like), weight)

    def entry_moves(self, like: Tensor, sign: int) -> Moves | None:
        return self._face_moves(like, "entry", sign)

    def exit_moves(self, like: Tensor, sign: int) -> Moves | None:
        return self._face_moves(like, "exit", sign)

    def _face_moves(self, like: Tensor, side: str, sign: int) -> Moves | None:
        if not getattr(self, f"edge_{side}_active"):
            return ()
        return FACE_MOVES[self._face_model(side)](self._face(side, like), sign)

    def _number(self, name: str, like: Tensor) -> Number:
        """Return a field ready for a map: 0 where the class has none of this name."""
        return plain(self._aligned(name, like)) if name in self._ranks else 0.0

    def _list(self, name: str, like: Tensor) -> list[Number]:
        return components(self._aligned(name, like)) if name in self._ranks else []

    def _geometry(self, like: Tensor) -> tuple[Number, Number]:
        """Return length and curvature of the body."""
        return self._number("length", like), 0.0

    def _field(self, like: Tensor) -> Field:
        length, h = self._geometry(like)
        return Field(
            length,
            h,
            self._number("hxl", like),
            tuple(self._number(name, like) for name in self._normal),
            tuple(self._number(name, like) for name in self._skew),
            self._with_relative("knl", like),
            self._with_relative("ksl", like),
        )

    def _with_relative(self, name: str, like: Tensor) -> tuple[Number, ...]:
        total, relative = self._list(name, like), self._list(f"{name}_rel", like)
        if any(map(is_active, relative)):
            main = self._main_strength(like)
            total += [0.0] * (len(relative) - len(total))
            for n, ratio in enumerate(relative):
                total[n] = plus(total[n], times(ratio, main))
        return tuple(total)

    def _apply_face(self, state: State, reference: Reference, side: str, sign: int) -> State:
        if not getattr(self, f"edge_{side}_active"):
            return state
        apply = FACE_MAPS[self._face_model(side)]
        energy = Energy.of(state.pzeta, reference)
        return apply(state, energy, self._face(side, state.x), sign)

    def _face_model(self, side: str) -> str:
        return "full"

    def _face(self, side: str, like: Tensor) -> Face:
        field = self._field(like)
        length = field.length
        k0l = field.knl[0] if field.knl else 0.0
        numbers = {
            name: self._number(f"edge_{side}_{name}", like)
            for name in ("angle", "angle_fdown", "fint", "hgap")
        }
        return Face(
            side == "exit",
            field=plus(field.k0, ratio_or_zero(k0l, length)),
            k0=field.k0,
            k1=field.k1,
            normal=_per_length(field.normal, self._list("knl", like), length),
            skew=_per_length(field.skew, self._list("ksl", like), length),
            **numbers,
        )


def _per_length(
    strengths: tuple[Number, ...], integrated: list[Number], length: Number
) -> list[Number]:
    """Add what is integrated over the length to what is given per length."""
    total = [*strengths, *[0.0] * (len(integrated) - len(strengths))]
    for n, strength in enumerate(integrated):
        total[n] = plus(total[n], ratio_or_zero(strength, length))
    return total
