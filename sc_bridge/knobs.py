"""Knobs: the independent variables of a lattice as parameters, and the fields that they drive."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Self, cast

import torch
from torch import Tensor, nn
from torch.autograd.graph import increment_version

from sc_bridge.elements.gpu import Move, leaving, together

from .errors import ExpressionError, LatticeError
from .expressions import Expression, Value, order_of_evaluation
from .lattice import Lattice


class Knobs(nn.Module):
    """The independent variables of a lattice by name, each an `nn.Parameter` in float64.

    `knobs["kbrqf"]` is the parameter, `knobs["kbrqf"] = 0.77` sets it in place. Parameters do
    not require gradients until asked. Those of the module are called "0", "1", ... in the order
    of the file, because names of variables contain dots.

    Parameters
    ----------
    lattice : Lattice

    Raises
    ------
    ExpressionError
        If its variables define each other.
    """

    def __init__(self, lattice: Lattice) -> None:
        super().__init__()
        self.source = lattice.source
        self.expressions: dict[str, Expression] = dict(lattice.expressions)
        names = [name for name in lattice.variables if name not in self.expressions]
        self._index = {name: str(number) for number, name in enumerate(names)}
        for name, index in self._index.items():
            value = torch.tensor(lattice.variables[name], dtype=torch.float64)
            self.register_parameter(index, nn.Parameter(value, requires_grad=False))
        order_of_evaluation(self.expressions, self.expressions)

    # ---- mapping ---------------------------------------------------------------------

    def __getitem__(self, name: str) -> nn.Parameter:
        self._check_independent(name)
        return cast(nn.Parameter, self._parameters[self._index[name]])

    def __setitem__(self, name: str, value: float | Tensor) -> None:
        parameter = self[name]
        if isinstance(value, nn.Parameter):
            self._parameters[self._index[name]] = value
            return
        try:
            if hasattr(value, "units"):  # torch would drop those of an array
                raise TypeError
            new = torch.as_tensor(value, dtype=torch.float64).detach().to(parameter.device)
        except (TypeError, ValueError, RuntimeError):
            raise LatticeError(
                f"{self.source}: knob {name!r} = {value!r}: must be a number or a tensor, in the "
                "unit of the lattice"
            ) from None
        if not bool(torch.isfinite(new).all()):
            raise LatticeError(f"{self.source}: knob {name!r} = {new.tolist()}: must be finite")
        with torch.no_grad():
            if new.shape == parameter.shape:
                parameter.copy_(new)
            else:  # a batch of values
                parameter.data = new.clone()
                increment_version(parameter)  # as copying into it does: graphs notice

    def __contains__(self, name: object) -> bool:
        return name in self._index

    def __iter__(self) -> Iterator[str]:
        return iter(self._index)

    def __len__(self) -> int:
        return len(self._index)

    def keys(self) -> tuple[str, ...]:
        return tuple(self._index)

    def values(self) -> tuple[nn.Parameter, ...]:
        return tuple(self[name] for name in self)

    def items(self) -> tuple[tuple[str, nn.Parameter], ...]:
        return tuple((name, self[name]) for name in self)

    # ---- evaluation ------------------------------------------------------------------

    def value(self, name: str) -> Tensor:
        """Value of any variable, dependent ones included, float64; gradients flow to the knobs.

        Raises
        ------
        LatticeError
            If there is no such variable.
        """
        if name not in self.expressions:
            return self[name]
        value = self.evaluate((name,), self.order((name,)))[name]
        return torch.as_tensor(value, dtype=torch.float64)

    def order(self, wanted: tuple[str, ...]) -> tuple[str, ...]:
        """Return the dependent variables that `wanted` needs, in the order of evaluation."""
        return order_of_evaluation(self.expressions, wanted)

    def driving(self, wanted: tuple[str, ...]) -> tuple[str, ...]:
        """Return the independent variables that `wanted` depend on, in the order of the file."""
        used = set(wanted)
        for name in self.order(wanted):
            used |= self.expressions[name].variables()
        for name in used - self._index.keys() - self.expressions.keys():
            self._check_independent(name)
        return tuple(name for name in self if name in used)

    def evaluate(self, wanted: tuple[str, ...], order: tuple[str, ...]) -> Mapping[str, Value]:
        """Values of variables and all that they depend on; each is evaluated once.

        Parameters
        ----------
        wanted : tuple of str
        order : tuple of str
            What `order(wanted)` gives, which need not be found again at every use.
        """
        known = _Known(self)
        for name in order:
            try:
                known[name] = self.expressions[name].evaluate(known)
            except ExpressionError as error:
                raise ExpressionError(f"{self.source}: variable {name!r}: {error}") from None
        return known

    def _apply(self, fn: Move, recurse: bool = True) -> Self:
        """Move to another device; a knob without a batch stays on the CPU."""
        numbers = [p for p in self._parameters.values() if p is not None and not p.dim()]
        return super()._apply(leaving(numbers, fn), recurse)

    def _check_independent(self, name: str) -> None:
        if name in self._index:
            return
        if name in self.expressions:
            driving = ", ".join(self.driving((name,))) or "constants"
            raise LatticeError(
                f"{self.source}: variable {name!r} is defined by an expression of {driving}: "
                f"set those; its value is knobs.value({name!r})"
            )
        known = [*self._index, *self.expressions]
        near = difflib.get_close_matches(str(name), known, n=3)
        hint = f"did you mean {', '.join(map(repr, near))}?" if near else f"it has {len(known)}"
        raise LatticeError(f"{self.source}: no variable {name!r}: {hint}")

    def extra_repr(self) -> str:
        shown = [
            f"{name}={parameter.item():.9g}" if parameter.dim() == 0 else f"{name}=batch"
            for name, parameter in list(self.items())[:20]
        ]
        more = [f"... {len(self) - 20} more"] if len(self) > 20 else []
        return ", ".join(shown + more)


class _Known(dict[str, Value]):
    """Values found so far; an independent variable is looked up at its first use."""

    def __init__(self, knobs: Knobs) -> None:
        super().__init__()
        self.knobs = knobs

    def __missing__(self, name: str) -> Value:
        if name not in self.knobs:
            raise KeyError(name)
        return self.knobs[name]


class FieldDriver:
    """A field of an element, computed from the knobs anew at every call.

    Parameters
    ----------
    knobs : Knobs
        Held, not copied: a deep copy of both together stays tied.
    expressions : mapping of (int or None) to Expression
        By component, or None for the whole field.

    Raises
    ------
    LatticeError
        If an expression needs a variable that the lattice does not have.
    """

    knobs: tuple[str, ...]

    def __init__(self, knobs: Knobs, expressions: Mapping[int | None, Expression]) -> None:
        self._knobs = knobs
        self._expressions = dict(expressions)
        self._wanted = tuple(
            sorted(frozenset().union(*(e.variables() for e in self._expressions.values())))
        )
        self._order = knobs.order(self._wanted)
        self.knobs = knobs.driving(self._wanted)

    def driving(self, component: int | None) -> tuple[str, ...] | None:
        """Knobs that drive a component, or the whole field (None); None where nothing does."""
        expression = self._expressions.get(component)
        return None if expression is None else self._knobs.driving(tuple(expression.variables()))

    def __call__(self, free: Tensor | None = None) -> Tensor:
        """Value of the field; `free` has the components that no expression drives, (..., n)."""
        known = self._knobs.evaluate(self._wanted, self._order)
        values = {
            index: torch.as_tensor(expression.evaluate(known), dtype=torch.float64)
            for index, expression in self._expressions.items()
        }
        if None in values:
            return values[None]
        components = [] if free is None else list(free.unbind(-1))
        count = max(len(components), *(index + 1 for index in values if index is not None))
        nothing = torch.zeros((), dtype=torch.float64)
        components += [nothing] * (count - len(components))
        for index, value in values.items():
            if index is not None:
                components[index] = value
        return torch.stack(torch.broadcast_tensors(*together(*components)), dim=-1)

    def __repr__(self) -> str:
        shown = ", ".join(
            str(expression) if index is None else f"[{index}]: {expression}"
            for index, expression in self._expressions.items()
        )
        return f"FieldDriver({shown})"
