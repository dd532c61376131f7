"""Write psb.json: the bare ring of the CERN PS Booster at injection, through xtrack.

Run it as `python examples/psb/make_psb.py`; it needs the extra `xsuite`.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import xtrack as xt

N_PERIODS = 16
PERIOD = 9.8175  # m
# Centres of the magnets in each period, m.
BENDS = (3.462849, 9.008652)
FOCUSING = (4.889797, 7.580797)
DEFOCUSING = (6.234797,)

BEND_LENGTH = 1.617696
BEND_ANGLE = 2 * math.pi / 32
QF_LENGTH = 0.50357
QD_LENGTH = 0.87894
KBRQF = 0.7691427338  # 1/m^2
KBRQD = -0.7775055976

KINETIC_ENERGY = 160e6  # eV
HARMONIC = 1
VOLTAGE = 8e3  # V

TUNES = (4.39999999893, 4.44999999989)


def make_ring() -> xt.Line:
    """Return the ring: one period of shared elements, 16 times, and the cavity."""
    env = xt.Environment()
    env.particle_ref = xt.Particles("proton", kinetic_energy0=KINETIC_ENERGY)
    env["kbrqf"], env["kbrqd"] = KBRQF, KBRQD
    faces: dict[str, Any] = {
        f"edge_{side}_{name}": value
        for side in ("entry", "exit")
        for name, value in (("angle", BEND_ANGLE / 2), ("fint", 0.5), ("hgap", 0.035))
    }
    env.new("bend", "Bend", length=BEND_LENGTH, angle=BEND_ANGLE, **faces)
    env.new("qf", "Quadrupole", length=QF_LENGTH, k1="kbrqf")
    env.new("qd", "Quadrupole", length=QD_LENGTH, k1="kbrqd")
    env.new("cavity", "Cavity", harmonic=HARMONIC, voltage=VOLTAGE, phase=0.0)
    ring = env.new_line(components=period(env) * N_PERIODS + ["cavity"])
    ring.composer = None  # the file holds the list of elements, not how it was put together
    return ring


def period(env: xt.Environment) -> list[str]:
    """Return the names along one period, with a drift of its own for every gap."""
    lengths = {"bend": BEND_LENGTH, "qf": QF_LENGTH, "qd": QD_LENGTH}
    centres = dict.fromkeys(BENDS, "bend")
    centres |= dict.fromkeys(FOCUSING, "qf")
    centres |= dict.fromkeys(DEFOCUSING, "qd")
    names: list[str] = []
    end = 0.0
    for centre, name in sorted(centres.items()):
        gap = centre - lengths[name] / 2 - end
        drift = f"d{len(names) // 2 + 1}"
        env.new(drift, "Drift", length=gap)
        names += [drift, name]
        end = centre + lengths[name] / 2
    if not math.isclose(end, PERIOD, abs_tol=1e-9):
        raise ValueError(f"the last bend ends at {end} m, not with the period at {PERIOD} m")
    return names


def compact(text: str, width: int = 10) -> str:
    """Return indented JSON with its lists of scalars on one line for every `width` entries."""

    def join(match: re.Match[str]) -> str:
        entries = [entry.strip() for entry in match[1].split(",")]
        rows = [", ".join(entries[i : i + width]) for i in range(0, len(entries), width)]
        return f"[{rows[0]}]" if len(rows) == 1 else "[\n  " + ",\n  ".join(rows) + "\n ]"

    return re.sub(r"\[\s*([^\[\]{}]+?)\s*\]", join, text)


def main() -> None:
    ring = make_ring()
    twiss = ring.twiss4d()
    print(f"length {ring.get_length():.9f} m, qx {twiss.qx:.11f}, qy {twiss.qy:.11f}")
    for got, wanted in zip((twiss.qx, twiss.qy), TUNES, strict=True):
        if not math.isclose(got, wanted, abs_tol=1e-9):
            raise ValueError(f"tune {got}, not {wanted}: has the ring changed?")
    path = Path(__file__).with_name("psb.json")
    ring.to_json(path, indent=1)
    path.write_text(compact(path.read_text()) + "\n")
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
