"""Lines made of lines: repeated, reflected, nested, and never larger than memory allows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sc_bridge.errors import LatticeError

MAX_PLACES = 2_000_000  # along one line
MAX_NESTING = 1000  # lines within lines: every place remembers those that it is in


@dataclass(frozen=True)
class Item:
    """An entry of a line: the name of an element or of another line, or a line itself.

    Parameters
    ----------
    name : str or tuple of Item
    count : int
        How often, at least 0.
    reflected : bool
        Whether a line is taken backwards, as in `-cell`.
    """

    name: str | tuple[Item, ...]
    count: int = 1
    reflected: bool = False


@dataclass(frozen=True)
class Placed:
    """One place of an expanded line.

    Parameters
    ----------
    name : str
        Of the element.
    reflected : bool
        Whether an odd number of reflections led here; what that means for the element itself
        is up to the format (nothing in MAD-X, exchanged edges in elegant).
    path : tuple of str
        The lines that it is in, outermost first.
    """

    name: str
    reflected: bool = False
    path: tuple[str, ...] = ()


def expand_line(
    name: str,
    lines: Mapping[str, Sequence[Item]],
    place: Callable[[str], str],
    limit: int = MAX_PLACES,
) -> list[Placed]:
    """Expand a line to its elements.

    Parameters
    ----------
    name : str
        Of the line.
    lines : mapping of str to sequence of Item
        What is not in it is an element.
    place : callable
        Gives file and line of a line's name, for messages.
    limit : int

    Raises
    ------
    LatticeError
        If a line contains itself, lines are too deep in each other, or the places are more than
        `limit`; before any is made.

    Examples
    --------
    >>> cell = [Item("qf"), Item("d", 2), Item("qd")]
    >>> lines = {"cell": cell, "ring": [Item("cell"), Item("cell", reflected=True)]}
    >>> [p.name for p in expand_line("ring", lines, str)]
    ['qf', 'd', 'd', 'qd', 'qd', 'd', 'd', 'qf']
    """
    counts = _counts(name, lines, place)
    if counts[name] > limit:
        raise LatticeError(
            f"{place(name)}: {name}: {min(counts[name], 10**300):.3g} places, more than {limit}: "
            "read a smaller line with sequence="
        )
    result: list[Placed] = []
    stack: list[tuple[Item, bool, tuple[str, ...]]] = [(Item(name), False, ())]
    while stack:
        item, reflected, path = stack.pop()
        turned = reflected != item.reflected
        inside: Sequence[Item] | None
        if isinstance(item.name, str):
            inside = lines.get(item.name)
            within = (*path, item.name)
        else:
            inside, within = item.name, path
        if inside is None:
            result.extend([Placed(str(item.name), turned, path)] * item.count)
            continue
        if not any(_size(entry, counts) for entry in inside):
            continue  # else an empty line may be repeated without end
        # The stack gives the last entry first.
        entries = inside if turned else inside[::-1]
        if item.count > 1:
            stack.append((Item(item.name, item.count - 1, item.reflected), reflected, path))
        if item.count > 0:
            stack.extend((entry, turned, within) for entry in entries)
    return result


def _counts(
    name: str, lines: Mapping[str, Sequence[Item]], place: Callable[[str], str]
) -> dict[str, int]:
    """Number of places of a line and of all that it uses, without expanding."""
    counts: dict[str, int] = {}
    path: dict[str, None] = {}
    stack = [(name, False)]
    while stack:
        current, ready = stack.pop()
        if ready:
            path.pop(current)
            counts[current] = sum(_size(item, counts) for item in lines[current])
            continue
        if current in counts:
            continue
        if current in path:
            names = list(path)
            circle = " -> ".join([*names[names.index(current) :], current])
            raise LatticeError(f"{place(current)}: a line contains itself: {circle}")
        path[current] = None
        if len(path) > MAX_NESTING:
            raise LatticeError(
                f"{place(current)}: {current}: lines more than {MAX_NESTING} deep in each other"
            )
        stack.append((current, True))
        stack.extend((used, False) for used in _names(lines[current]) if used in lines)
    return counts


def _names(items: Sequence[Item]) -> list[str]:
    names: dict[str, None] = {}
    waiting = list(reversed(items))
    while waiting:
        item = waiting.pop()
        if isinstance(item.name, str):
            names[item.name] = None
        else:
            waiting.extend(reversed(item.name))
    return list(names)


def _size(item: Item, counts: Mapping[str, int]) -> int:
    if isinstance(item.name, str):
        return max(0, item.count) * counts.get(item.name, 1)
    return max(0, item.count) * sum(_size(entry, counts) for entry in item.name)


def roots_of(lines: Mapping[str, Sequence[Item]]) -> list[str]:
    """Return the lines that no other line uses, in the order of the file."""
    used = {used for items in lines.values() for used in _names(items) if used in lines}
    return [name for name in lines if name not in used]
