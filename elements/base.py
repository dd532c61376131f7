"""Element: the contract that every lattice element keeps.

An element is entry, body and exit, each a function of six coordinates and the reference.
`body` takes a weight, the fraction of the length (or of a thin kick) to apply. Every body
is a time-symmetric composition, so that a negative weight is its exact inverse; edges take
a sign for the same purpose. Slicing, inverting and tracking are all built on these three.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Protocol, Self

import torch
from torch import Tensor, nn

from .bunch import Bunch
from .errors import ElementError
from .gpu import Move, leaving
from .moves import Moves, joined
from .passing import move_through, track_map, transfer_matrix
from .reference import Reference
from .state import Number as Number
from .state import Numbers as Numbers
from .state import State as State
from .state import Transport as Transport

_MOST = 10_000  # kicks of an integrator: each is listed
_MOST_ORDERS = 171  # the factorial of a higher order is no float


class Driver(Protocol):
    """A field's value computed from knobs anew at every use.

    `free` is the parameter of a list: what holds for the components that no knob drives.
    """

    @property
    def knobs(self) -> tuple[str, ...]: ...

    def __call__(self, free: Tensor | None = None) -> Tensor: ...


class Element(nn.Module):
    """Base of all lattice elements.

    Float fields are `nn.Parameter`s in float64 that do not require gradients until asked;
    they may carry batch dimensions that broadcast with those of the bunch. A field driven
    by knobs is computed at every use and cannot be set.
    """

    isthick: ClassVar[bool] = False
    # Moves coordinates alone, so that a row of maps is applied in one go: loses no particle and
    # leaves the reference.
    is_map: bool = True
    name: str | None
    stands_for: str | None
    drivers: dict[str, Driver]  # of fields that are not free
    _ranks: dict[str, int]
    length: Tensor

    def __init__(self) -> None:
        super().__init__()
        # past the setter, in which long lines would spend a third of their construction
        self.__dict__.update(name=None, stands_for=None, drivers={}, _ranks={})

    # ---- the physics, one class each -------------------------------------------------

    def entry(self, state: State, reference: Reference, sign: int) -> State:
        """Apply the entry face (`sign` +1) or undo it (-1)."""
        return state

    def body(self, state: State, reference: Reference, weight: float) -> State:
        """Apply a fraction `weight` of the body; the negative weight undoes it exactly.

        `reference` is the one that `state` is given in, before this fraction.
        """
        raise NotImplementedError

    def undo_body(self, state: State, reference: Reference, weight: float) -> State:
        """Apply the exact inverse of `body`; `reference` is the one that enters it."""
        return self.body(state, self.behind(reference, state.x, weight), -weight)

    def exit(self, state: State, reference: Reference, sign: int) -> State:
        """Apply the exit face (`sign` +1) or undo it (-1)."""
        return state

    def coasting_body(self, state: State, reference: Reference, weight: float) -> State:
        """Apply a fraction of the body with its energy kick left out; the body by default."""
        return self.body(state, reference, weight)

    def kick(self, state: State, reference: Reference, weight: float) -> State:
        """Apply a fraction `weight` of all that the body kicks by at one place, without a drift.

        Raises
        ------
        ElementError
            If the map of this class is not made of drifts and kicks.
        """
        raise ElementError(f"{self.label}: has no thin slices: its map is not drifts and kicks")

    def framed(
        self,
        motion: Transport,
        state: State,
        reference: Reference,
        start: float,
        end: float,
        behind: Reference | None = None,
    ) -> State:
        """Apply `motion`, which goes from one fraction of the length to another, in place.

        `reference` is the one at the smaller fraction, `behind` that at the larger where it is
        another. An element that can be misaligned brings the particles into its own frame and
        back.
        """
        return motion(state, reference)

    def transport(self, state: State, reference: Reference) -> State:
        """Apply the whole map to coordinates; `reference` is aligned with the particles."""
        behind = self.behind(reference, state.x)
        return self.framed(self._pass_through, state, reference, 0.0, 1.0, behind)

    def undo(self, state: State, reference: Reference) -> State:
        """Apply the exact inverse of `transport`; `reference` is the one that enters."""
        behind = self.behind(reference, state.x)
        return self.framed(self._pass_back, state, reference, 1.0, 0.0, behind)

    def coast(self, state: State, reference: Reference) -> State:
        """Apply the map with its energy kick left out, as for optics with the RF frozen."""
        return self.framed(self._pass_coasting, state, reference, 0.0, 1.0)

    def undo_coast(self, state: State, reference: Reference) -> State:
        """Apply the exact inverse of `coast`."""
        return self.framed(self._pass_back_coasting, state, reference, 1.0, 0.0)

    # ---- the same as rows of moves, where it is one ------------------------------------------

    def entry_moves(self, like: Tensor, sign: int) -> Moves | None:
        """Return the moves that `entry` consists of; None if it is no row of moves."""
        return () if type(self).entry is Element.entry else None

    def body_moves(self, like: Tensor, weight: float) -> Moves | None:
        """Return the moves that `body` consists of; None if it is no row of moves.

        `like` is a coordinate of the particles, as `_aligned` takes it.
        """
        return None

    def exit_moves(self, like: Tensor, sign: int) -> Moves | None:
        """Return the moves that `exit` consists of; None if it is no row of moves."""
        return () if type(self).exit is Element.exit else None

    def kick_moves(self, like: Tensor, weight: float) -> Moves | None:
        """Return the moves that `kick` consists of; None if it is no row of moves."""
        return None

    def frame_moves(
        self, like: Tensor, start: float, end: float
    ) -> tuple[Moves | None, Moves | None]:
        """Return the moves that `framed` puts before and after a motion."""
        return (), ()

    def moves(self, like: Tensor) -> Moves | None:
        """Return the moves that `transport` consists of; None if it is no row of moves."""
        before, after = self.frame_moves(like, 0.0, 1.0)
        body = self.body_moves(like, 1.0)
        if body is None:
            return None
        return joined(before, self.entry_moves(like, +1), body, self.exit_moves(like, +1), after)

    def undo_moves(self, like: Tensor) -> Moves | None:
        """Return the moves that `undo` consists of; None if it is no row of moves."""
        before, after = self.frame_moves(like, 1.0, 0.0)
        body = self.body_moves(like, -1.0)
        if body is None:
            return None
        return joined(before, self.exit_moves(like, -1), body, self.entry_moves(like, -1), after)

    def move(self, coordinates: Tensor, reference: Reference) -> Tensor:
        """Apply the whole map to coordinates, (..., 6, n)."""
        return move_through((self,), coordinates, reference)

    def _pass_through(self, state: State, reference: Reference) -> State:
        state = self.body(self.entry(state, reference, +1), reference, 1.0)
        return self.exit(state, self.behind(reference, state.x), +1)

    def _pass_back(self, state: State, reference: Reference) -> State:
        state = self.exit(state, self.behind(reference, state.x), -1)
        return self.entry(self.undo_body(state, reference, 1.0), reference, -1)

    def _pass_coasting(self, state: State, reference: Reference) -> State:
        state = self.coasting_body(self.entry(state, reference, +1), reference, 1.0)
        return self.exit(state, reference, +1)

    def _pass_back_coasting(self, state: State, reference: Reference) -> State:
        state = self.coasting_body(self.exit(state, reference, -1), reference, -1.0)
        return self.entry(state, reference, -1)

    def outgoing(self, reference: Reference, weight: float = 1.0) -> Reference:
        """Return the reference behind a fraction `weight` of this element; the same by default.

        Both have the shape of the bunch's, (...). An element that changes it has no `is_map`.
        """
        return reference

    def incoming(self, reference: Reference, weight: float = 1.0) -> Reference:
        """Return the reference in front of a fraction `weight`: the inverse of `outgoing`."""
        return reference

    def behind(self, reference: Reference, like: Tensor, weight: float = 1.0) -> Reference:
        """As `outgoing`, for a reference that is aligned with particles such as `like`."""
        return reference

    def in_front(self, reference: Reference, like: Tensor, weight: float = 1.0) -> Reference:
        """As `incoming`, for a reference that is aligned with particles such as `like`."""
        return reference

    # ---- what users call -------------------------------------------------------------

    def track(self, bunch: Bunch) -> Bunch:
        """Return the bunch after this element; lost particles stay where they are."""
        moved = track_map(self.move, bunch)
        return moved if self.is_map else moved.replace(reference=self.outgoing(bunch.reference))

    def undo_track(self, bunch: Bunch) -> Bunch:
        """Return the bunch before this element: the exact inverse of `track`, losses aside."""
        before = self.incoming(bunch.reference)
        undo = partial(move_through, (self,), backwards=True)
        return track_map(undo, bunch.replace(reference=before))

    def forward(self, bunch: Bunch) -> Bunch:
        return self.track(bunch)

    def inverse(self) -> Element:
        """Return the element whose map is the exact inverse of this one, sharing its fields."""
        from .parts import Inverse

        return Inverse(self)

    def slices(self, weights: Sequence[float]) -> list[Element]:
        """Cut into [entry, one body per weight, exit], all sharing this element's fields.

        Raises
        ------
        ElementError
            If the element is thin, or the weights do not add up to 1.
        """
        from .parts import Edge, Slice

        if not self.isthick:
            raise ElementError(f"{self.label}: a thin element has no length to slice")
        if not weights or not math.isclose(math.fsum(weights), 1.0, abs_tol=1e-12):
            raise ElementError(
                f"{self.label}: slice weights {list(weights)} add up to {math.fsum(weights)}, not 1"
            )
        places = itertools.accumulate(weights, initial=0.0)
        return [
            Edge(self, "entry"),
            *(Slice(self, w, place) for w, place in zip(weights, places, strict=False)),
            Edge(self, "exit"),
        ]

    def transfer_matrix(self, reference: Reference, orbit: Tensor | None = None) -> Tensor:
        """First-order map around the reference orbit (or `orbit`), (..., 6, 6).

        In the coordinates of `Bunch`; gradients flow to fields and reference.
        """
        return transfer_matrix(self.transport, reference, orbit)

    # ---- fields ----------------------------------------------------------------------

    @property
    def kind(self) -> str:
        """Name of the Xsuite class that this is, or that it stands for."""
        return self.stands_for or type(self).__name__

    @property
    def label(self) -> str:
        """Class, and name where there is one, for messages."""
        kind = type(self).__name__
        return f"{kind} {self.name!r}" if self.name else kind

    @property
    def field_ranks(self) -> Mapping[str, int]:
        """Every float field, and the number of its own axes: 0, or 1 for knl and the like."""
        return self._ranks

    def drive(self, field: str, driver: Driver) -> None:
        """Let `driver` compute `field` at every use; a list keeps its parameter for the rest."""
        if field not in self._ranks:
            raise ElementError(f"{self.label}: has no float field {field!r} to drive")
        if not self._ranks[field]:
            self._parameters.pop(field, None)
        self.drivers[field] = driver

    def free(self, field: str) -> None:
        """Cut the tie of `field` to its knobs; it keeps its present value as a free parameter."""
        if field not in self.drivers:
            raise ElementError(f"{self.label}: {field!r} is not driven by any knob")
        value = self.drivers.pop(field)(self._parameters.get(field)).detach().clone()
        self.register_parameter(field, nn.Parameter(value, requires_grad=False))

    def _check_choice(self, field: str, value: str, *choices: str) -> None:
        if value not in choices:
            known = ", ".join(map(repr, choices))
            raise ElementError(f"{self.label}: {field} {value!r}: must be one of {known}")

    def _check_count(self, field: str, value: int) -> None:
        if not 0 <= value <= _MOST:
            raise ElementError(
                f"{self.label}: {field} = {value}: must be a whole number from 0 to {_MOST}"
            )

    def _register(self, **fields: Number) -> None:
        """Make each field a float64 parameter."""
        for name, value in fields.items():
            self._register_tensor(name, value, rank=0)

    def _register_multipoles(self, **fields: Numbers) -> None:
        """Make each list of multipole components a float64 parameter, (..., order + 1)."""
        for name, value in fields.items():
            values = value if isinstance(value, Tensor) else list(value) or [0.0]
            self._register_tensor(name, values, rank=1)

    def _register_tensor(self, name: str, value: Any, rank: int) -> None:
        try:
            if not isinstance(value, float) and torch.as_tensor(value).is_complex():
                raise TypeError
            tensor = torch.as_tensor(value, dtype=torch.float64).detach().clone()
        except (TypeError, ValueError, RuntimeError, OverflowError):
            kind = "a list of numbers" if rank else "a number"
            raise ElementError(f"{self.label}: {name} = {value!r}: must be {kind}") from None
        if tensor.dim() < rank:
            raise ElementError(f"{self.label}: {name} = {value}: must be a list of numbers")
        if rank and tensor.shape[-1] > _MOST_ORDERS:
            raise ElementError(
                f"{self.label}: {name} has {tensor.shape[-1]} components: must have at most "
                f"{_MOST_ORDERS}"
            )
        if not bool(torch.isfinite(tensor).all()):
            raise ElementError(f"{self.label}: {name} = {value}: must be finite")
        wanted = isinstance(value, Tensor) and value.requires_grad
        self._ranks[name] = rank
        self.register_parameter(name, nn.Parameter(tensor, requires_grad=wanted))

    def _apply(self, fn: Move, recurse: bool = True) -> Self:
        """Move to another device or dtype; a field without a batch stays on the CPU."""
        fields = [(rank, self._parameters.get(name)) for name, rank in self._ranks.items()]
        shared = [field for rank, field in fields if field is not None and field.dim() == rank]
        return super()._apply(leaving(shared, fn), recurse)

    def _aligned(self, name: str, like: Tensor) -> Tensor:
        """Return a field ready to broadcast against a coordinate.

        Zero-dimensional fields stay in float64, which does not promote a float32 bunch;
        batched ones get a trailing particle axis (before the multipole axis) and its dtype.
        """
        value: Tensor = getattr(self, name)
        rank = self._ranks[name]
        if value.dim() == rank:
            return value
        return value.unsqueeze(-1 - rank).to(like.dtype)

    def __getattr__(self, name: str) -> Any:
        drivers = self.__dict__.get("drivers")
        if drivers and name in drivers:
            return drivers[name](self._parameters.get(name))
        return super().__getattr__(name)

    def __setattr__(self, name: str, value: Any) -> None:
        driver = self.__dict__.get("drivers", {}).get(name)
        if driver is not None:
            raise ElementError(
                f"{self.label}: {name} is driven by {', '.join(driver.knobs) or 'an expression'}: "
                f"set that knob, or cut the tie with sequence.free"
            )
        parameter = self.__dict__.get("_parameters", {}).get(name)
        if parameter is not None and isinstance(value, (int, float)):
            if not math.isfinite(value):
                raise ElementError(f"{self.label}: {name} = {value}: must be finite")
            with torch.no_grad():
                parameter.fill_(value)
            return
        super().__setattr__(name, value)

    def extra_repr(self) -> str:
        shown = []
        for name in self._ranks:
            value = getattr(self, name).detach()
            if value.count_nonzero():
                number = f"{value.item():.9g}" if value.dim() == 0 else str(value.tolist())
                shown.append(f"{name}={number}")
        return ", ".join(([repr(self.name)] if self.name else []) + shown)
