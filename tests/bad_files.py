"""Faulty lattice files and commands: files, the command line, and what the one line must say."""

from __future__ import annotations

import json

from bad_studies import RING, STUDY

_MADX = "d: drift, l=1; q: quadrupole, l=0.5, k1=0.1; r: line=(d, q);\n"
_PROTON = ("--reference", "proton, kinetic_energy = 160 MeV")


def _changed(**fields: object) -> str:
    """Return the ring with fields of its first element changed."""
    ring = json.loads(RING)
    ring["elements"]["d1"].update(fields)
    return json.dumps(ring, indent=1)


def _without(*keys: str) -> str:
    ring = json.loads(RING)
    return json.dumps({key: value for key, value in ring.items() if key not in keys}, indent=1)


def _with(**keys: object) -> str:
    return json.dumps(json.loads(RING) | keys, indent=1)


# ---- files, each read by `audit`: name, content, piece of the message -----------------------

BAD_LATTICES: dict[str, tuple[str, str | bytes, str]] = {
    "empty json": ("r.json", "", "not valid JSON"),
    "empty madx": ("r.madx", "", "0 sequences"),
    "empty elegant": ("r.lte", "", "0 sequences"),
    "empty bmad": ("r.bmad", "", "r.bmad"),
    "empty yaml": ("r.yaml", "", "r.yaml"),
    "empty ocelot": ("r.py", "", "r.py"),
    "empty jutrack": ("r.jl", "", "r.jl"),
    "empty inputs": ("r.in", "", "0 sequences"),
    "empty sixtrack": ("fort.2", "", "fort.2"),
    "binary": ("r.madx", bytes(range(256)) * 10, "not a text file"),
    "image": ("r.json", b"\x89PNG\r\n\x1a\n" + b"\0" * 100, "not a text file"),
    "no archive": ("r.json.gz", b"\x1f\x8b\x08\x00 nothing", "not a whole gzip file"),
    "prose": ("r.madx", "Dear all, please find attached; thanks", "r.madx"),
    "unknown suffix": ("r.xyz", "nothing of the kind", "cannot tell the format"),
    "truncated json": ("r.json", RING[: len(RING) // 2], "not valid JSON"),
    "json list": ("r.json", '[{"__class__": "Drift"}]', "r.json"),
    "json number": ("r.json", "7", "the top level must be an object"),
    "json key twice": ("r.json", RING.replace('"d2"', '"d1"', 1), "is defined twice"),
    "no names": ("r.json", _without("element_names"), "it has neither"),
    "no elements": ("r.json", _without("elements"), "r.json"),
    "empty line": ("r.json", _with(element_names=[]), "the line has no elements"),
    "unknown name": ("r.json", _with(element_names=["d1", "qx"]), "'qx' is in the line but is not"),
    "numbered names": ("r.json", _with(element_names=[1, 2]), "must be a list of names"),
    "unknown class": ("r.json", RING.replace("Drift", "Wobbler", 1), "'Wobbler'"),
    "nan": ("r.json", _changed(length=float("nan")), "d1.length = nan: must be finite"),
    "infinity": ("r.json", _changed(length=float("inf")), "must be finite"),
    "text as length": ("r.json", _changed(length="long"), "d1"),
    "list as length": ("r.json", _changed(length=[1.0, 2.0]), "d1"),
    "null length": ("r.json", _changed(length=None), "d1"),
    "unknown field": ("r.json", _changed(lenght=1.0), "lenght"),
    "absurd length": ("r.json", _changed(length=1e12), "more than 50000 kicks"),
    "endless length": ("r.json", _changed(length=1e308), "d1"),
    "code in json": ("r.json", RING.replace("vars['kq']", "__import__('os')", 1), "__import__"),
    "attribute in json": (
        "r.json", RING.replace("vars['kq']", "vars['kq'].__class__", 1), "allowed",
    ),
    "undefined variable": ("r.json", RING.replace("vars['kq']", "vars['kx']", 1), "kx"),
    "circle of variables": (
        "r.json",
        RING.replace('"_var_manager": [', '"_var_manager": [["vars[\'kq\']", "vars[\'kq\']"],'),
        "define each other",
    ),
    "absurd kicks": (
        "r.json", RING.replace('"k1": 1.0', '"k1": 1.0, "num_multipole_kicks": 1000000000', 1),
        "num_multipole_kicks",
    ),
    "no semicolon": ("r.madx", "q: quadrupole, l=1 r: line=(q)", "r.madx"),
    "unknown element": ("r.madx", "q: wobbler, l=1; r: line=(q);", "wobbler"),
    "unknown attribute": ("r.madx", "q: quadrupole, lenght=1; r: line=(q);", "lenght"),
    "undefined element": ("r.madx", "r: line=(q);", "q"),
    "line in itself": (
        "r.madx", "q: drift, l=1; r: line=(q, p); p: line=(r); s: line=(p);", "contains itself",
    ),
    "negative drift": ("r.madx", "r: sequence, l=1; m: marker, at=5; endsequence;", "r.madx"),
    "overlap": (
        "r.madx", "q: quadrupole, l=1; r: sequence, l=9; q, at=1; q2: q, at=1.2; endsequence;",
        "before",
    ),
    "two lines": ("r.madx", _MADX + "p: line=(q, d);", "holds 2 sequences (r, p): choose one"),
    "open comment": ("r.madx", _MADX + "/* more", "begins a comment that never ends"),
    "open brace": ("r.madx", "q: multipole, knl={0, 1; r: line=(q);", "'{' is never closed"),
    "unknown function": ("r.madx", "q: quadrupole, l=1, k1=system(1); r: line=(q);", "system"),
    "missing call": ("r.madx", "call, file='no.seq';", "file 'no.seq' does not exist"),
    "call above": ("r.madx", "call, file='../x.seq';", "outside the folders of the given files"),
    "call of itself": ("r.madx", "call, file='r.madx';", "in a circle"),
    "rpn stack": ("r.lte", 'Q: QUAD,L="1 +"\nR: LINE=(Q)\n', "an operand is missing"),
    "elegant type": ("r.lte", "Q: WOBBLE,L=1\nR: LINE=(Q)\n", "WOBBLE"),
    "elegant loss": (
        "r.lte", "Q: CSRCSBEN,L=1,ANGLE=0.1\nR: LINE=(Q)\n", "would be lost: --allow 'CSR' accepts",
    ),
    "bmad circle": ("r.bmad", "call, file = r.bmad\n", "circle"),
    "bmad variable": ("r.bmad", "call, file = $NO_SUCH/x\n", "is not set"),
    "yaml tag": ("r.yaml", "PALS: !!python/name:os.system x", "tags are not read"),
    "yaml alias": ("r.yaml", "PALS: *nobody", "alias *nobody unknown"),
    "yaml tab": ("r.yaml", "PALS:\n\tfacility: []", "not valid YAML"),
    "ocelot loop": ("r.py", "from ocelot import *\nwhile True:\n    pass\n", "r.py:2"),
    "ocelot import": ("r.py", "from ocelot import *\n__import__('os')\n", "r.py:2"),
    "impactx nothing": ("r.in", "lattice.elements = q\n", "q"),
    "impactz short": ("ImpactZ.in", "1 1\n6 100 1 0 1\n", "records: must have a header"),
    "sixtrack nothing": ("fort.2", "SINGLE ELEMENTS\nNEXT\nENDE\n", "fort.2"),
    "terminal": ("r.madx", "\x1b[31mq\x1b[0m: wobbler; r: line=(q);", "r.madx"),
}  # fmt: skip

# ---- commands in a folder with a good study and ring: arguments, piece of the message --------

BAD_COMMANDS: dict[str, tuple[tuple[str, ...], str]] = {
    "run nothing": (("run", "no.toml"), "no such file"),
    "run a folder": (("run", "."), "is no regular file"),
    "run a lattice": (("run", "ring.json"), "no TOML"),
    "output is a file": (("run", "study.toml", "--output", "ring.json"), "is a file, not a folder"),
    "output in a file": (("run", "study.toml", "--output", "ring.json/x"), "ring.json"),
    "output in proc": (("run", "study.toml", "--output", "/proc/nowhere"), "cannot be written"),
    "audit nothing": (("audit", "no.json", *_PROTON), "no.json does not exist"),
    "audit a folder": (("audit", ".", *_PROTON), "folder"),
    "audit a device": (("audit", "/dev/zero", "--format", "madx", *_PROTON), "no regular file"),
    "no reference": (("audit", "ring.json"), "reference"),
    "bad reference": (("audit", "ring.json", "--reference", "proton"), "no energy given"),
    "unknown particle": (("audit", "ring.json", "--reference", "x, momentum = 1 GeV/c"), "'x'"),
    "reference in metres": (
        ("audit", "ring.json", "--reference", "proton, momentum = 1 m"), "'1 m'",
    ),
    "format": (("audit", "ring.json", "--format", "x", *_PROTON), "format 'x' is not known"),
    "sequence": (("audit", "ring.json", "--sequence", "x", *_PROTON), "x"),
    "range": (("audit", "ring.json", "--range", "x/y", *_PROTON), "x"),
    "spacing": (("audit", "ring.json", "--spacing", "1 s", *_PROTON), "'1 s'"),
    "no spacing": (("audit", "ring.json", "--spacing", "0 m", *_PROTON), "must be positive"),
    "convert onto itself": (
        ("convert", "ring.json", "--output", "ring.json"), "would be read and written",
    ),
    "convert onto itself by a detour": (
        ("convert", "ring.json", "--output", "../{folder}/ring.json"), "would be read and written",
    ),
    "init over the lattice": (
        ("init", "ring.json", "--output", "../{folder}/ring.json", "--force"), "is the lattice",
    ),
    "study as a lattice": (("audit", "study.toml"), "is a study by its name"),
    "convert to nothing": (("convert", "ring.json", "--output", "ring.xyz"), "no format to write"),
    "convert elsewhere": (
        ("convert", "ring.json", "--output", "no/such/ring.madx"), "cannot be written",
    ),
    "convert to no format": (
        ("convert", "ring.json", "--output", "ring.madx", "--to", "x"), "format 'x'",
    ),
    "plan nothing": (("plan", "no.toml"), "no such file"),
    "plan for nothing": (("plan", "study.toml", "--memory", "0 GiB"), "memory"),
    "plan in metres": (("plan", "study.toml", "--memory", "1 m"), "'1 m'"),
    "scan nothing": (("scan", "study.toml", "kx", "--from", "0", "--to", "1"), "'kx'"),
    "scan without end": (("scan", "study.toml", "kq", "--from", "0"), "--to"),
    "scan in no step": (
        ("scan", "study.toml", "kq", "--from", "0", "--to", "1", "--steps", "0"), "step",
    ),
    "scan to nan": (("scan", "study.toml", "kq", "--values", "nan"), "nan"),
    "scan in volts": (("scan", "study.toml", "bunch.nemitt_x", "--values", "1 V"), "1 V"),
    "scan of nothing": (
        ("scan", "study.toml", "kq", "--values", "1", "--of", "sigma_q"), "sigma_q",
    ),
    "optimise nothing": (("optimise", "study.toml"), "optimise"),
    "init nothing": (("init", "no.json", "--output", "new.toml"), "no.json"),
    "init over a study": (("init", "ring.json", "--output", "study.toml"), "study.toml"),
}  # fmt: skip
GOOD = {"ring.json": RING, "study.toml": STUDY}
