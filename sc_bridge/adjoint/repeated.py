"""Repeated: a list of few different values."""

from __future__ import annotations

from array import array
from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T")
# Type of a place by the first number that needs it.
_WIDER = {2**8: "H", 2**16: "I"}


class Repeated(Generic[T]):
    """A list in which the same values come again and again.

    Cost: a byte for every place (2 from the 257th different value on, 4 from the 65 537th), and
    each different value once.
    """

    def __init__(self) -> None:
        self._places = array("B")
        self._numbers: dict[Hashable, int] = {}
        self.different: list[T] = []

    def append(self, key: Hashable, value: T) -> None:
        """Add a value at the end; where its key came before, the value is the one of then."""
        number = self._numbers.setdefault(key, len(self.different))
        if number == len(self.different):
            self.different.append(value)
            if number in _WIDER:
                self._places = array(_WIDER[number], self._places)
        self._places.append(number)

    def __getitem__(self, index: int) -> T:
        return self.different[self._places[index]]

    def __len__(self) -> int:
        return len(self._places)
