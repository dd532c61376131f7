"""Writers: what was read comes back the same."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import xtrack as xt

import sc_bridge as scb
from sc_bridge.cli import main
from sc_bridge.writers import write_lattice
from sc_bridge.xsuite import from_line

PSB = Path(__file__).parents[2] / "examples" / "psb" / "psb.json"


def same(first, second):
    assert first.element_names == second.element_names
    assert first.labels == second.labels
    assert first.variables == second.variables
    assert first.expressions == second.expressions
    assert first.field_expressions == second.field_expressions
    assert first.field_variables == second.field_variables
    assert first.reference == second.reference
    for name, record in first.elements.items():
        assert (record.kind, record.fields) == (
            second.elements[name].kind,
            second.elements[name].fields,
        )


def test_xsuite_json_comes_back_the_same(tmp_path):
    lattice = scb.read_lattice(PSB)
    write_lattice(lattice, tmp_path / "again.json")
    same(lattice, scb.read_lattice(tmp_path / "again.json"))


def with_expressions():
    env = xt.Environment()
    env["a"] = 0.3
    env["b"] = "2 * a - sin(a) / 3"
    env.new("q", "Quadrupole", length=0.3, k1="b", knl=[0, "a**2"])
    env.new("q2", "Quadrupole", length="0.1 + a")
    env.ref["q2"].k1 = -env.ref["q"].k1
    env.new("d", "Drift", length=1.0)
    line = env.new_line(components=["q", "d", "q2", "d"])
    line.particle_ref = xt.Particles("proton", p0c=1e9)
    return line


def test_expressions_and_fields_that_follow_fields_come_back(tmp_path):
    lattice = from_line(with_expressions())
    assert lattice.expressions and lattice.field_variables
    write_lattice(lattice, tmp_path / "again.json")
    same(lattice, scb.read_lattice(tmp_path / "again.json"))


def test_xsuite_reads_what_was_written_and_its_knobs_work(tmp_path):
    line = with_expressions()
    write_lattice(from_line(line), tmp_path / "line.json")
    again = xt.Line.from_json(tmp_path / "line.json")
    assert again.get_length() == line.get_length()
    assert again["q"].k1 == line["q"].k1
    again["a"] = line["a"] = 0.4
    assert again["q"].k1 == line["q"].k1
    assert again["q2"].k1 == -again["q"].k1
    assert again["q"].knl[1] == line["q"].knl[1]


def test_convert_writes_what_another_format_says(tmp_path, capsys):
    target = tmp_path / "out.json"
    part = ["--range", "qf/qf[2]", "--reference", "proton, kinetic_energy = 200 MeV"]
    assert main(["convert", str(PSB), "--output", str(target), *part]) == 0
    assert "written to" in capsys.readouterr().out
    again = scb.read_lattice(target)
    assert again.element_names[0] == "qf"
    assert main(["convert", str(PSB), "--output", str(target), "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    assert main(["convert", str(PSB), "--output", str(target), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["places"], found["left_out"]) == (len(scb.read_lattice(PSB).element_names), [])
    assert scb.KickedSequence(again).reference.kinetic_energy0.item() == pytest.approx(200e6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([str(PSB)], "would be read and written"),
        (["out.xyz"], "suffix '.xyz': no format to write"),
        (["out.json", "--to", "pdf"], "format 'pdf': cannot be written"),
        (["nowhere/out.json"], "cannot be written: No such file"),
    ],
)
def test_what_cannot_be_written_is_refused(capsys, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert main(["convert", str(PSB), "--output", *arguments]) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count("\n") == 1
    assert os.listdir(tmp_path) == []


def test_a_quotient_that_is_zero_in_madx_only_is_refused(tmp_path):
    from dataclasses import replace

    from sc_bridge.expressions import Binary, Number, Variable

    lattice = scb.read_lattice(PSB)
    ratio = Binary("/0", Number(1.0), Variable("none"))
    lattice = replace(
        lattice,
        variables={**lattice.variables, "none": 0.0, "ratio": 0.0},
        expressions={**lattice.expressions, "ratio": ratio},
    )
    with pytest.raises(scb.LatticeError, match="divides by zero, which is 0 in MAD-X"):
        write_lattice(lattice, tmp_path / "out.json")
    assert json.loads(PSB.read_text(encoding="utf-8"))
