"""Kinds of stages: stages that allocate alike, whatever their strengths and lengths."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from torch import Tensor, nn

from sc_bridge.elements import Element

from ..sequence import KickedSequence, Stage


def kinds_of(sequence: KickedSequence) -> tuple[list[Stage], list[int]]:
    """Return one stage of every kind, and the kind of every stage as an index into them."""
    examples: list[Stage] = []
    known: dict[Hashable, int] = {}
    kinds: list[int] = []
    for stage in sequence.stages:
        key = (stage.kick is not None, *(kind_of(part) for part in stage.maps))
        if key not in known:
            known[key] = len(examples)
            examples.append(stage)
        kinds.append(known[key])
    return examples, kinds


def kind_of(element: Element) -> Hashable:
    """Everything but numbers: class, models and counts; which numbers are 0 or wanted."""
    parent = getattr(element, "parent", None)
    plain = {
        name: repr(value)
        for name, value in vars(element).items()
        if name not in ("name", "training", "parent", "weight") and not name.startswith("_")
    }
    inner = kind_of(parent) if isinstance(parent, Element) else ()
    return (type(element), tuple(sorted(plain.items())), _numbers(element), inner)


def _numbers(element: nn.Module) -> tuple[Any, ...]:
    drivers = vars(element).get("drivers", {})
    return tuple(
        (name, *_state(getattr(element, name)), name in drivers)
        for name, _ in element.named_parameters(recurse=False)
    )


def _state(value: Tensor) -> tuple[Any, ...]:
    return (tuple(value.shape), not bool(value.detach().count_nonzero()), value.requires_grad)
