"""Words for what is wrong with a study, on one line each."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


def near(name: str, known: Iterable[str]) -> str:
    """Return a hint at the known name that is meant, or at all of them."""
    found = difflib.get_close_matches(name, list(known), n=1)
    return f": did you mean {found[0]!r}?" if found else f": known are {', '.join(known)}"


def first_line(text: Any) -> str:
    """Return a text on one line."""
    return " ".join(str(text).split())
