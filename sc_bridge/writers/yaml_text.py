"""Plain data as YAML that every parser reads alike, YAML 1.1 ones too: an item a line."""

from __future__ import annotations

import json
import math
import re
from typing import Any

# Words that some version of YAML takes for something else than text
_WORDS = frozenset(["y", "n", "yes", "no", "true", "false", "on", "off", "null", "nan", "inf"])
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*\Z")


def flow(value: Any) -> str:
    """Return a value in flow style: `{kind: Drift, length: 0.5}`."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{flow(key)}: {flow(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, value)) + "]"
    if isinstance(value, float) and math.isfinite(value):
        return _number(value)
    if isinstance(value, str) and _PLAIN.match(value) and value.lower() not in _WORDS:
        return value
    return json.dumps(value)


def _number(value: float) -> str:
    """Text of a number; without a point, YAML 1.1 would take 1e-05 for text."""
    mantissa, sign, exponent = repr(value).partition("e")
    return f"{mantissa}{'' if '.' in mantissa or not sign else '.0'}{sign}{exponent}"
