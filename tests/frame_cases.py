"""Cases of rotations, shifts, solenoids and devices, and how an element may be misaligned."""

from __future__ import annotations

from typing import Any

from sc_bridge import elements

MISALIGNED: dict[str, float] = {
    "shift_x": 1e-3,
    "shift_y": -2e-3,
    "shift_s": 3e-3,
    "rot_x_rad": 0.01,
    "rot_y_rad": -0.02,
    "rot_s_rad": 0.3,
    "rot_s_rad_no_frame": -0.05,
    "rot_shift_anchor": 0.2,
}

FRAME_CASES: dict[type[elements.Element], dict[str, dict[str, Any]]] = {
    elements.Rotation: {
        "default order": {"rot_s_rad": 0.3, "rot_x_rad": 0.1, "rot_y_rad": -0.2},
        "other order": {"rot_s_rad": 0.3, "rot_x_rad": 0.1, "rot_y_rad": -0.2, "seq": "sxy"},
        "none": {},
    },
    elements.SRotation: {"tilt": {"angle": 20.0}},
    elements.XRotation: {"pitch": {"angle": 5.0}},
    elements.YRotation: {"yaw": {"angle": -5.0}},
    elements.Translation: {
        "all": {"shift_x": 1e-3, "shift_y": -2e-3, "shift_s": 0.1},
        "transverse": {"shift_x": 1e-3, "shift_y": -2e-3},
    },
    elements.XYShift: {"both": {"dx": 1e-3, "dy": -2e-3}},
    elements.ZetaShift: {"ahead": {"dzeta": -0.1}},
    elements.TimeDelay: {"late": {"shift_zeta": 0.1}},
    elements.UniformSolenoid: {
        "plain": {"length": 1.3, "ks": 0.4},
        "no field": {"length": 1.3, "ks": 0.0},
        "off axis": {
            "length": 0.7,
            "ks": -3.0,
            "x0": 1e-3,
            "y0": -2e-3,
            "knl": [1e-3, 0.1],
            "ksl": [0.0, 0.2, 1.0],
        },
        "yoshida-6": {
            "length": 1.3,
            "ks": 1.0,
            "knl": [1e-3, 0.1],
            "num_multipole_kicks": 3,
            "integrator": "yoshida-6",
        },
        "misaligned": {"length": 1.3, "ks": 1.0, **MISALIGNED},
    },
    elements.VariableSolenoid: {
        "ramp": {"length": 1.3, "ks_profile": [0.2, 0.8]},
        "with errors": {
            "length": 1.3,
            "ks_profile": [0.2, 0.8],
            "knl": [1e-3, 0.1],
            "num_multipole_kicks": 2,
        },
    },
    elements.Solenoid: {
        "plain": {"length": 1.3, "ks": 0.8, "knl": [1e-3, 0.1]},
        "multipoles in their frame": {
            "length": 1.3,
            "ks": 0.8,
            "knl": [1e-3, 0.1],
            "num_multipole_kicks": 2,
            "mult_rot_x_rad": 0.1,
            "mult_rot_y_rad": 0.05,
            "mult_shift_x": 1e-3,
            "mult_shift_y": 2e-3,
            "mult_shift_s": 0.1,
        },
    },
    elements.Device: {
        "expanded": {"length": 1.3},
        "exact": {"length": 1.3, "model": "exact"},
        "misaligned": {"length": 1.3, **MISALIGNED},
    },
}
