"""A pretended GPU: tensors that say they are on another device, over memory of the CPU.

Operations run on the CPU once they are found to mix devices no further than CUDA allows; what would
make Python wait for a GPU is counted. So a machine without a GPU finds what was left behind on the
CPU, and how often a kick waits.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

# A kind of device that torch knows, and that has no kernels.
DEVICE = torch.device("lazy", 0)
# These take tensors without dimensions from one device only.
_OF_ONE_DEVICE = ("stack", "cat", "mm", "bmm", "index_select", "index_add", "scatter_add", "gather")
_COPIES = ("to", "_to_copy", "copy_")

waits: Counter[str] = Counter()


class There(Tensor):
    """A tensor on the pretended GPU."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> There:
        made = Tensor._make_wrapper_subclass(
            cls,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=DEVICE,
        )
        made.inner = inner
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})

    def tolist(self) -> Any:
        waits["tolist"] += 1
        return self.inner.tolist()

    def __repr__(self) -> str:
        return f"There({self.inner!r})"


class PretendedGpu(TorchDispatchMode):
    """Context in which `DEVICE` can be moved to."""

    def __enter__(self) -> PretendedGpu:
        self._before = torch._C._only_lift_cpu_tensors()
        torch._C._set_only_lift_cpu_tensors(True)
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        torch._C._set_only_lift_cpu_tensors(self._before)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


def fetched(value: Tensor) -> Tensor:
    """Return a tensor that may be there as one on the CPU."""
    return value.inner if isinstance(value, There) else value


def _run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    if func.namespace == "sc_bridge":  # an operator of ours: its function sees what it would see
        with PretendedGpu():
            on_cpu = torch._C.DispatchKeySet(torch._C.DispatchKey.CPU)
            return func.redispatch(on_cpu, *args, **kwargs)
    name = func._schema.name.removeprefix("aten::")
    tensors = [value for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor)]
    there = [value for value in tensors if isinstance(value, There)]
    here = [value for value in tensors if not isinstance(value, There)]
    target = _target(name, args, kwargs)
    if there:
        _count_waits(name, here, target)
        if name not in _COPIES:
            _refuse_mixing(name, func, here)
    elif name in _COPIES and target == DEVICE and not kwargs.get("non_blocking"):
        waits["copy to the GPU"] += 1
    out = func(*tree_map(_on_cpu, args), **tree_map(_on_cpu, kwargs))
    if name == "copy_":
        return args[0]
    ends_there = target == DEVICE or (bool(there) and target is None)
    known = {id(value.inner): value for value in there}

    def placed(value: Any) -> Any:
        if not isinstance(value, Tensor) or isinstance(value, There) or not ends_there:
            return value
        return known[id(value)] if id(value) in known else There(value)

    return out if name == "_local_scalar_dense" else tree_map(placed, out)


def _target(name: str, args: Any, kwargs: dict[str, Any]) -> torch.device | None:
    """The device that an operation is asked to put its result on."""
    if name == "to" and len(args) > 1 and isinstance(args[1], Tensor):
        return args[1].device
    asked = kwargs.get("device")
    return asked or next((value for value in args if isinstance(value, torch.device)), None)


def _count_waits(name: str, here: list[Tensor], target: torch.device | None) -> None:
    if name in ("_local_scalar_dense", "nonzero", "masked_select", "equal", "_unique2"):
        waits[name] += 1
    if name in _COPIES and target is not None and target != DEVICE:
        waits["copy to the CPU"] += 1
    if name == "where" and here:
        waits["where with a tensor on the CPU"] += 1


def _refuse_mixing(name: str, func: Any, here: list[Tensor]) -> None:
    if here and (name in _OF_ONE_DEVICE or any(value.dim() for value in here)):
        raise RuntimeError(f"{func}: tensors on both devices")


def _on_cpu(value: Any) -> Any:
    if isinstance(value, There):
        return value.inner
    return torch.device("cpu") if isinstance(value, torch.device) else value
