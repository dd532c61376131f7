"""Study files: every fault is one line that names file, key, value and way out."""

# ruff: noqa: E501 - a table reads by its rows

from __future__ import annotations

import pytest

import sc_bridge as scb
from sc_bridge.study import build_sequence, load_study, make_bunch

GOOD = """
title = "a test"
[lattice]
file = "psb.json"
bend_model = "exact"
[reference]
species = "proton"
kinetic_energy = "160 MeV"
[bunch]
n_particles = 10
intensity = 1.6e12
nemitt_x = "2 um"
nemitt_y = "2 mm mrad"
sigma_z = "15 m"
[space_charge]
grid = [16, 16, 32]
[slicing]
max_spacing = "1 m"
[derivatives]
of = ["sigma_x"]
with_respect_to = ["kbrqf", "bunch.intensity"]
"""

# (what to replace, by what, type of error, what the message says)
FAULTS = {
    "bare length": ('nemitt_x = "2 um"', "nemitt_x = 2e-6", "unit", "bunch.nemitt_x = '2e-06': the unit is missing"),
    "bare length as text": ('"2 um"', '"2e-6"', "unit", "bunch.nemitt_x = '2e-6': the unit is missing"),
    "wrong dimension": ('"2 um"', '"2 MeV"', "unit", "bunch.nemitt_x = '2 MeV': has the unit 'MeV': write a length"),
    "energy as length": ('"160 MeV"', '"160 m"', "unit", "reference.kinetic_energy = '160 m': has the unit 'm'"),
    "unknown unit": ('"160 MeV"', '"160 Mev"', "unit", "unknown unit 'Mev'.*did you mean"),
    "expression": ('"15 m"', '"3*5 m"', "unit", "bunch.sigma_z = '3\\*5 m': is no number with a unit"),
    "nan": ("1.6e12", "nan", "unit", "bunch.intensity = nan: must be finite"),
    "infinite": ('"15 m"', '"1e999 m"', "unit", "bunch.sigma_z = 1e999 m: must be finite"),
    "truth value": ("1.6e12", "true", "unit", "bunch.intensity = True"),
    "unit on a pure number": ("1.6e12", '"1.6e12 C"', "unit", "bunch.intensity = .*has the unit 'C'"),
    "list": ('"15 m"', "[15]", "unit", r"bunch.sigma_z = \[15\]"),
    "unknown key": ("nemitt_y", "nemit_y", "study", "unknown key bunch.nemit_y: did you mean 'nemitt_y'"),
    "unknown section": ("[slicing]", "[sclicing]", "study", "unknown key sclicing: did you mean 'slicing'"),
    "missing key": ('sigma_z = "15 m"', "", "study", "bunch.sigma_z is missing"),
    "missing file": ('file = "psb.json"', "", "study", "lattice.file is missing"),
    "empty file": ('"psb.json"', '""', "study", "lattice.file = '': must be a path"),
    "no particles": ("n_particles = 10", "n_particles = 0", "study", "bunch.n_particles = 0: input should be greater"),
    "half a particle": ("n_particles = 10", "n_particles = 10.5", "study", "bunch.n_particles = 10.5"),
    "negative intensity": ("1.6e12", "-1.0", "study", "bunch.intensity = -1: must not be negative"),
    "negative emittance": ('"2 um"', '"-2 um"', "study", "bunch.nemitt_x = -2e-06: must not be negative"),
    "no spacing": ('max_spacing = "1 m"', 'max_spacing = "0 m"', "study", "slicing.max_spacing = 0: must be positive"),
    "no rule": ('max_spacing = "1 m"', "", "study", "slicing: no rule for all elements given: give exactly one of max_spacing, kicks_per_element, betatron_fraction, plasma_fraction"),
    "two rules": ('max_spacing = "1 m"', 'max_spacing = "1 m"\nplasma_fraction = 0.1', "study", "slicing: max_spacing and plasma_fraction given"),
    "no kicks": ('max_spacing = "1 m"', "kicks_per_element = 0", "study", "slicing.kicks_per_element = 0: input should be greater"),
    "fraction with unit": ('max_spacing = "1 m"', 'betatron_fraction = "1 m"', "unit", "slicing.betatron_fraction = '1 m'"),
    "no fraction": ('max_spacing = "1 m"', "plasma_fraction = 0.0", "study", "slicing.plasma_fraction = 0: must be positive"),
    "kicks by half": ('max_spacing = "1 m"', 'max_spacing = "1 m"\nper_element = { qf = 1.5 }', "study", "slicing.per_element.qf = 1.5: must be a number of kicks"),
    "no kicks by name": ('max_spacing = "1 m"', 'max_spacing = "1 m"\nper_element = { qf = 0 }', "study", "slicing.per_element.qf = 0: must be a number of kicks"),
    "bare spacing by name": ('max_spacing = "1 m"', 'max_spacing = "1 m"\nper_element = { qf = "1" }', "unit", "slicing.per_element.qf = '1': the unit is missing"),
    "no spacing by name": ('max_spacing = "1 m"', 'max_spacing = "1 m"\nper_element = { qf = "0 m" }', "study", "slicing.per_element.qf = 0: must be positive"),
    "negative energy": ('"160 MeV"', '"-160 MeV"', "study", "reference.kinetic_energy = .*: must be positive"),
    "flat grid": ("[16, 16, 32]", "[16, 16]", "study", "space_charge.grid = .*at least 3"),
    "text in the grid": ("[16, 16, 32]", '[16, 16, "a"]', "study", r"space_charge.grid\[2\] = 'a'"),
    "unknown model": ('"exact"', '"thin"', "study", "lattice.bend_model = 'thin': input should be 'exact' or"),
    "unknown distribution": ("n_particles", 'distribution = "flat"\nn_particles', "study", "bunch.distribution = 'flat'"),
    "kicks without spacing": ("[slicing]\nmax_spacing = \"1 m\"", "", "study", r"\[slicing\] is missing"),
    "spacing without kicks": ("[space_charge]\ngrid = [16, 16, 32]", "", "study", r"\[space_charge\] is missing"),
    "unknown moment": ('"sigma_x"', '"sigmax"', "study", r"derivatives.of\[0\]: expression 'sigmax': no moment 'sigmax': did you mean 'sigma_x'"),
    "moment twice": ('["sigma_x"]', '["sigma_x", "sigma_x"]', "study", "derivatives.of: 'sigma_x' is listed twice"),
    "no moment": ('of = ["sigma_x"]', "of = []", "study", "derivatives.of = .*at least 1"),
    "section as number": ("[slicing]\nmax_spacing = \"1 m\"", "", "study", "missing"),
    "no TOML": ("[lattice]", "[lattice", "study", "no TOML"),
    "key twice": ("[lattice]", "[lattice]\nfile = 'a'", "study", "no TOML"),
    "deep nesting": ('"a test"', "[" * 5000, "study", "no TOML"),
}  # fmt: skip


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "study.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_a_study_is_read_in_si_units(write):
    model = load_study(write(GOOD)).model
    assert model.reference is not None
    assert model.slicing is not None
    assert model.bunch.nemitt_x == pytest.approx(2e-6)
    assert model.bunch.nemitt_y == pytest.approx(2e-6)
    assert model.reference.kinetic_energy == 160e6
    assert model.slicing.max_spacing == 1.0
    assert model.bunch.intensity == 1.6e12
    assert model.bunch.seed == 0


# rule of a study -> the same in Python, from the study and its sequence
SLICINGS = {
    'max_spacing = "1 m"': lambda *_: scb.MaxSpacing(1.0),
    "kicks_per_element = 2": lambda *_: scb.KicksPerElement(2),
    "betatron_fraction = 0.02": lambda *_: scb.BetatronFraction(0.02),
    'plasma_fraction = "1 %"': lambda *place: scb.PlasmaFraction(0.01, make_bunch(*place)),
    'max_spacing = "1 m"\nper_element = { "q?" = 3, d1 = "0.5 m" }': lambda *_: scb.PerElement(
        {"q?": 3, "d1": "0.5 m"}, otherwise="1 m"
    ),
}


@pytest.mark.parametrize("rule", SLICINGS)
def test_every_slicing_of_a_study_is_that_of_python(write, psb_file, rule):
    text = GOOD.replace('"psb.json"', f'"{psb_file}"').replace('max_spacing = "1 m"', rule)
    study = load_study(write(text))
    sequence = build_sequence(study)
    expected = scb.KickedSequence(
        sequence.lattice,
        SLICINGS[rule](study, sequence),
        scb.SpaceCharge(),
        bend_model="exact",
        reference=sequence.reference,
    )
    kicks = [(step.kind, step.s_start) for step in expected.steps]
    assert [(step.kind, step.s_start) for step in sequence.steps] == kicks
    assert sequence.audit().kicks == expected.n_kicks


def test_the_lattice_lies_beside_the_study(write, tmp_path):
    assert load_study(write(GOOD)).lattice_paths == [tmp_path / "psb.json"]


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_one_line_with_file_and_key(write, name):
    old, new, kind, message = FAULTS[name]
    assert old in GOOD
    path = write(GOOD.replace(old, new, 1))
    error = {"unit": scb.UnitError, "study": scb.StudyError}[kind]
    with pytest.raises(error, match=message) as refusal:
        load_study(path)
    assert str(refusal.value).startswith(f"{path}: ")
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 600 + len(str(path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe\x00binary", "is not text"),
        (b"", "lattice is missing"),
        (b"a = 1\n" * 200_000, "larger than"),
    ],
)
def test_a_file_that_is_no_study_is_refused(write, content, message):
    with pytest.raises(scb.StudyError, match=message):
        load_study(write(content))


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(scb.StudyError, match="no such file"):
        load_study(tmp_path / "nothing.toml")


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(scb.StudyError, match="is no regular file"):
        load_study(tmp_path)
