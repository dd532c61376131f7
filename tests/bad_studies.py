"""Faulty studies: what is changed in a good one, and what the one line must say."""

from __future__ import annotations

import json

RING = json.dumps(
    {
        "__class__": "Line",
        "elements": {
            "d1": {"__class__": "Drift", "length": 1.0},
            "qf": {"__class__": "Quadrupole", "length": 0.4, "k1": 1.0},
            "d2": {"__class__": "Drift", "length": 1.0},
            "qd": {"__class__": "Quadrupole", "length": 0.4, "k1": -1.0},
        },
        "element_names": ["d1", "qf", "d2", "qd"],
        "_var_manager": [
            ["element_refs['qf'].k1", "vars['kq']"],
            ["element_refs['qd'].k1", "(-vars['kq'])"],
        ],
        "_var_management_data": {"var_values": {"kq": 1.0}},
    },
    indent=1,
)

STUDY = """title = "good"
turns = 1
[lattice]
file = "ring.json"
[reference]
species = "proton"
kinetic_energy = "160 MeV"
[bunch]
distribution = "gaussian"
n_particles = 50
intensity = 1e9
nemitt_x = "2 um"
nemitt_y = "2 um"
sigma_z = "1 m"
sigma_delta = 1e-3
seed = 3
[space_charge]
grid = [8, 8, 8]
[slicing]
max_spacing = "1 m"
[monitors.screen]
at = ["qf"]
[derivatives]
of = ["sigma_x"]
with_respect_to = ["kq"]
[output]
report = false
"""

_TWISS = 'seed = 3\ntwiss = { betx = "%s", bety = "5 m" }'

# What is replaced, by what, and a piece of the message.
BAD_STUDIES: dict[str, tuple[str, str, str]] = {
    # ---- no study at all
    "empty": (STUDY, "", "lattice is missing"),
    "prose": (STUDY, "Dear all, please find", "no TOML"),
    "json": (STUDY, '{"lattice": 1}', "no TOML"),
    "truncated": (STUDY[STUDY.index('"1 m"\nsigma') :], "", "no TOML"),
    "cut string": ('"proton"', '"proton', "no TOML"),
    "key twice": ("seed = 3", "seed = 3\nseed = 4", "no TOML"),
    "table twice": ("[output]", "[bunch]", "no TOML"),
    "nested": ("seed = 3", "seed = " + "[" * 5000, "no"),
    "long line": ("seed = 3", "#" + "x" * 2_000_000, "is larger than"),
    "escape": ('"good"', '"\\q"', "no TOML"),
    "control": ('"good"', '"\x01"', "no TOML"),
    "date": ("turns = 1", "turns = 2026-01-01", "turns"),
    # ---- keys
    "unknown section": ("[output]", "[outputs]", "unknown key outputs: did you mean 'output'"),
    "unknown key": ("seed =", "sead =", "unknown key bunch.sead: did you mean 'seed'"),
    "unknown in monitor": ("at = [", "place = [", "unknown key monitors.screen.place"),
    "unknown top": ("turns =", "turn =", "unknown key turn: did you mean 'turns'"),
    "no lattice": ('[lattice]\nfile = "ring.json"\n', "", "lattice is missing"),
    "no file": ('file = "ring.json"\n', "", "lattice.file is missing"),
    "no particles": ("n_particles = 50\n", "", "bunch.n_particles is missing"),
    "no intensity": ("intensity = 1e9\n", "", "bunch.intensity is missing"),
    "no emittance": ('nemitt_x = "2 um"\n', "", "bunch.nemitt_x is missing"),
    "no length": ('sigma_z = "1 m"\n', "", "bunch.sigma_z is missing"),
    "no slicing": ('[slicing]\nmax_spacing = "1 m"\n', "", "[slicing] is missing"),
    "no grid section": ("[space_charge]\ngrid = [8, 8, 8]\n", "", "[space_charge] is missing"),
    "no rule": ('max_spacing = "1 m"\n', "", "no rule for all elements"),
    "two rules": (
        'max_spacing = "1 m"', 'max_spacing = "1 m"\nkicks_per_element = 2', "exactly one",
    ),
    "no energy": ('kinetic_energy = "160 MeV"\n', "", "no energy given"),
    "two energies": ('"160 MeV"', '"160 MeV"\nmomentum = "1 GeV/c"', "exactly one of"),
    "no species": ('species = "proton"\n', "", "no particle given"),
    "species and mass": ('"proton"', '"proton"\nmass = "1 GeV"', "one or the other"),
    "mass alone": ('species = "proton"', 'mass = "1 GeV"', "mass and charge"),
    # ---- units and dimensions
    "no unit": ('nemitt_x = "2 um"', 'nemitt_x = "2"', "bunch.nemitt_x = '2': the unit is missing"),
    "bare number": ('nemitt_x = "2 um"', "nemitt_x = 2e-6", "bunch.nemitt_x"),
    "seconds": ('nemitt_x = "2 um"', 'nemitt_x = "2 s"', "has the unit 's'"),
    "metres of energy": ('"160 MeV"', '"160 m"', "reference.kinetic_energy = '160 m'"),
    "momentum as energy": ("kinetic_energy", "momentum", "reference.momentum"),
    "unit of a count": ("intensity = 1e9", 'intensity = "1e9 C"', "bunch.intensity"),
    "unknown unit": ('"160 MeV"', '"160 Mev"', "did you mean"),
    "two numbers": ('"160 MeV"', '"160 160 MeV"', "is no number with a unit"),
    "sum": ('"160 MeV"', '"160 MeV + 1 MeV"', "is no number with a unit"),
    "code": ('"160 MeV"', "\"__import__('os')\"", "is no number with a unit"),
    "pi": ('"2 um"', '"2 pi mm mrad"', "bunch.nemitt_x"),
    "celsius": ('"1 m"\nsigma', '"1 degC"\nsigma', "bunch.sigma_z"),
    "decibel": ('"1 m"\nsigma', '"1 dB"\nsigma', "bunch.sigma_z"),
    "spacing in volts": ('max_spacing = "1 m"', 'max_spacing = "1 V"', "slicing.max_spacing"),
    "empty quantity": ('"160 MeV"', '""', "is no number with a unit"),
    "long quantity": ('"160 MeV"', '"' + "9" * 10_000 + ' MeV"', "is no number with a unit"),
    "overflow": ('"160 MeV"', '"1e999 MeV"', "must be finite"),
    # ---- numbers out of bounds
    "nan": ("intensity = 1e9", "intensity = nan", "bunch.intensity"),
    "inf": ("intensity = 1e9", "intensity = inf", "bunch.intensity"),
    "minus inf": ("sigma_delta = 1e-3", "sigma_delta = -inf", "bunch.sigma_delta"),
    "nan text": ('"2 um"', '"nan um"', "bunch.nemitt_x"),
    "negative emittance": ('"2 um"', '"-2 um"', "must not be negative"),
    "negative length": ('sigma_z = "1 m"', 'sigma_z = "-1 m"', "must not be negative"),
    "negative intensity": ("1e9", "-1e9", "must not be negative"),
    "negative energy": ('"160 MeV"', '"-160 MeV"', "must be positive"),
    "no kinetic energy": ('"160 MeV"', '"0 MeV"', "must be positive"),
    "below rest": ('kinetic_energy = "160 MeV"', 'total_energy = "160 MeV"', "rest energy"),
    "zero particles": ("n_particles = 50", "n_particles = 0", "bunch.n_particles = 0"),
    "negative particles": ("n_particles = 50", "n_particles = -5", "bunch.n_particles = -5"),
    "half a particle": ("n_particles = 50", "n_particles = 1.5", "bunch.n_particles = 1.5"),
    "particles as text": ("n_particles = 50", 'n_particles = "50"', "bunch.n_particles = '50'"),
    "too many particles": ("n_particles = 50", "n_particles = 10_000_000_000", "bunch.n_particles"),
    "more than memory": ("n_particles = 50", "n_particles = 1_000_000_000", "memory"),
    "true particles": ("n_particles = 50", "n_particles = true", "bunch.n_particles = True"),
    "negative seed": ("seed = 3", "seed = -3", "bunch.seed = -3"),
    "intensity beyond floats": ("intensity = 1e9", f"intensity = {10**400}", "intensity"),
    "nodes beyond floats": ("[8, 8, 8]", f"[{10**400}, 8, 8]", "too many nodes"),
    "large seed": ("seed = 3", "seed = 99999999999999999999", "seed"),
    "no turn": ("turns = 1", "turns = 0", "turns = 0"),
    "half a turn": ("turns = 1", "turns = 0.5", "turns = 0.5"),
    "too many turns": ("turns = 1", "turns = 10_000_000_000", "turns"),
    "one cell": ("[8, 8, 8]", "[1, 1, 1]", "grid"),
    "no cell": ("[8, 8, 8]", "[0, 8, 8]", "grid"),
    "negative cells": ("[8, 8, 8]", "[-8, 8, 8]", "grid"),
    "flat grid": ("[8, 8, 8]", "[8, 8]", "space_charge.grid"),
    "four axes": ("[8, 8, 8]", "[8, 8, 8, 8]", "space_charge.grid"),
    "grid of text": ("[8, 8, 8]", '["8", 8, 8]', "space_charge.grid"),
    "absurd grid": ("[8, 8, 8]", "[100000, 100000, 100000]", "too many nodes"),
    "no spacing": ('max_spacing = "1 m"', 'max_spacing = "0 m"', "must be positive"),
    "fine spacing": (
        'max_spacing = "1 m"', 'max_spacing = "1 fm"', "kicks: choose a larger spacing",
    ),
    "no kicks": ('max_spacing = "1 m"', "kicks_per_element = 0", "kicks_per_element = 0"),
    "absurd kicks": ('max_spacing = "1 m"', "kicks_per_element = 1000000000", "kicks: must be"),
    "kicks of nothing": (
        'max_spacing = "1 m"', 'max_spacing = "1 m"\nper_element = { zz = 4 }', "'zz'",
    ),
    "rule of nothing": (
        'max_spacing = "1 m"', 'max_spacing = "1 m"\nper_element = { qf = 0 }', "from 1",
    ),
    "little memory": ("turns = 1", 'turns = 1\nmemory_limit = "1 MB"', "memory_limit"),
    "memory in metres": ("turns = 1", 'turns = 1\nmemory_limit = "1 m"', "memory_limit"),
    "negative memory": ("turns = 1", 'turns = 1\nmemory_limit = "-1 GiB"', "memory_limit"),
    # ---- choices
    "unknown species": ('"proton"', '"neutron"', "unknown species 'neutron'"),
    "empty species": ('"proton"', '""', "species"),
    "unknown distribution": ('"gaussian"', '"gausian"', "did you mean 'gaussian'?"),
    "sphere without radius": ('"gaussian"', '"cold_sphere"', "bunch.radius is missing"),
    "radius of a gaussian": ("seed = 3", 'seed = 3\nradius = "1 m"', "bunch.radius"),
    "dtype": ("turns = 1", 'turns = 1\ndtype = "float16"', "dtype = 'float16'"),
    "device": ("turns = 1", 'turns = 1\ndevice = "gpu"', "device = 'gpu'"),
    "absent device": ("turns = 1", 'turns = 1\ndevice = "cuda:77"', "device = 'cuda:77'"),
    "adjoint": ("turns = 1", 'turns = 1\nadjoint = "magic"', "adjoint"),
    "adjoint fields": (
        "turns = 1", "turns = 1\nadjoint = { strategy = 'StoreStates', every = 3 }",
        "adjoint.every",
    ),
    "checkpoint of nothing": (
        "turns = 1", "turns = 1\nadjoint = { strategy = 'Checkpoint' }", "exactly one of",
    ),
    "solver": ("[8, 8, 8]", '[8, 8, 8]\nsolver = "fmm"', "space_charge.solver = 'fmm'"),
    "shape": ("[8, 8, 8]", '[8, 8, 8]\nshape = "box"', "space_charge.shape = 'box'"),
    "splitting": ("[8, 8, 8]", '[8, 8, 8]\nsplitting = "lie"', "space_charge.splitting = 'lie'"),
    "half a fixed grid": ("[8, 8, 8]", '[8, 8, 8]\nx_range = ["-1 m", "1 m"]', "space_charge"),
    "turned range": (
        "[8, 8, 8]",
        '[8, 8, 8]\nx_range = ["1 m", "-1 m"]\ny_range = ["-1 m", "1 m"]\n'
        'z_range = ["-1 m", "1 m"]',
        "space_charge",
    ),
    "bend model": ('"ring.json"', '"ring.json"\nbend_model = "magic"', "lattice.bend_model"),
    "lattice format": ('"ring.json"', '"ring.json"\nformat = "magic"', "lattice.format = 'magic'"),
    "wrong format": ('"ring.json"', '"ring.json"\nformat = "madx"', "ring.json"),
    # ---- names
    "no such lattice": ('"ring.json"', '"rung.json"', "lattice.file = 'rung.json': no file"),
    "empty lattice name": ('"ring.json"', '""', "lattice.file"),
    "nul in name": ('"ring.json"', '"ri\\u0000ng.json"', "lattice.file"),
    "study as lattice": ('"ring.json"', '"study.toml"', "is a study by its name"),
    "folder as lattice": ('"ring.json"', '"."', "lattice.file = '.'"),
    "list of files": ('"ring.json"', '["ring.json", "ring.json"]', "2 files"),
    "number as file": ('"ring.json"', "7", "lattice.file"),
    "no such line": ('"ring.json"', '"ring.json"\nline = "rang"', "rang"),
    "no such range": ('"ring.json"', '"ring.json"\nrange = "qx/qy"', "qx"),
    "range of one": ('"ring.json"', '"ring.json"\nrange = "qf"', "range"),
    "no such knob": ('"ring.json"', '"ring.json"\nknobs = { kx = 1 }', "kx"),
    "knob that is off": (
        '"ring.json"', '"ring.json"\nknobs = { kq = 0 }', "give the optics as [bunch.twiss]",
    ),
    "infinite knob": ('"ring.json"', '"ring.json"\nknobs = { kq = inf }', "knobs.kq"),
    "knob in metres": ('"ring.json"', '"ring.json"\nknobs = { kq = "1 m" }', "knobs.kq"),
    "moment": ('["sigma_x"]', '["sigma_q"]', "sigma_q"),
    "no moment": ('["sigma_x"]', "[]", "derivatives.of"),
    "moment twice": ('["sigma_x"]', '["sigma_x", "sigma_x"]', "is listed twice"),
    "code as moment": ('["sigma_x"]', "[\"__import__('os')\"]", "derivatives.of"),
    "deep moment": ('["sigma_x"]', '["' + "-" * 3000 + 'sigma_x"]', "levels deep"),
    "count": ('["sigma_x"]', '["n_alive"]', "counts particles"),
    "constant": ('["sigma_x"]', '["1 + 1"]', "names no moment"),
    "no such monitor": ('["sigma_x"]', '["scren.sigma_x"]', "no monitor 'scren'"),
    "no such look": ('["sigma_x"]', '["screen[5].sigma_x"]', "screen[5].sigma_x"),
    "unknown input": ('["kq"]', '["kx"]', "'kx'"),
    "no input": ('["kq"]', "[]", "derivatives.with_respect_to"),
    "input twice": ('["kq"]', '["kq", "kq"]', "is listed twice"),
    "driven field": ('["kq"]', '["qf.k1"]', "qf.k1"),
    "no such field": ('["kq"]', '["d1.k9"]', "d1.k9"),
    "wildcard of nothing": ('["kq"]', '["zz*"]', "zz*"),
    "seed as input": ('["kq"]', '["bunch.seed"]', "bunch.seed"),
    "two energies as inputs": (
        '["kq"]', '["reference.momentum", "reference.kinetic_energy"]', "choose one",
    ),
    "monitor nowhere": ('at = ["qf"]', 'at = ["qx"]', "monitors.screen"),
    "monitor of nothing": ('at = ["qf"]', "at = []", "monitors.screen"),
    "monitor behind the end": ('at = ["qf"]', 'at = ["99 m"]', "99 m"),
    "monitor in seconds": ('at = ["qf"]', 'at = ["3 s"]', "3 s"),
    "monitor kind": ('at = ["qf"]', 'at = ["qf"]\nkind = "x"', "monitors.screen.kind"),
    "monitor name": ("[monitors.screen]", '[monitors."a b"]', "monitors.a b"),
    "output formats": ("report = false", 'bunches = ["csv"]', "output.bunches"),
    "output folder": ("report = false", 'folder = ""', "output.folder"),
    "output is a file": ("report = false", 'folder = "ring.json"', "is a file, not a folder"),
    "output below a file": ("report = false", 'folder = "ring.json/results"', "ring.json"),
    "output of nul": ("report = false", 'folder = "a\\u0000b"', "output"),
    # ---- optimisation
    "minimise nothing": (
        "[output]", "[optimise]\nminimise = \"\"\nvary = { kq = [0, 1] }\n[output]",
        "optimise",
    ),
    "vary nothing": (
        "[output]", "[optimise]\nminimise = \"sigma_x\"\nvary = {}\n[output]",
        "optimise.vary",
    ),
    "one bound": (
        "[output]", "[optimise]\nminimise = \"sigma_x\"\nvary = { kq = [0] }\n[output]",
        "optimise.vary",
    ),
    # ---- optics and bunch files
    "negative beta": ("seed = 3", _TWISS % "-5 m", "bunch.twiss.betx"),
    "beta of nothing": ("seed = 3", _TWISS % "0 m", "bunch.twiss.betx"),
    "beta without unit": ("seed = 3", _TWISS % "5", "bunch.twiss.betx"),
    "unstable": ('"ring.json"', '"ring.json"\nknobs = { kq = 50 }', "ring.json"),
    "no bunch file": ('distribution = "gaussian"', 'file = "no.h5"', "bunch"),
}  # fmt: skip
