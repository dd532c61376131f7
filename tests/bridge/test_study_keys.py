"""Every key of a study does what it says, and what contradicts itself is one line."""

# ruff: noqa: E501, RUF043 - a table reads by its rows

from __future__ import annotations

import pytest
import torch
from pydantic import BaseModel

import sc_bridge as scb
from sc_bridge.bunch_files import write_bunch
from sc_bridge.study import StudyModel, build_sequence, load_study, make_bunch, run_study
from sc_bridge.study.field_units import knob_unit
from study_texts import write_study

EMITTANCES = 'nemitt_x = "2 um"\nnemitt_y = "2 um"'
SHAPE = f'{EMITTANCES}\nsigma_z = "1 m"\nsigma_delta = 1e-3'
DERIVED = 'of = ["sigma_x"]\nwith_respect_to = ["kbrqf"]'
ROUNDOFF = 1e-12
# float64 gradients of the same numbers by another order of operations
SAME_GRADIENT = 1e-8


@pytest.fixture
def study_of(tmp_path):
    return lambda *changes: load_study(write_study(tmp_path, *changes))


def derivatives(study):
    return {(d.of, d.input.name): d for d in run_study(study).derivatives}


def sections(model: type[BaseModel]):
    yield model
    for field in model.model_fields.values():
        options = (field.annotation, *getattr(field.annotation, "__args__", ()))
        for option in options:
            if isinstance(option, type) and issubclass(option, BaseModel):
                yield from sections(option)


def test_every_key_has_a_description():
    found = list(sections(StudyModel))
    assert len(found) >= 10
    for section in found:
        assert section.__doc__
        for name, field in section.model_fields.items():
            assert field.description, f"{section.__name__}.{name}"


# ---- bunches -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["gaussian", "waterbag", "kv", "kurth", "uniform_ellipsoid", "semi_gaussian"]
)
def test_a_distribution_of_a_study_is_that_of_python(study_of, name):
    study = study_of(("[bunch]", f'[bunch]\nseed = 5\ndistribution = "{name}"'))
    sequence = build_sequence(study)
    shape = {"nemitt_x": "2 um", "nemitt_y": "2 um", "sigma_z": "1 m", "sigma_delta": 1e-3}
    expected = getattr(scb, name)(sequence, 50, 1.6e12, **shape, seed=5)
    assert torch.equal(make_bunch(study, sequence).coordinates, expected.coordinates)


def test_optics_or_sizes_may_be_given(study_of):
    optics = '[bunch.twiss]\nbetx = "5 m"\nalfx = -1.0\nbety = "3 m"\ndx = "-1 m"\n[space_charge]'
    study = study_of(("[space_charge]", optics))
    twiss = scb.Twiss(betx=5.0, alfx=-1.0, bety=3.0, alfy=0.0, dx=-1.0)
    sequence = build_sequence(study)
    shape = {"nemitt_x": "2 um", "nemitt_y": "2 um", "sigma_z": "1 m", "sigma_delta": 1e-3}
    expected = scb.gaussian(sequence, 50, 1.6e12, **shape, twiss=twiss)
    assert torch.equal(make_bunch(study, sequence).coordinates, expected.coordinates)

    sizes = 'sigma_x = "2 mm"\nsigma_px = 1e-3\nsigma_y = "1 mm"\nsigma_py = 0.0'
    study = study_of((EMITTANCES, sizes), (DERIVED, DERIVED.replace("kbrqf", "bunch.sigma_px")))
    ((_, found),) = derivatives(study).items()
    assert found.unit == "m"
    assert found.value != 0.0


def test_a_cold_sphere_needs_its_radius_alone(study_of):
    study = study_of((SHAPE, 'distribution = "cold_sphere"\nradius = "1 mm"'))
    bunch = make_bunch(study, build_sequence(study))
    assert bunch.sigma_px.item() == 0.0
    assert 0.3e-3 < bunch.sigma_x.item() < 0.6e-3


def test_a_bunch_comes_from_a_file(study_of, tmp_path):
    drawn = study_of()
    bunch = make_bunch(drawn, build_sequence(drawn))
    write_bunch(tmp_path / "start.h5", bunch)
    named = '[bunch]\nfile = "start.h5"\n'
    rest = "n_particles = 50\nintensity = 1.6e12\n"
    study = study_of((f"[bunch]\n{rest}{SHAPE}\n", named))
    expected = run_study(drawn).final
    # read in the reference of the study, which rounds
    assert run_study(study).final == pytest.approx(expected, rel=1e-9, abs=1e-12)
    # fewer particles stand for all; another intensity is spread over them
    study = study_of((f"[bunch]\n{rest}{SHAPE}\n", f"{named}n_particles = 20\nintensity = 1e10\n"))
    few = make_bunch(study, build_sequence(study))
    assert few.n_particles == 20
    assert few.intensity.item() == pytest.approx(1e10)
    assert (few.coordinates - bunch.coordinates[:, :20]).abs().max() < ROUNDOFF


def test_first_particles_stand_for_all_that_live(study_of, tmp_path):
    drawn = study_of()
    bunch = make_bunch(drawn, build_sequence(drawn))
    some = bunch.replace(alive=torch.arange(50) >= 20)
    write_bunch(tmp_path / "start.h5", some)
    rest = f"n_particles = 50\nintensity = 1.6e12\n{SHAPE}"
    study = study_of((rest, 'file = "start.h5"\nn_particles = 30'))
    few = make_bunch(study, build_sequence(study))
    assert few.n_alive == 10
    assert few.intensity.item() == pytest.approx(some.intensity.item())
    study = study_of((rest, 'file = "start.h5"\nn_particles = 20\nintensity = 1e9'))
    with pytest.raises(scb.StudyError, match="bunch.n_particles = 20: so many .* lost: take more"):
        run_study(study)


def test_a_bunch_of_another_reference_is_noted(study_of, tmp_path):
    line = scb.KickedSequence(scb.read_lattice(write_channel(tmp_path)))
    given = 'file = "start.h5"\n[derivatives]\nof = ["sigma_x"]\nwith_respect_to = ["kq"]\n'
    (tmp_path / "own.toml").write_text(f'[lattice]\nfile = "channel.madx"\n[bunch]\n{given}')
    for energy, noted in (("160 MeV", False), ("200 MeV", True)):
        ref = scb.reference("proton", kinetic_energy=energy)
        sizes = dict.fromkeys(("sigma_px", "sigma_y", "sigma_py", "sigma_delta"), 1e-3)
        bunch = scb.gaussian(line, 20, 1e9, sigma_x=1e-3, sigma_z=1.0, reference=ref, **sizes)
        write_bunch(tmp_path / "start.h5", bunch)
        notes = run_study(load_study(tmp_path / "own.toml")).notes
        assert any("the bunch has its own reference" in note for note in notes) is noted


def write_channel(folder):
    path = folder / "channel.madx"
    path.write_text(
        "beam, particle=proton, energy=1.0982720882; kq = 1;\n"
        "q: quadrupole, l=0.1, k1:=kq; d: drift, l=1; line: line=(q, d);\n"
    )
    return path


# ---- lattice -----------------------------------------------------------------------------


def test_a_knob_of_the_study_takes_the_place_of_the_files(study_of):
    study = study_of(("[reference]", "[lattice.knobs]\nkbrqf = 0.7\n[reference]"))
    sequence = build_sequence(study)
    assert sequence.knobs["kbrqf"].item() == 0.7
    name = next(n for n in sequence.lattice.element_names if n.startswith("qf"))
    assert sequence[name].k1.item() == sequence.lattice.elements[name].fields["k1"] == 0.7
    assert sequence.audit().kicks == sequence.n_kicks


def test_a_range_takes_a_part_of_the_line(study_of):
    whole = build_sequence(study_of())
    names = whole.lattice.element_names
    study = study_of(('file = "psb.json"', f'file = ["psb.json"]\nrange = "{names[2]}/{names[5]}"'))
    assert build_sequence(study).lattice.element_names == names[2:6]


# ---- kicks, dtype, adjoint ---------------------------------------------------------------


def test_settings_of_the_kick_are_those_of_python(study_of):
    grid = "grid = [8, 8, 8]"
    more = (
        'shape = "tsc"\nlongitudinal = false\nfield_dtype = "float64"\nsplitting = "yoshida"\n'
        'x_range = ["-5 cm", "5 cm"]\ny_range = ["-5 cm", "5 cm"]\nz_range = ["-9 m", "9 m"]'
    )
    sequence = build_sequence(study_of((grid, f"{grid}\n{more}")))
    assert sequence.space_charge == scb.SpaceCharge(
        grid=(8, 8, 8), shape="tsc", longitudinal=False, field_dtype=torch.float64,
        x_range=(-0.05, 0.05), y_range=(-0.05, 0.05), z_range=(-9.0, 9.0),
    )  # fmt: skip
    assert sequence.splitting == scb.Yoshida()


def test_single_precision_is_a_choice(study_of):
    outcome = run_study(study_of(("turns = 1", 'dtype = "float32"\ndevice = "cpu"')))
    assert outcome.bunch.coordinates.dtype == torch.float32


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('"StoreStates"', "StoreStates()"),
        ('"RecordAll"', "RecordAll()"),
        ('{ strategy = "Checkpoint", every = 2 }', "Checkpoint(every=2, memory=None)"),
        ('{ strategy = "Reversible", anchors = 1 }', "Reversible(anchors=1, tolerance=None)"),
    ],
)
def test_every_strategy_can_be_asked_for_and_gives_the_same(study_of, text, shown):
    outcome = run_study(study_of(("turns = 1", f"adjoint = {text}")))
    assert outcome.memory.adjoint == shown
    expected = run_study(study_of()).derivatives[0].value
    assert outcome.derivatives[0].value == pytest.approx(expected, rel=SAME_GRADIENT)


def test_a_limit_holds_for_a_strategy_that_was_asked_for(study_of):
    asked = 'memory_limit = "64 GiB"\nadjoint = { strategy = "Checkpoint", every = 2 }'
    outcome = run_study(study_of(("turns = 1", asked)))
    assert outcome.memory.adjoint.startswith("Checkpoint(every=2")
    assert outcome.memory.predicted_peak is not None


# ---- derivatives -------------------------------------------------------------------------


def test_expressions_obey_the_chain_rule(study_of):
    wanted = '["sigma_x", "nemitt_x", "sigma_x*sigma_x", "log(nemitt_x)", "sqrt(sigma_x/nemitt_x)"]'
    found = derivatives(study_of(('["sigma_x"]', wanted)))
    sigma, emittance = found["sigma_x", "kbrqf"], found["nemitt_x", "kbrqf"]
    square = found["sigma_x*sigma_x", "kbrqf"]
    log = found["log(nemitt_x)", "kbrqf"]
    assert square.value == pytest.approx(2.0 * sigma.of_value * sigma.value, rel=ROUNDOFF)
    assert log.value == pytest.approx(emittance.value / emittance.of_value, rel=ROUNDOFF)
    assert (sigma.unit, square.unit, log.unit) == ("m^3", "m^4", "m^2")
    assert (square.of_unit, log.of_unit) == ("m^2", "1")
    assert found["sqrt(sigma_x/nemitt_x)", "kbrqf"].of_unit == "1"


def test_a_sum_of_different_units_has_none(study_of):
    found = derivatives(study_of(('["sigma_x"]', '["sigma_x + 0.1*sigma_px"]')))
    assert found["sigma_x + 0.1*sigma_px", "kbrqf"].unit == "[sigma_x + 0.1*sigma_px]/(1/m^2)"


@pytest.mark.parametrize("kind", ["moments", "bunch"])
def test_moments_at_a_monitor_are_differentiated(study_of, kind):
    place = f'[monitors.end]\nat = "cavity"\nkind = "{kind}"\n[derivatives]'
    wanted = '["sigma_x", "end.sigma_x", "end[0].sigma_x"]'
    study = study_of(("turns = 1", "turns = 2"), ("[derivatives]", place), ('["sigma_x"]', wanted))
    found = derivatives(study)
    last, end = found["sigma_x", "kbrqf"], found["end.sigma_x", "kbrqf"]
    assert end.value == pytest.approx(last.value, rel=1e-9)
    once = derivatives(study_of())["sigma_x", "kbrqf"]
    assert found["end[0].sigma_x", "kbrqf"].value == pytest.approx(once.value, rel=1e-9)


def test_wildcards_stand_for_knobs_and_fields(study_of):
    names = {name for _, name in derivatives(study_of(('"kbrqf"]', '"kbrq*", "cav*.volt*"]')))}
    assert names == {"kbrqf", "kbrqd", "cavity.voltage"}


def test_displacements_and_tilts_have_units(study_of):
    field = '"cavity.shift_x", "cavity.rot_s_rad"'
    found = derivatives(study_of(('"kbrqf"', field)))
    assert found["sigma_x", "cavity.shift_x"].unit == "1"
    assert found["sigma_x", "cavity.rot_s_rad"].unit == "m/rad"


def test_a_knob_has_the_unit_of_the_field_that_it_is_a_term_of(tmp_path):
    ring = tmp_path / "ring.madx"
    ring.write_text(
        "kq=1; trim=0; half=2; turn=0.1; both=1;\n"
        "q: quadrupole, l=1, k1:=-(kq+trim)+0.1*half; b: sbend, l=1, angle:=turn;\n"
        "p: quadrupole, l=1, k1:=both; c: sbend, l=1, angle:=both; line: line=(q,b,p,c);\n"
    )
    lattice = scb.read_lattice(ring)
    units = {name: knob_unit(lattice, name) for name in ("kq", "trim", "half", "turn", "both")}
    assert units == {"kq": "1/m^2", "trim": "1/m^2", "half": None, "turn": "rad", "both": None}


def test_a_wildcard_stands_for_the_numbers_of_the_bunch(study_of):
    names = {name for _, name in derivatives(study_of(('"kbrqf"]', '"bunch.*mitt_?"]')))}
    assert names == {"bunch.nemitt_x", "bunch.nemitt_y"}


# ---- refusals ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[reference]", "[lattice.knobs]\nkbrqx = 1.0\n[reference]", "lattice.knobs: .*no variable 'kbrqx': did you"),
        ("[reference]", "[lattice.knobs]\nkbrqf = \"1 m\"\n[reference]", "lattice.knobs.kbrqf = '1 m'"),
        ('file = "psb.json"', 'file = []', "lattice.file = .*at least 1"),
        ('file = "psb.json"', 'file = "psb.json"\nformat = "mad9"', "lattice.format = 'mad9'"),
        ('file = "psb.json"', 'file = "psb.json"\nrange = "a"', "range 'a': must be FROM/TO"),
        ("[reference]", 'memory_limit = "8 GiB"\n[reference]', "unknown key lattice.memory_limit: write memory_limit above the first"),
        (EMITTANCES, "", "bunch.nemitt_x is missing"),
        ("n_particles = 50", "", "bunch.n_particles is missing"),
        (EMITTANCES, EMITTANCES + '\nradius = "1 mm"', "bunch.radius = 0.001: gaussian takes"),
        (EMITTANCES, EMITTANCES + '\nsigma_x = "1 mm"', "bunch.sigma_px is missing"),
        (EMITTANCES, EMITTANCES + '\nfile = "a.h5"', "bunch.nemitt_x = .*: the file takes"),
        ("[bunch]", '[bunch]\ndistribution = "cold_sphere"', "bunch.radius is missing"),
        ("turns = 1", 'device = "tpu"', "device = 'tpu'"),
        ("turns = 1", 'device = "cuda:99"', "device = 'cuda:99': this machine has"),
        ("turns = 1", 'adjoint = "Checkpoint"', "adjoint: Checkpoint takes exactly one of"),
        ("turns = 1", 'adjoint = { strategy = "Reversible", every = 2 }', "adjoint.every: Reversible takes anchors, tol"),
        ("turns = 1", 'memory_limit = "64 KiB"\nadjoint = "RecordAll"', "memory_limit = .*the program alone"),
        ("grid = [8, 8, 8]", "grid = [8, 8, 8]\nx_range = [\"0 m\", \"1 m\"]", "space_charge.y_range, z_range missing"),
        ('"sigma_x"', '"n_alive"', r"derivatives.of\[0\]: .*'n_alive' counts particles: it changes in steps"),
        ('"sigma_x"', '"__import__(1)"', "function '__import__' is not known"),
        ('"sigma_x"', '"1 + 2"', "names no moment"),
        ('"sigma_x"', '"sigma_x +"', "it ends too early"),
        ('"sigma_x"', '"floor(sigma_x)"', "function 'floor' is not known"),
        ('"sigma_x"', '"screen.sigma_x"', "no monitor 'screen'"),
        ('"sigma_x"', '"log(0*sigma_x)"', r"derivatives.of: 'log\(0\*sigma_x\)' is -inf for this bunch"),
        ('"sigma_x"', '"sqrt(0*sigma_x)"', "0, has no finite derivative with respect to kbrqf"),
        ("[derivatives]", '[monitors.final]\nat = "1 m"\n[derivatives]', "monitors.final: results call"),
        ('"kbrqf"', '"x?*"', "'x[?][*]' fits no knob that drives the line"),
        ('"kbrqf"', '"bunch.radius"', "bunch.radius: the bunch has no such number: it has intensity, nemitt_x"),
        ("[derivatives]", '[monitors."a b"]\nat = "1 m"\n[derivatives]', "monitors.a b: a monitor's name"),
    ],
)  # fmt: skip
def test_what_contradicts_itself_is_one_line(study_of, old, new, message):
    with pytest.raises(scb.ScBridgeError, match=message) as refusal:
        run_study(study_of((old, new)))
    assert "\n" not in str(refusal.value)


def test_moments_that_a_monitor_lacks_are_named(study_of):
    monitor = '[monitors.end]\nat = "cavity"\n[derivatives]'
    study = study_of(("[derivatives]", monitor), ('["sigma_x"]', '["end[3].sigma_x"]'))
    with pytest.raises(scb.StudyError, match="the monitor looks 1 times: the last is 0"):
        run_study(study)
    study = study_of(("[derivatives]", monitor), ('["sigma_x"]', '["end.sigma_delta"]'))
    with pytest.raises(scb.StudyError, match='does not record sigma_delta: take kind = "bunch"'):
        run_study(study)


def test_a_bunch_file_that_is_missing_or_short_names_the_key(study_of, tmp_path):
    rest = f"n_particles = 50\nintensity = 1.6e12\n{SHAPE}"
    with pytest.raises(scb.StudyError, match="bunch.file: .*start.h5"):
        run_study(study_of((rest, 'file = "start.h5"')))
    drawn = study_of()
    write_bunch(tmp_path / "start.h5", make_bunch(drawn, build_sequence(drawn)))
    study = study_of((rest, 'file = "start.h5"\nn_particles = 51'))
    with pytest.raises(scb.StudyError, match="bunch.n_particles = 51: .* has 50"):
        run_study(study)
    study = study_of((rest, 'file = "start.h5"'), ('"kbrqf"', '"bunch.intensity"'))
    with pytest.raises(scb.StudyError, match="leaves it to the file: give bunch.intensity"):
        run_study(study)
    study = study_of((rest, 'file = "start.h5"'), ('"kbrqf"', '"reference.momentum"'))
    with pytest.raises(scb.StudyError, match="the bunch of a file has its own"):
        run_study(study)
