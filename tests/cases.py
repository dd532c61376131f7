"""Tables of cases that feed the property tests: every class of element has a row."""

from __future__ import annotations

from math import pi
from typing import Any

import torch

import sc_bridge as scb
from sc_bridge import elements

# mass0 [eV], q0 [e], kinetic energy [eV]
REFERENCES = {
    "proton 160 MeV": (938272089.43, 1.0, 160e6),
    "electron 100 MeV": (510998.95, -1.0, 100e6),
    "lead ion 1 GeV/u": (193687690162.6, 54.0, 208e9),
}

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

# class -> {id: keyword arguments}
ELEMENT_CASES: dict[type[elements.Element], dict[str, dict[str, Any]]] = {
    elements.Drift: {
        "expanded": {"length": 1.3},
        "exact": {"length": 1.3, "model": "exact"},
        "backwards": {"length": -0.4},
    },
    elements.Marker: {"marker": {}},
    elements.LimitEllipse: {"round": {"a": 0.04, "b": 0.04}, "flat": {"a": 0.04, "b": 0.02}},
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
        "no field": {"length": 1.6, "angle": 0.0},
        "no field exact": {"length": 1.6, "angle": 0.0, "model": "exact"},
        "straight": {"length": 0.6, "angle": 0.0, "k0": 1e-3, "k1": 0.3},
        "combined": {
            "length": 1.6,
            "angle": -0.03,
            "k1": 0.3,
            "k2": 1.0,
            "knl": [1e-3, 0.1, 0.3],
            "ksl": [1e-3, 0.2],
            "num_multipole_kicks": 10,
        },
    },
    elements.Multipole: {
        "kicker": {"knl": [1e-3], "ksl": [2e-3]},
        "octupole": {"knl": [0.0, 0.1, 3.0, 100.0], "ksl": [2e-3, 0.3]},
        "thin dipole": {"knl": [1e-3, 0.1], "ksl": [2e-3], "hxl": 0.02, "length": 0.3},
    },
    elements.Cavity: {
        "thin": {"voltage": 1e5, "frequency": 1e6, "line_length": 100.0, "phase": 0.3},
        "thick": {
            "voltage": 1e5,
            "frequency": 1e6,
            "line_length": 100.0,
            "phase": 0.5,
            "length": 0.7,
        },
        "two kicks": {
            "voltage": 1e5,
            "frequency": 1e6,
            "line_length": 100.0,
            "length": 0.7,
            "num_kicks": 2,
        },
    },
}

# strategies that must agree with `RecordAll`
ADJOINT_CASES = {
    "StoreStates": scb.StoreStates(),
    "Checkpoint every": scb.Checkpoint(every=4),
    "Checkpoint memory": scb.Checkpoint(memory="50 kB"),
    "Reversible": scb.Reversible(),
    "Reversible anchors": scb.Reversible(anchors=2),
}

CASES = [
    (kind, name, kwargs) for kind, rows in ELEMENT_CASES.items() for name, kwargs in rows.items()
]
CASE_IDS = [f"{kind.__name__}-{name}" for kind, name, _ in CASES]


def make_reference(name: str = "proton 160 MeV") -> elements.Reference:
    """Build one of `REFERENCES`."""
    return elements.Reference.from_kinetic_energy(*REFERENCES[name])


def random_bunch(
    n_particles: int = 20,
    amplitude: float = 1e-3,
    seed: int = 1,
    reference: elements.Reference | None = None,
) -> elements.Bunch:
    """Particles of normal coordinates, each of rms `amplitude` in m and 1."""
    generator = torch.Generator().manual_seed(seed)
    coordinates = torch.randn(6, n_particles, generator=generator, dtype=torch.float64)
    return elements.Bunch(coordinates * amplitude, reference or make_reference())


def _charged_bunch() -> elements.Bunch:
    """A bunch about as dense as that of the ring of the examples."""
    bunch = random_bunch(500)
    scale = torch.tensor([3.0, 1.0, 3.0, 1.0, 15e3, 0.5], dtype=torch.float64).unsqueeze(-1)
    weight = torch.tensor(3e9, dtype=torch.float64)
    return bunch.replace(coordinates=bunch.coordinates * scale, weight=weight)


# rules for where kicks go, for the ring of the examples
SLICING_CASES: dict[str, Any] = {
    "spacing": scb.MaxSpacing("1 m"),
    "a number": scb.KicksPerElement(3),
    "names and classes": scb.PerElement(
        {"Quadrupole": 4, "d*": "0.3 m", "d2": 1}, otherwise=scb.KicksPerElement(2)
    ),
    "betatron": scb.BetatronFraction("2 %"),
    "betatron from given optics": scb.BetatronFraction(0.02, scb.Twiss(5.6, 0.25, 4.3, 0.35)),
    "plasma": scb.PlasmaFraction(0.01, _charged_bunch()),
    "betatron in quadrupoles": scb.PerElement({"q?": scb.BetatronFraction(0.005)}),
}
