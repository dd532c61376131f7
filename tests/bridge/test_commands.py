"""Commands around a study: init, schema, plan, scan, optimise."""

from __future__ import annotations

import csv
import json
import re

import pytest
from command_runs import OPTIMISE, interrupt_after, names, refuses, run

import sc_bridge as scb
from sc_bridge import cli
from sc_bridge.errors import StudyError
from sc_bridge.files import write_whole
from sc_bridge.study import load_study, run_study
from study_texts import PSB, SMALL, write_study

# a value that was tracked by another route, with grids of the same size
SAME = 1e-9


@pytest.fixture
def study(tmp_path):
    return write_study(tmp_path)


@pytest.fixture
def optimisable(study):
    study.write_text(study.read_text() + OPTIMISE)
    return study


@pytest.mark.parametrize(
    "command", ["run", "plan", "scan", "optimise", "audit", "convert", "init", "schema"]
)
def test_every_command_has_help_with_examples(capsys, command):
    with pytest.raises(SystemExit, match="0"):
        cli.main([command, "--help"])
    shown = capsys.readouterr().out
    assert "examples:" in shown
    assert f"sc-bridge {command}" in shown


# ---- schema ------------------------------------------------------------------------------


def test_the_schema_has_every_key_with_its_meaning(capsys):
    schema = json.loads(run(capsys, "schema"))
    assert set(schema["required"]) == {"lattice", "bunch"}
    sections = {"top": schema, **schema["$defs"]}
    assert len(sections) >= 10
    for section in sections.values():
        assert section["additionalProperties"] is False
        for name, field in section["properties"].items():
            assert field.get("description"), name


def test_quantities_are_text_in_the_schema(capsys):
    definitions = json.loads(run(capsys, "schema"))["$defs"]
    spacing = definitions["SlicingSection"]["properties"]["max_spacing"]
    assert {"type": "string", "examples": ["1.5 mm"]} in spacing["anyOf"]
    intensity = definitions["BunchSection"]["properties"]["intensity"]
    assert {"type": "number"} in intensity["anyOf"]
    assert {"type": "string"} in intensity["anyOf"]


# ---- plan --------------------------------------------------------------------------------


def test_a_plan_names_every_strategy_and_chooses_one(capsys, study):
    table = run(capsys, "plan", study)
    assert all(name in table for name in ("StoreStates", "Checkpoint", "Reversible", "chosen"))
    planned = json.loads(run(capsys, "plan", study, "--memory", "1 GiB", "--json"))
    assert planned["chosen"] == "StoreStates()"
    assert planned["n_particles"] == 50
    assert planned["budget_bytes"] == "1 GiB" or planned["budget_bytes"] == 2**30
    assert names(study.parent) == ["psb.json", "study.toml"]


def test_a_plan_that_cannot_be_is_refused_with_numbers(capsys, study):
    assert "may take 1 KiB" in refuses(capsys, "plan", study, "--memory", "1 KiB")
    assert "the unit is missing" in refuses(capsys, "plan", study, "--memory", "1")


# ---- init --------------------------------------------------------------------------------


def test_init_writes_a_study_that_runs_as_it_is(capsys, study):
    target = study.parent / "mine.toml"
    assert f"sc-bridge run {target}" in run(
        capsys, "init", study.parent / "psb.json", "--output", target
    )
    made = load_study(target)
    assert made.model.lattice.file == ["psb.json"]
    assert made.model.derivatives.with_respect_to[:2] == ["kbrqd", "kbrqf"]
    outcome = run_study(load_study(_fewer_particles(target)))
    assert outcome.sequence.n_kicks > 0
    assert all(abs(d.value) < float("inf") for d in outcome.derivatives)


def _fewer_particles(path):
    """Make a study small enough for a test, in numbers only."""
    text = path.read_text().replace("10_000", "50").replace("[32, 32, 32]", "[8, 8, 8]")
    path.write_text(re.sub(r'max_spacing = "[^"]*"', 'max_spacing = "2 m"', text))
    return path


def test_init_names_knobs_that_are_on(capsys, tmp_path):
    ring = tmp_path / "ring.madx"
    ring.write_text(
        "beam, particle=proton, energy=1.2; kc=0; kqf=1; kqd=-1; trim=0;\n"
        "q: quadrupole, l=0.5, k1:=kqf+trim; p: quadrupole, l=0.5, k1:=kqd; d: drift, l=1;\n"
        "o: multipole, knl:={0,0,kc}; ring: line=(o,q,d,p,d);\n"
    )
    run(capsys, "init", ring, "--output", tmp_path / "s.toml", "--sequence", "ring")
    made = load_study(tmp_path / "s.toml").model
    assert made.derivatives.with_respect_to == ["kqf", "kqd", "bunch.intensity"]
    assert made.title == "ring of ring.madx"


def test_advice_is_in_words_of_the_command(capsys, tmp_path):
    rings = tmp_path / "rings.madx"
    rings.write_text("d: drift, l=1; a: line=(d); b: line=(d, d);\n")
    assert "choose one with --sequence\n" in refuses(capsys, "audit", rings)
    (tmp_path / "study.toml").write_text(
        SMALL.replace("psb.json", "rings.madx").replace('bend_model = "exact"\n', "")
    )
    message = refuses(capsys, "plan", tmp_path / "study.toml")
    assert "choose one with line in [lattice]\n" in message


def test_init_keeps_a_study_that_is_there(capsys, study):
    before = study.read_text()
    assert "is there already" in refuses(capsys, "init", PSB, "--output", study)
    assert study.read_text() == before
    assert run(capsys, "init", PSB, "--output", study, "--force", "--quiet") == ""
    assert study.read_text() != before


def test_init_asks_for_a_reference_and_remembers_it(capsys, tmp_path):
    ring = tmp_path / "line.madx"
    ring.write_text(
        "q: quadrupole, l=0.5, k1:=kq; kq=0.3; d: drift, l=2; s: sequence, l=5;\n"
        "q, at=1; q, at=3; endsequence;\n"
    )
    target = tmp_path / "s.toml"
    message = refuses(capsys, "init", ring, "--output", target)
    assert "states no reference particle: give --reference" in message
    given = "proton, kinetic_energy = 10 MeV"
    run(capsys, "init", ring, "--output", target, "--reference", given, "--sequence", "s")
    made = load_study(target)
    assert made.model.reference.species == "proton"
    assert made.model.lattice.line == "s"
    assert made.model.bunch.twiss is not None  # two focusing quadrupoles are no ring
    assert run_study(load_study(_fewer_particles(target))).derivatives


# ---- scan --------------------------------------------------------------------------------


def test_a_scan_has_the_moments_of_single_runs(capsys, study):
    scanned = json.loads(
        run(capsys, "scan", study, "bunch.nemitt_x", "--values", "1 um", "2 um", "--json")
    )
    assert scanned["values"] == [1e-6, 2e-6]
    assert scanned["unit"] == "m"
    expected = run_study(load_study(study)).final["sigma_x"]
    assert scanned["of"]["sigma_x"]["value"][1] == pytest.approx(expected, rel=SAME)
    assert names(study.parent / "results") == [
        "scan_bunch.nemitt_x.csv", "scan_bunch.nemitt_x.json", "scan_bunch.nemitt_x.png",
    ]  # fmt: skip


def test_a_scan_writes_a_table_and_a_picture(capsys, study):
    ends = ("--from", "0.70", "--to", "0.80", "--steps", "3")
    out = study.parent / "out"
    shown = run(
        capsys, "scan", study, "kbrqf", *ends, "--of", "sigma_x", "log(nemitt_x)", "--output", out
    )
    assert "kbrqf [1/m^2]" in shown
    assert "sigma_x [m]" in shown  # which rich would take for markup
    with (out / "scan_kbrqf.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["kbrqf [1/m^2]", "sigma_x [m]", "log(nemitt_x)", "n_alive"]
    assert [float(row[0]) for row in rows[1:]] == pytest.approx([0.70, 0.75, 0.80])
    assert (out / "scan_kbrqf.png").read_bytes().startswith(b"\x89PNG")


def test_a_knob_can_be_scanned_with_a_bunch_matched_anew(capsys, study):
    values = ("--values", "0.7", "0.8", "--json")
    still = json.loads(run(capsys, "scan", study, "kbrqf", *values))
    anew = json.loads(run(capsys, "scan", study, "kbrqf", *values, "--rematch"))
    assert still["of"]["sigma_x"]["value"] != anew["of"]["sigma_x"]["value"]


def test_an_interrupted_scan_goes_on_where_it_was(capsys, study, monkeypatch):
    command = ["scan", str(study), "kbrqf", "--values", "0.7", "0.75", "0.8", "--quiet"]
    with monkeypatch.context() as patched:
        interrupt_after(patched, "sc_bridge.study.scanning.track", 2)
        assert cli.main(command) == cli.INTERRUPTED
    message = capsys.readouterr().err
    assert "2 of 3 values kept in" in message
    assert "the same command goes on" in message
    assert names(study.parent / "results") == ["scan_kbrqf.json"]
    with monkeypatch.context() as patched:
        seen = interrupt_after(patched, "sc_bridge.study.scanning.track", 10)
        assert cli.main(command) == cli.OK
    assert len(seen) == 1
    kept = json.loads((study.parent / "results" / "scan_kbrqf.json").read_text())
    assert kept["complete"] is True
    assert kept["values"] == [0.7, 0.75, 0.8]


def test_a_scan_of_another_study_starts_again(capsys, study, monkeypatch):
    command = ["scan", str(study), "kbrqf", "--values", "0.7", "--quiet"]
    assert cli.main(command) == cli.OK
    study.write_text(study.read_text().replace("n_particles = 50", "n_particles = 60"))
    seen = interrupt_after(monkeypatch, "sc_bridge.study.scanning.track", 10)
    assert cli.main(command) == cli.OK
    assert len(seen) == 1


CHANNEL = """\
beam, particle=proton, energy=1.0982720882; call, file="knobs.str";
q: quadrupole, l=0.1, k1:=kq; d: drift, l=0.4; channel: line=(q, d);
"""
READS_A_BUNCH = """\
[lattice]
file = "channel.madx"
[bunch]
file = "start.npz"
[optimise]
minimise = "sigma_x"
vary = { kq = [8, 12] }
max_steps = 1
"""


@pytest.mark.parametrize("command", [["scan", "kq", "--values", "9"], ["optimise"]])
def test_work_on_another_called_file_or_bunch_starts_again(tmp_path, capsys, command):
    (tmp_path / "channel.madx").write_text(CHANNEL)
    (tmp_path / "study.toml").write_text(READS_A_BUNCH)
    name, *options = command
    shown = []
    for kq, sigma_x in ((10.0, 1e-3), (10.0, 2e-3), (11.0, 2e-3), (11.0, 2e-3)):
        (tmp_path / "knobs.str").write_text(f"kq = {kq}; other = {kq};\n")
        line = scb.KickedSequence(scb.read_lattice(tmp_path / "channel.madx"))
        sizes = dict.fromkeys(("sigma_px", "sigma_y", "sigma_py", "sigma_delta"), 1e-3)
        bunch = scb.gaussian(line, 20, 1e9, sigma_x=sigma_x, sigma_z=1.0, **sizes)
        scb.write_bunch(tmp_path / "start.npz", bunch)
        run(capsys, name, tmp_path / "study.toml", *options, "--json")
        (journal,) = (tmp_path / "results").glob("*.json")
        shown.append(json.loads(journal.read_text())["fingerprint"])
    assert len(set(shown)) == 3
    assert shown[2] == shown[3]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["kbrqf"], "give either --values, or --from and --to"),
        (["kbrqf", "--values", "1", "--from", "1"], "give either --values"),
        (["kbrqf", "--from", "1", "--to", "2", "--steps", "1"], "--steps 1: must be a number from"),
        (["kbrqf", "--values", "1", "--steps", "2"], "--steps goes with --from"),
        (["kbrqf", "--values", "1 m"], "kbrqf = '1 m': has the unit 'm'"),
        (["kbrqf", "--values", "nan"], "kbrqf = 'nan': must be finite"),
        (["kbrqf", "--values", "x"], "kbrqf = 'x': is no number with a unit"),
        (["bunch.nemitt_x", "--values", "1"], "the unit is missing: it is measured in m"),
        (["kbrq*", "--values", "1"], "'kbrq[*]' fits kbrqd, kbrqf|'kbrq[*]' fits kbrqf, kbrqd"),
        (["kbrqx", "--values", "1"], "scan: no knob, field or key 'kbrqx': did you mean kbrq"),
        (["kbrqf", "--values", "0.7", "--of", "sigma"], "--of: expression 'sigma': no moment"),
        (["kbrqf", "--values", "0.7", "--of", "a.sigma_x"], "--of: no monitor 'a'"),
    ],
)
def test_a_scan_that_means_nothing_is_one_line(capsys, study, options, message):
    assert re.search(message, refuses(capsys, "scan", study, *options))
    assert names(study.parent) == ["psb.json", "study.toml"]


@pytest.mark.parametrize("command", [["scan", "kbrqf", "--values", "0.7"], ["optimise"]])
def test_a_place_that_cannot_be_written_is_known_before_the_run(
    capsys, optimisable, monkeypatch, command
):
    (optimisable.parent / "results").write_text("a file")
    name, *options = command
    monkeypatch.setattr("sc_bridge.study.scanning.track", None)
    monkeypatch.setattr("sc_bridge.study.problem.track", None)
    assert "is a file, not a folder" in refuses(capsys, name, optimisable, *options)


def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch):
    def refuse(*arguments, **options):
        raise OSError(28, "No space left on device")

    (tmp_path / "kept.json").write_text("before")
    monkeypatch.setattr("os.replace", refuse)
    with pytest.raises(StudyError, match="cannot be written: No space left on device"):
        write_whole(tmp_path / "kept.json", "after")
    assert names(tmp_path) == ["kept.json"]
    assert (tmp_path / "kept.json").read_text() == "before"


def test_energies_and_fields_can_be_scanned(capsys, study):
    of = ("--of", "sigma_x", "--json")
    name = "reference.kinetic_energy"
    scanned = json.loads(run(capsys, "scan", study, name, "--values", "150 MeV", "160 MeV", *of))
    sigma = scanned["of"]["sigma_x"]["value"]
    expected = run_study(load_study(study)).final["sigma_x"]
    assert sigma[1] == pytest.approx(expected, rel=SAME)
    assert sigma[0] > sigma[1]  # the same normalised emittance at less momentum
    voltage = ("--values", "8000", "8 kV")
    found = json.loads(run(capsys, "scan", study, "cavity.voltage", *voltage, *of))
    assert found["values"] == [8000.0, 8000.0]


@pytest.mark.parametrize("command", [("run",), ("scan", "kbrqf", "--values", "0.7"), ("optimise",)])
def test_a_grid_that_the_machine_cannot_hold_is_refused(capsys, optimisable, monkeypatch, command):
    monkeypatch.setattr("sc_bridge.study.limit._memory_of_machine", lambda: 32_767)
    message = refuses(capsys, command[0], optimisable, *command[1:])
    assert "space_charge.grid = [8, 8, 8]: needs at least 3.277e+04 B, and this machine" in message
    assert names(optimisable.parent) == ["psb.json", "study.toml"]


def test_a_missing_reference_is_asked_for_by_the_option(tmp_path, capsys):
    (tmp_path / "a.madx").write_text("q: quadrupole, l=1, k1=1; s: line=(q);")
    message = refuses(capsys, "audit", tmp_path / "a.madx")
    assert 'give one, e.g. --reference "proton, kinetic_energy = 160 MeV"' in message
