"""JSON of `xtrack.Particles`: what `to_json` writes."""

from __future__ import annotations

import json
from pathlib import Path

from sc_bridge.elements import Bunch
from sc_bridge.errors import BunchError

from .laboratory import adapted
from .options import BunchOptions

_NEEDED = ("x", "px", "y", "py", "zeta", "mass0", "q0", "p0c")
_TAKEN = (*_NEEDED, "delta", "weight", "chi", "charge_ratio", "state", "particle_id", "s")


def read(path: Path, options: BunchOptions) -> Bunch:
    """Read particles through xtrack."""
    from sc_bridge.xsuite.particles import bunch_from
    from sc_bridge.xsuite.xtrack import import_xtrack

    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise BunchError("is too deeply nested for particles") from None
    missing = [name for name in _NEEDED if name not in content]
    if missing:
        raise BunchError(f"is JSON, but no xtrack.Particles: it has no {missing[0]!r}")
    # random states and caches are left: only what a bunch is made of goes to xtrack
    particles = import_xtrack().Particles.from_dict(
        {name: content[name] for name in _TAKEN if name in content}
    )
    return adapted(bunch_from(particles), options)
