"""Studies as they run: turns, monitors, losses and where results go."""

from __future__ import annotations

import pytest
import torch
from rich.console import Console

import sc_bridge as scb
from sc_bridge.errors import StudyError
from sc_bridge.report.page import report_page
from sc_bridge.report.printed import print_report
from sc_bridge.results import to_dict
from sc_bridge.study import load_study, run_study
from study_texts import PERIOD, write_study

# On the smallest grid.
SMALL = f"""{PERIOD.replace("turns = 1", "turns = 2")}[monitors.behind]
at = "cavity"
[monitors.screens]
at = ["1 m", "2.5 m"]
kind = "bunch"
"""


@pytest.fixture
def study_of(tmp_path):
    """Write a study from SMALL with some of its text replaced, and load it."""

    def write(*changes):
        return load_study(write_study(tmp_path, *changes, text=SMALL))

    return write


def test_monitors_record_what_python_records(study_of):
    outcome = run_study(study_of())
    behind, screens = outcome.monitors["behind"], outcome.monitors["screens"]
    assert isinstance(behind.mean, torch.Tensor)
    assert behind.turn.tolist() == [0, 1]
    assert behind.sigma("x")[-1].item() == pytest.approx(outcome.final["sigma_x"], rel=1e-12)
    assert screens.s.tolist() == [1.0, 2.5, 1.0, 2.5]
    assert all(isinstance(bunch, scb.Bunch) for bunch in screens)
    assert outcome.losses == ()


def test_s_goes_on_from_turn_to_turn(study_of):
    s = run_study(study_of()).along_s["s"]
    assert s[-1] == pytest.approx(2 * 9.8175)
    assert s == sorted(s)


def test_results_lie_in_the_folder_of_the_study(study_of):
    study = study_of(("[monitors.behind]", '[output]\nfolder = "deep/er"\n[monitors.behind]'))
    assert study.output_folder == study.path.parent / "deep" / "er"
    assert study_of().output_folder.name == "results"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('at = "cavity"', 'at = "cavitty"', "monitors.behind: .*no such element"),
        ('at = "cavity"', "", "monitors.behind: .*no place to look"),
        ('at = "cavity"', 'at = "cavity"\nof = 1', "unknown key monitors.behind.of: known are at"),
        ('kind = "bunch"', 'kind = "photo"', "monitors.screens.kind = 'photo': input should be"),
        ("turns = 2", "turns = 0", "turns = 0: input should be greater"),
        ("turns = 2", "turns = 2\noutput.formats = []", "unknown key output.formats"),
        ("turns = 2", 'turns = 2\noutput.bunches = ["xls"]', r"output.bunches\[0\] = 'xls'"),
    ],
)  # fmt: skip
def test_a_fault_names_its_key(study_of, old, new, message):
    with pytest.raises(scb.ScBridgeError, match=message):
        run_study(study_of((old, new)))


def test_too_few_particles_are_noted_everywhere(study_of):
    outcome = run_study(study_of(("n_particles = 50", "n_particles = 2")))
    assert "2 macroparticles: moments and emittances of so few mean little" in outcome.notes[0]
    assert to_dict(outcome)["warnings"] == list(outcome.notes)
    assert "2 macroparticles" in report_page(outcome, {}, ())
    screen = Console(record=True, width=200)
    print_report(screen, outcome)
    assert "note: 2 macroparticles" in screen.export_text()


COLLIMATED = """\
beam, particle=proton, energy=1.0982720882; kq = 1;
q: quadrupole, l=0.1, k1:=kq; d: drift, l=1; m: marker; hole = {hole};
c: collimator, l=0, apertype=circle, aperture={{hole}}; line: line=(q, m, d, c, d);
"""
OF_NOBODY = """\
[lattice]
file = "line.madx"
[bunch]
n_particles = 50
intensity = 1e9
sigma_x = "1 mm"
sigma_px = 1e-3
sigma_y = "1 mm"
sigma_py = 1e-3
sigma_z = "1 m"
sigma_delta = 1e-3
[monitors.before]
at = "m"
[derivatives]
of = ["OF"]
with_respect_to = ["kq", "bunch.intensity"]
"""


@pytest.fixture
def collimated(tmp_path):
    def write(hole, of):
        (tmp_path / "line.madx").write_text(COLLIMATED.format(hole=hole))
        (tmp_path / "study.toml").write_text(OF_NOBODY.replace("OF", of))
        return load_study(tmp_path / "study.toml")

    return write


def test_moments_of_nobody_have_no_derivatives(collimated):
    with pytest.raises(StudyError, match="'log\\(sigma_x\\)': no particle is left there: widen"):
        run_study(collimated(1e-9, "log(sigma_x)"))
    before = run_study(collimated(1e-9, "before.sigma_x"))
    assert before.final["n_alive"] == 0.0
    assert before.derivatives[0].value != 0.0


def test_derivatives_of_the_intensity_are_noted_where_particles_are_lost(collimated):
    noted = "intensity changes by whole particles"
    some = run_study(collimated(2e-3, "intensity"))
    assert 0.0 < some.final["n_alive"] < 50.0
    assert some.derivatives[1].value == pytest.approx(some.final["n_alive"] / 50)
    assert noted in some.notes[0]
    assert not any(noted in note for note in run_study(collimated(1.0, "intensity")).notes)
    assert not any(noted in note for note in run_study(collimated(2e-3, "sigma_x")).notes)
