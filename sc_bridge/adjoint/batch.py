"""Batch: that which a bunch gets on its way, from its reference or from fields.

A strategy that keeps states has them all of one shape, so that it gives the bunch this batch
before it starts.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from sc_bridge.elements import Bunch, Element

from ..sequence import KickedSequence


def with_its_batch(bunch: Bunch, sequence: KickedSequence) -> Bunch:
    """Return the bunch in the batch of its reference and of the fields of the sequence."""
    reference = bunch.reference
    own = bunch.coordinates.shape[:-2]
    scalars = (reference.mass0, reference.q0, reference.p0c)
    batch = torch.broadcast_shapes(own, *(s.shape for s in scalars), *_of_fields(sequence))
    if batch == own:
        return bunch
    n = bunch.n_particles
    return bunch.replace(
        coordinates=bunch.coordinates.expand(*batch, 6, n).contiguous(),
        alive=bunch.alive.expand(*batch, n).contiguous(),
    )


def _of_fields(sequence: KickedSequence) -> Iterator[torch.Size]:
    """Batches of the parameters that have one."""
    for module in sequence.modules():
        for name, parameter in module._parameters.items():
            if parameter is None or not parameter.dim():
                continue
            rank = module.field_ranks[name] if isinstance(module, Element) else 0
            yield parameter.shape[: parameter.dim() - rank]
