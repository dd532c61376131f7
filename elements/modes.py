"""Which derivatives are under way."""

from __future__ import annotations

from torch import Tensor
from torch._C._functorch import is_legacy_batchedtensor, maybe_current_level
from torch.autograd import forward_ad


def is_plain_reverse() -> bool:
    """Whether neither forward mode nor a transform of `torch.func` is under way."""
    return maybe_current_level() is None and forward_ad._current_level < 0


def has_memory(*tensors: Tensor) -> bool:
    """Whether tensors are numbers in memory, not gradients that autograd maps many of at a time."""
    return not any(map(is_legacy_batchedtensor, tensors))
