"""Files made to harm: they grow without bound, lead elsewhere, or are no files at all."""

from __future__ import annotations

import gzip
import json
import os
import re
import resource
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sc_bridge.errors import ScBridgeError
from sc_bridge.readers import read_lattice

SECONDS = 10.0
MEBIBYTES = 1024
DEEP = 100_000
LONG = 10_000_000
DIGITS = "9" * 1_000_000


def peak() -> float:
    """Most memory that the process has had resident, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0


def doubling(first: str, line: str, last: str) -> str:
    """Sixty definitions, each naming the one before twice."""
    return first + "".join(line.format(a=i - 1, b=i) for i in range(1, 61)) + last.format(60)


def _line_of(k1: object) -> str:
    element = {"__class__": "Quadrupole", "length": 1.0, "k1": k1}
    return json.dumps({"__class__": "Line", "elements": {"q": element}, "element_names": ["q"]})


def _driven(expression: str) -> str:
    data = json.loads(_line_of(0.1))
    data["_var_manager"] = [["element_refs['q'].k1", expression]]
    data["_var_management_data"] = {"var_values": {"a": 1.0}}
    return json.dumps(data)


def _cheetah_lines() -> str:
    lattices = {"l0": ["q"]} | {f"l{i}": [f"l{i - 1}"] * 2 for i in range(1, 61)}
    elements = {"q": ["Drift", {"length": 1.0}]}
    return json.dumps({"root": "l60", "elements": elements, "lattices": lattices})


_PSR_BMAD = "parameter[particle] = proton\nparameter[p0c] = 1e9\nd: drift, l = 1\n"
_BOMBS: dict[str, tuple[str, Callable[[], str]]] = {
    "madx repeat": ("r.madx", lambda: "a: drift,l=1; r: line=(1000000000*a);"),
    "madx lines": (
        "r.madx",
        lambda: doubling("d: drift,l=1; l0: line=(d);", "l{b}: line=(l{a},l{a});", ""),
    ),
    "madx nested": ("r.madx", lambda: "a: drift,l=1; r: line=" + "(" * DEEP + "a" + ")" * DEEP),
    "madx while": ("r.madx", lambda: "a=1; while (a>0) {a=a+1;}; d: drift,l=1; r: line=(d);"),
    "madx while doubling": ("r.madx", lambda: "a=1; while (1<2) {b:=a+a; a=b;}; r: line=(d);"),
    "madx macros": ("r.madx", lambda: "m: macro={exec,m; exec,m;}; exec,m; r: line=(d);"),
    "madx variables": (
        "r.madx",
        lambda: doubling("a0:=1;", "a{b}:=a{a}+a{a};", "q: quadrupole,l=1,k1:=a{}; r: line=(q);"),
    ),
    "madx brackets": ("r.madx", lambda: "a=" + "(" * DEEP + "1" + ")" * DEEP + ";"),
    "madx signs": ("r.madx", lambda: "a=" + "-" * DEEP + "1; d: marker; r: line=(d);"),
    "madx powers": ("r.madx", lambda: "a=9^9^9^9^9; d: marker; r: line=(d);"),
    "madx digits": ("r.madx", lambda: f"a={DIGITS}; d: marker; r: line=(d);"),
    "madx name": ("r.madx", lambda: f"{'a' * LONG}: drift,l=1; r: line=(b);"),
    "madx line of text": ("r.madx", lambda: "a = 1 " * (LONG // 6) + ";"),
    "madx comment": ("r.madx", lambda: "!" + "x" * LONG + "\nd: wiggle; r: line=(d);"),
    "madx braces": ("r.madx", lambda: "if (1<2) {" * DEEP),
    "madx quotes": ("r.madx", lambda: "'" * 1_000_001 + "r: line=(d);"),
    "madx open comments": ("r.madx", lambda: "/*" * 1_000_000),
    "elegant repeat": ("r.lte", lambda: "A: DRIFT,L=1\nR: LINE=(1000000000*A)\n"),
    "elegant lines": (
        "r.lte", lambda: doubling("D: DRIFT,L=1\nL0: LINE=(D)\n", "L{b}: LINE=(L{a},L{a})\n", ""),
    ),
    "elegant rpn": ("r.lte", lambda: "% 1" + " = *" * 5000 + " sto a\nD: DRIFT,L=a\nR: LINE=(X)\n"),
    "elegant stores": (
        "r.lte",
        lambda: doubling(
            "% 1 sto a0\n", "% a{a} a{a} + sto a{b}\n", 'D: DRIFT,L="a{}"\nR: LINE=(D)\n'
        ),
    ),
    "elegant continued": ("r.lte", lambda: "A: DRIFT, &\n" * 300_000),
    "bmad repeat": ("r.bmad", lambda: _PSR_BMAD + "r: line = (1000000000*d)\nuse, r\n"),
    "bmad lines": (
        "r.bmad",
        lambda: _PSR_BMAD
        + doubling("l0: line = (d)\n", "l{b}: line = (l{a}, l{a})\n", "use, l{}\n"),
    ),
    "bmad arguments": (
        "r.bmad",
        lambda: _PSR_BMAD
        + doubling(
            "l0(x): line = (x)\n", "l{b}(x): line = (l{a}(x), l{a}(x))\n", "r: line=(l60(d))\n"
        ),
    ),
    "bmad brackets": ("r.bmad", lambda: "a = " + "(" * DEEP + "1" + ")" * DEEP + "\n"),
    "pals repeat": (
        "r.yaml",
        lambda: "PALS:\n  facility:\n    - d: {kind: Drift, length: 1}\n"
        "    - l: {kind: BeamLine, line: [d: {repeat: 1000000000}]}\n",
    ),
    "pals aliases": (
        "r.yaml", lambda: doubling("a0: &a0 [x]\n", "a{b}: &a{b} [*a{a}, *a{a}]\n", "PALS: *a{}\n"),
    ),
    "pals lines": (
        "r.yaml",
        lambda: doubling(
            "PALS:\n  facility:\n    - d: {{kind: Drift, length: 1}}\n".replace("{{", "{")
            .replace("}}", "}")
            + "    - l0: {kind: BeamLine, line: [d]}\n",
            "    - l{b}: {{kind: BeamLine, line: [l{a}, l{a}]}}\n",
            "",
        ),
    ),
    "pals nested": ("r.yaml", lambda: "PALS: " + "[" * DEEP),
    "pals tag": ("r.yaml", lambda: "PALS: !!python/object/apply:os.system ['touch hacked']\n"),
    "json nested": ("r.json", lambda: '{"__class__": "Line", "elements": ' + "[" * DEEP),
    "json objects": ("r.json", lambda: '{"__class__": ' * DEEP),
    "json digits": ("r.json", lambda: _line_of(0.125).replace("0.125", DIGITS)),
    "json exponent": ("r.json", lambda: _line_of(0.125).replace("0.125", "1e" + "9" * 5000)),
    "json name": ("r.json", lambda: _line_of(0.1).replace('["q"]', json.dumps(["x" * LONG]))),
    "json value": ("r.json", lambda: _line_of("x" * LONG)),
    "json surrogate": ("r.json", lambda: _line_of(0.1).replace('["q"]', '["\\ud800\\u001b[31m"]')),
    "xsuite brackets": ("r.json", lambda: _driven("(" * DEEP + "1" + ")" * DEEP)),
    "xsuite signs": ("r.json", lambda: _driven("-" * 15_000 + "1")),
    "xsuite powers": ("r.json", lambda: _driven("9**9**9**9")),
    "xsuite shift": ("r.json", lambda: _driven("1 << 999999999")),
    "xsuite multiplied": ("r.json", lambda: _driven("'a' * 999999999")),
    "xsuite import": ("r.json", lambda: _driven("__import__('os').system('touch hacked')")),
    "cheetah lines": ("r.json", _cheetah_lines),
    "impactx repeat": (
        "r.in",
        lambda: "beam.particle = proton\nbeam.kin_energy = 1\nlattice.elements = l\n"
        "l.type = line\nl.elements = d\nl.repeat = 1000000000\nd.type = drift\nd.ds = 1\n",
    ),
    "impactx lines": (
        "r.in",
        lambda: doubling(
            "lattice.elements = l60\nl0.type = drift\nl0.ds = 1\n",
            "l{b}.type = line\nl{b}.elements = l{a} l{a}\n",
            "",
        ),
    ),
    "ocelot repeat": ("r.py", lambda: "from ocelot import *\nd = Drift(l=1)\nc = [d] * 10**9\n"),
    "ocelot doubling": (
        "r.py",
        lambda: doubling(
            "from ocelot import *\nd = Drift(l=1)\nc0 = [d]\n", "c{b} = c{a} + c{a}\n", ""
        ),
    ),
    "ocelot nested": ("r.py", lambda: "from ocelot import *\nc = " + "[" * DEEP + "]" * DEEP),
    "ocelot loop": (
        "r.py", lambda: "from ocelot import *\nfor i in range(10**9):\n    k = i\nd = Drift(l=1)\n",
    ),
    "ocelot loops": (
        "r.py",
        lambda: "from ocelot import *\n"
        + "".join(f"{'  ' * i}for i{i} in range(1000):\n" for i in range(5))
        + f"{'  ' * 5}k = 1\n",
    ),
    "ocelot power": ("r.py", lambda: "from ocelot import *\nk = 9**9**9**9\nd = Drift(l=k)\n"),
    "ocelot digits": ("r.py", lambda: f"from ocelot import *\nk = {DIGITS}\n"),
    "ocelot system": (
        "r.py", lambda: "from ocelot import *\nimport os\nos.system('touch hacked')\n",
    ),
    "jutrack doubling": (
        "r.jl",
        lambda: doubling(
            'using JuTrack\nd = DRIFT(name="d", len=1.0)\nc0 = [d]\n', "c{b} = [c{a}; c{a}]\n", ""
        ),
    ),
    "sixtrack name": ("fort.2", lambda: f"SINGLE ELEMENTS\n{'a' * LONG} 0 0 0 1\nNEXT\nENDE\n"),
    "impactz records": ("ImpactZ.in", lambda: "1 1\n" + "9" * LONG),
    "nul": ("r.madx", lambda: "\0" * 1000),
}  # fmt: skip
# Long sums that have a value, or a value that only building refuses: these may be read.
_READ = ("madx variables", "madx powers", "elegant stores", "json value")
_HEAVY = (  # some seconds each, for text of 10 MB
    *("madx name", "madx while doubling", "madx line of text", "madx comment", "madx quotes"),
    *("madx open comments", "elegant continued", "json name", "json value", "sixtrack name"),
)


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.slow] if n in _HEAVY else []) for n in _BOMBS],
)
def test_a_bomb_is_refused_soon_and_in_little_memory(tmp_path, monkeypatch, name):
    file, make = _BOMBS[name]
    monkeypatch.chdir(tmp_path)
    path = tmp_path / file
    path.write_text(make())
    held, start = peak(), time.process_time()
    text = ""
    try:
        lattice = read_lattice(path, sequence="l60" if name == "madx lines" else None)
        assert name in _READ, f"read as {lattice}"
    except ScBridgeError as refusal:
        text = str(refusal)
        assert str(path) in text
    assert time.process_time() - start < SECONDS
    assert peak() - held < MEBIBYTES
    assert len(text) <= 1005 and text.isprintable()
    assert not (tmp_path / "hacked").exists()


@pytest.mark.slow
def test_a_small_archive_of_much_is_refused(tmp_path):
    path = tmp_path / "ring.json.gz"
    with gzip.open(path, "wb", compresslevel=9) as file:
        for _ in range(300):
            file.write(b" " * 2**20)
    assert path.stat().st_size < 2**20
    held = peak()
    with pytest.raises(ScBridgeError, match="MiB of text: too large"):
        read_lattice(path)
    assert peak() - held < MEBIBYTES


# ---- what is no file of text ----------------------------------------------------------------

SUFFIXES = [".json", ".madx", ".lte", ".bmad", ".yaml", ".in", ".py", ".jl", ".json.gz"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_pipes_devices_and_folders_are_no_lattices(tmp_path, suffix):
    os.mkfifo(tmp_path / f"pipe{suffix}")
    (tmp_path / f"folder{suffix}").mkdir()
    (tmp_path / f"zero{suffix}").symlink_to("/dev/zero")
    (tmp_path / f"circle{suffix}").symlink_to(tmp_path / f"circle{suffix}")
    for name in ("pipe", "folder", "zero", "circle", "missing"):
        path = tmp_path / f"{name}{suffix}"
        with pytest.raises(ScBridgeError, match=re.escape(str(path))):
            read_lattice(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_that_may_not_be_read_is_refused(tmp_path, monkeypatch, suffix):
    path = tmp_path / f"ring{suffix}"
    path.write_text("x")
    real = open

    def refuse(file, *arguments, **options):
        if str(file) == str(path):
            raise PermissionError(13, "Permission denied", str(file))
        return real(file, *arguments, **options)

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(ScBridgeError, match="cannot be read: Permission denied"):
        read_lattice(path)


MADX = "d: drift, l=1;\nr: line=(d, d);\n"


@pytest.mark.parametrize(
    "content",
    [
        MADX.encode("utf-8-sig"),
        MADX.replace("\n", "\r\n").encode(),
        MADX.replace("\n", "\r").encode(),
        b"! \xe9\xff\n" + MADX.encode(),
    ],
    ids=["mark", "dos", "old mac", "latin-1"],
)
def test_text_of_other_systems_is_read(tmp_path, content):
    (tmp_path / "r.madx").write_bytes(content)
    assert read_lattice(tmp_path / "r.madx").length == 2.0


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
@pytest.mark.parametrize("suffix", SUFFIXES[:-1])
def test_text_of_wide_letters_is_refused(tmp_path, encoding, suffix):
    (tmp_path / f"r{suffix}").write_bytes(MADX.encode(encoding))
    with pytest.raises(ScBridgeError, match="not a text file"):
        read_lattice(tmp_path / f"r{suffix}")


# ---- paths in files ------------------------------------------------------------------------

CALLS = {
    "madx": ("r.madx", "call, file='{}';\nr: line=(d);"),
    "elegant": ("r.lte", "#INCLUDE: {}\nR: LINE=(D)\n"),
    "elegant matrix": ("r.lte", 'M: MATR,FILENAME="{}",L=1\nR: LINE=(M)\n'),
    "elegant run": ("r.ele", "&run_setup lattice={}, use_beamline=R, p_central=10 &end\n"),
    "bmad": ("r.bmad", _PSR_BMAD + "call, file = {}\nr: line = (d)\nuse, r\n"),
    "pals": (
        "r.yaml",
        "PALS:\n  facility:\n    - include: {}\n    - l: {{kind: BeamLine, line: []}}\n",
    ),
}
TRICKS = {
    "above": "../secret.txt",
    "absolute": "{root}/secret.txt",
    "down and up": "inner/../../secret.txt",
    "link": "link.txt",
    "linked folder": "outside/secret.txt",
    "system": "/etc/passwd",
    "home": "~/secret.txt",
    "missing": "nowhere.txt",
    "folder": "inner",
    "device": "/dev/zero",
    "address": "https://example.com/x",
}


@pytest.mark.parametrize("trick", TRICKS)
@pytest.mark.parametrize("call", CALLS)
def test_a_file_leads_nowhere_outside_its_folder(tmp_path, monkeypatch, call, trick):
    monkeypatch.setenv("HOME", str(tmp_path))
    inside = tmp_path / "lattice"
    (inside / "inner").mkdir(parents=True)
    (tmp_path / "secret.txt").write_text("TOPSECRET content\n")
    (inside / "link.txt").symlink_to(tmp_path / "secret.txt")
    (inside / "outside").symlink_to(tmp_path)
    name, text = CALLS[call]
    (inside / name).write_text(text.format(TRICKS[trick].format(root=tmp_path)))
    with pytest.raises(ScBridgeError, match=re.escape(name)) as refusal:
        read_lattice(inside / name)
    assert "TOPSECRET" not in str(refusal.value) and "root:" not in str(refusal.value)


@pytest.mark.parametrize("call", ["madx", "elegant", "bmad", "pals"])
def test_files_that_call_each_other_come_to_an_end(tmp_path, call):
    name, text = CALLS[call]
    other = f"b{Path(name).suffix}"
    (tmp_path / name).write_text(text.format(other))
    back = f"- include: {name}\n" if call == "pals" else text.format(name)
    (tmp_path / other).write_text(back)
    with pytest.raises(ScBridgeError, match="circle"):
        read_lattice(tmp_path / name)


def test_a_variable_of_the_environment_does_not_open_other_folders(tmp_path, monkeypatch):
    inside = tmp_path / "lattice"
    inside.mkdir()
    (tmp_path / "more.bmad").write_text("d[l] = 2\n")
    monkeypatch.setenv("MODELS", str(tmp_path))
    (inside / "r.bmad").write_text(CALLS["bmad"][1].format("$MODELS/more.bmad"))
    with pytest.raises(ScBridgeError, match="outside the folders of the given files"):
        read_lattice(inside / "r.bmad")
    assert read_lattice(inside / "r.bmad", allow_paths=[tmp_path]).length == 2.0
