"""Words for what is wrong with a study, on one line each."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from ..errors import ScBridgeError

if TYPE_CHECKING:
    from .model import Study

_P = ParamSpec("_P")
_R = TypeVar("_R")


def near(name: str, known: Iterable[str]) -> str:
    """Return a hint at the known name that is meant, or at all of them."""
    names = list(known)
    found = difflib.get_close_matches(name, names, n=1)
    return f": did you mean {found[0]!r}?" if found else f": known are {', '.join(names) or 'none'}"


def first_line(text: Any) -> str:
    """Return a text on one line."""
    return " ".join(str(text).split())


def names_study(
    function: Callable[Concatenate[Study, _P], _R],
) -> Callable[Concatenate[Study, _P], _R]:
    """Put the study's path before an error that names neither it nor its lattice."""

    @functools.wraps(function)
    def named(study: Study, /, *arguments: _P.args, **options: _P.kwargs) -> _R:
        try:
            return function(study, *arguments, **options)
        except ScBridgeError as error:
            text = str(error)
            if any(str(path) in text for path in (study.path, *study.lattice_paths)):
                raise
            raise type(error)(f"{study.path}: {text}") from None

    return named
