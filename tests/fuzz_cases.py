"""Whole files of every format to damage: pieces of the corpus, and decks for the rest."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pals_decks import OLD_PSR
from pals_decks import PSR as NEW_PSR
from reader_cases import LATTICES

PSR = LATTICES / "los_alamos_psr"
PSB = Path(__file__).parents[1] / "examples" / "psb" / "psb.json"


@dataclass(frozen=True)
class Deck:
    """Files that belong together, the first of them read; any of them is damaged.

    Parameters
    ----------
    files : dict of str to str
        Text by name.
    sequence : str, optional
    allow : tuple of str
    """

    files: dict[str, str]
    sequence: str | None = None
    allow: tuple[str, ...] = ()


def _one(name: str, path: Path, **options: object) -> Deck:
    return Deck({name: path.read_text()}, **options)  # pyright: ignore[reportArgumentType]


def _lines(path: Path, *ranges: tuple[int, int]) -> str:
    """Some lines of a file, from 0, the last of each range left out."""
    lines = path.read_text().splitlines(keepends=True)
    return "".join(line for begin, end in ranges for line in lines[begin:end])


def _statements(path: Path, *starts: int) -> str:
    """Definitions of elements of elegant near some lines, and a line of them."""
    lines, found = path.read_text().splitlines(), {}
    for start in starts:
        for index in range(start, start + 12):
            match = re.match(r"(\w+)\s*:\s*\w+\s*,", lines[index])
            end = index
            while lines[end].rstrip().endswith("&"):
                end += 1
            if match:
                found[match[1]] = "\n".join(lines[index : end + 1])
    return "\n".join([*found.values(), f"A: LINE=({','.join(found)})"]) + "\n"


# ---- one function a format ------------------------------------------------------------------


def _xsuite_json() -> list[Deck]:
    ring = json.loads(PSB.read_text())
    ring["element_names"] = [*ring["element_names"][:10], "cavity"]
    kept = set(ring["element_names"])
    ring["elements"] = {name: e for name, e in ring["elements"].items() if name in kept}
    sps = json.loads((LATTICES / "sps" / "line_with_spacecharge_and_particle.json").read_text())
    names = sps["line"]["element_names"][:25]
    sps["line"]["element_names"] = names
    sps["line"]["elements"] = {name: sps["line"]["elements"][name] for name in names}
    references = [f"element_refs['{name}']" for name in names]
    kept = [
        entry
        for entry in sps["line"]["_var_manager"]
        if entry[0].startswith("vars") or any(ref in entry[0] for ref in references)
    ]
    sps["line"] |= {"_var_manager": kept[:60], "composer": None}
    return [
        Deck({"ring.json": json.dumps(ring, indent=1)}),
        Deck({"sps.json": json.dumps(sps)}),
        _one("psr.json", PSR / "psr_line_generated.json"),
        _one("env.json", PSR / "psr_environment_generated.json", sequence="ring1"),
    ]


_MADX = """
a = 2; b := -a^2/3 + sqrt(a); real const c = pi/4; set, format="12.6f"; ! comment
if (a > 1 && b < 3) {d = 1;} elseif (a == 2) {d = 2;} else {d = 3;}
n = 0; while (n < 3) {n = n + 1; e := e2 * n;}
m(x, yy): macro = {kx = yy; q.x: quadrupole, l = 0.3, k1 := kx;}; exec, m(1, 0.7);
beam, particle = proton, energy = 1.2; beam->pc = 1.5;
qf: quadrupole, l = 1, k1 := kq, tilt = 0.1; qd: qf, k1 := -kq; kq = 0.2;
mb: sbend, l = 2, angle := c/8, e1 = 0.02, fint = 0.5, hgap = 0.02, k1 = 0.01;
rb: rbend, l = 1, angle = 0.1;
sx: sextupole, l = 0.2, k2 = 3; th: multipole, knl := {0, 0.1, a}, ksl = {1e-3};
so: solenoid, l = 1, ks = 0.1;
cav: rfcavity, l = 0.5, volt = 1, lag = 0.2, harmon = 1; hk: hkicker, l = 0.1, kick := 1e-4;
co: collimator, l = 0.2, apertype = ellipse, aperture = {0.02, 0.03}; mk: marker, at = 3;
dr: drift, l = 0.7; cell: line = (qf, dr, 2*(mb, -arc), qd); arc: line = (dr, sx, th);
ring: sequence, l = 30, refer = centre; qf, at = 1; mb1: mb, at = -3, from = q2; q2: qd, at = 8;
 cav, at = 11; hk, at = 12 + a; rb1: rb, at = 16; co, at = 18; so, at = 20; endsequence;
call, file = "more.seq";
use, sequence = ring; twiss; stop;
"""


def _madx() -> list[Deck]:
    psb = (LATTICES / "psb" / "psb.seq").read_text()
    begin = psb.index("P05ring1: SEQUENCE")
    part = psb[: psb.index("PSB SEQUENCES")] + "*/" + psb[begin : begin + 3000]
    part = part[: part.rindex(";")] + ";endsequence;"
    return [
        Deck({"deck.madx": _MADX, "more.seq": "kq = 0.3; x: marker;"}),
        _one("sis18.lat", LATTICES / "sis18" / "sis18.lat"),
        _one("psr.madx", PSR / "los-alamos-proton-storage-ring.madx"),
        _one("spear3.madx", LATTICES / "spear3" / "spear3.madx"),
        _one("b.madx", LATTICES / "fermilab_booster" / "sbbooster-cooked-rfon.madx"),
        Deck({"psb.seq": part}, "p05ring1"),
    ]


def _sixtrack() -> list[Deck]:
    folder = LATTICES / "hllhc"
    geometry = _lines(folder / "fort.2", (0, 80), (954, 980), (1279, 1330)) + "NEXT\n"
    general = _lines(folder / "fort.3", (0, 40)) + "NEXT\n"
    return [Deck({"fort.2": geometry, "fort.3": general}, allow=("beam-beam", "errors"))]


_ELEGANT = """% 1 sto one
% one 3 / sto k ! stored
C: CHARGE,TOTAL=1e-9
Q1: KQUAD,L=0.3,K1="k 2 *",N_KICKS=4,TILT=0.1,DX=1e-3
"B 1": CSRCSBEN,L=0.5,ANGLE=0.1,E1=0.05,E2="0.1 2 /",HGAP=0.01,FINT=0.4,K1=0.1,SG_HALFWIDTH=1
D: CSRDRIFT,L=1,USE_STUPAKOV=1
R: RFCA,L=1,VOLT=1e6,PHASE=90,FREQ=1.3e9,CHANGE_P0=1,END1_FOCUS=1,END2_FOCUS=1
S: KSEXT,L=0.1,K2=3
E: EMATRIX,L=0.2,C1=0,R11=1,R12=0.2,R22=1,R33=1,R34=0.2,R44=1,R55=1,R66=1
M: MATR,FILENAME="m.rmat",L=0.1
W: WATCH,FILENAME="%s.w",MODE=COORD
O: MULT,L=0.1,KNL=0.3,ORDER=2
P: ECOL,X_MAX=0.01,Y_MAX=0.02,L=0.1
H: HKICK,L=0.1,KICK=1e-4
A: LINE=(C,Q1,"B 1",D,2*(S,&
 O),-BL)
BL: LINE=(R,E,W,P,H,M)
USE,A
RETURN
"""


def _elegant() -> list[Deck]:
    folder = LATTICES / "facet2"
    facet = _statements(folder / "FACET2e.lte", 3262, 3500, 3565, 4280)
    allow = ("CSR", "wake", "space charge", "radiation", "aperture")
    psr = (PSR / "psr_extracted.lte").read_text()
    matrix = (folder / "UM10466.rmat").read_text()
    return [
        Deck({"psr.lte": psr}, "RING1"),
        Deck({"deck.lte": _ELEGANT, "m.rmat": matrix}, allow=allow),
        Deck({"facet.lte": facet}, "A", allow),
        Deck(
            {
                "r.ele": (folder / "FACET2e.ele").read_text(),
                "FACET2e.lte": f"{psr}\nMYLINE: LINE=(RING1)\n",
            },
            None,
            allow,
        ),
    ]


_BMAD = """
o1: overlay = {qf[b1_gradient]: a}, var = {a}, a = 1.95
g1: group = {qf[k1]: 0.1*a^2}, var = {a}
m: marker, superimpose, ref = b36
l1: lcavity, l = 1, voltage = 1e6, rf_frequency = 1.3e9, phi0 = 0.1
p(x): line = (x, d45)
r: line = (p(d45), -p_no, --p_ts, 2*(p_ls), l1)
*[tracking_method] = bmad_standard
quadrupole::*[x_limit] = 0.1
"""


def _bmad() -> list[Deck]:
    psr = (PSR / "Dragt_PSR_small_ring.bmad").read_text()
    more = psr.replace("use, psr", _BMAD + "call, file = more.bmad\nuse, r")
    return [Deck({"psr.bmad": psr}), Deck({"r.bmad": more, "more.bmad": "d45[l] = 2\n"})]


def _pals() -> list[Deck]:
    anchors = "PALS:\n  x: &a {kind: Drift, length: 1}\n  facility:\n    - d: *a\n"
    anchors += "    - q: {<<: *a, kind: Quadrupole}\n    - l: {kind: BeamLine, line: [d, q, d]}\n"
    return [
        Deck({"psr.pals.yaml": NEW_PSR}),
        Deck({"psr.yaml": OLD_PSR}),
        Deck({"anchors.yaml": anchors}),
        _one("made.pals.yaml", PSR / "psr_generated.pals.yaml"),
        Deck({"psr.pals.json": json.dumps({"PALS": {"facility": [
            {"d": {"kind": "Drift", "length": 1.0}},
            {"q": {"kind": "Quadrupole", "length": "1/2", "MagneticMultipoleP": {"Kn1": 0.1}}},
            {"l": {"kind": "BeamLine", "line": ["d", {"q": {"repeat": 3, "direction": -1}}]}},
            {"use": "l"},
        ]}}, indent=1)}),
    ]  # fmt: skip


def _cheetah() -> list[Deck]:
    ares = json.loads((LATTICES / "ares" / "ARESlatticeStage3v1_9.json").read_text())
    (name, line), *_ = ares["lattices"].items()
    kept = line[:40] if all(isinstance(entry, str) for entry in line) else line
    ares["lattices"] = {name: kept}
    ares["elements"] = {key: e for key, e in ares["elements"].items() if key in set(kept)}
    allow = ("space charge", "Undulator", "Superimposed")
    return [Deck({"ares.json": json.dumps(ares, indent=1)}, allow=allow)]


def _impactx() -> list[Deck]:
    dump = [
        {"name": "q", "type": "Quad", "ds": 0.3, "k": 1.2, "rotation": 3.0, "aperture_x": 0.1},
        {"type": "Multipole", "multipole": 3, "K_normal": 0.2, "K_skew": 0.0},
        {"type": "ExactSbend", "ds": 0.5, "phi": 10.0},
    ]
    return [
        _one("input.in", LATTICES / "iota" / "input_iotalattice_sdep.in"),
        _one("input.in", LATTICES / "iota" / "input_iotalattice.in"),
        Deck({"dump.json": json.dumps(dump, indent=1)}),
    ]


def _impactz() -> list[Deck]:
    folder = LATTICES / "impactz_linac" / "dtl_324MHz"
    fields = {path.name: path.read_text() for path in sorted(folder.glob("rfdata8*.in"))}
    allow = ("wake", "laser heater", "field map")
    linac = (folder.parent / "ImpactZ.in").read_text()
    return [
        Deck({"ImpactZ.in": linac}, allow=allow),
        Deck({"ImpactZ.in": (folder / "ImpactZ.in").read_text(), **fields}, allow=allow),
    ]


def _impactt() -> list[Deck]:
    allow = ("field map", "wake", "overlap")
    return [_one("ImpactT.in", LATTICES / "facet2" / "impactt" / "ImpactT.in", allow=allow)]


def _ocelot() -> list[Deck]:
    text = "from ocelot import *\nk = 2*np.sin(0.3)\nd = Drift(l=1.)\nq = Quadrupole(0.3, k1=k)\n"
    text += "q.k1 = -k\ncell = [d, q] * 2 + (d,)\nr = (cell, cell[::-1])\n"
    return [_one("ares.py", LATTICES / "ares" / "ares_ocelot.py"), Deck({"r.py": text})]


def _jutrack() -> list[Deck]:
    return [_one("ring.jl", LATTICES / "spear3" / "spear3_jutrack.jl")]


_DECKS: dict[str, Callable[[], list[Deck]]] = {
    "xsuite-json": _xsuite_json,
    "madx": _madx,
    "elegant": _elegant,
    "sixtrack": _sixtrack,
    "bmad": _bmad,
    "pals": _pals,
    "cheetah": _cheetah,
    "impactx": _impactx,
    "impactz": _impactz,
    "ocelot": _ocelot,
    "jutrack": _jutrack,
    "impactt": _impactt,
}
FUZZED = tuple(_DECKS)


@cache
def decks(format: str) -> list[Deck]:
    """Decks of a format, undamaged."""
    return _DECKS[format]()
