"""How codes whose lattices are constructor calls write them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Language:
    """How one code writes such files.

    Parameters
    ----------
    name : str
        For messages.
    positional : mapping of str to tuple of str
        Names of the positional arguments of constructors; "" is that of all others.
    constants : mapping of str to float
    prefixes : tuple of str
        Modules that functions may stand behind, as in `np.sin`.
    maps : frozenset of str
        Names of ways to track, which do not count; dictionaries may hold them.
    """

    name: str
    positional: Mapping[str, tuple[str, ...]]
    constants: Mapping[str, float]
    prefixes: tuple[str, ...] = ()
    maps: frozenset[str] = frozenset()
