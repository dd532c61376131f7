"""Our element in the list of classes that Xsuite rebuilds elements from by name.

`xt.load`, `Environment.copy` and every `from_dict` look a class up among those of xtrack, of
`xfields.element_classes` and of xcoll, at the time of the call.
"""

from __future__ import annotations

import importlib
from typing import Any


def make_known(kind: type) -> None:
    """Let Xsuite find a class by its name in files and dictionaries, without `classes=`.

    Nothing happens where Xsuite is not installed.
    """
    try:
        xfields: Any = importlib.import_module("xfields")
    except ImportError:
        return
    if kind not in xfields.element_classes:
        xfields.element_classes = (*xfields.element_classes, kind)
