"""Track a bunch with ImpactX, in a process of its own: it ends the process on an error.

    python impactx_runs.py CASE.json

CASE.json holds mass [eV], charge [e], kinetic_energy [eV], bunch_charge [C], particles (file of
a (6, n) array, rows x, px, y, py, t, pt), n_cell and lattice, a list of
[class, keywords]. Prints the moments of the bunch at the end as one line of JSON.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

COLUMNS = [f"{kind}_{axis}" for axis in "xyt" for kind in ("position", "momentum")]


def run(case: dict[str, Any]) -> np.ndarray:
    """Rows (x, px, y, py, t, pt) after the lattice, (6, n)."""
    from impactx import ImpactX, elements

    simulation = ImpactX()
    simulation.verbose = 0
    simulation.tiny_profiler = False
    simulation.n_cell = case["n_cell"]
    simulation.max_grid_size = [max(case["n_cell"])]
    simulation.particle_shape = 1  # cloud-in-cell
    simulation.space_charge = "3D"
    simulation.poisson_solver = "fft"
    simulation.dynamic_size = True
    simulation.prob_relative = [1.1]
    simulation.strang_split = True
    simulation.diagnostics = False
    simulation.slice_step_diagnostics = False
    simulation.init_grids()
    beam: Any = simulation.particle_container()
    reference = beam.ref_particle()
    reference.set_charge_qe(case["charge"]).set_mass_MeV(case["mass"] * 1e-6)
    reference.set_kin_energy_MeV(case["kinetic_energy"] * 1e-6)
    rows = np.load(case["particles"])[[0, 2, 4, 1, 3, 5]]
    beam.add_n_particles(*rows, case["charge"] / case["mass"], bunch_charge=case["bunch_charge"])
    for kind, keywords in case["lattice"]:
        simulation.lattice.append(getattr(elements, kind)(**keywords))
    simulation.track_particles()
    out = beam.to_df(local=True)[COLUMNS].to_numpy().T
    simulation.finalize()
    return out


def moments(rows: np.ndarray) -> dict[str, Any]:
    """Rms sizes x, y, t, rms momenta and emittances of the three planes, number of particles."""
    covariance = np.cov(rows, ddof=0)
    blocks = [covariance[k : k + 2, k : k + 2] for k in (0, 2, 4)]
    return {
        "n": rows.shape[1],
        "sizes": [float(np.sqrt(block[0, 0])) for block in blocks],
        "momenta": [float(np.sqrt(block[1, 1])) for block in blocks],
        "emittances": [float(np.sqrt(max(np.linalg.det(block), 0.0))) for block in blocks],
    }


def main() -> None:
    case = json.loads(Path(sys.argv[1]).read_text())
    os.chdir(Path(sys.argv[1]).parent)  # ImpactX writes files where it runs
    print(json.dumps(moments(run(case))))


if __name__ == "__main__":
    main()
