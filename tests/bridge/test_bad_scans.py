"""Faulty scans and optimisations, and commands about the schema: one line each, nothing written."""

from __future__ import annotations

import pytest
from bad_runs import refusal
from bad_studies import RING, STUDY

from sc_bridge import cli

OPTIMISE = '[optimise]\nminimise = "{minimise}"\nvary = {vary}\n{more}\n[output]'
KQ = "{ kq = [0.9, 1.1] }"

# minimise, vary, other keys, and a piece of the message.
BAD_OPTIMISE = {
    "nothing varies": ("sigma_x", "{}", "", "optimise.vary = {}: must have at least 1 entry"),
    "one bound": ("sigma_x", "{ kq = [1] }", "", "optimise.vary.kq = [1]: must have at least 2"),
    "three bounds": ("sigma_x", "{ kq = [0, 1, 2] }", "", "must have at most 2 entries"),
    "bounds of text": ("sigma_x", '{ kq = "a" }', "", "optimise.vary.kq = 'a': must be a list"),
    "no table": ("sigma_x", "3", "", "optimise.vary = 3: must be a table"),
    "bounds reversed": ("sigma_x", "{ kq = [1.1, 0.9] }", "", "the first must be the smaller"),
    "bounds alike": ("sigma_x", "{ kq = [1, 1] }", "", "the first must be the smaller"),
    "outside of bounds": ("sigma_x", "{ kq = [2, 3] }", "", "kq is 1, outside: widen"),
    "bound nan": ("sigma_x", "{ kq = [0.9, nan] }", "", "optimise.vary.kq[1] = nan"),
    "bound inf": ("sigma_x", "{ kq = [-inf, 2] }", "", "optimise.vary.kq[0] = -inf"),
    "bound in metres": ("sigma_x", '{ kq = ["0.9 m", 2] }', "", "optimise.vary.kq = '0.9 m'"),
    "bound of words": ("sigma_x", '{ kq = ["x", 2] }', "", "optimise.vary.kq = 'x'"),
    "no such knob": ("sigma_x", "{ kx = [0, 1] }", "", "optimise.vary: no knob, field or key 'kx'"),
    "a driven field": ("sigma_x", '{ "qf.k1" = [0, 2] }', "", "name the knob"),
    "wildcard of nothing": ("sigma_x", '{ "z*" = [0, 2] }', "", "'z*' fits no knob"),
    "outside, of the bunch": ("sigma_x", '{ "bunch.intensity" = [1, 2] }', "", "outside: widen"),
    "no such moment": ("sigma_q", KQ, "", "did you mean 'sigma_"),
    "call of a function": ("open('x')", KQ, "", "optimise.minimise"),
    "not closed": ("log(sigma_x", KQ, "", "optimise.minimise"),
    "no such monitor": ("eye.sigma_x", KQ, "", "eye"),
    "unknown key": ("sigma_x", KQ, "steps = 3", "unknown key optimise.steps: did you mean"),
    "no steps": ("sigma_x", KQ, "max_steps = 0", "optimise.max_steps = 0"),
    "steps of text": ("sigma_x", KQ, 'max_steps = "3"', "optimise.max_steps = '3'"),
    "no tolerance": ("sigma_x", KQ, "tolerance = 0", "optimise.tolerance = 0: must be positive"),
    "tolerance nan": ("sigma_x", KQ, "tolerance = nan", "optimise.tolerance = nan"),
}  # fmt: skip

BAD_SCANS = {
    "no such knob": (("kqq", "--values", "1"), "scan: no knob, field or key 'kqq': did you mean"),
    "wildcard of nothing": (("z*", "--values", "1"), "'z*' fits no knob"),
    "wildcard of several": (("bunch.*", "--values", "1"), "'bunch.*' fits bunch.intensity"),
    "no values": (("kq",), "give either --values, or --from and --to"),
    "one end": (("kq", "--from", "1"), "give either --values, or --from and --to"),
    "both": (("kq", "--values", "1", "--to", "2"), "give either --values, or --from and --to"),
    "steps of values": (("kq", "--values", "1", "--steps", "3"), "--steps goes with --from"),
    "one step": (("kq", "--from", "1", "--to", "2", "--steps", "1"), "--steps 1: must be"),
    "a million steps": (("kq", "--from", "1", "--to", "2", "--steps", "1000000"), "2 to 100000"),
    "value nan": (("kq", "--values", "nan"), "scan: kq = 'nan': must be finite"),
    "value inf": (("kq", "--from", "0", "--to", "inf"), "scan: kq = 'inf': must be finite"),
    "value of text": (("kq", "--values", "a"), "scan: kq = 'a'"),
    "value in metres": (("kq", "--values", "1 m"), "scan: kq = '1 m': has the unit 'm'"),
    "value without unit": (("bunch.sigma_z", "--values", "1"), "the unit is missing"),
    "value in kilograms": (("bunch.nemitt_x", "--values", "1 kg"), "has the unit 'kg'"),
    "negative": (("bunch.intensity", "--values", "-1"), "intensity = -1"),
    "seed": (("bunch.seed", "--values", "1"), "bunch.seed: the bunch does not depend on it"),
    "diverges": (("kq", "--values", "1e300"), "study.toml: scan: kq = 1e+300: "),
    "no such moment": (("kq", "--values", "1", "--of", "sigma_q"), "no moment 'sigma_q'"),
    "no such monitor": (("kq", "--values", "1", "--of", "eye.sigma_x"), "no monitor 'eye'"),
    "a file as folder": (("kq", "--values", "1", "--output", "ring.json"), "is a file"),
}  # fmt: skip

BAD_OTHERS = {
    "a list of rules": (
        'max_spacing = "1 m"', 'max_spacing = "1 m"\nper_element = { Quadrupoles = 4 }',
        "study.toml: slicing.per_element: 'Quadrupoles' fits no name and no class",
    ),
    "behind the optics": (
        "seed = 3", 'seed = 3\n[bunch.twiss]\nbetx = "1 m"\nbety = "1 m"\nsigma_x = "1 mm"',
        "sigma_x belongs to [bunch]: write it above [bunch.twiss]",
    ),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "ring.json").write_text(RING)
    (tmp_path / "study.toml").write_text(STUDY)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", BAD_OPTIMISE)
def test_a_bad_optimisation_is_one_line(folder, capsys, name):
    minimise, vary, more, message = BAD_OPTIMISE[name]
    section = OPTIMISE.format(minimise=minimise, vary=vary, more=more)
    (folder / "study.toml").write_text(STUDY.replace("[output]", section))
    line = refusal(folder, capsys, "optimise", "study.toml")
    assert message in line and "study.toml" in line


def test_an_optimisation_needs_its_section(folder, capsys):
    assert "[optimise] is missing: write" in refusal(folder, capsys, "optimise", "study.toml")


@pytest.mark.parametrize("name", BAD_SCANS)
def test_a_bad_scan_is_one_line(folder, capsys, name):
    arguments, message = BAD_SCANS[name]
    assert message in refusal(folder, capsys, "scan", "study.toml", *arguments)


@pytest.mark.parametrize("name", BAD_OTHERS)
def test_a_misplaced_key_is_one_line(folder, capsys, name):
    old, new, message = BAD_OTHERS[name]
    (folder / "study.toml").write_text(STUDY.replace(old, new, 1))
    assert message in refusal(folder, capsys, "run", "study.toml")


@pytest.mark.parametrize("arguments", [("x",), ("--json",), ("--output", "a.json")])
def test_the_schema_takes_no_arguments(capsys, arguments):
    with pytest.raises(SystemExit) as end:
        cli.main(("schema", *arguments))
    assert end.value.code == cli.REFUSED
    assert "unrecognized arguments" in capsys.readouterr().err
