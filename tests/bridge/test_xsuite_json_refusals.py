"""Xsuite JSON that cannot be read: one line that says why and where, however it was damaged."""

from __future__ import annotations

import copy
import gzip
import json
import math
from pathlib import Path
from random import Random
from typing import Any

import pytest
from xsuite_lines import environment, line, read_it

from sc_bridge.errors import ExpressionError, LatticeError
from sc_bridge.knobs import Knobs
from sc_bridge.readers import files, read_lattice


@pytest.fixture
def read(tmp_path, monkeypatch):
    """Write to ring.json, in a folder of its own, and read it."""
    monkeypatch.chdir(tmp_path)
    return read_it


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
