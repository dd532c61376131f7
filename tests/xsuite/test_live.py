"""Sequences that follow a live line, and lines made from sequences."""

from __future__ import annotations

import pytest
import torch
import xtrack as xt

import sc_bridge as scb
from sc_bridge.errors import LatticeError
from sc_bridge.lattice import Lattice, Record
from sc_bridge.xsuite import (
    bunch_from,
    from_line,
    particles_from,
    sequences_from,
    to_environment,
    to_line,
)

# Two implementations of the same maps, a few elements.
ROUNDOFF = 1e-13
# xtrack evaluates expressions in another order of operations.
EXPRESSION = 1e-15


@pytest.fixture
def environment() -> xt.Environment:
    """A ring and a transfer line that share elements, prototypes and expressions."""
    env = xt.Environment()
    env.particle_ref = xt.Particles("proton", kinetic_energy0=160e6)
    env["kq"], env["shift"] = 0.3, 1e-3
    env["kd"] = "-1.02 * kq + 0.1 * sin(shift)"
    env.new("q", "Quadrupole", length=0.5)
    env.new("qf", "q", k1="kq")
    env.new("qd", "q", k1="kd", knl=[0, 0, "kq * 0.1"])
    env.ref["qd"].knl[1] = 0.01 * env.ref["qf"].k1 * env.ref["qf"].length
    env.new("rb", "RBend", length_straight=1.5, angle=0.2, rbend_angle_diff=0.05)
    env.new("b", "Bend", length=1.5, angle="shift * 100", edge_entry_angle=0.05)
    env.new("d", "Drift", length="1 + shift")
    env.new("cav", "Cavity", harmonic=1, voltage=1e3)
    env.new("qf2", "qf", mode="replica")
    env.new_line(name="ring", components=["qf", "d", "rb", "d", "qd", "d", "qf2", "b", "cav"])
    env.new_line(name="transfer", components=["qf", "d", "qd", "d"])
    return env


@pytest.fixture
def bunch() -> scb.Bunch:
    generator = torch.Generator().manual_seed(2)
    coordinates = 1e-3 * torch.randn(6, 20, generator=generator, dtype=torch.float64)
    return scb.Bunch(coordinates, scb.reference("proton", kinetic_energy="160 MeV"), 1e8)


def tracked_by_xtrack(line: xt.Line, bunch: scb.Bunch) -> torch.Tensor:
    particles = particles_from(bunch)
    line.track(particles)
    assert (particles.state > 0).all()
    return bunch_from(particles).coordinates


def difference(sequence: scb.KickedSequence, line: xt.Line, bunch: scb.Bunch) -> float:
    bunch = bunch.replace(reference=sequence.reference)
    ours = scb.track(sequence, bunch).coordinates.detach()
    return (ours - tracked_by_xtrack(line, bunch)).abs().max().item()


# ---- from a line, and following it ---------------------------------------------------------


def test_from_line_takes_all_arguments_of_the_class(environment):
    sequence = scb.KickedSequence.from_line(
        environment["ring"],
        scb.MaxSpacing(0.5),
        space_charge=scb.SpaceCharge(grid=(8, 8, 8)),
        bend_model="rot-kick-rot",
        splitting=scb.Yoshida(),
    )
    assert sequence.n_kicks > 9
    assert isinstance(sequence.splitting, scb.Yoshida)
    assert sequence.audit().length == pytest.approx(environment["ring"].get_length(), abs=1e-12)


def test_a_line_without_reference_says_how_to_give_one():
    line = xt.Line(elements=[xt.Drift(length=1.0)])
    with pytest.raises(LatticeError, match=r"no particle_ref: set line\.particle_ref = xt\.Part"):
        scb.KickedSequence.from_line(line)
    proton = scb.reference("proton", kinetic_energy="1 GeV")
    assert scb.KickedSequence.from_line(line, reference=proton).length == 1.0


def test_pull_brings_in_variables_fields_and_lengths(environment, bunch):
    ring = environment["ring"]
    sequence = scb.KickedSequence.from_line(ring)
    knob = sequence.knobs["kq"].requires_grad_()
    assert difference(sequence, ring, bunch) < ROUNDOFF
    environment["kq"], environment["shift"] = 0.35, 2e-3
    ring["rb"].angle = 0.21
    ring["cav"].voltage = 2e3
    environment["qf"].knl[2] = 0.3
    ring.discard_tracker()  # xtrack keeps the length for harmonic cavities in it
    sequence.pull(ring)
    assert sequence.knobs["kq"] is knob
    assert knob.requires_grad
    assert knob.item() == 0.35
    assert difference(sequence, ring, bunch) < ROUNDOFF
    assert sequence.audit().length == pytest.approx(ring.get_length(), abs=1e-12)


def test_pull_takes_components_beside_driven_ones(environment, bunch):
    line = environment.ring
    sequence = scb.KickedSequence.from_line(line)
    environment["qd"].knl[0], environment["qd"].knl[3] = 1e-3, 0.4
    sequence.pull(line)
    assert sequence["qd"].knl[[0, 3]].tolist() == [1e-3, 0.4]
    assert difference(sequence, line, bunch) < ROUNDOFF


def test_pull_takes_an_environment_and_the_name_of_a_line(environment):
    sequence = scb.KickedSequence.from_line(environment, name="transfer")
    environment["kq"] = 0.4
    sequence.pull(environment, "transfer")
    assert sequence["qf"].k1.item() == 0.4


def test_pull_takes_the_reference(environment):
    sequence = scb.KickedSequence.from_line(environment["ring"])
    environment["ring"].particle_ref = xt.Particles("proton", kinetic_energy0=200e6)
    sequence.pull(environment["ring"])
    assert sequence.reference.p0c.item() == environment["ring"].particle_ref.p0c[0]


def test_a_field_that_was_cut_free_stays(environment):
    sequence = scb.KickedSequence.from_line(environment["transfer"])
    sequence.free("qd.k1")
    setattr(sequence["qd"], "k1", -0.5)  # noqa: B010
    environment["kq"] = 0.4
    sequence.pull(environment["transfer"])
    assert float(sequence["qd"].k1) == -0.5
    assert float(sequence["qf"].k1) == 0.4


def changed_order(env):
    env["transfer"].element_names.reverse()


def changed_class(env):
    env["transfer"].replace("qf", env.new("o", "Octupole", length=0.5))


def changed_expression(env):
    env["kd"] = 0.3


def changed_field_expression(env):
    env.ref["qd"].knl[2] = 2.0 * env.ref["kq"]


def changed_model(env):
    env["qf"].model = "drift-kick-drift-exact"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (changed_order, "its elements are others than before: build the sequence again"),
        (changed_class, "its elements are others than before"),
        (changed_expression, "variable 'kd' is defined in another way than before"),
        (changed_field_expression, r"qd\.knl follows another expression than before"),
        (changed_model, "qf: model was None and is 'drift-kick-drift-exact': build"),
    ],
)
def test_pull_refuses_another_machine(environment, change, message):
    sequence = scb.KickedSequence.from_line(environment["transfer"])
    change(environment)
    with pytest.raises(LatticeError, match=message):
        sequence.pull(environment["transfer"])


def test_pull_refuses_an_element_of_another_class_under_the_same_name(environment):
    sequence = scb.KickedSequence.from_line(environment["transfer"])
    fields = environment["transfer"].to_dict()
    fields["elements"]["d"] = {"__class__": "DriftExact", "length": 1.001}
    other = xt.Line.from_dict(fields, verbose=False)
    with pytest.raises(LatticeError, match="d was a Drift and is a DriftExact: build"):
        sequence.pull(other)


def test_pull_refuses_lengths_that_ask_for_other_kicks(environment):
    line = environment["transfer"]
    sequence = scb.KickedSequence.from_line(
        line, scb.MaxSpacing(0.5), space_charge=scb.SpaceCharge(grid=(8, 8, 8))
    )
    environment["shift"] = -2e-3
    with pytest.raises(LatticeError, match=r"lengths ask for 6 kicks by MaxSpacing.* has 8: build"):
        sequence.pull(line)
    assert sequence.knobs["shift"].item() != -2e-3  # nothing was taken over
    environment["shift"] = 2e-3
    sequence.pull(line)
    assert sequence.audit().kick_length == pytest.approx(line.get_length())


def test_a_length_that_was_cut_free_asks_for_its_own_kicks(environment):
    line = environment["transfer"]
    sequence = scb.KickedSequence.from_line(
        line, scb.MaxSpacing(0.5), space_charge=scb.SpaceCharge(grid=(8, 8, 8))
    )
    driven = [n for n, e in sequence.wholes.items() if "length" in e.drivers]
    for name in driven:
        sequence.free(f"{name}.length")
    environment["shift"] = -2e-3
    sequence.pull(line)
    assert driven
    assert sequence.n_kicks == 8


# ---- several lines -------------------------------------------------------------------------


def test_lines_of_an_environment_share_knobs_and_elements(environment, bunch):
    lines = sequences_from(environment)
    ring, transfer = lines["ring"], lines["transfer"]
    assert list(lines) == ["ring", "transfer"]
    assert ring.knobs["kq"] is transfer.knobs["kq"]
    assert ring["qf"].length is transfer["qf"].length
    knob = ring.knobs["kq"].requires_grad_()
    alone = []
    for name in lines:
        scb.track(lines[name], bunch).sigma_x.backward()
        assert knob.grad is not None
        alone.append(knob.grad.item())
        knob.grad = None
    end = scb.track(ring, scb.track(transfer, bunch))
    (scb.track(ring, bunch).sigma_x + scb.track(transfer, bunch).sigma_x).backward()
    assert knob.grad is not None
    assert knob.grad.item() == pytest.approx(sum(alone), rel=1e-12)
    assert end.n_particles == bunch.n_particles


def test_sequences_from_wants_an_environment(environment):
    with pytest.raises(LatticeError, match=r"sequences_from: Line: must be an xtrack\.Environment"):
        sequences_from(environment["ring"])


# ---- back to a line ------------------------------------------------------------------------


def test_reading_writing_and_reading_again_is_the_identity(environment):
    lattice = from_line(environment["ring"])
    again = from_line(to_line(lattice))
    for name in ("name", "element_names", "labels", "expressions", "field_expressions"):
        assert getattr(again, name) == getattr(lattice, name), name
    assert again.field_variables == lattice.field_variables
    assert again.variables == lattice.variables
    assert again.reference == lattice.reference
    assert {n: (r.kind, r.fields) for n, r in again.elements.items()} == {
        n: (r.kind, r.fields) for n, r in lattice.elements.items()
    }


def test_all_lines_of_an_environment_go_back_as_they_came(environment, bunch):
    sequences = sequences_from(environment)
    again = to_environment(sequences)
    assert list(again.lines) == ["ring", "transfer"]
    for name, sequence in sequences.items():
        was, now = sequence.lattice, from_line(again, name)
        for part in ("element_names", "labels", "expressions", "field_expressions", "reference"):
            assert getattr(now, part) == getattr(was, part), part
        assert {n: (r.kind, r.fields) for n, r in now.elements.items()} == {
            n: (r.kind, r.fields) for n, r in was.elements.items()
        }
    again["kq"] = environment["kq"] = 0.36  # one variable of both lines
    for name, sequence in sequences.items():
        sequence.pull(again, name)
        assert difference(sequence, environment[name], bunch) < ROUNDOFF


def test_lines_of_an_environment_go_back_with_their_kicks(environment, bunch):
    sequences = sequences_from(
        environment, slicing=scb.MaxSpacing(0.6), space_charge=scb.SpaceCharge(grid=(8, 8, 8))
    )
    again = to_environment(sequences, kicks=True)
    for name, sequence in sequences.items():
        assert scb.KickedSequence.from_line(again, name=name).n_kicks == sequence.n_kicks > 4
        assert difference(sequence, again[name], bunch) < ROUNDOFF


def test_what_lines_have_in_common_must_be_the_same(environment):
    one = scb.KickedSequence.from_line(environment, name="ring")
    other = scb.KickedSequence.from_line(environment, name="transfer")
    lines = {"ring": one, "transfer": other}
    assert list(to_environment(lines).lines) == ["ring", "transfer"]
    other.free("qd.k1")
    with pytest.raises(LatticeError, match=r"k1 of element 'qd' is kd in line 'ring' and -0"):
        to_environment(lines)
    other = scb.KickedSequence.from_line(environment, name="transfer")
    other.knobs["kq"] = 0.4
    with pytest.raises(LatticeError, match=r"value of variable 'kq' is 0\.3 in line 'ring' and 0"):
        to_environment({"ring": one, "transfer": other})
    with pytest.raises(LatticeError, match="to_environment: KickedSequence: must be a mapping of"):
        to_environment(one)  # pyright: ignore[reportArgumentType]
    with pytest.raises(LatticeError, match="to_environment: dict: must be a KickedSequence or La"):
        to_environment({"ring": {}})  # pyright: ignore[reportArgumentType]


def test_what_xtrack_cannot_build_is_named():
    segment = xt.LineSegmentMap(length=1.0, qx=1, qy=2)
    line = xt.Line(elements=[xt.Drift(length=1.0), segment], element_names=["d", "arc"])
    line.particle_ref = xt.Particles("proton", kinetic_energy0=160e6)
    with pytest.raises(LatticeError, match="xtrack cannot build LineSegmentMap 'arc': Assertion"):
        to_line(from_line(line))
    cavity = Record("c", "LinacCavity", {"length": 1.0, "voltage": 1e6})
    with pytest.raises(LatticeError, match="cannot build LinacCavity 'c': it knows no LinacCav"):
        to_line(Lattice("here", "test", "", {"c": cavity}, ("c",), labels=("c",)))


def test_expressions_of_numbers_alone_become_values(tmp_path, bunch):
    path = tmp_path / "ring.madx"
    path.write_text(
        "beam, particle=proton, energy=1.5; n := 12; twice := 2 * 3; kq := twice / n; "
        "q: quadrupole, l=0.5, k1:=sqrt(0.04); d: drift, l:=3*0.5; p: quadrupole, l=0.5, k1:=-kq; "
        "cell: line=(q, d, p, d); use, sequence=cell;"
    )
    sequence = scb.KickedSequence(scb.read_lattice(path))
    line = to_line(sequence)
    assert (line["q"].k1, line["d"].length, line["twice"], line["p"].k1) == (0.2, 1.5, 6.0, -0.5)
    line["n"] = 10
    assert line["p"].k1 == -0.6
    assert difference(sequence, to_line(sequence), bunch) < ROUNDOFF


def test_a_sequence_becomes_a_line_with_its_present_values(environment, bunch):
    sequence = scb.KickedSequence.from_line(environment["ring"])
    sequence.knobs["kq"], sequence.knobs["shift"] = 0.36, 3e-3
    sequence["rb"].angle = 0.22
    sequence["cav"].voltage = 3e3
    line = to_line(sequence)
    assert line.name == "ring"
    assert difference(sequence, line, bunch) < ROUNDOFF
    line["kq"] = environment["kq"] = 0.4
    line["shift"] = environment["shift"] = 1e-3
    for element, field in (("qf", "k1"), ("qd", "k1"), ("d", "length")):
        theirs = getattr(environment[element], field)
        assert abs(getattr(line[element], field) - theirs) < EXPRESSION
    assert line["qd"].knl[1] == pytest.approx(environment["qd"].knl[1], abs=EXPRESSION)
    assert line["rb"].angle == 0.22
    assert line["b"].k0 == "from_h"


def test_a_field_that_was_cut_free_has_no_expression(environment):
    sequence = scb.KickedSequence.from_line(environment["transfer"])
    sequence.free("qd.k1")
    line = to_line(sequence)
    line["kq"] = 0.5
    assert line["qd"].k1 == pytest.approx(environment["qd"].k1)
    assert line["qf"].k1 == 0.5


def test_a_field_that_others_refer_to_cannot_be_cut_free_and_written(environment):
    sequence = scb.KickedSequence.from_line(environment["transfer"])
    sequence.free("qf.k1")
    with pytest.raises(LatticeError, match=r"qf\.k1: was cut free, and other expressions refer"):
        to_line(sequence)


def test_a_batch_of_values_is_no_line(environment):
    sequence = scb.KickedSequence.from_line(environment["transfer"])
    sequence.knobs["kq"] = torch.tensor([0.3, 0.4])
    with pytest.raises(LatticeError, match=r"a batch of shape \(2,\): a lattice has one value"):
        to_line(sequence)


def test_only_sequences_and_lattices_become_lines(environment):
    with pytest.raises(LatticeError, match="to_line: Line: must be a KickedSequence or Lattice"):
        to_line(environment["ring"])
    with pytest.raises(LatticeError, match="kicks=True: must be a sequence with space charge"):
        to_line(scb.KickedSequence.from_line(environment["ring"]), kicks=True)
    yoshida = scb.KickedSequence.from_line(
        environment["ring"],
        scb.MaxSpacing(1.0),
        space_charge=scb.SpaceCharge(),
        splitting=scb.Yoshida(),
    )
    with pytest.raises(LatticeError, match=r"kicks of negative length.*: choose Strang\(\)"):
        to_line(yoshida, kicks=True)


def test_radiation_that_another_line_switched_on_is_refused_with_the_way_out():
    environment = xt.Environment()
    environment.new("q", xt.Quadrupole, length=0.2, k1=1.0)
    lines = [environment.new_line(name=name, components=["q"]) for name in ("a", "b")]
    for line in lines:
        line.particle_ref = xt.Particles("proton", kinetic_energy0=160e6)
    radiating, other = lines
    radiating.configure_radiation("mean")
    with pytest.raises(scb.ScBridgeError, match=r"call configure_radiation\(None\) on the line"):
        scb.KickedSequence.from_line(other)
    radiating.configure_radiation(None)
    assert len(scb.KickedSequence.from_line(other).stages) == 1
