"""Small lines of Xsuite, as its JSON has them, and their reading."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from sc_bridge.lattice import Lattice
from sc_bridge.readers import read_lattice

PARTICLE = {"mass0": 938272089.43, "q0": 1.0, "p0c": [5.7e8], "reference_turns": math.nan}


def line(**changes: Any) -> dict[str, Any]:
    """A small line: two quadrupoles of one knob, a repeated drift and a multipole."""
    return {
        "__class__": "Line",
        "elements": {
            "d": {"__class__": "Drift", "length": 1.5, "prototype": "drift"},
            "q": {"__class__": "Quadrupole", "length": 0.5, "k1": 0.6, "order": 5},
            "m": {"__class__": "Multipole", "length": 0.2, "knl": [0.0, 0.01, 0.06]},
            "unused": {"__class__": "Whatever", "k1": 1.0},
        },
        "element_names": ["d", "q", "d", "m", "q"],
        "particle_ref": PARTICLE,
        "config": {"XTRACK_GLOBAL_XY_LIMIT": 1.0, "XTRACK_MULTIPOLE_NO_SYNRAD": True},
        "_extra_config": {"_radiation_model": None, "enable_time_dependent_vars": False},
        "_var_management_data": {
            "var_values": {"__vary_default": {}, "kq": 0.3, "k2": 0.6, "t_turn_s": 0.0}
        },
        "_var_manager": [
            ["vars['k2']", "(vars['kq'] * 2.0)"],
            ["element_refs['q'].k1", "vars['k2']"],
            ["element_refs['m'].knl[2]", "(vars['k2'] / 10)"],
            ["element_refs['unused'].k1", "vars['kq']"],
            ["element_refs['q'].extra['note']", "vars['kq']"],
            ["particles['other'].p0c", "vars['kq']"],
        ],
    } | changes


def read_it(content: Any, name: str = "ring.json", **choice: Any) -> Lattice:
    """Write JSON (or text, or bytes) to a file in the present folder and read it."""
    if isinstance(content, bytes):
        Path(name).write_bytes(content)
    else:
        text = content if isinstance(content, str) else json.dumps(content, indent=1)
        Path(name).write_text(text)
    return read_lattice(name, **choice)


def environment(*names: str) -> dict[str, Any]:
    whole = line()
    parts = {"element_names": whole.pop("element_names"), "config": whole.pop("config")}
    del whole["particle_ref"]
    lines = {name: parts | {"particle_ref": "beam"} for name in names}
    return whole | {"__class__": "Environment", "lines": lines, "particles": {"beam": PARTICLE}}
