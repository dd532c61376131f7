"""Single components of lists, such as mq.knl[1]: named in studies, scanned, optimised."""

from __future__ import annotations

import copy
import json

import pytest

import sc_bridge as scb
from sc_bridge import cli
from sc_bridge.study import build_sequence, load_study, make_bunch, run_study
from sc_bridge.study.inputs import find_inputs
from sc_bridge.study.limit import Decision

pytestmark = pytest.mark.usefixtures("one_thread")

# Central differences of float64; clouds that leave a cell have a kink in their second derivative.
DIFFERENCE = 2e-5
ROUNDOFF = 1e-12

_D = {"__class__": "Drift", "length": 0.5}
ELEMENTS = {
    "d": _D,
    "mq": {"__class__": "Multipole", "knl": [0.0, 0.4, 0.5], "ksl": [1e-3, 0.0]},
    "mp": {"__class__": "Multipole", "knl": [0.0, -0.3, 1.0, 2.0], "ksl": [0.0, 0.05]},
    "mr": {"__class__": "Multipole", "knl": [0.0, 0.2], "knl_rel": [0, 0, 3.0], "main_order": 1},
    "q": {"__class__": "Quadrupole", "length": 0.3, "k1": -0.5},
    "s": {"__class__": "Sextupole", "length": 0.2, "k2": 1.0, "knl": [0.0, 0.02]},
    "b": {"__class__": "Bend", "length": 0.6, "angle": 0.1, "k0": "from_h", "knl": [0.0, 0.03]},
    "rb": {"__class__": "RBend", "length_straight": 0.6, "angle": 0.1},
    "rf": {
        "__class__": "RFMultipole", "knl": [1e-4, 1e-2], "ksl": [0.0], "frequency": 1e7,
        "phase_n": [0.3, 0.4],
    },
    "so": {"__class__": "UniformSolenoid", "length": 0.4, "ks": 0.3, "knl": [0.0, 0.01]},
    "fr": {"__class__": "MultipoleEdge", "kn": [0.0, 30.0], "ks": [0.0, 0.0]},
}  # fmt: skip
LINE = ["d", "mq", "d", "mp", "d", "q", "b", "d", "s", "mr", "d", "rb", "rf", "so", "fr", "mq", "d"]
# mp.knl[1] follows a knob, its neighbours do not
KNOBS = {
    "_var_management_data": {"functions": {"_funcs": {}}, "var_values": {"kd": -0.3}},
    "_var_manager": [["element_refs['mp'].knl[1]", "vars['kd']"]],
}

# Name, unit of d(sigma_x)/d(name): one of every class that has a list.
COMPONENTS = {
    "mq.knl[0]": "m", "mq.knl[1]": "m^2", "mq.knl[2]": "m^3", "mq.ksl[0]": "m",
    "mq.knl[4]": "m^5",  # behind the end of the list
    "mp.knl[0]": "m", "mp.knl[2]": "m^3", "mp.knl[3]": "m^4", "mp.knl[5]": "m^6",
    "mp.ksl[1]": "m^2",
    "mr.knl[1]": "m^2", "mr.knl_rel[2]": "m^2",
    "q.knl[2]": "m^3", "q.ksl[1]": "m^2",
    "s.knl[1]": "m^2", "b.knl[1]": "m^2", "b.knl[2]": "m^3", "rb.ksl[1]": "m^2",
    "rf.knl[1]": "m^2", "rf.phase_n[1]": "m/rad", "so.knl[1]": "m^2", "fr.kn[1]": "m^3",
}  # fmt: skip

STUDY = """
adjoint = "{adjoint}"
[lattice]
file = "line.json"
[bunch]
n_particles = 200
intensity = 2e10
sigma_x = "8 mm"
sigma_px = 2e-3
sigma_y = "6 mm"
sigma_py = 3e-3
sigma_z = "1 m"
sigma_delta = 1e-3
[space_charge]
grid = [12, 12, 12]
shape = "tsc"
x_range = ["-0.2 m", "0.2 m"]
y_range = ["-0.2 m", "0.2 m"]
z_range = ["-6 m", "6 m"]
[slicing]
max_spacing = "0.5 m"
[derivatives]
of = ["sigma_x"]
with_respect_to = {names}
"""


@pytest.fixture(autouse=True)
def _unplanned(monkeypatch):
    """Take the strategy of the study without the seconds that a prediction of memory takes."""
    monkeypatch.setattr(
        "sc_bridge.study.running.decide", lambda study, *_: Decision(study.model.adjoint.value)
    )


@pytest.fixture
def study_of(tmp_path):
    """Write the line and a study of it, and load it."""

    def write(names, more="", adjoint="StoreStates", elements=ELEMENTS, line=LINE):
        content = {
            "__class__": "Line", "elements": elements, "element_names": list(line),
            "particle_ref": {"mass0": 938.272e6, "q0": 1.0, "p0c": [571e6]}, **KNOBS,
        }  # fmt: skip
        (tmp_path / "line.json").write_text(json.dumps(content))
        text = STUDY.format(adjoint=adjoint, names=json.dumps(list(names))) + more
        (tmp_path / "study.toml").write_text(text)
        return load_study(tmp_path / "study.toml")

    return write


def slopes(study):
    return {d.input.name: d.value for d in run_study(study).derivatives}


def sigma_x_with(study, *names_and_changes):
    """sigma_x of the same bunch behind a lattice whose file has other components."""
    elements = copy.deepcopy(ELEMENTS)
    for name, change in zip(names_and_changes[::2], names_and_changes[1::2], strict=True):
        element, _, rest = name.partition(".")
        field, index = rest[:-1].split("[")
        values = elements[element].setdefault(field, [])
        values += [0.0] * (int(index) + 1 - len(values))
        values[int(index)] += change
    path = study.path.parent / "changed.json"
    content = json.loads(study.lattice_paths[0].read_text()) | {"elements": elements}
    path.write_text(json.dumps(content))
    sequence = build_sequence(study, scb.read_lattice(path))
    return scb.track(sequence, make_bunch(study, sequence)).sigma_x.item()


def test_every_class_gives_the_differences_of_its_components(study_of):
    study = study_of(COMPONENTS)
    found = slopes(study)
    assert list(found) == list(COMPONENTS)
    for name, slope in found.items():
        step = 1e-5 * 30.0 ** int(name[-2])  # higher orders do less
        high, low = (sigma_x_with(study, name, sign * step) for sign in (1, -1))
        expected = (high - low) / (2 * step)
        assert abs(expected) * step > 1e-10, name
        assert slope == pytest.approx(expected, rel=DIFFERENCE, abs=1e-12 / step), name


def test_a_component_has_the_unit_of_its_order(study_of):
    found = {d.input.name: d.unit for d in run_study(study_of(COMPONENTS)).derivatives}
    assert found == COMPONENTS


@pytest.mark.parametrize("adjoint", ["RecordAll", "Reversible"])
def test_all_strategies_agree_on_components_beside_driven_ones(study_of, adjoint):
    names = ["mq.knl[1]", "mp.knl[2]", "mp.knl[5]", "kd", "mp.ksl[1]"]
    expected = slopes(study_of(names))
    assert slopes(study_of(names, adjoint=adjoint)) == pytest.approx(expected, rel=1e-8)


def test_a_knob_keeps_driving_beside_a_component(study_of):
    alone = slopes(study_of(["kd"]))["kd"]
    assert slopes(study_of(["mp.knl[2]", "kd", "mp.knl[7]"]))["kd"] == pytest.approx(
        alone, rel=1e-9
    )


@pytest.mark.parametrize(
    ("wildcard", "expected"),
    [
        ("mq*.knl[1]", ["mq.knl[1]"]),
        ("m?.knl[1]", ["mq.knl[1]", "mr.knl[1]"]),  # that of mp follows a knob
        ("m?.knl[3]", ["mq.knl[3]", "mp.knl[3]", "mr.knl[3]"]),
        ("mp.knl[*]", ["mp.knl[0]", "mp.knl[2]", "mp.knl[3]"]),
        ("mq.k?l[0]", ["mq.knl[0]", "mq.ksl[0]"]),
        ("*.phase_n[1]", ["rf.phase_n[1]"]),
        ("[qs].ksl[1]", ["q.ksl[1]", "s.ksl[1]"]),
        ("*.k[12]", ["q.k1", "b.k1", "b.k2", "s.k2", "rb.k1", "rb.k2"]),  # no list: a set of signs
    ],
)
def test_a_wildcard_stands_for_free_components(study_of, wildcard, expected):
    study = study_of([wildcard])
    assert [found.name for found in find_inputs(study, build_sequence(study))] == expected


def test_slices_of_a_file_have_the_components_of_their_whole(study_of):
    slices = {
        f"q..{n}": {"__class__": "ThickSliceQuadrupole", "parent_name": "q", "weight": 0.5}
        for n in (0, 1)
    }
    line = ["d", "q..0", "q..1", "d"]
    sliced = study_of(["q*.knl[2]", "q.k*1"], elements=ELEMENTS | slices, line=line)
    found = slopes(sliced)
    whole = slopes(study_of(["q.knl[2]", "q.k1"], line=["d", "q", "d"]))
    assert set(found) == set(whole)
    assert found["q.k1"] == pytest.approx(whole["q.k1"], rel=1e-3)  # kicks are elsewhere


def test_fields_of_the_study_take_the_place_of_the_files(study_of):
    study = study_of(["kd"])
    text = study.path.read_text()
    fields = "[lattice.fields]\n'mq.knl[1]' = '0.42 1/m'\n'mp.knl[5]' = 3.0\n[bunch]"
    study.path.write_text(text.replace("[bunch]", fields))
    changed = load_study(study.path)
    sequence = build_sequence(changed)
    assert sequence["mp"].knl.tolist() == [0.0, -0.3, 1.0, 2.0, 0.0, 3.0]
    expected = sigma_x_with(study, "mq.knl[1]", 0.02, "mp.knl[5]", 3.0)
    assert run_study(changed).final["sigma_x"] == pytest.approx(expected, rel=ROUNDOFF)


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("kd = 1.0", r"lattice\.fields: kd belongs to \[lattice\.knobs\]"),
        ("'bunch.intensity' = 1.0", r"bunch\.intensity belongs to \[bunch\]"),
        ("'mp.knl[1]' = 1.0", r"lattice\.fields: mp\.knl\[1\] is driven by kd: name that"),
        ("'m*.knl[3]' = 1.0", r"'m\*\.knl\[3\]' fits mq\.knl\[3\], mp\.knl\[3\], mr"),
        ("'q.k1' = '1 m'", r"lattice\.fields\.q\.k1 = '1 m': has the unit 'm'"),
        ("'q.k1' = inf", r"lattice\.fields\.q\.k1 = inf: must be a finite number, or text as"),
        ("'q.model' = 1.0", r"'q\.model' is no free number of that element"),
    ],
)
def test_a_field_that_cannot_be_set_is_one_line(study_of, field, message):
    study = study_of(["kd"])
    text = study.path.read_text()
    study.path.write_text(text.replace("[bunch]", f"[lattice.fields]\n{field}\n[bunch]"))
    with pytest.raises(scb.ScBridgeError, match=message):
        build_sequence(load_study(study.path))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mp.knl[1]", r"with_respect_to: mp\.knl\[1\] is driven by kd: name that"),
        ("mq.knl", r"'mq\.knl' is a list: name a component, as 'mq\.knl\[1\]'"),
        ("mq.knl[200]", r"mq\.knl\[200\]: knl has the components 0 to 170"),
        ("rf.phase_n[2]", r"rf\.phase_n\[2\]: phase_n has the components 0 to 1"),
        ("q.k1[0]", r"'q\.k1\[0\]' fits no knob that drives the line, and no free field"),
        ("z*.knl[1]", r"'z\*\.knl\[1\]' fits no knob"),
        ("d.knl[1]", r"'d\.knl\[1\]' fits no knob"),
    ],
)
def test_what_is_no_free_component_is_one_line(study_of, name, message):
    study = study_of([name])
    with pytest.raises(scb.ScBridgeError, match=message):
        run_study(study)


def test_results_and_report_name_components(study_of, tmp_path, capsys):
    study = study_of(["mq.knl[1]", "mp.knl[5]"])
    assert cli.main(("run", str(study.path))) == cli.OK
    printed = capsys.readouterr().out
    assert "mq.knl[1]" in printed
    assert "m^2" in printed
    results = json.loads((tmp_path / "results" / "results.json").read_text())
    assert set(results["derivatives"]["sigma_x"]) == {"mq.knl[1]", "mp.knl[5]"}
    assert results["derivatives"]["sigma_x"]["mq.knl[1]"]["unit"] == "m^2"
    assert "mq.knl[1]" in (tmp_path / "results" / "report.html").read_text().replace("<wbr>", "")


def test_init_names_the_gradients_of_thin_quadrupoles(tmp_path, capsys):
    (tmp_path / "thin.madx").write_text(
        "beam, particle=proton, energy=1.2; d: drift, l=1; mf: multipole, knl={0, 0.5};\n"
        "md: multipole, knl={0, -0.5}; o: multipole, knl={1e-3}; line: line=(o,mf,d,md,d);\n"
    )
    target = tmp_path / "study.toml"
    assert cli.main(("init", str(tmp_path / "thin.madx"), "--output", str(target))) == cli.OK
    names = load_study(target).model.derivatives.with_respect_to
    assert names == ["mf.knl[1]", "md.knl[1]", "bunch.intensity"]


def test_a_component_can_be_scanned(study_of, tmp_path, capsys):
    study = study_of(["kd"])
    command = ("scan", str(study.path), "mq.knl[1]", "--values", "0.35", "0.4 1/m", "0.41")
    assert cli.main((*command, "--of", "sigma_x")) == cli.OK
    assert "mq.knl[1]" in capsys.readouterr().out
    table = (tmp_path / "results" / "scan_mq.knl_1_.csv").read_text().splitlines()
    assert table[0] == "mq.knl[1] [1/m],sigma_x [m],n_alive"
    for row, change in zip(table[1:], (-0.05, 0.0, 0.01), strict=True):
        expected = sigma_x_with(study, "mq.knl[1]", change)
        assert float(row.split(",")[1]) == pytest.approx(expected, rel=ROUNDOFF)
