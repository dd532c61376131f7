"""Rows of `cases.ELEMENT_CASES` for drifts, magnets and their faces: every choice occurs."""

from __future__ import annotations

from math import pi
from typing import Any

from sc_bridge import elements

PSB_BEND: dict[str, Any] = {
    "length": 1.617696,
    "angle": 2 * pi / 32,
    "edge_entry_angle": pi / 32,
    "edge_exit_angle": pi / 32,
    "edge_entry_fint": 0.5,
    "edge_exit_fint": 0.5,
    "edge_entry_hgap": 0.035,
    "edge_exit_hgap": 0.035,
}
# Errors of every kind that a magnet may have.
ERRORS: dict[str, Any] = {
    "knl": [1e-3, 0.02, 0.3, 4.0],
    "ksl": [5e-4, 0.03, -0.2, 3.0],
    "knl_rel": [1e-3, 2e-3, 0.1],
    "ksl_rel": [-1e-3, 3e-3],
}
FRINGES: dict[str, Any] = {"edge_entry_active": True, "edge_exit_active": True}
# A short combined bend with everything in it; its models differ, so that few kicks suffice.
COMBINED: dict[str, Any] = {
    "length": 0.8,
    "angle": 0.06,
    "k0": 0.07,
    "k1": 0.3,
    "k2": 1.0,
    "num_multipole_kicks": 2,
    **ERRORS,
}
FULL_EDGES: dict[str, Any] = {
    "edge_entry_model": "full",
    "edge_exit_model": "full",
    "edge_entry_angle": 0.07,
    "edge_exit_angle": -0.04,
    "edge_entry_fint": 0.5,
    "edge_exit_fint": 0.4,
    "edge_entry_hgap": 0.03,
    "edge_exit_hgap": 0.02,
}
MAGNET: dict[str, Any] = {
    "length": 0.7,
    "k1": 0.3,
    "k2": 1.1,
    "k3": -9.0,
    "k0s": 2e-3,
    "k1s": -0.2,
    "k2s": 0.9,
    "k3s": 7.0,
    "knl": [1e-3, 0.02, 0.3, 4.0, 50.0],
    "ksl": [5e-4, 0.03, -0.2],
}
STRAIGHT_RBEND: dict[str, Any] = {
    "length_straight": 1.1,
    "angle": 0.12,
    "rbend_model": "straight-body",
}
CURVED_MODELS = (
    "bend-kick-bend",
    "rot-kick-rot",
    "mat-kick-mat",
    "drift-kick-drift-exact",
    "drift-kick-drift-expanded",
    "rot-kick-rot-low-order",
    "rot-kick-rot-high-order",
)
STRAIGHT_MODELS = (
    "mat-kick-mat",
    "mat-kick-mat-exact",
    "drift-kick-drift-exact",
    "drift-kick-drift-expanded",
    "rot-kick-rot-low-order",
)
INTEGRATORS = ("teapot", "uniform", "yoshida-4", "yoshida-6", "yoshida-8")

# class -> {id: keyword arguments}
MAGNET_CASES: dict[type[elements.Element], dict[str, dict[str, Any]]] = {
    elements.Drift: {
        "expanded": {"length": 1.3},
        "exact": {"length": 1.3, "model": "exact"},
        "backwards": {"length": -0.4},
    },
    elements.DriftExact: {"drift": {"length": 1.3}},
    elements.Quadrupole: {
        "focusing": {"length": 0.50357, "k1": 0.7691427338},
        "defocusing": {"length": 0.87894, "k1": -0.7775055976},
        "no gradient": {"length": 0.5, "k1": 0.0},
        "strong": {"length": 0.7, "k1": 9.0},
        "with errors": {
            "length": 0.5,
            "k1": -0.77,
            "k1s": 0.2,
            "knl": [1e-3, 0.1, 2.0],
            "ksl": [2e-3, 0.3, -1.0],
            "num_multipole_kicks": 3,
        },
        "relative errors": {"length": 0.5, "k1": 0.77, "k1s": 0.3, **ERRORS},
        "main skew": {"length": 0.5, "k1": 0.7, "k1s": 0.3, "main_is_skew": True, **ERRORS},
        "fringes": {"length": 0.5, "k1": 0.77, "k1s": -0.3, **ERRORS, **FRINGES},
        "fringe at entry": {"length": 0.5, "k1": 2.0, "edge_entry_active": True},
        **{
            model: {"length": 0.4, "k1": 0.9, "k1s": 0.2, **ERRORS, "model": model}
            for model in STRAIGHT_MODELS
        },
        "no field exact": {"length": 0.4, "model": "mat-kick-mat-exact"},
    },
    elements.Sextupole: {
        "normal": {"length": 0.3, "k2": 20.0},
        "skew": {"length": 0.3, "k2": 5.0, "k2s": 20.0, "main_is_skew": True, **ERRORS},
        "fringes": {"length": 0.3, "k2": 20.0, "k2s": -9.0, **ERRORS, **FRINGES},
        "matrices": {"length": 0.3, "k2": 20.0, "model": "mat-kick-mat", **ERRORS},
        "no field": {"length": 0.3},
        **{
            integrator: {
                "length": 0.3,
                "k2": 20.0,
                "integrator": integrator,
                "num_multipole_kicks": 4,
            }
            for integrator in INTEGRATORS
        },
    },
    elements.Octupole: {
        "normal": {"length": 0.3, "k3": 200.0},
        "skew": {"length": 0.3, "k3": 50.0, "k3s": 200.0, "main_is_skew": True, **ERRORS},
        "fringes": {"length": 0.3, "k3": 200.0, "k3s": -90.0, **ERRORS, **FRINGES},
        "exact": {"length": 0.3, "k3": 200.0, "model": "drift-kick-drift-exact"},
    },
    elements.Bend: {
        "psb": PSB_BEND,
        "psb exact": {**PSB_BEND, "model": "exact"},
        "falling edge": {
            "length": 1.0,
            "angle": 0.02,
            "edge_entry_angle": 0.1,
            "edge_entry_angle_fdown": 0.03,
            "edge_exit_model": "suppressed",
        },
        "mismatched exact": {"length": 1.6, "angle": 0.2, "k0": 0.13, "model": "exact"},
        "straight exact": {"length": 1.6, "angle": 0.0, "k0": 0.13, "model": "exact"},
        "polar drift exact": {"length": 1.6, "angle": 0.1, "k0": 0.0, "model": "exact"},
        "quarter turn exact": {"length": 1.6, "angle": pi / 2, "model": "exact"},
        "no field": {"length": 1.6, "angle": 0.0},
        "no field exact": {"length": 1.6, "angle": 0.0, "model": "exact"},
        "straight": {"length": 0.6, "angle": 0.0, "k0": 1e-3, "k1": 0.3},
        "polar drift": {"length": 0.6, "angle": 0.03, "k0": 0.0},
        "combined": {
            "length": 1.6,
            "angle": -0.03,
            "k1": 0.3,
            "k2": 1.0,
            "knl": [1e-3, 0.1, 0.3],
            "ksl": [1e-3, 0.2],
            "num_multipole_kicks": 10,
        },
        **{model: {**COMBINED, "model": model} for model in CURVED_MODELS},
        **{
            f"straight {model}": {**COMBINED, "angle": 0.0, "model": model}
            for model in CURVED_MODELS
        },
        **{
            integrator: {
                **COMBINED,
                "model": "bend-kick-bend",
                "integrator": integrator,
                "num_multipole_kicks": 4,
            }
            for integrator in INTEGRATORS
        },
        "automatic kicks": {
            "length": 0.8,
            "angle": 0.02,
            "k1": -0.3,
            "model": "mat-kick-mat",
            "integrator": "uniform",
        },
        "matrix": {"length": 0.8, "angle": 0.02, "model": "mat-kick-mat"},
        "matrix without field": {
            "length": 0.8,
            "angle": 0.02,
            "k0": 0.0,
            "k1": 0.2,
            "model": "expanded",
        },
        "high order dipole": {"length": 0.8, "angle": 0.02, "model": "rot-kick-rot-high-order"},
        "full edges": {
            **COMBINED,
            **FULL_EDGES,
            "model": "mat-kick-mat",
            "integrator": "uniform",
        },
        "full edges without gap": {
            "length": 0.8,
            "angle": 0.06,
            "model": "exact",
            "edge_entry_model": "full",
            "edge_exit_model": "full",
            "edge_entry_angle": 0.1,
        },
        "dipole edges": {
            **COMBINED,
            **FULL_EDGES,
            "model": "bend-kick-bend",
            "integrator": "uniform",
            "edge_entry_model": "dipole-only",
            "edge_exit_model": "dipole-only",
        },
    },
    elements.RBend: {
        "curved": {
            "length_straight": 1.1,
            "angle": 0.12,
            "model": "bend-kick-bend",
            "num_multipole_kicks": 1,
        },
        "default": {"length_straight": 0.9, "angle": 0.02, **ERRORS},
        "asymmetric": {
            "length_straight": 1.1,
            "angle": 0.12,
            "rbend_angle_diff": 0.03,
            "model": "mat-kick-mat",
            "integrator": "uniform",
            "num_multipole_kicks": 1,
            **FULL_EDGES,
        },
        "no angle": {"length_straight": 1.1, "angle": 0.0, "k0": 0.01, "k1": 0.2},
        "straight body": {**STRAIGHT_RBEND, "k1": 0.2, "k2": 0.5},
        "straight body, errors": {
            **STRAIGHT_RBEND,
            "rbend_angle_diff": 0.03,
            "rbend_shift": 0.002,
            "model": "bend-kick-bend",
            **ERRORS,
        },
        "straight body, no sagitta": {
            **STRAIGHT_RBEND,
            "rbend_compensate_sagitta": False,
            "rbend_shift": -0.001,
            "k1": 0.2,
            "model": "mat-kick-mat",
            "integrator": "uniform",
            **FULL_EDGES,
        },
        "straight body, no angle": {**STRAIGHT_RBEND, "angle": 0.0, "k0": 0.01},
        "straight body, dark faces": {
            **STRAIGHT_RBEND,
            "edge_entry_active": False,
            "edge_exit_active": False,
        },
    },
    elements.Magnet: {
        "straight": {**MAGNET, "angle": 0.0, "k0": 2e-3},
        "curved": {
            **MAGNET,
            "angle": 0.03,
            "model": "bend-kick-bend",
            "integrator": "yoshida-4",
            **FULL_EDGES,
        },
        "expanded": {
            **MAGNET,
            "angle": 0.03,
            "model": "mat-kick-mat",
            "integrator": "teapot",
            "num_multipole_kicks": 2,
        },
    },
    elements.Multipole: {
        "kicker": {"knl": [1e-3], "ksl": [2e-3]},
        "octupole": {"knl": [0.0, 0.1, 3.0, 100.0], "ksl": [2e-3, 0.3]},
        "thin dipole": {"knl": [1e-3, 0.1], "ksl": [2e-3], "hxl": 0.02, "length": 0.3},
        "turn without length": {"knl": [1e-3, 0.1], "hxl": 0.02},
        "relative": {
            "knl": [1e-3, 0.1],
            "ksl": [2e-3, 0.2],
            "knl_rel": [0.1, 0.2, 3.0],
            "ksl_rel": [0.2, -0.1],
            "main_order": 1,
            "main_is_skew": True,
            "hxl": 0.02,
            "length": 0.3,
        },
        "thick": {"knl": [1e-3, 0.1, 3.0], "ksl": [2e-3], "length": 0.3, "isthick": True},
        "thick dipole": {
            "knl": [1e-2, 0.1, 3.0],
            "knl_rel": [0.1, 0.2, 3.0],
            "hxl": 0.01,
            "length": 0.3,
            "isthick": True,
            "model": "drift-kick-drift-exact",
            "integrator": "teapot",
            "num_multipole_kicks": 3,
        },
        "thick matrix": {
            "knl": [1e-2, 0.1, 3.0],
            "hxl": 0.01,
            "length": 0.3,
            "isthick": True,
            "model": "mat-kick-mat",
        },
    },
    elements.DipoleEdge: {
        "linear": {"k": 0.12, "e1": 0.1, "e1_fd": 0.02, "hgap": 0.03, "fint": 0.5},
        "full": {"k": 0.12, "e1": 0.1, "hgap": 0.03, "fint": 0.5, "model": "full"},
        "full exit": {
            "k": 0.12,
            "e1": -0.1,
            "hgap": 0.03,
            "fint": 0.5,
            "model": "full",
            "side": "exit",
        },
        "full without field": {"k": 0.0, "e1": 0.1, "model": "full"},
        "suppressed": {"k": 0.12, "e1": 0.1, "model": "suppressed"},
    },
    elements.MultipoleEdge: {
        "entry": {"kn": [0.1, 0.8, 2.0, 30.0], "ks": [0.05, 0.3, -1.0]},
        "exit": {"kn": [0.1, 0.8, 2.0, 30.0], "ks": [0.05, 0.3], "is_exit": True},
        "nothing": {"kn": [0.1]},
    },
    elements.Wedge: {
        "dipole": {"angle": 0.1, "k": 0.2},
        "rotation": {"angle": -0.1},
        "no angle": {"angle": 0.0, "k": 0.2},
        "both": {"angle": 0.1, "k": 0.2, "k1": 0.7},
        "quadrupole first": {
            "angle": 0.1,
            "k": 0.2,
            "k1": 0.7,
            "quad_wedge_then_dip_wedge": True,
        },
    },
}
