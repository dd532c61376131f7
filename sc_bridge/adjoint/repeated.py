"""Repeated: a list of few different values."""

from __future__ import annotations

from array import array
from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Repeated(Generic[T]):
    """A list in which the same values come again and again.

    Cost: 4 bytes for every place, and each different value once.
    """

    def __init__(self) -> None:
        self._places = array("I")
        self._numbers: dict[Hashable, int] = {}
        self.different: list[T] = []

    def append(self, key: Hashable, value: T) -> None:
        """Add a value at the end; where its key came before, the value is the one of then."""
        number = self._numbers.setdefault(key, len(self.different))
        if number == len(self.different):
            self.different.append(value)
        self._places.append(number)

    def __getitem__(self, index: int) -> T:
        return self.different[self._places[index]]

    def __len__(self) -> int:
        return len(self._places)
