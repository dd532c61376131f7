"""Cases of RF, changes of the reference, apertures, Taylor maps and lenses."""

from __future__ import annotations

from typing import Any

import torch

from sc_bridge import elements

_generator = torch.Generator().manual_seed(7)


def _array(*shape: int, scale: float) -> list[Any]:
    values = torch.randn(*shape, generator=_generator, dtype=torch.float64)
    return (scale * values).tolist()


_MATRIX = (
    torch.eye(6, dtype=torch.float64) + torch.tensor(_array(6, 6, scale=0.05), dtype=torch.float64)
).tolist()
_CAVITY: dict[str, Any] = {"voltage": 1e5, "frequency": 1e6, "line_length": 100.0}
_ELENS: dict[str, Any] = {
    "inner_radius": 1e-3,
    "outer_radius": 4e-3,
    "current": 5.0,
    "elens_length": 3.0,
    "voltage": 1e4,
    "residual_kick_x": 1e-7,
}
_OPTICS: dict[str, Any] = {
    "length": 10.0,
    "qx": 0.31,
    "qy": 0.27,
    "betx": [2.0, 3.0],
    "alfx": [0.1, -0.2],
    "bety": 5.0,
    "dx": [1.0, 2.0],
    "dpx": 0.1,
    "dy": 0.1,
    "x_ref": [1e-3, 2e-3],
}
_LINAC: dict[str, Any] = {"frequency": 3.25e8, "phase": 0.4}

RF_CASES: dict[type[elements.Element], dict[str, dict[str, Any]]] = {
    elements.Cavity: {
        "thin": {**_CAVITY, "phase": 0.3},
        "thick": {**_CAVITY, "phase": 0.5, "length": 0.7},
        "two kicks": {**_CAVITY, "length": 0.7, "num_kicks": 2},
        "exact teapot": {
            **_CAVITY,
            "frequency": 1e8,
            "phase": 2.0,
            "length": 0.7,
            "num_kicks": 3,
            "model": "drift-kick-drift-exact",
            "integrator": "teapot",
        },
        "yoshida": {**_CAVITY, "lag": 20.0, "length": 0.7, "integrator": "yoshida-6"},
        "misaligned": {**_CAVITY, "length": 0.7, "shift_x": 1e-3, "rot_y_rad": 1e-2},
    },
    elements.CrabCavity: {
        "thin": {"crab_voltage": 1e5, "frequency": 4e8, "phase": 0.3},
        "thick": {
            "crab_voltage": 1e5,
            "frequency": 4e8,
            "lag": 5.0,
            "length": 0.5,
            "num_kicks": 2,
            "rot_s_rad": 0.4,
        },
    },
    elements.RFMultipole: {
        "all orders": {
            "knl": [1e-3, 0.1, 2.0],
            "ksl": [2e-3, 0.3],
            "phase_n": [0.1, 0.2, 0.3],
            "phase_s": [0.4, 0.5],
            "pn": [10.0],
            "ps": [3.0, 4.0],
            "frequency": 1e8,
            "voltage": 1e4,
            "phase": 0.3,
            "lag": 4.0,
        },
        "sextupole": {"knl": [0.0, 0.0, 3.0], "phase_n": [0.0, 0.0, 0.2], "frequency": 1e8},
    },
    elements.LinacCavity: {
        "standing": {**_LINAC, "length": 3.0, "voltage": 2e7},
        "travelling": {
            **_LINAC,
            "length": 3.0,
            "voltage": 2e7,
            "structure": "travelling",
            "exit_focusing": False,
            "num_kicks": 3,
        },
        "decelerating": {**_LINAC, "length": 1.0, "voltage": -2e6, "entry_focusing": False},
        "without voltage": {**_LINAC, "length": 1.0},
    },
    elements.ReferenceEnergyIncrease: {
        "up": {"Delta_p0c": 3e7},
        "down": {"Delta_p0c": -3e7},
    },
    elements.ReferenceEnergyChange: {"change": {"p0c": 9e8}},
    elements.LimitEllipse: {
        "round": {"a": 0.04, "b": 0.04},
        "flat": {"a": 0.04, "b": 0.02},
    },
    elements.LimitRect: {"rectangle": {"min_x": -0.01, "max_x": 0.03, "max_y": 0.01}},
    elements.LimitRectEllipse: {
        "beam screen": {"max_x": 0.03, "max_y": 0.02, "a": 0.031, "b": 0.03},
    },
    elements.LimitRacetrack: {
        "racetrack": {
            "min_x": -0.03,
            "max_x": 0.04,
            "min_y": -0.02,
            "max_y": 0.025,
            "a": 0.02,
            "b": 0.015,
        },
    },
    elements.LimitPolygon: {
        "triangle": {"x_vertices": [-0.03, 0.03, 0.0], "y_vertices": [-0.02, -0.02, 0.03]},
    },
    elements.LongitudinalLimitRect: {"bucket": {"min_zeta": -0.02, "max_pzeta": 0.02}},
    elements.FirstOrderTaylorMap: {
        "affine": {"length": 1.0, "m0": _array(6, scale=1e-3), "m1": _MATRIX},
    },
    elements.SecondOrderTaylorMap: {
        "quadratic": {
            "length": 1.0,
            "k": _array(6, scale=1e-3),
            "R": _MATRIX,
            "T": _array(6, 6, 6, scale=0.1),
        },
    },
    elements.LineSegmentMap: {
        "detuning": {**_OPTICS, "det_xx": 100.0, "det_xy": 50.0, "det_yx": 50.0, "det_yy": 80.0},
        "linear": {**_OPTICS, "qs": 0.01, "bets": 100.0, "qy": 0.0, "dnqy": [0.27, -1.0, 5.0]},
        "nonlinear": {
            "length": 10.0,
            "qx": 0.31,
            "dnqy": [0.2, 1.0, 2.0, 3.0],
            "voltage_rf": [1e5, 2e4],
            "frequency_rf": [1e6, 2e6],
            "phase_rf": [0.1, 0.2],
            "momentum_compaction_factor": 0.01,
        },
        "accelerating": {
            **_OPTICS,
            "energy_increment": 1e3,
            "energy_ref_increment": 1e6,
            "damping_matrix": _array(6, 6, scale=1e-3),
        },
        "buckets": {
            "length": 10.0,
            "qs": 1e-4,
            "bets": -30.0,
            "bucket_length": 1e-6,
            "damping_matrix": _array(6, 6, scale=1e-3),
        },
    },
    # weak, since Xsuite's form loses digits near the axis; test_thin_lenses.py has a strong one
    elements.NonLinearLens: {"weak": {"knll": 1e-6, "cnll": 0.05}},
    elements.Wire: {
        "beside": {
            "L_phy": 1.0,
            "L_int": 3.0,
            "current": 100.0,
            "xma": 0.1,
            "yma": -0.02,
            "post_subtract_px": 1e-6,
        },
    },
    elements.Elens: {
        "hollow": _ELENS,
        "profile": {**_ELENS, "coefficients_polynomial": [0.01, 0.02, 0.03]},
    },
}

# class, or one case of it -> why its map is not symplectic
NOT_SYMPLECTIC = {
    "FirstOrderTaylorMap": "any matrix may be given",
    "SecondOrderTaylorMap": "quadratic terms are cut off",
    "LineSegmentMap-linear": "chromaticity has no longitudinal counterpart, as in Xsuite",
    "LineSegmentMap-nonlinear": "chromaticity has no longitudinal counterpart, as in Xsuite",
    "LineSegmentMap-accelerating": "damping",
    "LineSegmentMap-buckets": "damping",
    "Elens": "the kick follows the energy and has no longitudinal counterpart, as in Xsuite",
}
# class -> what it says when it is inverted
NO_INVERSE = {
    elements.ReferenceEnergyChange: "momentum in front of it is unknown",
    elements.SecondOrderTaylorMap: "has no exact inverse",
}
# maps of a whole, which cannot be cut
NO_SLICES = (
    elements.FirstOrderTaylorMap,
    elements.SecondOrderTaylorMap,
    elements.LineSegmentMap,
)
# keywords without which a class cannot be made
REQUIRED: dict[type[elements.Element], dict[str, Any]] = {
    elements.ReferenceEnergyChange: {"p0c": 1e9},
    elements.LimitPolygon: {"x_vertices": [0.0, 1.0, 1.0], "y_vertices": [0.0, 0.0, 1.0]},
}
# classes that Xsuite does not have, and where their oracle is
OWN_ORACLE = {elements.LinacCavity: "test_linac_cavity.py"}
