"""Which derivatives are under way."""

from __future__ import annotations

from torch._C._functorch import maybe_current_level
from torch.autograd import forward_ad


def is_plain_reverse() -> bool:
    """Whether neither forward mode nor a transform of `torch.func` is under way."""
    return maybe_current_level() is None and forward_ad._current_level < 0
