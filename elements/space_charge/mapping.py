"""Steps that look at numbers, as operators that `torch.vmap` can map over.

The choice of a grid, the check that particles are inside it, and the cached Green function
depend on values, which a mapped tensor does not show. As operators with a rule they see the
plain tensors of one index after the other; no gradient flows through any of them.

Cost: one call per index of the mapped dimension; without a transform, that of the function.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

import torch
from torch import Tensor

from ..bunch import is_whole

P = ParamSpec("P")
R = TypeVar("R")


def transforms_active() -> bool:
    """Whether a transform of `torch.func` or `torch.vmap` is under way."""
    return torch._C._are_functorch_transforms_active()  # pyright: ignore[reportAttributeAccessIssue]


def all_alive(alive: Tensor) -> bool:
    """Whether no particle is lost; False where a transform may hide it."""
    return not transforms_active() and is_whole(alive)


# Not `torch.library.custom_op`: its operators load torch's compiler with their first call, which
# takes seconds.
_LIBRARY = torch.library.Library("sc_bridge", "FRAGMENT")


def operator(name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a function of tensors, which nothing differentiates, an operator of torch."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        _LIBRARY.define(name + torch.library.infer_schema(function, mutates_args=()))
        _LIBRARY.impl(name, function, "CompositeExplicitAutograd")
        made: Any = getattr(torch.ops.sc_bridge, name)
        torch.library.register_vmap(f"sc_bridge::{name}", _loop_over(made), lib=_LIBRARY)
        return cast("Callable[P, R]", made)

    return decorate


def mapped(name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a function of detached tensors run under transforms, as the operator `name`."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        made = operator(name)(function)

        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            return (made if transforms_active() else function)(*args, **kwargs)

        return call

    return decorate


def _loop_over(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the rule by which `torch.vmap` calls a function for one index after the other."""

    def rule(info: Any, in_dims: Any, *arguments: Any) -> Any:
        rows = [
            function(
                *(
                    value.select(dim, index) if isinstance(dim, int) else value
                    for value, dim in zip(arguments, in_dims, strict=True)
                )
            )
            for index in range(info.batch_size)
        ]
        if isinstance(rows[0], Tensor):
            return torch.stack(rows), 0
        stacked = tuple(torch.stack(column) for column in zip(*rows, strict=True))
        return stacked, (0,) * len(stacked)

    return rule
