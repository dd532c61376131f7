"""Where numbers live: those that all particles share stay on the CPU, whatever moves.

torch takes a tensor without dimensions from the CPU into an operation on a GPU as a number. Maps
read it there to choose a branch or to leave out what is zero, where a number on the GPU would
make them wait for it, or launch a kernel for every product of two numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

Move = Callable[[Tensor], Tensor]


def is_on_host(device: torch.device) -> bool:
    """Whether Python can read numbers on this device without waiting for it."""
    return device.type in ("cpu", "meta")


def leaving(shared: Iterable[Tensor | None], move: Move) -> Move:
    """Let a move of parameters to a GPU leave those that are `shared`, and their gradients.

    Parameters
    ----------
    shared : iterable of Tensor or None
    move : callable
        As `nn.Module._apply` takes it; a move on the CPU, to another dtype, is for all.
    """
    if is_on_host(move(torch.empty(0)).device):
        return move
    staying = [tensor for tensor in shared if tensor is not None]
    kept = {id(tensor) for own in staying for tensor in (own, own.grad)}
    return lambda tensor: tensor if id(tensor) in kept else move(tensor)


def moved_number(value: Tensor, device: torch.device | str) -> Tensor:
    """Move a field of a reference: a number to the CPU only, a batch to any device."""
    return value if not value.dim() and not is_on_host(torch.device(device)) else value.to(device)


def beside(value: Tensor, like: Tensor) -> Tensor:
    """Return a few numbers on the device of `like`, without waiting for a GPU to take them."""
    if value.device == like.device:
        return value
    return value.to(like.device, non_blocking=not is_on_host(like.device))


def together(*values: Tensor) -> list[Tensor]:
    """Bring tensors to one device: to a GPU if any is there."""
    there = next((value for value in values if not is_on_host(value.device)), values[0])
    return [beside(value, there) for value in values]
