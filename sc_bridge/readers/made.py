"""What constructor calls of a file make, and sequences of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(eq=False)
class Made:
    """What a constructor makes: an element, or an object beside the lattice."""

    kind: str
    line: int
    attributes: dict[str, Any] = field(default_factory=dict)
    name: str = ""


@dataclass(eq=False)
class Sequence:
    """Elements and sequences in order, with the number of places."""

    entries: tuple[Any, ...]
    size: int


def places_of(line: Sequence) -> list[Made]:
    """Elements of a sequence in order."""
    places: list[Made] = []
    waiting: list[Any] = [line]
    while waiting:
        entry = waiting.pop()
        if isinstance(entry, Sequence):
            waiting.extend(reversed(entry.entries))
        elif isinstance(entry, Made):
            places.append(entry)
    return places


def plain_value(value: Any) -> Any:
    """Value of an attribute as a recorder takes it: sequences become lists."""
    if isinstance(value, Sequence):
        return [plain_value(entry) for entry in value.entries]
    return value
