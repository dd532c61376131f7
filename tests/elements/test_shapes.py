"""Shapes are broadcast as torch does it."""

from __future__ import annotations

import pytest
import torch

from sc_bridge.elements.shapes import broadcast_shape

CASES = [
    [()],
    [(3,), (3,)],
    [(), (4,), (2, 1)],
    [(2, 1, 5), (1, 7, 1), (5,)],
    [(0,), (1,)],
]


@pytest.mark.parametrize("shapes", CASES, ids=str)
def test_it_is_the_shape_that_torch_gives(shapes):
    found = broadcast_shape(torch.Size(shape) for shape in shapes)
    assert isinstance(found, torch.Size)
    assert found == torch.broadcast_shapes(*shapes)


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="shape mismatch"):
        broadcast_shape([(2,), (3,)])
