"""Expressions of PALS: names, and parameters of elements such as `q1>MagneticMultipoleP.Kn1`."""

from __future__ import annotations

from sc_bridge.expressions import Dialect
from sc_bridge.readers.common_names import FUNCTIONS

DIALECT = Dialect(
    "PALS",
    functions=FUNCTIONS,
    names=r"[A-Za-z_][A-Za-z0-9_]*",
    references=r"[A-Za-z_][A-Za-z0-9_]*>[A-Za-z_][A-Za-z0-9_.]*",
    ignore_case=False,
)
