"""Readers: what a file says is in the lattice, and what cannot be read says why and where."""

from __future__ import annotations

import copy
import gzip
import json
import math
import os
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch

from sc_bridge.errors import ExpressionError, LatticeError
from sc_bridge.expressions import Variable
from sc_bridge.knobs import FieldDriver, Knobs
from sc_bridge.lattice import Lattice, Record, ReferenceFields
from sc_bridge.readers import files, read_lattice

ROOT = Path(__file__).parents[2]
LATTICES = Path(os.environ.get("SC_BRIDGE_LATTICES", ROOT / ".." / "shared" / "lattices"))
LENGTH = 1e-9  # m, sums of a thousand float64 lengths

PARTICLE = {"mass0": 938272089.43, "q0": 1.0, "p0c": [5.7e8], "reference_turns": math.nan}


def line(**changes: Any) -> dict[str, Any]:
    """A small line: two quadrupoles of one knob, a repeated drift and a multipole."""
    return {
        "__class__": "Line",
        "elements": {
            "d": {"__class__": "Drift", "length": 1.5, "prototype": "drift"},
            "q": {"__class__": "Quadrupole", "length": 0.5, "k1": 0.6, "order": 5},
            "m": {"__class__": "Multipole", "length": 0.2, "knl": [0.0, 0.01, 0.06]},
            "unused": {"__class__": "Whatever", "k1": 1.0},
        },
        "element_names": ["d", "q", "d", "m", "q"],
        "particle_ref": PARTICLE,
        "config": {"XTRACK_GLOBAL_XY_LIMIT": 1.0, "XTRACK_MULTIPOLE_NO_SYNRAD": True},
        "_extra_config": {"_radiation_model": None, "enable_time_dependent_vars": False},
        "_var_management_data": {
            "var_values": {"__vary_default": {}, "kq": 0.3, "k2": 0.6, "t_turn_s": 0.0}
        },
        "_var_manager": [
            ["vars['k2']", "(vars['kq'] * 2.0)"],
            ["element_refs['q'].k1", "vars['k2']"],
            ["element_refs['m'].knl[2]", "(vars['k2'] / 10)"],
            ["element_refs['unused'].k1", "vars['kq']"],
            ["element_refs['q'].extra['note']", "vars['kq']"],
            ["particles['other'].p0c", "vars['kq']"],
        ],
    } | changes


@pytest.fixture
def read(tmp_path, monkeypatch):
    """Write JSON (or text, or bytes) to ring.json and read it."""
    monkeypatch.chdir(tmp_path)

    def read_it(content: Any, name: str = "ring.json", **choice: Any) -> Lattice:
        if isinstance(content, bytes):
            Path(name).write_bytes(content)
        else:
            text = content if isinstance(content, str) else json.dumps(content, indent=1)
            Path(name).write_text(text)
        return read_lattice(name, **choice)

    return read_it


# ---- what is read --------------------------------------------------------------------------


def test_a_line_is_read_in_order_with_repeated_names(read):
    lattice = read(line())
    assert lattice.element_names == lattice.labels == ("d", "q", "d", "m", "q")
    assert [record.kind for record in lattice.records] == [
        "Drift", "Quadrupole", "Drift", "Multipole", "Quadrupole",
    ]  # fmt: skip
    assert lattice.records[1] is lattice.records[4]
    assert set(lattice.elements) == {"d", "q", "m"}
    assert lattice.elements["q"].fields == {"length": 0.5, "k1": 0.6, "order": 5}
    assert lattice.elements["d"].fields == {"length": 1.5}
    assert (lattice.source, lattice.format, lattice.name) == ("ring.json", "xsuite-json", "")
    assert lattice.reference == ReferenceFields(938272089.43, 1.0, 5.7e8)


def test_a_thin_multipole_takes_no_length(read):
    assert read(line()).length == 4.0


def test_places_name_file_line_and_element(read):
    lattice = read(line())
    text = Path("ring.json").read_text().splitlines()
    for name, record in lattice.elements.items():
        assert record.line is not None
        assert f'"{name}": {{' in text[record.line - 1]
    assert lattice.place("q") == f"ring.json:{lattice.elements['q'].line}: q"
    assert lattice.place("nowhere") == "ring.json: nowhere"


def test_a_file_of_one_line_has_no_line_numbers(read):
    lattice = read(json.dumps(line()))
    assert lattice.elements["q"].line is None
    assert lattice.place("q") == "ring.json: q"


def test_names_with_quotes_and_backslashes_have_their_line(read):
    name = 'q"\\1'
    content = line(element_names=[name], elements={name: {"__class__": "Drift", "length": 1.0}})
    record = read(content | {"_var_manager": []}).elements[name]
    assert json.dumps(name) in Path("ring.json").read_text().splitlines()[record.line - 1]


def test_variables_and_expressions_are_kept(read):
    lattice = read(line())
    assert lattice.variables == {"kq": 0.3, "k2": 0.6, "t_turn_s": 0.0}
    assert list(lattice.expressions) == ["k2"]
    assert str(lattice.expressions["k2"]) == "kq * 2"
    assert lattice.field_expressions[("q", "k1", None)] == Variable("k2")
    assert set(lattice.field_expressions) == {("q", "k1", None), ("m", "knl", 2)}


def test_a_compressed_file_reads_the_same(read):
    packed = gzip.compress(json.dumps(line(), indent=1).encode())
    assert read(packed, "ring.json.gz").elements == read(line()).elements


def test_the_wrapper_with_a_particle_is_a_line(read):
    bare = line()
    particle = bare.pop("particle_ref")
    lattice = read({"line": bare, "particle": particle})
    assert lattice.length == 4.0
    assert lattice.reference == ReferenceFields(938272089.43, 1.0, 5.7e8)


def environment(*names: str) -> dict[str, Any]:
    whole = line()
    parts = {"element_names": whole.pop("element_names"), "config": whole.pop("config")}
    del whole["particle_ref"]
    lines = {name: parts | {"particle_ref": "beam"} for name in names}
    return whole | {"__class__": "Environment", "lines": lines, "particles": {"beam": PARTICLE}}


def test_the_only_line_of_an_environment_is_read(read):
    lattice = read(environment("ring"))
    assert lattice.name == "ring"
    assert lattice.length == 4.0
    assert lattice.reference is not None
    assert lattice.reference.p0c == 5.7e8


def test_one_of_several_lines_is_chosen_by_name(read):
    assert read(environment("ring", "transfer"), sequence="transfer").name == "transfer"


def test_replicas_are_the_element_that_they_stand_for(read):
    content = line(element_names=["q", "q..1", "q..2"])
    content["elements"] |= {
        "q..1": {"__class__": "Replica", "parent_name": "q"},
        "q..2": {"__class__": "Replica", "parent_name": "q..1"},
    }
    content["_var_manager"] = [["element_refs['q..2'].k1", "vars['k2']"]]
    lattice = read(content)
    assert lattice.element_names == ("q", "q", "q")
    assert lattice.labels == ("q", "q..1", "q..2")
    assert set(lattice.field_expressions) == {("q", "k1", None)}
    assert lattice.length == 1.5


def test_slices_keep_their_parent(read):
    content = line(element_names=["s", "d1", "s"])
    content["elements"] |= {
        "s": {"__class__": "ThickSliceQuadrupole", "parent_name": "q..1", "weight": 0.25},
        "d1": {"__class__": "DriftSliceQuadrupole", "parent_name": "q", "weight": 0.5},
        "q..1": {"__class__": "Replica", "parent_name": "q"},
    }
    lattice = read(content)
    assert lattice.elements["s"].fields["parent_name"] == "q"
    assert "q" in lattice.elements
    assert ("q", "k1", None) in lattice.field_expressions
    assert lattice.length == pytest.approx(0.5, abs=LENGTH)


def test_a_list_of_elements_is_read_as_old_files_have_it(read):
    content = line(element_names=["d", "q", "d"], _var_manager=[])
    elements = content["elements"]
    content["elements"] = [elements["d"], elements["q"], elements["d"]]
    assert read(content).length == 3.5


def test_a_field_on_the_right_hand_side_drives_itself_too(read):
    content = line()
    content["elements"]["q2"] = {"__class__": "Quadrupole", "length": 0.5, "k1": 1.0}
    content["element_names"].append("q2")
    content["_var_manager"] = [
        ["element_refs['q2'].k1", "(2 * element_refs['q'].length)"],
        ["element_refs['m'].knl[1]", "(0.01 * element_refs['q2'].k1)"],
        ["element_refs['unused'].k1", "element_refs['d'].length"],
    ]
    lattice = read(content)
    assert lattice.field_variables == {
        "q.length": ("q", "length", None),
        "q2.k1": ("q2", "k1", None),
    }
    knobs = Knobs(lattice)
    slope = knobs["q.length"].requires_grad_()
    driver = FieldDriver(knobs, {1: lattice.field_expressions[("m", "knl", 1)]})
    assert driver.knobs == ("q.length",)
    driver(torch.tensor(lattice.elements["m"].fields["knl"]))[1].backward()
    assert slope.grad is not None
    assert slope.grad.item() == 0.02
    assert lattice.field_expressions[("q", "length", None)] == Variable("q.length")


def test_a_field_that_the_file_leaves_out_refers_to_zero(read):
    content = line(_var_manager=[["element_refs['m'].knl[1]", "(0.01 + element_refs['q'].k1s)"]])
    assert read(content).variables["q.k1s"] == 0.0


def test_an_rbend_takes_the_length_of_its_arc():
    def of(**fields: float) -> float:
        record = Record("b", "RBend", fields)
        return Lattice("ring", "test", "", {"b": record}, ("b",)).length

    assert of(length_straight=2.0, angle=0.0) == 2.0
    # chord 2 R sin(angle/2)
    assert of(length_straight=2.0, angle=0.3) == pytest.approx(0.3 / math.sin(0.15), rel=1e-15)
    assert of(length=1.2) == 1.2


def test_a_lattice_shows_its_size(read):
    assert repr(read(line())) == "Lattice('ring.json', 5 places, 3 elements, 3 variables)"
    assert "line 'ring'" in repr(read(environment("ring")))


# ---- real machines -------------------------------------------------------------------------

MACHINES = {
    "psr line": ("los_alamos_psr/psr_line_generated.json", None, 90.224),
    "psr environment": ("los_alamos_psr/psr_environment_generated.json", "ring2", 90.224),
    "sps": ("sps/line_no_spacecharge_and_particle.json", None, 6911.5038),
    "sps with space charge": ("sps/line_with_spacecharge_and_particle.json", None, 6911.5038),
}


@pytest.mark.parametrize("machine", MACHINES)
def test_a_real_machine_has_its_length_and_reads_in_seconds(machine):
    path, name, length = MACHINES[machine]
    lattice = read_lattice(LATTICES / path, sequence=name)
    assert lattice.length == pytest.approx(length, abs=1e-6)
    assert lattice.reference is not None
    assert all(record.line for record in lattice.elements.values())


def test_the_sps_has_the_elements_of_its_oracle():
    oracle = json.loads((LATTICES / "sps" / "oracle.json").read_text())
    lattice = read_lattice(LATTICES / "sps" / "line_no_spacecharge_and_particle.json")
    assert Counter(r.kind for r in lattice.records) == oracle["no_spacecharge"]["element_counts"]
    assert lattice.reference is not None
    assert lattice.reference.p0c == oracle["particle"]["p0c"][0]
    assert lattice.length == pytest.approx(oracle["no_spacecharge"]["full_bend_model"]["length"])
    charged = read_lattice(LATTICES / "sps" / "line_with_spacecharge_and_particle.json")
    kicks = [r for r in charged.records if r.kind == "SpaceChargeBiGaussian"]
    assert len(kicks) == oracle["space_charge"]["n"]


def test_the_psb_has_the_magnets_of_the_machine():
    lattice = read_lattice(ROOT / "examples" / "psb" / "psb.json")
    kinds = Counter(record.kind for record in lattice.records)
    assert kinds == {"Drift": 80, "Quadrupole": 48, "Bend": 32, "Cavity": 1}
    assert lattice.length == pytest.approx(157.08, abs=LENGTH)
    driven = {expression: key for key, expression in lattice.field_expressions.items()}
    names = Counter(lattice.element_names)
    assert names[driven[Variable("kbrqf")][0]] == 32
    assert names[driven[Variable("kbrqd")][0]] == 16
    assert min(lattice.length_of(n) for n in lattice.elements if n.startswith("d")) > 0.3


# ---- what is refused -----------------------------------------------------------------------


def changed(path: str, value: Any) -> dict[str, Any]:
    """The small line with one entry set; the path is keys joined by slashes."""
    content = copy.deepcopy(line())
    *parents, last = path.split("/")
    inner: Any = content
    for key in parents:
        inner = inner[key]
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return content


NESTED: dict[str, Any] = {"__class__": "Replica", "parent_name": "q"}
REFUSED: dict[str, tuple[Any, str]] = {
    "not json": ("{", r"^ring\.json:1:2: not valid JSON: "),
    "cut short": (json.dumps(line(), indent=1)[:300], r"^ring\.json:\d+:\d+: not valid JSON: "),
    "empty": ("", r"^ring\.json:1:1: not valid JSON: "),
    "binary": (b"\xff\xfe\x00\x01", r"^ring\.json: not a text file: byte 0 is not UTF-8$"),
    "deep": ("[" * 100_000, "too deeply nested|not valid JSON"),
    "huge integer": (changed("elements/q/k1", 10**400), r"q\.k1 = inf: must be finite"),
    "list": ([1], "the top level must be an object"),
    "number": (1, "the top level must be an object"),
    "another format": ({"root": "ares", "lattices": {}}, r"neither 'lines' nor .*\(keys: 'root', "),
    "nothing": ({}, r"not an Xsuite Line or Environment.*\(keys: none\)"),
    "lines not an object": ({"lines": [1]}, "'lines' must be an object of lines"),
    "two lines": (environment("a", "b"), r"holds 2 lines \(a, b\): choose one with sequence="),
    "no lines": (environment(), r"holds 0 lines \(none\)"),
    "composing": (changed("element_names", "__COMPOSE__"), r"call line\.end_compose\(\)"),
    "names not a list": (changed("element_names", {"a": 1}), "'element_names' must be a list"),
    "names not strings": (changed("element_names", ["d", 1]), "'element_names' must be a list"),
    "no names": (changed("element_names", []), "the line has no elements"),
    "elements not an object": (changed("elements", 3), "'elements' must be an object"),
    "list of another length": (changed("elements", [{}]), "1 elements for 5 element_names"),
    "list that disagrees": (
        line(elements=[{"__class__": "Drift", "length": n} for n in range(5)]),
        "two different elements are called 'd': rename",
    ),
    "undefined element": (
        changed("element_names", ["d", "qq"]),
        "element 'qq' is in the line but is not defined: did you mean 'q'",
    ),
    "no class": (changed("elements/q/__class__", None), "element 'q' has no __class__"),
    "element not an object": (changed("elements/q", 3), "element 'q' has no __class__"),
    "orphan replica": (
        changed("elements/q", {"__class__": "Replica", "parent_name": "zz"}),
        "element 'zz' is the parent of 'q' but is not defined",
    ),
    "slice of nothing": (
        changed("elements/q", {"__class__": "ThickSliceBend", "parent_name": 3}),
        "q: a ThickSliceBend of 3: its parent_name must be a whole element",
    ),
    "slice of itself": (
        changed("elements/q", {"__class__": "ThinSliceBend", "parent_name": "q"}),
        "q: a ThinSliceBend of q: its parent_name must be a whole element",
    ),
    "replica of nothing": (changed("elements/q", {"__class__": "Replica"}), "without a parent_nam"),
    "replicas in a circle": (changed("elements/q", NESTED), "replicas of each other: q -> q"),
    "not finite": (changed("elements/q/k1", math.nan), r"ring\.json:\d+: q\.k1 = nan: must be fin"),
    "not finite inside": (changed("elements/m/knl", [0, math.inf]), r"m\.knl = .*must be finite"),
    "no reference by that name": (
        changed("particle_ref", "beam"),
        "the reference particle 'beam' is not defined",
    ),
    "reference not an object": (changed("particle_ref", 3), "must be an object or a name"),
    "reference without mass": (changed("particle_ref/mass0", "x"), r"mass0 = x: must be a number"),
    "reference without momentum": (changed("particle_ref/p0c", []), r"p0c = \[\]: must be a numb"),
    "reference at rest": (changed("particle_ref/p0c", [0.0]), "must be positive"),
    "other drifts": (
        changed("config/XTRACK_USE_EXACT_DRIFTS", True),
        r"XTRACK_USE_EXACT_DRIFTS = True, .*configure_drift_model\('exact'\)",
    ),
    "limit": (
        changed("config/XTRACK_GLOBAL_XY_LIMIT", 0.05),
        r"loses particles beyond XTRACK_GLOBAL_XY_LIMIT = 0\.05 m, .*put apertures there",
    ),
    "frozen": (changed("config/FREEZE_LONGITUDINAL", True), "FREEZE_LONGITUDINAL.*switch it off"),
    "radiating": (changed("config/XTRACK_MULTIPOLE_NO_SYNRAD", False), "the line radiates"),
    "radiation model": (
        changed("_extra_config/_radiation_model", "mean"),
        "radiation_model = 'mean', which is not supported",
    ),
    "time": (changed("_extra_config/enable_time_dependent_vars", True), "enable_time_dependent"),
    "config": (changed("config", [1]), "'config' must be an object"),
    "management": (changed("_var_management_data", [1]), "_var_management_data must be an object"),
    "values": (changed("_var_management_data/var_values", 1), "var_values must be an object"),
    "manager": (changed("_var_manager", [["vars['a']"]]), "must be a list of .target, expression"),
    "stale value": (
        changed("elements/q/k1", 0.7),
        r"ring\.json:\d+: q\.k1 = 0\.7 in the file, but its expression 'k2' gives 0\.6: load",
    ),
    "stale component": (
        changed("elements/m/knl", [0.0, 0.0, 0.1]),
        r"ring\.json:\d+: m\.knl\[2\] = 0\.1 in the file",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_file_is_one_clear_line(read, case):
    content, match = REFUSED[case]
    with pytest.raises(LatticeError, match=match) as caught:
        read(content)
    message = str(caught.value)
    assert "ring.json" in message
    assert "\n" not in message
    assert len(message) < 700


def defined(left: str, right: Any) -> dict[str, Any]:
    return line(_var_manager=[[left, right]])


BAD_EXPRESSIONS: dict[str, tuple[dict[str, Any], str]] = {
    "hostile variable": (
        defined("vars['k2']", "__import__('os').system('touch owned')"),
        r"^ring\.json: variable 'k2': expression \"__import__\('os'\).*may be called",
    ),
    "hostile field": (
        defined("element_refs['q'].k1", "f.__class__"),
        r"^ring\.json:\d+: q\.k1: expression 'f.__class__': a reference that is not allowed",
    ),
    "hostile target": (defined("__import__('os').x", "1"), r"^ring\.json: cannot drive .*__import"),
    "huge power": (
        defined("element_refs['q'].k1", "9**9**9**9"),
        r"^ring\.json:\d+: q\.k1: expression '9\*\*9\*\*9\*\*9': .*no finite real value",
    ),
    "huge power in a variable": (
        line(_var_manager=[["vars['k2']", "9**9**9"], ["element_refs['q'].k1", "vars['k2']"]]),
        r"^ring\.json: variable 'k2': expression '9\*\*9\*\*9': .*no finite real value",
    ),
    "not a string": (defined("vars['k2']", 3), "variable 'k2': expression '3': must be a string"),
    "undefined variable": (
        defined("element_refs['q'].k1", "vars['nothing']"),
        r"q\.k1: expression 'nothing': variable 'nothing' is not defined",
    ),
    "variable without a number": (
        defined("element_refs['q'].k1", "vars['__vary_default']"),
        "variable '__vary_default' is not defined",
    ),
    "cycle": (
        line(_var_manager=[["vars['a']", "vars['b']"], ["vars['b']", "vars['a']"]]),
        r"^ring\.json: variables define each other: a -> b -> a",
    ),
    "field of itself": (
        defined("element_refs['q'].k1", "(2 * element_refs['q'].k1)"),
        r"variables define each other: q\.k1 -> q\.k1",
    ),
    "field of nothing": (
        defined("element_refs['q'].k1", "element_refs['zz'].k1"),
        r"refers to zz\.k1: no element 'zz'",
    ),
    "derived field": (
        line(
            elements=line()["elements"] | {"b": {"__class__": "RBend", "length": 1.0}},
            _var_manager=[["element_refs['q'].k1", "element_refs['b'].length"]],
        ),
        r"refers to b\.length, for which the file states no number of its own",
    ),
    "text field": (
        defined("element_refs['q'].k1", "element_refs['q'].model"),
        r"refers to q\.model, for which the file states no number",
    ),
    "name taken": (
        defined("element_refs['q'].k1", "element_refs['d'].length")
        | {"_var_management_data": {"var_values": {"d.length": 1.0}}},
        r"refers to d\.length, and a variable has that name",
    ),
}


@pytest.mark.parametrize("case", BAD_EXPRESSIONS)
def test_a_bad_expression_is_an_expression_error_that_names_the_place(read, case):
    content, match = BAD_EXPRESSIONS[case]
    with pytest.raises(ExpressionError, match=match) as caught:
        read(content)
    assert "\n" not in str(caught.value)
    assert not Path("owned").exists()


def test_a_variable_that_is_not_finite_is_refused_where_it_is_used(read):
    content = changed("_var_management_data/var_values/kq", math.nan)
    with pytest.raises(ExpressionError, match=r"variable 'k2': .* \(operands nan, 2\)"):
        read(content)
    content["_var_manager"] = [["element_refs['q'].k1", "vars['kq']"]]
    with pytest.raises(ExpressionError, match=r"q\.k1: expression 'kq': a variable in it is nan"):
        read(content)
    content["_var_manager"] = []
    assert read(content).length == 4.0


def test_an_expression_that_drives_a_missing_element_is_refused(read):
    with pytest.raises(LatticeError, match=r"zz\.k1: an expression drives it, and there is no su"):
        read(defined("element_refs['zz'].k1", "1.0"))


def test_an_expression_that_drives_the_reference_is_refused(read):
    content = environment("ring")
    content["_var_manager"] = [["particles['beam'].p0c", "vars['kq']"]]
    with pytest.raises(LatticeError, match=r"drives particles\['beam'\], which cannot follow a va"):
        read(content)


def test_a_length_that_is_not_a_number_is_refused_where_it_counts(read):
    lattice = read(changed("elements/d/length", "long"))
    with pytest.raises(LatticeError, match=r"ring\.json:\d+: d: length = 'long': the length needs"):
        _ = lattice.length


def test_a_length_beyond_all_floats_is_refused(read):
    lattice = read(changed("elements/d/length", 1e308))
    with pytest.raises(LatticeError, match=r"ring\.json:\d+: d: length = 1e\+308 m: too long"):
        _ = lattice.length


def test_a_key_twice_in_an_object_is_refused(read):
    text = '{"elements": {"q": {"__class__": "Drift"}, "q": {}}, "element_names": ["q"]}'
    with pytest.raises(LatticeError, match=r"ring\.json: 'q' is defined twice: keep one"):
        read(text)


def test_a_line_that_the_file_does_not_have_is_refused(read):
    with pytest.raises(LatticeError, match="no line 'x': the file holds a, b"):
        read(environment("a", "b"), sequence="x")
    with pytest.raises(LatticeError, match="no line 'x': the file holds a single unnamed line"):
        read(line(), sequence="x")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(LatticeError, match=r"lattice file .*nothing\.json does not exist"):
        read_lattice(tmp_path / "nothing.json")


def test_a_folder_is_refused(tmp_path):
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(LatticeError, match=r"folder\.json is a folder: name a file in it"):
        read_lattice(tmp_path / "folder.json")


def test_a_path_that_cannot_be_opened_is_refused():
    with pytest.raises(LatticeError, match="cannot be read: "):
        read_lattice("\0.json")


@pytest.mark.parametrize("keep", [5, 40, 100])
def test_a_damaged_gzip_file_is_refused(read, keep):
    packed = gzip.compress(json.dumps(line()).encode())[:keep]
    with pytest.raises(LatticeError, match=r"ring\.json\.gz: not a whole gzip file: "):
        read(packed, "ring.json.gz")
    with pytest.raises(LatticeError, match=r"ring\.json\.gz: not a whole gzip file: "):
        read(b"{}", "ring.json.gz")


def test_a_file_that_unpacks_to_too_much_is_refused(read, monkeypatch):
    monkeypatch.setattr(files, "MAX_BYTES", 2**20)
    bomb = gzip.compress(b" " * (2**20 + 1))
    assert len(bomb) < 2000
    with pytest.raises(LatticeError, match="more than 1 MiB of text: too large to read"):
        read(bomb, "ring.json.gz")


def test_an_unknown_suffix_or_format_lists_what_is_known(read):
    known = r"known formats are xsuite-json \(\.json, \.json\.gz\)"
    with pytest.raises(LatticeError, match=rf"suffix '\.xyz' .*: {known}.*; name one with format="):
        read("no lattice", "ring.xyz")
    with pytest.raises(LatticeError, match=rf"format 'yaml' is not known: {known}"):
        read(line(), format="yaml")
    assert read(line(), "ring.lat", format="xsuite-json").length == 4.0
    assert read(line(), "ring.lattice").length == 4.0


# ---- mutations -----------------------------------------------------------------------------

ODD_VALUES: list[Any] = [
    None, 1, -1, 1e308, 10**400, math.nan, True, "x", "", "q", [], {}, [1], ["q"], {"a": 1},
    "vars['kq']", "element_refs['q'].knl[5]", "\ud800",
    {"__class__": "Replica", "parent_name": "q"}, {"__class__": "ThinSliceBend", "parent_name": []},
]  # fmt: skip


def places(content: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    keys = content.keys() if isinstance(content, dict) else ()
    keys = range(len(content)) if isinstance(content, list) else keys
    return [path, *(place for key in keys for place in places(content[key], (*path, key)))]


@pytest.mark.parametrize("seed", range(10))
def test_a_mutated_file_is_a_lattice_or_an_error_of_ours(read, seed):
    random = Random(seed)
    messages: list[str] = []
    for _ in range(30):
        content = copy.deepcopy(random.choice([line(), environment("a"), {"line": line()}]))
        for _ in range(random.randint(1, 3)):
            *parents, last = random.choice(places(content)[1:] or [()]) or [None]
            inner: Any = content
            for key in parents:
                inner = inner[key]
            if last is not None and random.random() < 0.3:
                inner.pop(last)
            elif last is not None:
                inner[last] = copy.deepcopy(random.choice(ODD_VALUES))
        try:
            lattice = read(content)
            Knobs(lattice)
            assert math.isfinite(lattice.length)
        except LatticeError as error:
            messages.append(str(error))
    assert messages
    assert not any("\n" in message for message in messages)
