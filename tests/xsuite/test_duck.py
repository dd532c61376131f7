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


def test_variables_and_expressions_are_knobs_and_pulled():
    line = line_of()
    line.vars = {"kq": np.float64(0.1), "twice": "2.0 * vars['kq'] + f.sin(0.0)"}
    line.expressions = {"q.k1": "vars['twice'] + vars['kq']", "kick.knl[2]": "vars['kq']"}
    sequence = scb.KickedSequence.from_line(line)
    knob = sequence.knobs["kq"].requires_grad_()
    (sequence["q"].k1 + sequence["kick"].knl[2]).backward()
    assert knob.grad is not None
    assert knob.grad.item() == pytest.approx(4.0)
    line.vars["kq"], line.element_dict["q"].k1 = 0.2, 0.6
    line.element_dict["kick"]["knl"][2] = 0.2
    sequence.pull(line)
    assert (knob.item(), sequence["q"].k1.item()) == pytest.approx((0.2, 0.6))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"vars": [("kq", 0.1)]}, "vars is a list: must be a dictionary of numbers and text"),
        ({"expressions": "k"}, "expressions is a str: must be a dictionary"),
        ({"expressions": {"q.k1": "kq * 2"}}, r"q\.k1: .* Name is not allowed: .*vars\['name'\]"),
        ({"expressions": {"nose.k1": "1.0 * vars['kq']"}}, "nose.k1: .* there is no such element"),
        ({"expressions": {"q.k1": "vars['kq']"}}, r"q\.k1 = 0\.3 .* but its expression"),
        ({"vars": {"kq": object()}}, "cannot be described as JSON: object is no number"),
    ],
)
def test_variables_that_mean_nothing_are_refused(fields, message):
    line = line_of()
    line.vars = {"kq": 0.1}
    vars(line).update(fields)
    with pytest.raises(scb.ScBridgeError, match=message):
        from_line(line)


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
