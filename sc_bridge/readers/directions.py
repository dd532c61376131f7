"""Lines whose parts may run backwards in order, or be turned round, which are not the same.

In Bmad and PALS `-line` (a negative repeat) has its elements in the reverse order, each as it
is; `--line` (direction -1) has them in the reverse order and each turned round.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .beamline import Item


@dataclass(frozen=True)
class Entry:
    """An entry of a line.

    Parameters
    ----------
    name : str
        Of an element or a line.
    count : int
        How often.
    backwards : bool
        Whether a line has its elements in the reverse order.
    turned : bool
        Whether it is turned round: the order of a line is reversed, and every element of it.
    """

    name: str
    count: int = 1
    backwards: bool = False
    turned: bool = False


def directed(lines: Mapping[str, Sequence[Entry]], root: str) -> dict[str, list[Item]]:
    """Return the lines that a line needs, for `expand_line`; those backwards as `-name`.

    Examples
    --------
    >>> lines = {"cell": [Entry("q"), Entry("d")], "ring": [Entry("cell", backwards=True)]}
    >>> [item.name for item in directed(lines, "ring")["-cell"]]
    ['d', 'q']
    """
    result: dict[str, list[Item]] = {}
    waiting = [(root, False)]
    while waiting:
        name, backwards = waiting.pop()
        key = _key(name, backwards)
        if key in result:
            continue
        result[key] = items = []
        entries = lines[name]
        for entry in reversed(entries) if backwards else entries:
            inner = entry.name in lines
            flipped = inner and entry.backwards != backwards
            items.append(Item(_key(entry.name, flipped), entry.count, entry.turned))
            if inner:
                waiting.append((entry.name, flipped))
    return result


def _key(name: str, backwards: bool) -> str:
    return f"-{name}" if backwards else name
