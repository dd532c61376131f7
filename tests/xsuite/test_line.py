"""Live lines: `from_line` and the file reader see the machine that xtrack sees."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest
import xfields as xf
import xtrack as xt

from sc_bridge.errors import ExpressionError, LatticeError, ScBridgeError
from sc_bridge.kinds import OWN_KICK
from sc_bridge.knobs import Knobs
from sc_bridge.lattice import THIN_WITH_LENGTH, Lattice, Record
from sc_bridge.readers import read_lattice
from sc_bridge.xsuite import from_line
from sc_bridge.xsuite import xtrack as adapter

PSB = Path(__file__).parents[2] / "examples" / "psb" / "psb.json"
LENGTH = 1e-9  # m, sums of hundreds of float64 lengths


@pytest.fixture
def environment() -> xt.Environment:
    env = xt.Environment()
    env.particle_ref = xt.Particles("proton", kinetic_energy0=160e6)
    env["kq"], env["shift"] = 0.3, 1e-3
    env["kd"] = "-1.02 * kq + 0.1 * sin(shift)"
    env.new("qf", "Quadrupole", length=0.5, k1="kq")
    env.new("qd", "Quadrupole", length=0.5, k1="kd", knl=[0, 0, "kq * 0.1"])
    env.new("b", "RBend", length_straight=1.5, angle=0.2, rbend_angle_diff=0.05)
    env.new("d", "Drift", length=1.0)
    env.new("qf2", "qf", mode="replica")
    env.new_line(name="ring", components=["qf", "d", "b", "d", "qd", "d", "qf2"])
    env["ring"].composer = None
    return env


def test_a_live_line_is_read_with_its_variables(environment):
    lattice = from_line(environment["ring"])
    assert lattice.source == "line 'ring'"
    assert lattice.name == "ring"
    assert lattice.element_names == ("qf", "d", "b", "d", "qd", "d", "qf")
    assert lattice.labels[-1] == "qf2"
    assert lattice.length == pytest.approx(environment["ring"].get_length(), abs=LENGTH)
    assert lattice.variables["kd"] == environment["kd"]
    assert set(lattice.field_expressions) == {
        ("qf", "k1", None), ("qd", "k1", None), ("qd", "knl", 2),
    }  # fmt: skip
    assert lattice.reference is not None
    assert lattice.reference.p0c == environment.particle_ref.p0c[0]


def test_knobs_follow_as_xdeps_does(environment):
    knobs = Knobs(from_line(environment["ring"]))
    environment["kq"] = 0.37
    knobs["kq"] = 0.37
    assert knobs.value("kd").item() == environment["kd"]


@pytest.mark.parametrize("whole", [False, True], ids=["Line", "Environment"])
def test_a_saved_file_and_the_live_line_are_one_lattice(environment, tmp_path, whole):
    path = tmp_path / "ring.json"
    (environment if whole else environment["ring"]).to_json(path)
    live, saved = from_line(environment["ring"]), read_lattice(path)
    for name in ("element_names", "labels", "expressions", "field_expressions", "reference"):
        assert getattr(saved, name) == getattr(live, name), name
    assert saved.variables == live.variables
    assert {r.name: (r.kind, r.fields) for r in saved.elements.values()} == {
        r.name: (r.kind, r.fields) for r in live.elements.values()
    }


def test_the_psb_file_is_the_ring_that_xtrack_loads():
    line = xt.load(PSB)
    lattice = read_lattice(PSB)
    twiss = line.twiss4d()
    assert twiss.qx == pytest.approx(4.39999999893, abs=1e-9)
    assert twiss.qy == pytest.approx(4.44999999989, abs=1e-9)
    assert lattice.length == pytest.approx(line.get_length(), abs=LENGTH)
    assert lattice.element_names == tuple(line.element_names)
    live = from_line(line)
    assert live.field_expressions == lattice.field_expressions
    assert {n: r.fields for n, r in live.elements.items()} == {
        n: r.fields for n, r in lattice.elements.items()
    }


def test_the_psb_script_writes_the_file_in_the_repository(tmp_path):
    script = tmp_path / "make_psb.py"
    script.write_text((PSB.parent / "make_psb.py").read_text())
    subprocess.run([sys.executable, str(script)], check=True, capture_output=True)
    written = json.loads((tmp_path / "psb.json").read_text())
    committed = json.loads(PSB.read_text())
    for key in ("elements", "element_names", "_var_manager", "_var_management_data"):
        assert written[key] == committed[key]


def test_sliced_lines_keep_their_length(environment):
    ring = environment["ring"]
    ring.slice_thick_elements([xt.Strategy(xt.Teapot(3, mode="thick"))])
    assert from_line(ring).length == pytest.approx(ring.get_length(), abs=LENGTH)
    assert any(r.kind == "ThickSliceQuadrupole" for r in from_line(ring).records)


def test_an_expression_of_another_field_reads_as_xdeps_evaluates_it(environment):
    ref = environment.ref
    ref["qd"].knl[1] = 0.01 * ref["qf"].k1 * ref["qf"].length
    lattice = from_line(environment["ring"])
    assert lattice.field_variables == {
        "qf.k1": ("qf", "k1", None),
        "qf.length": ("qf", "length", None),
    }
    environment["kq"] = 0.4
    knobs = Knobs(lattice)
    knobs["kq"] = 0.4
    value = lattice.field_expressions[("qd", "knl", 1)].evaluate(
        {name: knobs.value(name).item() for name in ("qf.k1", "qf.length")}
    )
    assert value == environment["qd"].knl[1]


def classes_with_length() -> dict[str, type]:
    return {
        name: cls
        for module in (xt, xf)
        for name, cls in vars(module).items()
        if inspect.isclass(cls) and "length" in getattr(cls, "_xofields", {})
    }


@pytest.mark.parametrize("name", sorted(classes_with_length().keys() - {"Multipole"}))
def test_what_takes_length_is_what_xtrack_says(name):
    record = Record("e", name, {"length": 2.0})
    length = Lattice("line", "test", "", {"e": record}, ("e",)).length
    assert length == (2.0 if classes_with_length()[name]._isthick else 0.0)


@pytest.mark.parametrize("isthick", [False, True])
def test_a_multipole_takes_length_if_it_says_so(isthick):
    fields = xt.Multipole(knl=[0.0, 0.1], length=2.0, isthick=isthick).to_dict()
    lattice = Lattice("line", "test", "", {"m": Record("m", "Multipole", fields)}, ("m",))
    assert lattice.length == (2.0 if isthick else 0.0)


def test_thin_classes_exist_in_xsuite():
    assert classes_with_length().keys() | {OWN_KICK} >= THIN_WITH_LENGTH


def test_a_line_made_of_lines_is_read_although_xtrack_cannot_write_it(environment):
    environment.new_line(name="cell", components=["qf", "d"])
    line = environment.new_line(name="double", components=["cell", "cell"])
    line.composer = xt.Composer(environment, components=[environment["cell"], environment["cell"]])
    with pytest.raises(NotImplementedError):
        line.to_dict()
    composer = line.composer
    assert from_line(line).element_names == ("qf", "d", "qf", "d")
    assert line.composer is composer


# ---- what is refused -----------------------------------------------------------------------


def test_a_line_that_is_being_composed_is_refused():
    env = xt.Environment()
    line = env.new_line(compose=True)
    line.new("d", "Drift", length=1.0)
    with pytest.raises(LatticeError, match=r"has no element list: call line\.end_compose\(\)"):
        from_line(line)


def test_an_environment_with_one_line_is_that_line(environment):
    assert from_line(environment).element_names == from_line(environment["ring"]).element_names


def test_an_environment_with_several_lines_wants_a_name(environment):
    environment.new_line(name="transfer", components=["qf", "d"])
    with pytest.raises(LatticeError, match=r"2 lines \('ring', 'transfer'\): choose"):
        from_line(environment)
    assert from_line(environment, "transfer").element_names == ("qf", "d")
    with pytest.raises(LatticeError, match=r"no line 'dump': the Environment has 'ring', 'trans"):
        from_line(environment, "dump")


def test_a_name_is_for_environments_only(environment):
    with pytest.raises(LatticeError, match="name = 'other': only an Environment has lines"):
        from_line(environment["ring"], "other")


def test_anything_else_is_refused():
    with pytest.raises(LatticeError, match=r"from_line: dict: must be an xtrack\.Line, an xtr"):
        from_line({"element_names": []})
    with pytest.raises(LatticeError, match=r"from_line: str: .*; read_lattice reads a file"):
        from_line("ring.json")
    with pytest.raises(LatticeError, match=r"from_line: Lattice: .*; KickedSequence\(lattice\) t"):
        from_line(read_lattice(PSB))


def test_a_line_with_an_element_that_cannot_be_saved_is_refused(environment):
    class Odd:
        isthick = False
        iscollective = True

        def track(self, particles):
            pass

        def to_dict(self):
            raise NotImplementedError("Odd has no dictionary")

    environment.elements["odd"] = Odd()
    line = environment.new_line(components=["qf", "odd"])
    with pytest.raises(LatticeError, match="cannot be written as JSON by xtrack: Odd has no dict"):
        from_line(line)


def test_an_element_without_a_dictionary_is_refused_with_the_way_out(environment):
    class Dumb:
        isthick = False

        def track(self, particles):
            pass

    environment.elements["dumb"] = Dumb()
    line = environment.new_line(name="odd", components=["qf", "dumb"])
    with pytest.raises(LatticeError, match=r"'dumb' of class Dumb has no to_dict: take it out"):
        from_line(line)


def test_a_function_of_the_user_is_refused_by_name(environment):
    environment.functions["ramp"] = xt.FunctionPieceWiseLinear(x=[0, 1], y=[0, 1])
    environment["kq"] = environment.functions["ramp"](environment.ref["t_turn_s"])
    with pytest.raises(ExpressionError, match=r"variable 'kq': .*function 'ramp' is not known"):
        from_line(environment["ring"])


def test_without_xsuite_the_way_out_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "xtrack", None)
    with pytest.raises(ScBridgeError, match=r"pip install 'sc_bridge\[xsuite\]'"):
        adapter.import_xtrack()
