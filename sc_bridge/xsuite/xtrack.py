"""The one place that imports xtrack."""

from __future__ import annotations

import importlib
from types import ModuleType

from sc_bridge.errors import ScBridgeError


def import_xtrack() -> ModuleType:
    """Return the module xtrack.

    Raises
    ------
    ScBridgeError
        If Xsuite is not installed.
    """
    try:
        return importlib.import_module("xtrack")
    except ImportError:
        raise ScBridgeError(
            "sc_bridge.xsuite needs Xsuite: pip install 'sc_bridge[xsuite]'"
        ) from None
