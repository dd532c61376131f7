"""A study with most keys, and bunches in the text formats of other codes, to damage."""

from __future__ import annotations

import json

# Most keys that there are; names of files do not matter to the reader of studies.
STUDY = """
title = "a study"
memory_limit = "8 GiB"
adjoint = { strategy = "Checkpoint", every = 8 }
dtype = "float64"
device = "cpu"
turns = 2
[lattice]
file = ["ring.seq", "ring.str"]
format = "madx"
line = "ring"
range = "#s/q1"
knobs = { kq = 0.2, "k.d" = -1e-3 }
allow = ["CSR"]
allow_paths = ["../models"]
bend_model = "exact"
[reference]
mass = "938.272 MeV"
charge = "1 e"
momentum = "1.4 GeV/c"
[bunch]
distribution = "waterbag"
n_particles = 10_000
intensity = 1.6e12
nemitt_x = "2 um"
nemitt_y = "2 mm mrad"
sigma_z = "15 m"
sigma_delta = 1e-3
twiss = { betx = "5 m", alfx = 0.1, bety = "6 m" }
seed = 1
[space_charge]
solver = "igf"
grid = [32, 32, 32]
shape = "tsc"
splitting = "yoshida"
longitudinal = true
transform = "none"
[slicing]
max_spacing = "1 m"
per_element = { "q*" = 4, Bend = "0.5 m" }
[monitors.screen]
at = ["q1", "12.5 m"]
every_kick = true
kind = "bunch"
[derivatives]
of = ["sigma_x", "log(nemitt_x)", "screen[0].sigma_y / sigma_y"]
with_respect_to = ["k*", "qf.k1", "bunch.intensity", "reference.momentum"]
[output]
folder = "results"
report = false
bunches = ["npz"]
"""

_PARTICLES = json.dumps(
    {name: [1e-3, 2e-3] for name in ("x", "px", "y", "py", "zeta", "delta", "weight")}
    | {"state": [1, 1], "mass0": 938272088.0, "q0": 1.0, "p0c": [1e9, 1e9]}
)
_ASTRA = "1e-3 0 0.5 0 0 5e6 2.0 -1e-3 1 5\n0 1e-3 1e-3 10.0 0 1e3 0 -1e-3 1 5\n"
_SDDS = (
    "SDDS1\n&parameter name=Charge, type=double, units=C &end\n"
    + "".join(
        f"&column name={name}, type=double, units={unit} &end\n"
        for name, unit in zip(
            ("x", "xp", "y", "yp", "t", "p"), ("m", '""', "m", '""', "s", '"m$be$nc"'), strict=True
        )
    )
    + "&data mode=ascii &end\n! page number 1\n1e-9\n2\n"
    + "1e-3 0 1e-3 0 1e-9 20.0\n0 1e-3 0 1e-3 2e-9 21.0\n"
)
BUNCH_TEXTS = {"p.json": _PARTICLES, "gun.ini": _ASTRA, "elegant.sdds": _SDDS}
