"""Names that a format understands, each given once."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable


class Names:
    """Gives names that are legal in a format and differ from each other.

    Parameters
    ----------
    taken : collection of str
        What may be no name: words of the format.
    letters : str
        Characters of names beside ASCII letters, digits and the underscore.
    fold : callable
        What the format takes for the same name: `str.lower` where case means nothing.
    """

    def __init__(
        self, taken: Collection[str], letters: str = "", fold: Callable[[str], str] = str
    ) -> None:
        self._taken = set(taken)
        self._other = re.compile(rf"[^\w{re.escape(letters)}]", re.ASCII)
        self._fold = fold

    def give_all(self, names: Iterable[str]) -> dict[str, str]:
        """Return the names that are given, by those that were wanted."""
        return {name: self.give(name) for name in names}

    def give(self, name: str) -> str:
        """Return the name, or the nearest one that is legal and free."""
        valid = self._other.sub("_", self._fold(name))
        if not re.match(r"[A-Za-z]", valid):
            valid = f"x{valid}"
        while valid in self._taken:
            valid += "_"
        self._taken.add(valid)
        return valid
