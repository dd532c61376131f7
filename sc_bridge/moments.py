"""Moments of a bunch by name, each with its unit: what studies print and differentiate."""

from __future__ import annotations

from torch import Tensor

from sc_bridge.elements import Bunch

# Name of a property of `Bunch` -> unit.
MOMENTS: dict[str, str] = {
    "sigma_x": "m",
    "sigma_px": "1",
    "sigma_y": "m",
    "sigma_py": "1",
    "sigma_zeta": "m",
    "sigma_pzeta": "1",
    "sigma_delta": "1",
    "gemitt_x": "m",
    "gemitt_y": "m",
    "gemitt_zeta": "m",
    "nemitt_x": "m",
    "nemitt_y": "m",
    "nemitt_zeta": "m",
    "gemitt_x_betatron": "m",
    "gemitt_y_betatron": "m",
    "nemitt_x_betatron": "m",
    "nemitt_y_betatron": "m",
    "mean_x": "m",
    "mean_px": "1",
    "mean_y": "m",
    "mean_py": "1",
    "mean_zeta": "m",
    "mean_pzeta": "1",
    "intensity": "1",
}


def moment(bunch: Bunch, name: str) -> Tensor:
    """Return a moment of a bunch by its name in `MOMENTS`, (...)."""
    if name.startswith("mean_"):
        return bunch.mean(name.removeprefix("mean_"))
    return getattr(bunch, name)
