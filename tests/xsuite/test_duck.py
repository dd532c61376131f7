"""Lines of another make, with element_names and element_dict."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import sc_bridge as scb
from sc_bridge.errors import LatticeError
from sc_bridge.xsuite import from_line


@dataclass
class Drift:
    length: float


@dataclass
class Quadrupole:
    length: float
    k1: float
    _cache: Any = None


class Marker:
    """Says what it is itself."""

    def to_dict(self):
        return {"__class__": "Marker"}


PROTON = {"mass0": 938272088.16, "q0": 1.0, "p0c": np.array([5.7e8])}


def line_of(**more: Any) -> Any:
    elements = {
        "q": Quadrupole(0.5, np.float64(0.3)),
        "d": Drift(1.0),
        "m": Marker(),
        "kick": {"__class__": "Multipole", "knl": np.array([0.0, 0.0, 0.1])},
    } | more
    return SimpleNamespace(
        element_names=["q", "d", "kick", "m", "d"], element_dict=elements, particle_ref=PROTON
    )


def test_objects_dictionaries_and_classes_are_read():
    lattice = from_line(line_of())
    assert [r.kind for r in lattice.records] == [
        "Quadrupole", "Drift", "Multipole", "Marker", "Drift",
    ]  # fmt: skip
    assert lattice.length == 2.5
    sequence = scb.KickedSequence.from_line(line_of())
    assert sequence["q"].k1.item() == 0.3
    assert torch.equal(sequence["kick"].knl, torch.tensor([0.0, 0.0, 0.1], dtype=torch.float64))
    assert sequence.reference.p0c.item() == 5.7e8


def test_a_reference_may_have_attributes_or_be_given():
    line = line_of()
    line.particle_ref = SimpleNamespace(**PROTON)
    assert scb.KickedSequence.from_line(line).reference.q0.item() == 1.0
    line.particle_ref = None
    proton = scb.reference("proton", kinetic_energy="160 MeV")
    assert scb.KickedSequence.from_line(line, reference=proton).reference is proton
    with pytest.raises(LatticeError, match=r"no particle_ref: set line\.particle_ref = xt\.Part"):
        scb.KickedSequence.from_line(line)


def test_an_attribute_that_means_nothing_here_is_refused():
    odd = Drift(1.0)
    odd.radius = 0.1  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(LatticeError, match=r"d: Drift\.radius = 0\.1 has no counterpart here"):
        scb.KickedSequence.from_line(line_of(d=odd))


def test_a_class_that_is_not_known_is_refused():
    @dataclass
    class Wiggler:
        length: float

    with pytest.raises(LatticeError, match="element class 'Wiggler' is not supported"):
        scb.KickedSequence.from_line(line_of(d=Wiggler(1.0)))


def test_a_dictionary_without_class_is_refused():
    with pytest.raises(LatticeError, match="d: a dictionary without __class__"):
        from_line(line_of(d={"length": 1.0}))


def test_what_is_no_number_is_refused():
    with pytest.raises(LatticeError, match="cannot be described as JSON: object is no number"):
        from_line(line_of(d=Drift(object())))  # pyright: ignore[reportArgumentType]
    line = line_of()
    line.particle_ref = {"mass0": "heavy", "q0": 1.0, "p0c": 1.0}
    with pytest.raises(LatticeError, match=r"particle_ref\.mass0 = 'heavy': must be a number"):
        from_line(line)


def test_xtrack_is_not_needed():
    code = (
        "import sys, types, sc_bridge as scb\n"
        "sys.modules['xtrack'] = sys.modules['xfields'] = None\n"
        "line = types.SimpleNamespace(element_names=['d'], element_dict={'d': {"
        "'__class__': 'Drift', 'length': 2.0}},"
        " particle_ref={'mass0': 1e9, 'q0': 1, 'p0c': 1e9})\n"
        "assert scb.KickedSequence.from_line(line).length == 2.0\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
