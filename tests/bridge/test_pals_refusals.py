"""PALS documents that are refused, by table, and damaged ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sc_bridge.errors import ScBridgeError
from sc_bridge.lattice import Lattice
from sc_bridge.readers import read_lattice

Read = Callable[..., Lattice]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Read the text of a file."""

    def read_it(text: str, name: str = "ring.pals.yaml", **options: Any) -> Lattice:
        path = tmp_path / name
        path.write_text(text)
        return read_lattice(path, **options)

    return read_it


# ---- refusals ------------------------------------------------------------------------------

LINE = "- r: {kind: BeamLine, line: [x]}\n"
DRIFT = "- x: {kind: Drift, length: 1}\n"
LAUGHS = "a: &a [x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join([f'*{chr(97 + i)}'] * 9)}]\n" for i in range(9)
)
REFUSED: dict[str, tuple[str, str]] = {
    "not a lattice": ("just text", "the document is 'just text'"),
    "no yaml": ("a: [", "yaml:2: not valid YAML or JSON"),
    "an object": ("a: !!python/object/apply:os.system [x]", "tags are not read"),
    "laughs": (LAUGHS, "with aliases: refused"),
    "deep": ("[" * 200, "nested more than 100 levels"),
    "twice": ("a: 1\na: 2", "'a' is defined twice"),
    "no alias": ("- *a", "alias|anchor"),
    "a key": ("? [a]\n: b", "must be plain text"),
    "merge": ("a: {<<: 3}", "<< takes mappings"),
    "two documents": ("a: 1\n---\nb: 2", "a second document"),
    "no mapping": ("PALS: 3", "must be a mapping"),
    "a bad item": ("- [3]\n", "an item must be a mapping"),
    "no name": ("- {kind: Drift, length: 1}\n", "it has no name"),
    "no contents": ("- x:\n" + LINE, "x: has no contents"),
    "a number as an element": ("- x: 3\n" + LINE, "must be a mapping"),
    "no such element": (LINE, "'x' is not defined"),
    "no such kind": ("- x: {kind: Magnet}\n" + LINE, "kind 'Magnet' is not known"),
    "no parent": ("- x: {inherit: y}\n", "inherits from 'y', which is not defined"),
    "no line": ("- r: {kind: BeamLine, line: x}\n", "line must be a list"),
    "half an item": (DRIFT + "- r: {line: [x: {repeat: 1.5}]}\n", "must be an integer"),
    "an infinite repeat": (DRIFT + "- r: {line: [x: {repeat: 1e999}]}\n", "must be an integer"),
    "direction": (DRIFT + "- r: {line: [x: {direction: 2}]}\n", "must be 1 or -1"),
    "too many places": (DRIFT + "- r: {line: [x: {repeat: 1000000000}]}\n", "more than"),
    "a circle": ("- r: {line: [s]}\n- s: {line: [r]}\n- use: r\n", "a line contains itself"),
    "two lines": (DRIFT + LINE + "- s: {line: [x]}\n", r"holds 2 sequences \(r, s\)"),
    "no such lattice": (DRIFT + LINE + "- use: z\n", "'z' is no lattice and no line"),
    "no such branch": (DRIFT + "- l: {kind: Lattice, branches: [z]}\n", "'z' is no line"),
    "no reference": (
        "- x: {kind: Quadrupole, length: 1, MagneticMultipoleP: {Bn1: 1}}\n" + LINE,
        "needs the reference momentum",
    ),
    "species": (
        "- x: {kind: Marker, ReferenceP: {species_ref: muonium, pc_ref: 1e9}}\n" + LINE,
        "'muonium' is not known",
    ),
    "too little energy": (
        "- x: {kind: Marker, ReferenceP: {species_ref: proton, E_tot_ref: 1e6}}\n" + LINE,
        "must exceed the mass",
    ),
    "contradiction": (
        "- x: {kind: Bend, length: 1, BendP: {g_ref: 0.1, angle_ref: 0.2}}\n" + LINE,
        "give two of the three",
    ),
    "a name": ("- x: {kind: Drift, length: 2 * y}\n" + LINE, "'y' is not defined"),
    "a list": ("- x: {kind: Drift, length: [1]}\n" + LINE, "must be a number"),
    "an order": (
        "- x: {kind: Multipole, MagneticMultipoleP: {Kn1000L: 1}}\n" + LINE, "order above 100",
    ),
    "a variable twice": ("- variables: {a: 1}\n- variables: {a: 2}\n", "defined twice"),
    "a pattern": (DRIFT + LINE + "- sets: ['(a+)+>length': 1]\n", "only names, . and .* are"),
    "a set": (DRIFT + "- sets: [x: 1]\n" + LINE, "must be element>parameter"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_file_is_one_clear_line(read, case):
    text, match = REFUSED[case]
    with pytest.raises(ScBridgeError, match=match) as caught:
        read(text)
    assert "\n" not in str(caught.value)


LOST: dict[str, tuple[str, str]] = {
    "wiggler": ("- x: {kind: Wiggler, length: 1}\n" + LINE, "wiggler"),
    "patch": ("- x: {kind: Patch, PatchP: {x_offset: 1}}\n" + LINE, "patch"),
    "misalignment": (
        "- x: {kind: Quadrupole, length: 1, BodyShiftP: {x_rot: 1}}\n" + LINE, "misalignment",
    ),
    "faces": ("- x: {kind: Bend, length: 1, BendP: {g_ref: 0.1, h1: 1}}\n" + LINE, "BendP"),
    "an unknown key": ("- x: {kind: Drift, lenght: 1}\n" + LINE, "lenght"),
    "electric": (
        "- x: {kind: Quadrupole, length: 1, ElectricMultipoleP: {En1: 1}}\n" + LINE,
        "ElectricMultipoleP",
    ),
    "placement": (DRIFT + "- r: {line: [x: {placement: {offset: 1}}]}\n", "placement"),
    "superimpose": (DRIFT + LINE + "- superimpose: {place: x}\n", "superimpose"),
    "multipass": (DRIFT + "- r: {line: [x], multipass: true}\n", "multipass"),
    "an aperture": (
        "- x: {kind: Drift, ApertureP: {shape: CUSTOM_SHAPE}}\n" + LINE, "aperture",
    ),
    "relative": (
        DRIFT + LINE + "- p: {kind: Controller, control_type: RELATIVE, variables: {a: 1}, "
        "controls: [{parameter: x>length, expression: a}]}\n", "controller",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", LOST)
def test_what_has_no_counterpart_is_refused_unless_allowed(read, case):
    text, word = LOST[case]
    with pytest.raises(ScBridgeError, match=rf"would be lost: allow = \['{word}'\]"):
        read(text)
    assert word in {entry.word for entry in read(text, allow=[word]).left_out}
