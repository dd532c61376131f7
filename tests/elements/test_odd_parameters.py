"""Odd combinations of fields, species and energies, against xtrack itself."""

from __future__ import annotations

from math import pi
from typing import Any

import pytest
import torch

from frame_cases import MISALIGNED
from magnet_cases import CURVED_MODELS, FULL_EDGES
from oracles import ROUNDOFF, track_xtrack, xtrack_element
from sc_bridge import elements
from sc_bridge.elements import Bunch, Reference

TOLERANCE = ROUNDOFF[torch.float64]
# mass0 [eV], q0 [e], kinetic energy [eV]
SPECIES = {
    "slow antiproton": (938272089.43, -1.0, 1e6),
    "ion of charge 28": (193687690162.6, 28.0, 208 * 4.2e6),
    "fast electron": (510998.95, -1.0, 5e9),
}
AMPLITUDE_AND_DELTA = ((5e-3, 0.0), (5e-3, -0.5), (2e-3, 2.0))
KICKS: dict[str, Any] = {
    "knl": [1e-3, 0.02, 0.3, 4.0, 50.0],
    "ksl": [5e-4, -0.03, 0.2, 3.0],
    "num_multipole_kicks": 2,
}
FRINGES: dict[str, Any] = {"edge_entry_active": True, "edge_exit_active": True}
BEND: dict[str, Any] = {"length": 0.7, "angle": 0.08, "k1": 0.3, "k2": 2.0, **KICKS}
SHORT = [model for model in CURVED_MODELS if "kick-rot" not in model]

ODD: dict[str, tuple[str, dict[str, Any]]] = {
    **{
        f"vertical bend, {model}": (
            "Bend",
            {**BEND, "k0": 0.15, "rot_s_rad": pi / 2, "model": model, **FULL_EDGES},
        )
        for model in CURVED_MODELS
    },
    **{
        f"bend backwards, {model}": ("Bend", {**BEND, "length": -0.7, "model": model})
        for model in SHORT
    },
    **{
        f"displaced polar drift, {model}": (
            "Bend",
            {"length": 0.7, "angle": 0.08, "k0": 0.0, "model": model, **MISALIGNED},
        )
        for model in SHORT
        if model != "mat-kick-mat"  # Xsuite leaves a term out there: test_magnets.py
    },
    "reverse field, teapot": (
        "Bend",
        {
            **BEND,
            "k0": -0.1,
            "model": "bend-kick-bend",
            "integrator": "teapot",
            "edge_entry_active": False,
            "edge_exit_angle_fdown": 0.03,
            "edge_exit_hgap": 0.02,
            "edge_exit_fint": 0.6,
        },
    ),
    "straight body, everything": (
        "RBend",
        {
            "length_straight": 0.7,
            "angle": 0.2,
            "k0": 0.3,
            "rbend_model": "straight-body",
            "rbend_angle_diff": 0.05,
            "rbend_shift": 0.01,
            **KICKS,
            **FULL_EDGES,
            **MISALIGNED,
        },
    ),
    "negative turn, curved body": (
        "RBend",
        {
            "length_straight": 0.7,
            "angle": -0.2,
            "rbend_angle_diff": -0.1,
            "model": "bend-kick-bend",
            **KICKS,
            **FULL_EDGES,
        },
    ),
    "normal and skew fringes": (
        "Quadrupole",
        {
            "length": 0.4,
            "k1": -0.9,
            "k1s": 0.7,
            "main_is_skew": True,
            "ksl_rel": [0.01, 0.0, -0.2],
            **KICKS,
            **FRINGES,
        },
    ),
    "quadrupole backwards": ("Quadrupole", {"length": -0.4, "k1": 0.9, "k1s": -0.2}),
    "tiny gradient": ("Quadrupole", {"length": 0.4, "k1": 1e-9, "k1s": -1e-9}),
    "very strong gradient": ("Quadrupole", {"length": 0.4, "k1": 25.0}),
    "sextupole backwards": ("Sextupole", {"length": -0.3, "k2": 20.0, "k2s": -11.0, **KICKS}),
    "displaced octupole": (
        "Octupole",
        {"length": 0.3, "k3": -200.0, "k3s": 300.0, **FRINGES, **MISALIGNED},
    ),
    "thick multipole that turns": (
        "Multipole",
        {"length": 0.3, "isthick": True, "hxl": 0.05, **KICKS},
    ),
    "thin multipole that turns backwards": (
        "Multipole",
        {"length": -0.3, "hxl": -0.05, "knl": [0.02], "rot_s_rad": 1.57},
    ),
    "magnet with everything": (
        "Magnet",
        {"length": 0.5, "angle": -0.1, "k0": 0.15, "k1": 0.2, "k0s": 0.02, "k2s": 2.0}
        | {"model": "mat-kick-mat", "k3s": -30.0, **KICKS, **FULL_EDGES, **MISALIGNED},
    ),
    **{
        f"cavity, {model}, {integrator}": (
            "Cavity",
            {"length": 0.6, "voltage": -3e4, "frequency": 2e8, "phase": -1.0, "lag": 200.0}
            | {"num_kicks": 3, "model": model, "integrator": integrator},
        )
        for model in ("drift-kick-drift-exact", "drift-kick-drift-expanded")
        for integrator in ("teapot", "uniform", "yoshida-4", "yoshida-8")
    },
    "constant voltage": ("Cavity", {"voltage": 3e4, "frequency": 0.0, "lag": 30.0}),
    "solenoid backwards": ("UniformSolenoid", {"length": -0.8, "ks": -2.0, **MISALIGNED}),
    "solenoid of almost no field": ("UniformSolenoid", {"length": 0.8, "ks": 1e-7, "x0": 0.01}),
    "steep exit face": (
        "DipoleEdge",
        {"k": 0.3, "e1": 1.2, "hgap": 0.01, "fint": 0.2, "model": "full", "side": "exit"},
    ),
    "fringe of all orders": (
        "MultipoleEdge",
        {"kn": [0.0, -2.0, 30.0, 400.0], "ks": [0.3, 1.0, -20.0], "is_exit": True, **MISALIGNED},
    ),
    "turn by more than a right angle": ("Rotation", {"rot_s_rad": 3.0, "seq": "xys"}),
    "three quarters of a turn": ("SRotation", {"angle": 270.0}),
    "wide pitch": ("XRotation", {"angle": -15.0}),
    "wire without length": (
        "Wire",
        {"L_phy": 0.0, "L_int": 1.0, "current": -30.0, "xma": -0.2, "yma": 0.3, **MISALIGNED},
    ),
    "drift backwards": ("Drift", {"length": -3.0, "model": "exact"}),
}


def odd_bunch(species: str, amplitude: float, delta: float) -> Bunch:
    reference = Reference.from_kinetic_energy(*SPECIES[species])
    generator = torch.Generator().manual_seed(3)
    rows = amplitude * torch.randn(6, 12, generator=generator, dtype=torch.float64)
    square = delta * (2.0 + delta)
    if delta:
        beta0_squared = reference.beta0**2
        rows[5] = (torch.sqrt(1.0 + beta0_squared * square) - 1.0) / beta0_squared
    return Bunch(rows, reference)


@pytest.mark.parametrize(("kind", "kwargs"), ODD.values(), ids=ODD)
def test_odd_parameters_equal_xtrack(kind, kwargs):
    element, theirs = getattr(elements, kind)(**kwargs), xtrack_element(kind, kwargs)
    for species in SPECIES:
        for amplitude, delta in AMPLITUDE_AND_DELTA:
            bunch = odd_bunch(species, amplitude, delta)
            expected = track_xtrack(theirs, bunch, may_lose=True)
            flies = (abs(expected[[0, 2]]) < 1.0).all(0) & (abs(expected[[1, 3]]) < 0.9).all(0)
            assert flies.any()
            out = element.track(bunch).coordinates.numpy()
            scale = max(1.0, abs(expected[:, flies]).max())
            assert abs(out - expected)[:, flies].max() < TOLERANCE * scale, (species, delta)


@pytest.mark.parametrize("kind", ["Bend", "RBend"])
def test_a_bend_of_negative_length_undoes_one_of_positive_length(kind):
    length = "length" if kind == "Bend" else "length_straight"
    fields = {"k1": 0.2, "model": "bend-kick-bend", "num_multipole_kicks": 2}
    there, back = (
        getattr(elements, kind)(
            **{length: sign * 0.8},
            angle=sign * 0.2,
            edge_entry_model="suppressed",
            edge_exit_model="suppressed",
            **fields,
        )
        for sign in (1.0, -1.0)
    )
    bunch = odd_bunch("fast electron", 5e-3, 0.0)
    assert (back.track(there.track(bunch)).coordinates - bunch.coordinates).abs().max() < TOLERANCE
