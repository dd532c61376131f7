"""Tables of cases that feed the property tests: every class of element has a row."""

from __future__ import annotations

from typing import Any

import torch
from rf_cases import RF_CASES

import sc_bridge as scb
from frame_cases import FRAME_CASES
from magnet_cases import MAGNET_CASES
from sc_bridge import elements

# mass0 [eV], q0 [e], kinetic energy [eV]
REFERENCES = {
    "proton 160 MeV": (938272089.43, 1.0, 160e6),
    "electron 100 MeV": (510998.95, -1.0, 100e6),
    "lead ion 1 GeV/u": (193687690162.6, 54.0, 208e9),
}

# class -> {id: keyword arguments}
ELEMENT_CASES: dict[type[elements.Element], dict[str, dict[str, Any]]] = {
    **MAGNET_CASES,
    **FRAME_CASES,
    elements.Marker: {"marker": {}},
    **RF_CASES,
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
