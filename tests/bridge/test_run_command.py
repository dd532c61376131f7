"""`sc-bridge run`: results, and what is printed."""

from __future__ import annotations

import json

import pytest
import torch
from small_runs import SMALL, edit, prepare, refuses

import sc_bridge as scb
from sc_bridge import cli, results
from sc_bridge.study import build_sequence, load_study, make_bunch, run_study

N_KICKS = 14  # of at most 1 m in one period
FILES = {
    *("results.json", "report.html", "moments.csv", "envelopes.png"),
    *("bunch_final.h5", "bunch_final.npz"),
}
# Every output of a small run depends smoothly on its inputs over a step of a millionth.
FINITE_DIFFERENCE = 1e-5
ROUNDING = 1e-9


@pytest.fixture
def folder(tmp_path):
    """A folder with a study and its lattice."""
    return prepare(tmp_path)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A finished run: folder of the study and results.json."""
    folder = prepare(tmp_path_factory.mktemp("done"))
    assert cli.main(["run", str(folder / "study.toml"), "--quiet"]) == cli.OK
    return folder, json.loads((folder / "results" / "results.json").read_text())


# ---- results ---------------------------------------------------------------------------


def test_results_have_the_promised_shape(done):
    _, content = done
    assert set(content) >= {
        *("final", "derivatives", "kicks", "audit", "memory", "seconds", "versions", "study"),
    }
    assert content["final"]["sigma_x"]["unit"] == "m"
    assert content["kicks"] == content["audit"]["kicks"] == N_KICKS
    assert content["study"]["bunch"]["seed"] == 3
    assert content["versions"]["torch"] == torch.__version__
    assert content["memory"]["saved_for_backward"]["value"] > 0
    assert content["seconds"]["total"] > 0
    assert len(content["along_s"]["s"]["value"]) == content["kicks"] + 2
    assert content["along_s"]["s"]["value"][-1] == pytest.approx(9.8175, abs=ROUNDING)


def test_every_derivative_has_value_and_unit(done):
    table = done[1]["derivatives"]
    units = {name: entry["unit"] for name, entry in table["sigma_x"].items()}
    assert units == {
        "kbrqf": "m^3",
        "bunch.intensity": "m",
        "bunch.nemitt_y": "1",
        "reference.kinetic_energy": "m/eV",
        "cavity.voltage": "m/V",
    }
    assert set(table) == {"sigma_x", "nemitt_y"}
    assert all(isinstance(e["value"], float) for row in table.values() for e in row.values())


def test_final_moments_are_those_of_the_written_bunch(done):
    folder, content = done
    bunch = scb.read_bunch(folder / "results" / "bunch_final.h5")
    for name in ("sigma_x", "sigma_y", "sigma_zeta", "nemitt_x", "intensity"):
        assert getattr(bunch, name).item() == content["final"][name]["value"]


def test_only_the_promised_files_are_left_behind(done):
    folder, _ = done
    assert {path.name for path in (folder / "results").iterdir()} == FILES
    assert {path.name for path in folder.iterdir()} == {"psb.json", "study.toml", "results"}
    assert (folder / "results" / "envelopes.png").read_bytes().startswith(b"\x89PNG")


def test_derivatives_are_those_of_a_finite_difference(done):
    folder, content = done
    study = load_study(folder / "study.toml")
    sequence = build_sequence(study)
    sequence.freeze_grids(make_bunch(study, sequence))
    knob = sequence.knobs["kbrqf"]
    at, step = knob.item(), 1e-6

    def sigma_x(value):
        sequence.knobs["kbrqf"] = value
        with torch.no_grad():
            # the matched optics are held fixed
            return scb.track(sequence, bunch).sigma_x.item()

    bunch = make_bunch(study, sequence)
    slope = (sigma_x(at + step) - sigma_x(at - step)) / (2 * step)
    value = content["derivatives"]["sigma_x"]["kbrqf"]["value"]
    assert value == pytest.approx(slope, rel=FINITE_DIFFERENCE)


def test_a_run_is_reproducible(folder):
    study = load_study(folder / "study.toml")
    first, second = run_study(study), run_study(study)
    assert first.final == second.final
    assert [d.value for d in first.derivatives] == [d.value for d in second.derivatives]


def test_what_nothing_depends_on_has_derivatives_of_zero(folder):
    edit(folder, '"sigma_x", "nemitt_y"', '"intensity", "sigma_x"')
    edit(folder, '"kbrqf", ', '"t_turn_s", ')
    found = {
        (d.of, d.input.name): d.value
        for d in run_study(load_study(folder / "study.toml")).derivatives
    }
    assert found["sigma_x", "t_turn_s"] == found["intensity", "t_turn_s"] == 0.0
    assert found["intensity", "bunch.intensity"] == pytest.approx(1.0)


def test_a_title_is_plain_text(folder):
    text = (folder / "study.toml").read_text().split("\n")
    kept = [line for line in text if not line.startswith("title")]
    (folder / "study.toml").write_text("\n".join(["title = '$y^$'", *kept]))
    outcome = run_study(load_study(folder / "study.toml"))
    with results.output_folder(folder / "out") as output:
        output.write(outcome)
    assert (folder / "out" / "envelopes.png").stat().st_size > 0


def test_a_study_without_kicks_or_derivatives_runs(folder):
    text = (folder / "study.toml").read_text().split("[space_charge]")[0]
    (folder / "study.toml").write_text(text)
    outcome = run_study(load_study(folder / "study.toml"))
    assert outcome.sequence.n_kicks == 0
    assert outcome.derivatives == ()
    assert outcome.memory.saved_for_backward == 0
    with results.output_folder(folder / "out") as output:
        output.write(outcome)
    assert {path.name for path in (folder / "out").iterdir()} == FILES


def test_progress_reports_every_kick(folder):
    seen = []
    run_study(load_study(folder / "study.toml"), lambda *report: seen.append(report))
    done = [kicks for stage, kicks, total in seen if stage == "tracking" and total == N_KICKS]
    assert done[0] == 0
    assert done[-1] == N_KICKS
    assert seen[-1][0] == "backward pass"


# ---- what is printed ---------------------------------------------------------------------


def test_tables_are_printed_without_colours_into_a_pipe(folder, capsys):
    assert cli.main(["run", str(folder / "study.toml")]) == cli.OK
    captured = capsys.readouterr()
    for text in ("Audit of", "Quadrupole", "9.817500", "kept for the backward pass", "m/eV"):
        assert text in captured.out
    assert "\x1b" not in captured.out
    assert captured.err == ""


def test_json_prints_what_is_written(folder, capsys):
    assert cli.main(["run", str(folder / "study.toml"), "--json"]) == cli.OK
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((folder / "results" / "results.json").read_text())


def test_output_goes_where_it_is_told(folder, capsys):
    target = folder / "deep" / "er"
    assert cli.main(["run", str(folder / "study.toml"), "--quiet", "--output", str(target)]) == 0
    assert {path.name for path in target.iterdir()} == FILES
    assert not (folder / "results").exists()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", ["bunch_final.h5", "bunch_mine.npz"])
def test_a_run_does_not_replace_the_bunch_that_it_reads(folder, capsys, name):
    study = load_study(folder / "study.toml")
    (folder / "results").mkdir()
    before = make_bunch(study, build_sequence(study))
    scb.write_bunch(folder / "results" / name, before)
    text = SMALL[: SMALL.index("[bunch]")] + f'[bunch]\nfile = "results/{name}"\n'
    (folder / "study.toml").write_text(text + '[output]\nreport = false\nbunches = ["npz"]\n')
    message = refuses(folder, capsys)
    assert f"results/{name} is in {folder / 'results'}, where a run replaces files" in message
    (folder / "link").symlink_to(folder / "results")
    assert "choose another --output" in refuses(folder, capsys, "--output", str(folder / "link"))
    elsewhere = ("--quiet", "--output", str(folder / "next"))
    assert cli.main(["run", str(folder / "study.toml"), *elsewhere]) == cli.OK
    assert torch.equal(scb.read_bunch(folder / "results" / name).coordinates, before.coordinates)


def test_a_new_run_replaces_results_and_leaves_other_files(folder):
    (folder / "results").mkdir()
    (folder / "results" / "notes.txt").write_text("mine")
    (folder / "results" / "results.json").write_text("old")
    assert cli.main(["run", str(folder / "study.toml"), "--quiet"]) == cli.OK
    assert (folder / "results" / "notes.txt").read_text() == "mine"
    assert json.loads((folder / "results" / "results.json").read_text())["kicks"] == N_KICKS


@pytest.mark.parametrize("options", [[], ["run"], ["walk"], ["run", "a", "b"]])
def test_wrong_usage_exits_with_two(options, capsys):
    with pytest.raises(SystemExit, match="2"):
        cli.main(options)
    assert "usage: sc-bridge" in capsys.readouterr().err


def test_help_shows_examples(capsys):
    with pytest.raises(SystemExit, match="0"):
        cli.main(["run", "--help"])
    assert "sc-bridge run examples/psb/study.toml" in capsys.readouterr().out


def test_version_is_printed(capsys):
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--version"])
    assert capsys.readouterr().out.startswith("sc-bridge ")
