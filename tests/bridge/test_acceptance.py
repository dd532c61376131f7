"""Acceptance: every lattice file of a real machine reads, and is what its oracle says.

The rows are those of `corpus.MACHINES`.
"""

from __future__ import annotations

import dataclasses
import json
import math
from functools import cache
from typing import Any

import pytest
import torch
from corpus import MACHINES, Machine
from reader_cases import LATTICES, LENGTH, MATRIX, deviation
from torch import Tensor

import sc_bridge as scb
from oracles import central_difference
from sc_bridge.elements import State
from sc_bridge.elements.passing import transfer_matrix
from sc_bridge.kinds import KINDS
from sc_bridge.lattice import Lattice, is_slice
from sc_bridge.readers.formats import FORMATS
from sc_bridge.selection import between

TUNE = 1e-6
SAME = 1e-9  # tunes of one ring from several formats
T_PER_M = 1e-5  # tunes of the Bmad file, which states gradients
# ARES in Cheetah is stored in float32: 195 lengths
STORED = 1e-7  # m
DERIVATIVE = 1e-6  # relative
# files of strengths, tables, fields and particles, which hold no line of their own
PARTS = {"psb/psb_fb_lhc.str", "hllhc/fort.3", "facet2/FACET2e.lte"}


@cache
def lattice_of(title: str) -> Lattice:
    return MACHINES[title].read()


def rows(having: str, slow: bool = False) -> list[Any]:
    """Titles of the rows whose oracle has something; slow ones are marked if that counts."""
    return [
        pytest.param(title, marks=[pytest.mark.slow] if slow and machine.slow else [])
        for title, machine in MACHINES.items()
        if not having or getattr(machine, having)
    ]


def test_the_table_has_every_file_of_the_corpus():
    named = {f"{machine.folder}/{f}" for machine in MACHINES.values() for f in machine.files}
    found = set()
    for path in LATTICES.rglob("*"):
        if path.is_file() and path.name not in ("oracle.json", "index.json"):
            name = path.relative_to(LATTICES).as_posix()
            if any(row.named(path) and _starts_a_lattice(path.name) for row in FORMATS.values()):
                found.add(name)
    assert found - PARTS == named - PARTS
    index = json.loads((LATTICES / "index.json").read_text())
    assert {entry["dir"] for entry in index} == {machine.folder for machine in MACHINES.values()}


def _starts_a_lattice(name: str) -> bool:
    return not name.startswith(("rfdata", "particle"))


@pytest.mark.parametrize("title", rows(""))
def test_every_file_reads_and_every_class_in_it_has_a_map(title):
    lattice = lattice_of(title)
    kinds = {r.kind for r in lattice.records if not is_slice(r)}
    assert lattice.element_names
    assert kinds - set(KINDS) == set()


@pytest.mark.parametrize("title", rows("length"))
def test_the_length_is_that_of_the_oracle(title):
    machine = MACHINES[title]
    expected = machine.oracle(*machine.length)
    assert lattice_of(title).length == pytest.approx(expected, abs=LENGTH)


@pytest.mark.parametrize("title", rows("counts"))
def test_the_counts_by_type_are_those_of_the_oracle(title):
    machine = MACHINES[title]
    assert machine.found_counts(lattice_of(title)) == machine.expected_counts()


def test_the_sps_has_its_540_space_charge_elements():
    lattice, oracle = lattice_of("sps with space charge"), MACHINES["sps"].oracle("space_charge")
    kicks = [r for r in lattice.records if r.kind == "SpaceChargeBiGaussian"]
    assert len(kicks) == oracle["n"] == 540
    assert sum(kick.fields["length"] for kick in kicks) == pytest.approx(oracle["total_length"])


# ---- optics ------------------------------------------------------------------------------


def sequence_of(machine: Machine, lattice: Lattice) -> scb.KickedSequence:
    return scb.KickedSequence(lattice, bend_model=machine.bend_model)


@cache
def turn_of(title: str) -> Tensor:
    """6x6 map of the whole line around its axis, RF frozen."""
    machine = MACHINES[title]
    sequence = sequence_of(machine, lattice_of(title))
    with torch.no_grad():
        if machine.folder == "ares":  # its magnets are off in the file
            for name, strength in machine.oracle("settings").items():
                sequence[name].k1.fill_(strength)
        return transfer_matrix(sequence.transport(coasting=True), sequence.reference).detach()


def fractional_tunes(matrix: Tensor) -> list[float]:
    """Fractional tunes of the planes, from traces and signs of the blocks."""
    tunes = []
    for plane in (0, 2):
        block = matrix[plane : plane + 2, plane : plane + 2]
        turn = math.acos(0.5 * block.trace().item()) / (2 * math.pi)
        tunes.append(turn if block[0, 1] > 0 else 1.0 - turn)
    return tunes


def modes_around_the_orbit(sequence: scb.KickedSequence) -> list[float]:
    """Tunes of the normal modes around the closed 4D orbit, the energy frozen.

    As in xtrack's twiss4d, the oracle: crab cavities kick by the path that the crossing angles
    cost, but change no energy.
    """
    step, orbit = 1e-7, torch.zeros(6, dtype=torch.float64)  # m and rad: quadratic to 1e-9
    transports = [sequence[name].transport for name in sequence.lattice.element_names]

    def turn(state: State) -> State:
        for transport in transports:
            state = transport(state, sequence.reference)._replace(pzeta=state.pzeta)
        return state

    for _ in range(3):
        particles = orbit[:, None] + torch.zeros(6, 9, dtype=torch.float64)
        particles[:4, 1:5] += step * torch.eye(4, dtype=torch.float64)
        particles[:4, 5:9] -= step * torch.eye(4, dtype=torch.float64)
        with torch.no_grad():
            out = torch.stack(tuple(turn(State(*particles.unbind(0)))))
        matrix = (out[:4, 1:5] - out[:4, 5:9]) / (2 * step)
        residual = out[:4, 0] - orbit[:4]
        orbit[:4] += torch.linalg.solve(torch.eye(4, dtype=torch.float64) - matrix, residual)
    assert residual.abs().max() < 1e-12
    angles = torch.linalg.eigvals(matrix).angle() / (2 * math.pi)
    return [abs(angle) for angle in angles.tolist()]


# Short rings: optics along the line, so that whole turns are counted too
_TWISS = ("psb1", "psb3", "psr ring1", "psr ring2", "psr elegant", "psr bmad", "sis18")


@pytest.mark.parametrize("title", rows("tunes", slow=True))
def test_the_tunes_are_those_of_the_oracle(title):
    machine = MACHINES[title]
    expected = machine.oracle(*machine.tunes)
    if title == "hllhc":
        modes = modes_around_the_orbit(sequence_of(machine, lattice_of(title)))
        for plane in ("qx", "qy"):
            wanted = expected[plane] % 1
            assert min(modes, key=lambda q: abs(q - wanted)) == pytest.approx(wanted, abs=TUNE)
        return
    if title in _TWISS:
        twiss = scb.periodic_twiss(sequence_of(machine, lattice_of(title)))
        assert (twiss.qx, twiss.qy) == pytest.approx((expected["qx"], expected["qy"]), abs=TUNE)
        return
    for plane, tune in zip("xy", fractional_tunes(turn_of(title)), strict=True):
        wanted = expected.get(f"q{plane}_frac", expected.get(f"q{plane}", 0.0) % 1)
        assert tune == pytest.approx(wanted, abs=TUNE)


@pytest.mark.parametrize("title", rows("matrix", slow=True))
def test_the_matrices_are_those_of_the_oracle(title):
    machine = MACHINES[title]
    expected = torch.tensor(machine.oracle(*machine.matrix), dtype=torch.float64)
    if title == "impactz":
        lattice = lattice_of(title)
        first = next(i for i, r in enumerate(lattice.records) if r.source_type == "103")
        names = lattice.element_names[:first]
        head = dataclasses.replace(lattice, element_names=names, labels=names)
        assert head.length == pytest.approx(machine.oracle("length_to_first_rf"), abs=LENGTH)
        found = sequence_of(machine, head).transfer_matrix().detach()
    else:
        found = turn_of(title)
    if machine.folder == "iota":
        # ImpactX has t = c dt and pt = -dE/(p0 c)
        beta = sequence_of(machine, lattice_of(title)).reference.beta0.item()
        scale = torch.tensor([1.0, 1.0, 1.0, 1.0, -beta, -1.0 / beta], dtype=torch.float64)
        expected = scale[:, None] * expected / scale
    size = len(expected)
    assert deviation(found[:size, :size], expected) < MATRIX


@pytest.mark.parametrize("number", range(3))
def test_the_sections_of_facet_have_the_matrices_of_the_oracle(number):
    section = MACHINES["facet2"].oracle("sections")[number]
    lattice = lattice_of("facet2")
    assert lattice.reference is not None
    names = list(lattice.element_names)
    part = tuple(names[names.index(section["frm"]) : names.index(section["to"]) + 1])
    mass0, energy = lattice.reference.mass0, section["energy_GeV"] * 1e9
    reference = dataclasses.replace(lattice.reference, p0c=math.sqrt(energy**2 - mass0**2))
    cut = dataclasses.replace(lattice, element_names=part, labels=part, reference=reference)
    assert cut.length == pytest.approx(section["length"], abs=LENGTH)
    found = scb.KickedSequence(cut).transfer_matrix().detach()
    # delta beside -c t: at first order the same as pzeta and zeta
    expected = torch.tensor(section["R_6x6"], dtype=torch.float64)
    # elegant's own matrices count the path: the oracle takes them as they stand, a faster
    # particle gains L/gamma^2 on top
    flown = sum(lattice.length_of(name) for name in part if name.startswith("UM10466"))
    expected[4, 5] += flown * (mass0 / energy) ** 2
    assert deviation(found, expected) < MATRIX


def test_facet_has_its_energies_and_the_r56_of_its_chicane():
    machine, lattice = MACHINES["facet2"], lattice_of("facet2")
    sequence = scb.KickedSequence(lattice)
    section = machine.oracle("sections")[2]
    design = {"ENDL1F": 0.335e9, "BEGBC14_1": 4.5e9, "MIP": 10e9}
    reference, chicane, inside = sequence.reference, torch.eye(6, dtype=torch.float64), False
    for name in lattice.element_names:
        if name in design:
            # the oracle's energies are momenta: mc^2/125 MeV squared
            assert reference.energy0.item() == pytest.approx(design.pop(name), rel=1e-5)
        inside = inside or name == section["frm"]
        if inside:
            chicane = transfer_matrix(sequence[name].transport, reference) @ chicane
        inside = inside and name != section["to"]
        reference = sequence[name].outgoing(reference)
    assert not design
    assert chicane[4, 5].item() == pytest.approx(section["R_6x6"][4][5], abs=LENGTH)


_RINGS = {
    "ring1": ("psr ring1", "psr elegant", "psr pals", "psr environment"),
    "ring2": ("psr ring2", "psr elegant ring2", "psr line", "psr bmad"),
}


@pytest.mark.parametrize("ring", _RINGS)
def test_the_psr_is_the_same_from_every_format(ring):
    first, *others = _RINGS[ring]
    expected = fractional_tunes(turn_of(first))
    for title in others:
        bound = T_PER_M if title == "psr bmad" else SAME
        assert fractional_tunes(turn_of(title)) == pytest.approx(expected, abs=bound), title


def test_ares_is_the_same_from_cheetah_and_from_ocelot():
    assert deviation(turn_of("ares cheetah")[:4, :4], turn_of("ares ocelot")[:4, :4]) < 1e-6
    lengths = [lattice_of(title).length for title in ("ares cheetah", "ares ocelot")]
    assert lengths[0] == pytest.approx(lengths[1], abs=STORED)


def test_the_knob_of_the_madx_file_of_the_psb_has_the_slope_of_a_finite_difference():
    machine = MACHINES["psb3"]
    sequence = sequence_of(machine, lattice_of("psb3"))
    knob = sequence.knobs["kbrqf"].requires_grad_()
    expected = machine.oracle("psb3", "madx_knob_derivatives_central_difference", "kbrqf")

    def tunes(value: float | None = None) -> Tensor:
        if value is not None:
            with torch.no_grad():
                sequence.knobs["kbrqf"] = value
        matrix = transfer_matrix(sequence.transport(coasting=True), sequence.reference)
        blocks = matrix[0:2, 0:2], matrix[2:4, 2:4]
        turns = [torch.acos(torch.trace(block) / 2) / (2 * math.pi) for block in blocks]
        return torch.stack(turns)

    value = knob.item()
    with torch.no_grad():
        numeric = central_difference(tunes, value, 1e-4)
    sequence.knobs["kbrqf"] = value
    for tune, difference, key in zip(tunes(), numeric, ("dqx", "dqy"), strict=True):
        (slope,) = torch.autograd.grad(tune, knob, retain_graph=True)
        assert slope.item() == pytest.approx(difference.item(), rel=DERIVATIVE)
        # MAD-X gives tunes of ten digits; the sign of the phase is lost in the trace
        assert abs(slope.item()) == pytest.approx(abs(expected[key]), rel=1e-5)


def test_a_range_of_facet_has_the_energy_that_arrives_there_and_its_own_losses():
    lattice = lattice_of("facet2")
    part = between(lattice, "BEGBC20", "ENDBC20")
    section = MACHINES["facet2"].oracle("sections")[2]
    assert part.reference is not None
    energy = math.hypot(part.reference.p0c, part.reference.mass0)
    assert energy == pytest.approx(section["energy_GeV"] * 1e9, rel=1e-5)
    assert part.length == pytest.approx(section["length"], abs=LENGTH)
    assert {entry.word for entry in lattice.left_out} == {
        "CSR",
        "wake",
        "space charge",
        "radiation",
    }
    assert {entry.word for entry in part.left_out} == {"CSR", "space charge", "radiation"}
    assert between(lattice, "#s", "MRK0F").reference == lattice.reference
